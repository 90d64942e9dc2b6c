"""A generator against a critic: the GAN of Goodfellow et al., arXiv:1406.2661, as a point in a space.

The parts are in the zoo, each under its genes: networks in `backbones/`, losses, penalties, weights, augmentation,
latents. Here they meet.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from evogan.errors import UserError
from evogan.families.family import Fields, are_vectors, told
from evogan.families.plain.diagnostics import critic_diagnostics
from evogan.families.plain.family import PLAIN
from evogan.genes import GENES, LABELLED
from evogan.genome import Value
from evogan.zoo import from_genes
from evogan.zoo.augment import augment, draw_augmentation, mirrored
from evogan.zoo.average import HistoricalAverage, MovingAverage
from evogan.zoo.backbones import BACKBONES, attention_fits, is_conditional, make_networks, prior_of, stylegan
from evogan.zoo.backbones.progressive import Growth
from evogan.zoo.class_terms import ClassTerms
from evogan.zoo.conditioning import other_labels
from evogan.zoo.fresh import Networks
from evogan.zoo.gan import Batch, Critique, Data, Draws, Losses, Network, Prompt, Rows, is_point
from evogan.zoo.jacobian import jacobian_clamping, moved
from evogan.zoo.latents import draw_latents, truncated
from evogan.zoo.losses import (
    HARD,
    MUTATIONS,
    LossTerms,
    Mixture,
    Objective,
    draw_targets,
    feature_matching,
    pull_away,
)
from evogan.zoo.number import Number
from evogan.zoo.regularizers import Judge
from evogan.zoo.unrolled import at, look_ahead

# among the draws: what a critic sees, the last with a wrong label; what a generator starts from
REAL, FAKE, WRONG, LATENT = "real", "fake", "wrong", "latent"

OTHER, CHANGE = "other", "change"  # of a prompt that mixes styles
FITNESS = "fitness "  # how the names of draws begin by which an evolving generator's children are judged
OBJECTIVE = "objective"  # the number that says which of a stack's losses is a GAN's own
IMAGES, LABELS = "images", "labels"  # the fields of the data that reals are in, and their classes
NOBODY: Mapping[str, Network] = {}
OF_IMAGES: dict[str, list[Value]] = {  # values that points know nothing of
    "augmentation": [value for value in GENES["augmentation"].values if value != "none"],
    "mirror": [True],
}

OF_CLASSES: dict[str, dict[Value, str]] = {  # values that take classes, and no other conditions
    "critic_label": {"auxiliary": "tells the class"},
    "generator_norm": {"virtual_batch": "compares with an image of each class"},
    "critic_norm": {"virtual_batch": "compares with images and their classes"},
}


def assemble(genes: dict[str, Any], fields: Fields, players: Networks, rng: torch.Generator) -> PlainGAN:
    return PlainGAN(genes, fields[IMAGES].shape, players["generator"], players["critic"], rng, told(fields))


def networks(genes: Mapping[str, Any], fields: Fields) -> dict[str, Network]:
    generator, critic = make_networks(genes, *_form(fields), told(fields))
    return {"generator": generator, "critic": critic}


def check(genes: Mapping[str, Any], fields: Fields) -> None:
    """Errors: UserError if the networks cannot make images of this size, or there are no classes to ask for."""
    (size, _), name = _form(fields), str(genes["backbone"])
    if is_point(fields[IMAGES].shape):
        for gene, unfit in OF_IMAGES.items():
            if genes.get(gene) in unfit:
                raise UserError(f"{gene} = {genes[gene]}: of images, and these are points")
        if not BACKBONES[name].fits(size):
            raise UserError(f"backbone = {name} makes images, and these are points: mlp makes them")
    if not BACKBONES[name].fits(size):
        raise UserError(f"image size {size}: {name} makes sizes {BACKBONES[name].sizes}; set --image-size")
    if not attention_fits(genes, size):
        raise UserError(
            f"attention = {genes['attention']}: at image size {size} the networks have no maps of that size"
        )
    check_told(genes, fields)


def check_told(genes: Mapping[str, Any], fields: Fields) -> None:
    """Errors: UserError for a conditional GAN where there is nothing to ask for, or not such as it takes."""
    if not is_conditional(genes):
        return
    if told(fields) < 2 and not are_vectors(fields):
        found = "are of one class" if told(fields) else "have none"
        raise UserError(f"condition = {genes['condition']} needs images with labels; these {found}")
    for gene, why in OF_CLASSES.items() if are_vectors(fields) else ():
        if (value := genes.get(gene)) in why:
            raise UserError(f"{gene} = {value} {why[value]}, and these conditions are vectors")


def untold(fields: Fields) -> dict[str, list[Value]]:
    """The values of genes of conditioning with which there is no GAN for such fields."""
    if are_vectors(fields):
        return {gene: [*why] for gene, why in OF_CLASSES.items()}
    return {"condition": [] if told(fields) > 1 else ["labels"]}


def impossible(fields: Fields) -> dict[str, list[Value]]:
    """The values of genes with which no network makes images of this size, or such that the data know nothing of."""
    size, _ = _form(fields)
    return {
        **(OF_IMAGES if is_point(fields[IMAGES].shape) else {}),
        **untold(fields),
        "backbone": [name for name, backbone in BACKBONES.items() if not backbone.fits(size)],
        "attention": [v for v in GENES["attention"].values if not attention_fits({"attention": v}, size)],
    }


def _form(fields: Fields) -> tuple[int, int]:
    """Side in pixels, and channels."""
    channels, size, _ = fields[IMAGES].shape
    return size, channels


def generator_rows(size: int, genes: Mapping[str, Any]) -> int:
    """Rows of the generator's step, of the critic's."""
    return max(size * int(genes["batch_ratio"]) // int(genes.get("batch_divisor", 1)), 2)


class PlainGAN:
    """Built from `genes`, a complete phenotype, and the two networks that it names, which have their weights.

    `image`: channels, height, width. `classes`: of the data; a conditional GAN is shown and asked for these,
    or for vectors of so many numbers. `others`:
    the players of another family beside the two.

    Randomness that is part of the networks (first singular vectors) comes from `rng`.
    """

    counted = PLAIN.counted

    def __init__(
        self,
        genes: dict[str, Any],
        image: tuple[int, ...],
        generator: Network,
        critic: Network,
        rng: torch.Generator,
        classes: int = 0,
        others: Mapping[str, Network] = NOBODY,
    ) -> None:
        self.players: Mapping[str, Network] = {"critic": critic, "generator": generator, **others}
        self.schedule: tuple[tuple[str, int], ...] = (
            ("critic", int(genes["critic_steps"])),
            ("generator", int(genes["generator_steps"])),
        )
        size, rate = int(genes["batch_size"]), float(genes["learning_rate"])
        self.rows = {"critic": size, "generator": generator_rows(size, genes)}
        self.rates = {"critic": rate, "generator": rate * genes["lr_ratio"]}
        self.steady = not (genes["instance_noise"] > 0 or genes.get("growing", False))
        self.genes, self._image, self.prior = genes, image, prior_of(genes)
        self.prompted: tuple[str, ...] = (LABELS,) if is_conditional(genes) else ()
        self.classes = classes
        self._shows_wrong = genes.get("wrong_label", 0.0) > 0
        self._numbers = from_genes.numbers_of(genes)
        self._numbers[OBJECTIVE] = Number(0.0)
        numbers = cast(Mapping[str, Number], self._numbers)
        self._weights = {
            name: from_genes.weights(player, name, genes, rng, numbers) for name, player in self.players.items()
        }
        self.objective: Objective = from_genes.adversarial(genes, numbers)
        self._regularizers = from_genes.regularizers(genes, numbers)
        self._memory = from_genes.memory(genes, numbers)
        self._class_terms = ClassTerms(genes.get("critic_label") == "two_heads", numbers)
        self._average = MovingAverage(generator, numbers["ema"]) if genes["ema"] > 0 else None
        self._histories = (
            {name: HistoricalAverage(player) for name, player in self.players.items()}
            if genes["historical_averaging"] > 0
            else {}
        )
        self.networks: Mapping[str, nn.Module] = {
            **self.players,
            **({"average": self._average} if self._average else {}),
            **{f"{name}_history": history for name, history in self._histories.items()},
            "memory": self._memory,
            "numbers": self._numbers,
        }
        self._feature_matching: str = genes["feature_matching"]
        self._matches_real = self.objective.needs_real or self._feature_matching != "off"
        # batch norm and minibatch layers look at the batch: real and fake pass them apart
        self._together = genes.get("critic_norm") != "batch" and genes.get("minibatch", "none") == "none"
        self._pulls_away = genes.get("pull_away", 0) > 0
        # how their draws' names begin
        self._unrolled = [f"unrolled {k} " for k in range(int(genes.get("unrolled", 0)))]
        self.mutations = {"generator": tuple(MUTATIONS)} if genes.get("evolution", False) else {}
        self._steps_beside = [
            *self._unrolled,
            *([FITNESS] if self.mutations else []),
        ]  # critic steps in the generator's
        self._clamps = bool(genes["jacobian_clamping"])
        self._noise = 0.0
        self._gets_targets = False

    def to(self, device: torch.device) -> None:
        for network in self.networks.values():
            network.to(device).to(memory_format=torch.channels_last)

    def adopt(self, states: Mapping[str, Mapping[str, Tensor]]) -> None:
        for name in self.players.keys() & states.keys():
            self.players[name].load_state_dict(states[name])
        followers = {f"{name}_history": (history, name) for name, history in self._histories.items()}
        averages = {} if self._average is None else {"average": (self._average, "generator")}
        for name, (follower, followed) in (averages | followers).items():
            if name in states:
                follower.load_state_dict(states[name])
            else:
                follower.restart(self.players[followed])
        memory = states.get("memory", {})
        if memory.keys() == self._memory.state_dict().keys():  # else it is that of another loss
            self._memory.load_state_dict(memory)
        grown = {name: [m for m in p.modules() if isinstance(m, Growth)] for name, p in self.players.items()}
        levels = [float(growth.level) for name in states for growth in grown.get(name, ())]
        for growth in (growth for found in grown.values() for growth in found):
            growth.keep(levels[0])

    def begin(self, progress: float) -> bool:
        self._noise = math.hypot(self.genes["instance_noise"] * (1 - progress), self.genes["input_noise"])
        new = [player.begin(progress) for player in self.players.values()]  # of every one
        return any(new)

    # --- the randomness of a step

    def needs(self, player: str) -> tuple[str, ...]:
        images = (IMAGES,) if player == "critic" or self._matches_real or self._steps_beside else ()
        return (*images, *self.prompted)

    def draw(self, player: str, n: int, data: Data, rng: torch.Generator) -> Batch:
        if self.genes["mirror"] and IMAGES in data:
            data = {**data, IMAGES: mirrored(data[IMAGES], rng)}
        return self._draw(player, n, data, rng)

    def _draw(self, player: str, n: int, data: Data, rng: torch.Generator) -> Batch:
        generator, critic = self.players["generator"], self.players["critic"]
        draws: dict[str, Draws] = {"generator": generator.draws(n, rng)}
        for what in self._shown(player):
            draws |= self._look(critic, what, n, rng)
        if self.genes["loss"] in LABELLED:
            draws["targets"] = draw_targets(n, self.genes["label_smoothing"], self.genes["label_noise"], rng)
        if player == "critic":
            critic.meet(data[IMAGES], *(data[name] for name in self.prompted))
            draws |= self._regularizers.draw(critic, self._points_like(data[IMAGES]), rng)
            if self._shows_wrong or self._class_terms.matches:
                draws["wrong labels"] = (other_labels(data[LABELS], self.classes, rng),)
        draws[LATENT] = (draw_latents(self.prior, n, rng),)
        if player == "generator":
            for step in self._steps_beside:
                draws |= {f"{step}{what}": drawn for what, drawn in self._draw("critic", n, data, rng).draws.items()}
            if self._clamps:
                draws["direction"] = (torch.randn(draws[LATENT][0].shape, generator=rng, device=rng.device),)
        return Batch({name: data[name] for name in self.needs(player)}, draws)

    def _shown(self, player: str) -> tuple[str, ...]:
        """What the critic sees in a step of the player."""
        seen = (REAL, FAKE) if IMAGES in self.needs(player) else (FAKE,)
        return (*seen, WRONG) if player == "critic" and self._shows_wrong else seen

    def _look(self, network: Network, what: str, n: int, rng: torch.Generator) -> dict[str, Draws]:
        """What it takes to show the network n images."""
        draws = {what: network.draws(n, rng)}
        if self.genes["instance_noise"] > 0 or self.genes["input_noise"] > 0:
            noise = torch.randn((n, *self._image), generator=rng, device=rng.device)
            draws[f"{what} noise"] = (self._noise * noise,)
        if self.genes["augmentation"] != "none":
            draws[f"{what} augmentation"] = draw_augmentation(self.genes["augmentation"], n, self._image[-1], rng)
        return draws

    # --- losses

    def loss(self, player: str, batch: Batch) -> Losses:
        return self._loss(player, batch, self.objective)

    def mutated(self, player: str, batch: Batch, mutation: str) -> Losses:
        return self._loss(player, batch, MUTATIONS[mutation])

    def fitness(self, player: str, batch: Batch) -> Tensor:
        """The generator's, as E-GAN has it: E s(f) - gamma log |grad L_C|, by the critic's weights."""
        shown, critic = self._beside(FITNESS, batch), self.players["critic"]
        with torch.no_grad():
            fake = self._seen(self._generate(shown), FAKE, shown)
        r, f = self._judge(self._seen(batch.data[IMAGES], REAL, shown), fake, shown)
        loss = torch.stack(list(self.objective.critic(r.score, f.score).values())).sum()
        gradients = torch.autograd.grad(loss, list(critic.parameters()), materialize_grads=True)
        norm = torch.nn.utils.get_total_norm(gradients)
        found: Tensor = f.score.detach().sigmoid().mean() - self._numbers["evolution_gamma"]() * norm.log()
        return found

    def _loss(self, player: str, batch: Batch, objective: Objective) -> Losses:
        if player == "critic":
            with torch.no_grad():
                fake = self._generate(batch)
            return self._pulled(player, self._critic_loss(fake, batch))
        if not self._unrolled:
            return self._pulled(player, self._generator_loss(batch, objective))
        critic, losses = self.players["critic"], [self._ahead(step, batch) for step in self._unrolled]
        weights = look_ahead(critic, losses, self._numbers["unrolled_rate"]())
        found: Losses = at(critic, weights, lambda: self._pulled(player, self._generator_loss(batch, objective)))
        return found

    def _ahead(self, step: str, batch: Batch) -> Callable[[], Tensor]:
        """The critic's loss in a step that is looked ahead: on the same reals and labels, and fakes of its own."""
        shown = self._beside(step, batch)
        fake = self._generate(shown)
        return lambda: self._pulled("critic", self._critic_loss(fake, shown)).total()

    def _beside(self, step: str, batch: Batch) -> Batch:
        """What the critic is shown in a step of its own, as part of a step of the generator."""
        draws = {what.removeprefix(step): drawn for what, drawn in batch.draws.items() if what.startswith(step)}
        return Batch(batch.data, draws)

    def _pulled(self, player: str, losses: Losses) -> Losses:
        """With what the player's weights are drawn to."""
        terms = {**losses.terms, **self._weights[player].regularization()}
        if self._histories:
            distance = self._histories[player].distance(self.players[player])
            terms["historical_averaging"] = self._numbers["historical_averaging"]() * distance
        return Losses(terms, losses.watched)

    def _critic_loss(self, fake: Tensor, batch: Batch) -> Losses:
        fake = self._seen(fake, FAKE, batch)
        real = self._seen(batch.data[IMAGES], REAL, batch)
        r, f = self._judge(real, fake, batch)
        terms = self._memory.weigh(self._told_apart(r, f, batch), r.score, f.score)
        critic, points = self._penalised(real, fake, batch)
        terms |= self._regularizers.terms(critic, points, (r.score, f.score), batch.draws)
        for own in self._labels(batch):
            terms |= self._class_terms.critic(r, f, own, batch.draws.get("wrong labels", ()))
        return Losses(terms, {"score_real": r.score.detach().mean(), "score_fake": f.score.detach().mean()})

    def _told_apart(self, r: Critique, f: Critique, batch: Batch) -> LossTerms:
        """The critic's terms for reals and for fakes."""
        targets = batch.draws.get("targets", HARD)
        losses = self.objective.critic(r.score, f.score, targets)
        if self._shows_wrong:
            wrong = self._wrong_score(batch)
            share, of_wrong = self._numbers["wrong_label"](), self.objective.critic(r.score, wrong, targets)["fake"]
            losses = {**losses, "fake": (1 - share) * losses["fake"] + share * of_wrong}
        return losses

    def _points_like(self, images: Tensor) -> Tensor:
        """Of the form of what the critic's gradient is taken by."""
        return images

    def _penalised(self, real: Tensor, fake: Tensor, batch: Batch) -> tuple[Judge, tuple[Tensor, Tensor]]:
        """The critic as a function of what its gradient is taken by, and that of reals and of fakes."""
        beside = self._given(REAL, batch)

        def critic(x: Tensor, draws: Draws) -> Critique:
            said: Critique = self.players["critic"](x, draws, *beside)
            return said

        return critic, (real, fake)

    def _generator_loss(self, batch: Batch, objective: Objective) -> Losses:
        images = self._generate(batch)
        fake = self._seen(images, FAKE, batch)
        r: Critique | None = None
        if self._matches_real:
            # reals carry no gradient, but by the weights of a critic that is looked ahead at
            with nullcontext() if self._unrolled else torch.no_grad():
                real = self._seen(batch.data[IMAGES], REAL, batch)
                r = self.players["critic"](real, batch.draws[REAL], *self._given(REAL, batch))
        f: Critique = self.players["critic"](fake, batch.draws[FAKE], *self._given(FAKE, batch))
        terms = dict(objective.generator(f.score, None if r is None else r.score))
        if r is not None and self._feature_matching != "off":
            matched = feature_matching(r.features, f.features)
            terms["generator" if self._feature_matching == "alone" else "feature_matching"] = matched
        if self._pulls_away:
            terms["pull_away"] = self._numbers["pull_away"]() * pull_away(f.features)
        if self._clamps:
            terms["jacobian"] = self._clamped(images, batch)
        for labels in self._labels(batch):
            terms |= self._class_terms.generator(f, labels)
        terms |= self._besides(images, f, r, batch)
        return Losses(terms, self._memory.watch(f.score.detach().mean()))

    def _besides(self, images: Tensor, f: Critique, r: Critique | None, batch: Batch) -> dict[str, Tensor]:
        """What a generator pays beside its adversarial loss, for a family that has such terms."""
        return {}

    def _clamped(self, images: Tensor, batch: Batch) -> Tensor:
        (latent,), (direction,) = batch.draws[LATENT], batch.draws["direction"]
        others = self._generate(Batch(batch.data, {**batch.draws, LATENT: (moved(latent, direction),)}))
        weight, low, high = (self._numbers[f"jacobian_{name}"]() for name in ("weight", "low", "high"))
        clamped: Tensor = weight * jacobian_clamping(images, others, low, high)
        return clamped

    def _wrong_score(self, batch: Batch) -> Tensor:
        """Of the reals, each with a class that is not its own."""
        images = self._seen(batch.data[IMAGES], WRONG, batch)
        said: Critique = self.players["critic"](images, batch.draws[WRONG], *batch.draws["wrong labels"])
        return said.score

    def _given(self, what: str, batch: Batch) -> tuple[Tensor, ...]:
        """What the critic is shown beside reals, or fakes."""
        return self._labels(batch)

    def _labels(self, batch: Batch) -> tuple[Tensor, ...]:
        """Of a conditional GAN's reals, and of its fakes; () of others."""
        return tuple(batch.data[name] for name in self.prompted)

    def _generate(self, batch: Batch) -> Tensor:
        images: Tensor = self.players["generator"](*batch.draws[LATENT], batch.draws["generator"], *self._labels(batch))
        return images

    def _seen(self, images: Tensor, what: str, batch: Batch) -> Tensor:
        """The images as the critic gets to see them."""
        if what in (REAL, WRONG):
            images = self.players["critic"].present(images)
        if augmentation := batch.draws.get(f"{what} augmentation"):
            images = augment(self.genes["augmentation"], images, augmentation)
        if noise := batch.draws.get(f"{what} noise"):
            images = images + noise[0]
        return images

    def _judge(self, real: Tensor, fake: Tensor, batch: Batch) -> tuple[Critique, Critique]:
        critic, beside_real, beside_fake = self.players["critic"], self._given(REAL, batch), self._given(FAKE, batch)
        if not self._together:
            return critic(real, batch.draws[REAL], *beside_real), critic(fake, batch.draws[FAKE], *beside_fake)
        draws = tuple(torch.cat(pair) for pair in zip(batch.draws[REAL], batch.draws[FAKE], strict=True))
        given = (torch.cat(pair) for pair in zip(beside_real, beside_fake, strict=True))
        said: Critique = critic(torch.cat([real, fake.to(real.dtype)]), draws, *given)
        return said.halves()

    # --- between steps

    @torch.no_grad()
    def after_step(self, player: str, batch: Batch, losses: Losses) -> None:
        self._hold(player)
        self._memory.follow(player, losses)
        if player == "generator":
            self.players["generator"].after_step(*batch.draws[LATENT], *self._labels(batch))
            if self._average is not None:
                self._average.follow(self.players["generator"])

    def _hold(self, player: str) -> None:
        """To the bounds of its weights; and what these were is remembered."""
        self._weights[player].after_step()
        if self._histories:
            self._histories[player].follow(self.players[player])

    # --- samples

    def given(self, images: Tensor, labels: Sequence[Tensor], start: Tensor | None = None) -> Sequence[Tensor]:
        """What the critic is shown beside images (N, C, H, W) in [-1, 1] with these labels, if it is told any.

        `start`: what a generator made them of, (N, whole).
        """
        return labels

    @property
    def sampler(self) -> nn.Module:
        """The network that samples come from: the generator, or its moving average."""
        return self.players["generator"] if self._average is None else self._average.network

    def prompts(self, n: int, data: Data, rng: torch.Generator) -> Prompt:
        return {LATENT: truncated(self.prior, n, rng), **{name: data[name] for name in self.prompted}}

    @torch.no_grad()
    def sample(self, prompt: Prompt) -> Tensor:
        """Latents (N, latent), and labels -> images (N, C, H, W) in [-1, 1]; each depends on its own prompt alone.

        Where there are styles, those of OTHER latents (N, latent) may follow from the layer CHANGE (N,) on.
        """
        self.sampler.eval()
        mixed = tuple(prompt[name] for name in (OTHER, CHANGE) if name in prompt)
        images: Tensor = self.sampler(prompt[LATENT], mixed, *(prompt[name] for name in self.prompted))
        self.sampler.train()
        return images.float() if is_point(self._image) else images.float().clamp(-1, 1)

    @property
    def styles(self) -> stylegan.Generator | None:
        """The part of the sampler that has a style a layer, if there is one."""
        return next((m for m in self.sampler.modules() if isinstance(m, stylegan.Generator)), None)

    def truncate(self, psi: float) -> None:
        """Better samples, and less varied ones, from now on: styles are drawn to their mean by `psi`, or without any
        normal latents are drawn within +-`psi`.

        Errors: UserError for another prior, and for a psi beyond 1 of styles.
        """
        if self.styles is not None:
            if psi > 1:
                raise UserError(f"truncation {psi:g}: of styles at most 1, which is off")
            self.styles.truncation = psi
        elif self.prior.kind != "normal":
            raise UserError(f"truncation is of normal latents: those of this generator are {self.prior.kind}")
        else:
            self.prior = replace(self.prior, truncation=psi)

    # --- in a stack of GANs

    def stand_in(self, gans: Sequence[PlainGAN]) -> PlainGAN:
        """Losses may differ: the copy has all of them, and the number `OBJECTIVE` says which is a GAN's own.

        Where one's loss has targets, the others' batches get hard ones.
        """
        keys = [str([gan.genes.get(name) for name, gene in GENES.items() if gene.acts == "loss"]) for gan in gans]
        kinds = {key: gan.objective for key, gan in zip(keys, gans, strict=True)}
        for gan, key in zip(gans, keys, strict=True):
            gan._gets_targets = any(other.genes["loss"] in LABELLED for other in gans)
            cast(Number, gan._numbers[OBJECTIVE]).alone = float(list(kinds).index(key))
        copied = copy.deepcopy(self)
        numbers = cast(Mapping[str, Number], copied._numbers)
        several = len(kinds) > 1
        copied.objective = (
            Mixture(list(kinds.values()), numbers[OBJECTIVE])
            if several
            else from_genes.adversarial(copied.genes, numbers)
        )
        return copied

    def among(self, batch: Batch) -> Batch:
        if not self._gets_targets or "targets" in batch.draws or LATENT not in batch.draws:
            return batch
        (latent,) = batch.draws[LATENT]
        hard = tuple(latent.new_full((len(latent),), y) for y in (1.0, 0.0))
        steps = [step for step in self._unrolled if f"{step}{LATENT}" in batch.draws]
        return Batch(batch.data, {**batch.draws, **{f"{step}targets": hard for step in ("", *steps)}})

    # --- how the game goes

    def diagnose(self, seen: Rows, unseen: Rows, rng: torch.Generator) -> dict[str, float]:
        return critic_diagnostics(self, seen, unseen, rng)
