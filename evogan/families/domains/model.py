"""Images from one domain to another, without pairs: CycleGAN, arXiv:1703.10593, and what is a setting of it.

A translator T(x, s -> t) makes of images x of domain s such of domain t; each domain has a critic C_t. Sums are over
all pairs s, t of different domains; where there are more than two, terms of a target have the mean over its sources.

    critic       that of the adversarial loss, of x_t, and of T(x_s, s -> t) from the pool
    translator   a adversarial(C_t(T(x_s, s -> t))) + c |T(T(x_s, s -> t), t -> s) - x_s|_1 + i |T(x_t, t -> t) - x_t|_1

Where it is made of encoders E_s and decoders, identity is their reconstruction, and beside it there may be, of codes,

    critic       CE(D(E_s(x_s)), s)
    translator   d g(D(E_s(x_s)), s) + e |E_t(T(x_s, s -> t)) - E_s(x_s)|_1

D tells domains apart, and g is -CE, or -log(1 - p) of the chance p that it gives to the right one: XGAN,
arXiv:1711.05139, Lample et al., arXiv:1706.00409. Where one network makes all, one critic judges them, and both players
pay for classes: k CE(D(x_t), t), and k CE(D(T(x_s, s -> t)), t): StarGAN, arXiv:1711.09020.

A critic of three classes tells apart translations, u, what is made of images of its own domain, v, and real ones: C_t
is the logit of the last, p_r. Beside the above, whose fakes are translations, with p(.|fake) of u and v alone, stand

    critic       the same of T(x_t, t -> t) as a fake - log p(u|fake; T(x_s, s -> t)) - log p(v|fake; T(x_t, t -> t))
    translator   a adversarial(C_t(T(x_t, t -> t)))

By the non-saturating loss that is DTN's, arXiv:1611.02200: -log p of what each image is, and -log p_r.

Where translations are given a latent z_t, which E_t is to find in image and translation, the way back has the inferred
one, T(T(x_s, z_t), E_s(x_s, T(x_s, z_t))), and beside it stand, of both domains, with a critic of latents L_s,

    critic       that of the adversarial loss, of z_s, and of E_s(x_s, T(x_s, z_t))
    translator   l adversarial(L_s(E_s(x_s, T(x_s, z_t)))) + m |E_t(T(x_s, z_t), x_s) - z_t|_1

Augmented CycleGAN, arXiv:1802.10151: an image has many translations.

Where classes of the first domain are known, a third player may learn them: f of its images, and g of their translations
to the last one, CE(f(x_0), y) + CE(g(T(x_0)), y). For that the translators pay, phi being the features of f,

    v |phi(T(x)) - phi(x)|^2 + w CE(f(T(x)), argmax f(x)) + u CE(g(T(x_0)), y) + tv mean |grad T(x)|

DTN, arXiv:1611.02200, and CyCADA, arXiv:1711.03213, whose f are trained before; here f learns from the first step on.
An adversary of features D, a part of the critic, tells what g says of translations from what it says of images of the
last domain; that it takes the latter for the former g alone is paid for, as CyCADA's released code has it:

    critic       -log D(g(T(x_0))) - log(1 - D(g(x_t)))
    task         -q log D(g(x_t))

|.|_1 are means over pixels, in [-1, 1]. The published form halves the critic's loss, which an optimiser that divides by
the gradient's size, as Adam and RMSprop do, does not feel, and steps the translator first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from evogan.families.domains.architecture import check, impossible, networks
from evogan.families.domains.family import IMAGES, SOURCE_LABELS, SOURCES, domains_of
from evogan.families.family import Fields
from evogan.families.plain.diagnostics import forced_choice
from evogan.families.plain.model import PlainGAN
from evogan.genes import GENES, LABELLED
from evogan.zoo.augment import mirrored
from evogan.zoo.crossing import (
    Apart,
    Crossing,
    DomainCritics,
)
from evogan.zoo.fresh import Networks
from evogan.zoo.gan import Batch, Critique, Data, Draws, Losses, Network, Prompt, Rows
from evogan.zoo.history import HistoryPool
from evogan.zoo.inference import kind
from evogan.zoo.layers import precise
from evogan.zoo.losses import HARD, Adversarial, Objective, draw_targets, non_saturating
from evogan.zoo.task import Task

__all__ = ["AdaptingGAN", "DomainsGAN", "assemble", "check", "impossible", "networks"]

LOOKED_AT, TINY = 64, 1e-12
CERTAIN = 1e-6  # chance of another domain, below which there is nothing to learn
LABELS = "labels"
KINDS = {"translations": 0, "own": 1}  # of fakes that a critic of three classes tells apart
LOGISTIC = Adversarial(non_saturating())  # of CyCADA's adversary of features, as released
KEEPING = ("feature_consistency", "semantic_loss", "task_loss", "total_variation")  # genes
# what the plain GAN asks for, and this family has not
ABSENT = {
    name: GENES[name].default
    for name in (
        *("augmentation", "unrolled", "jacobian_clamping", "batch_ratio", "latent_prior", "feature_matching"),
        *("instance_noise", "input_noise"),
    )
}

Genes = Mapping[str, Any]


def assemble(genes: dict[str, Any], fields: Fields, players: Networks, rng: torch.Generator) -> DomainsGAN:
    return (DomainsGAN if genes["task"] != "both" else AdaptingGAN)(genes, fields, players, rng)


class DomainsGAN(PlainGAN):
    """Built from `genes`, a complete phenotype, and the two `networks` that it names, which have their weights.

    `domains`: how many; from 0, the first, on they are numbers.
    """

    def __init__(
        self, genes: dict[str, Any], fields: Fields, networks: Mapping[str, Network], rng: torch.Generator
    ) -> None:
        filled = {**ABSENT, **genes, "critic_norm": genes["patch_norm"], "latent": 1}
        others = {name: network for name, network in networks.items() if name == "task"}
        generator, critic = networks["generator"], networks["critic"]
        super().__init__(filled, fields[IMAGES].shape, generator, critic, rng, others=others)
        if others:
            self.schedule = (("task", 1), *self.schedule)
            self.rows["task"] = self.rows["critic"]
            self.rates["task"] = self.rates["critic"] * genes["task_lr_ratio"]
        self._keeps = [name for name in KEEPING if genes.get(name, 0) > 0]
        self._fields = domains_of(fields)
        self.domains = len(self._fields)
        self._ways = list(permutations(range(self.domains), 2))
        self.prompted = (SOURCES, *(SOURCE_LABELS for name in (SOURCE_LABELS,) if name in fields))
        self._goes_back = genes["cycle_loss"] > 0 or genes.get("code_cycle", 0) > 0
        self._adapts_features = genes.get("feature_adversary", 0) > 0
        self._three = genes.get("critic_classes") == 3
        self._judged = [*self._ways, *((t, t) for t in range(self.domains) if self._three)]
        pools = [HistoryPool(self._image, genes["history_pool"]) for _ in self._judged if genes["history_pool"]]
        self._pools = nn.ModuleList(pools)
        self.networks = {**self.networks, "pools": self._pools}

    # --- the randomness of a step

    def needs(self, player: str) -> tuple[str, ...]:
        if player == "task":
            return (SOURCES, SOURCE_LABELS, *(IMAGES for _ in range(self._adapts_features)))
        told = (SOURCE_LABELS,) if player == "generator" and "task_loss" in self._keeps else ()
        return (*self._fields, *told)

    def draw(self, player: str, n: int, data: Data, rng: torch.Generator) -> Batch:
        generator, critic = self.players["generator"], self.players["critic"]
        if player == "task":
            to_last = generator.draws(n, rng) if self.genes["task"] == "both" else ()
            return Batch({name: data[name] for name in self.needs(player)}, {"made": to_last})
        images = [mirrored(data[name], rng) if self.genes["mirror"] else data[name] for name in self._fields]
        draws: dict[str, Draws] = {f"made {s} {t}": generator.draws(n, rng) for s, t in self._ways}
        if self.genes["loss"] in LABELLED:
            targets = draw_targets(n, self.genes["label_smoothing"], self.genes["label_noise"], rng)
            draws["targets"] = tuple(y.view(n, 1) for y in targets)  # of all patches
        if player == "critic":
            for pool, (s, t) in zip(self._pools, self._judged, strict=False):
                assert isinstance(pool, HistoryPool)
                draws[f"pool {s} {t}"] = pool.draws(n, rng)
            for t, real in enumerate(images):
                drawn = self._regularizers.draw(critic, real, rng)
                draws |= {f"{what} {t}": found for what, found in drawn.items()}
        else:
            draws |= {f"back {s} {t}": generator.draws(n, rng) for s, t in self._ways if self._goes_back}
        draws |= {f"own {s}": generator.draws(n, rng) for s in range(self.domains)}
        labels = {name: data[name] for name in self.needs(player) if name == SOURCE_LABELS}
        return Batch({**dict(zip(self._fields, images, strict=True)), **labels}, draws)

    def among(self, batch: Batch) -> Batch:
        if not self._gets_targets or "targets" in batch.draws or IMAGES not in batch.data:
            return batch
        like = batch.data[IMAGES]
        hard = tuple(like.new_full((len(like), 1), y) for y in (1.0, 0.0))
        return Batch(batch.data, {**batch.draws, "targets": hard})

    # --- losses

    def loss(self, player: str, batch: Batch) -> Losses:
        if player == "critic":
            return self._pulled(player, self._critics_loss(batch))
        if player == "task":
            return self._pulled(player, self._task_loss(batch))
        return self._pulled(player, self._translators_loss(batch, self.objective))

    def _critics_loss(self, batch: Batch) -> Losses:
        """Of all critics together: what a player's optimiser does is done weight by weight."""
        images, targets = self._images(batch), batch.draws.get("targets", HARD)
        found: list[dict[str, Tensor]] = []
        scores: list[tuple[Tensor, Tensor]] = []
        reals: dict[int, Tensor] = {}
        for i, (s, t) in enumerate(self._ways):
            with torch.no_grad():
                made = precise(self._translators(images[s], batch.draws[f"made {s} {t}"], s, t))
                inferred = self._infers.infer(images[s], made, s) if self._infers else None
            if (s, t) == (0, self.domains - 1):
                to_last = made
            made = self._pooled(i, made, batch)
            real, fake = self._critiques(images[t], made, t)
            terms = dict(self.objective.critic(real.score, fake.score, targets))
            of_one = {
                what.removesuffix(f" {t}"): drawn for what, drawn in batch.draws.items() if what.endswith(f" {t}")
            }
            terms |= self._regularizers.terms(self._judge_of(t), (images[t], made), (real.score, fake.score), of_one)
            if inferred is not None:
                of_latents, drawn = self._critics.latents[s], batch.draws[f"own {s}"][0]
                told_apart = self.objective.critic(of_latents(drawn), of_latents(inferred), targets)
                terms |= {f"latent_{name}": term for name, term in told_apart.items()}
            if self._three:
                assert fake.classes is not None
                terms["kinds"] = kind(fake.classes, KINDS["translations"])
            elif real.classes is not None:
                terms["classes"] = self._numbers["class_loss"]() * _cross_entropy(real.classes, t)
            found.append(terms)
            scores.append((real.score.detach().mean(), fake.score.detach().mean()))
            reals[t] = real.score
        summed = self._summed(found)
        if self._three:
            own = [self._own_told(t, real, batch) for t, real in sorted(reals.items())]
            summed |= {name: torch.stack([terms[name] for terms in own]).sum() for name in own[0]}
        if (told := self._critics.codes) is not None:
            with torch.no_grad():
                codes = [self._translators.encode(x, batch.draws[f"own {s}"], s) for s, x in enumerate(images)]
            summed["codes"] = torch.stack([_cross_entropy(told(code), s) for s, code in enumerate(codes)]).sum()
        if (of_logits := self._critics.logits) is not None:
            with torch.no_grad():
                translated, true = (self._task(x, 1) for x in (to_last, images[-1]))
            summed["logits"] = torch.stack([*LOGISTIC.critic(of_logits(translated), of_logits(true)).values()]).sum()
        of_real, of_fake = (torch.stack(means).mean() for means in zip(*scores, strict=True))
        return Losses(summed, {"score_real": of_real, "score_fake": of_fake})

    def _own_told(self, domain: int, real: Tensor, batch: Batch) -> dict[str, Tensor]:
        """What a critic of three classes pays for images that are made of its own domain's; `real`: scores of these."""
        with torch.no_grad():
            images = batch.data[self._fields[domain]]
            made = precise(self._translators(images, batch.draws[f"own {domain}"], domain, domain))
        said = self._critics(self._pooled(len(self._ways) + domain, made, batch), (), domain)
        assert said.classes is not None
        told = self.objective.critic(real, said.score, batch.draws.get("targets", HARD))
        return {"fake_own": told["fake"], "kinds_own": kind(said.classes, KINDS["own"])}

    def _pooled(self, i: int, made: Tensor, batch: Batch) -> Tensor:
        """What a critic is shown of it, `i` being the place of the way."""
        if not len(self._pools):
            return made
        s, t = self._judged[i]
        shown: Tensor = self._pools[i](made, batch.draws[f"pool {s} {t}"])
        return shown

    def _task_loss(self, batch: Batch) -> Losses:
        images, labels = batch.data[SOURCES], batch.data[SOURCE_LABELS].long()
        terms = {"task": functional.cross_entropy(self._task(images, 0), labels)}
        if self.genes["task"] == "both":
            with torch.no_grad():
                made = self._translators(images, batch.draws["made"], 0, self.domains - 1)
            terms["task_adapted"] = functional.cross_entropy(self._task(made, 1), labels)
        if (told := self._critics.logits) is not None:
            taken = LOGISTIC.generator(told(self._task(batch.data[IMAGES], 1)))["generator"]
            terms["feature_adversary"] = self._numbers["feature_adversary"]() * taken
        return Losses(terms)

    def _kept(self, images: Tensor, made: Tensor, way: tuple[int, int], batch: Batch) -> dict[str, Tensor]:
        """What translators pay for translations that do not keep what they should."""
        found: dict[str, Tensor] = {}
        if "feature_consistency" in self._keeps:
            moved = self._task.features(made, 0) - self._task.features(images, 0)
            found["feature_consistency"] = moved.square().mean()
        if "semantic_loss" in self._keeps:
            with torch.no_grad():
                known = self._task(images, 0).argmax(1)
            found["semantic_loss"] = functional.cross_entropy(self._task(made, 0), known)
        if "task_loss" in self._keeps:  # of one way, whose weight in the sum is one of as many
            share = (self.domains - 1) * float(way == (0, self.domains - 1))
            labels = batch.data[SOURCE_LABELS].long()
            found["task_loss"] = share * functional.cross_entropy(self._task(made, 1), labels)
        if "total_variation" in self._keeps:
            found["total_variation"] = _variation(made)
        return {name: self._numbers[name]() * term for name, term in found.items()}

    def _translators_loss(self, batch: Batch, objective: Objective) -> Losses:
        images, weigh, network = self._images(batch), self._numbers, self._translators
        codes = [network.encode(x, batch.draws[f"own {s}"], s) for s, x in enumerate(images)]
        found: list[dict[str, Tensor]] = []
        for s, t in self._ways:
            made = network.decode(codes[s], batch.draws[f"made {s} {t}"], t)
            terms: dict[str, Tensor] = {}
            if self.genes["adversarial"] > 0:
                said = self._critics(made, (), t)
                terms |= self._taken_for_real(said, images[t], t, objective)
                if said.classes is not None and not self._three:
                    terms["classes"] = weigh["class_loss"]() * _cross_entropy(said.classes, t)
            back = batch.draws.get(f"back {s} {t}", ())
            if self._infers:
                inferred, given = self._infers.infer(images[s], made, s), batch.draws[f"made {s} {t}"][0]
                back = (inferred, *back[1:])
                f = self._critics.latents[s](inferred)
                r = self._critics.latents[s](given).detach() if objective.needs_real else None
                hidden_from = sum(objective.generator(f, r).values(), torch.zeros_like(f[0, 0]))
                terms["latent_adversary"] = weigh["latent_adversary"]() * hidden_from
                if self.genes["latent_loss"] > 0:
                    again_given = self._infers.infer(made, images[s], t)
                    terms["latent"] = weigh["latent_loss"]() * (again_given - given).abs().mean()
            if self._goes_back:
                code = network.encode(made, back, t)
            if self.genes["cycle_loss"] > 0:
                again = network.decode(code, back, s)
                terms["cycle"] = weigh["cycle_loss"]() * _apart(again, images[s])
            if self.genes.get("code_cycle", 0) > 0:
                terms["code_cycle"] = weigh["code_cycle"]() * _apart(code, codes[s])
            found.append(terms | self._kept(images[s], made, (s, t), batch))
        summed = self._summed(found)
        plays = self._three and self.genes["adversarial"] > 0
        if self.genes["identity_loss"] > 0 or plays:
            own = [network.decode(code, batch.draws[f"own {s}"], s) for s, code in enumerate(codes)]
        if self.genes["identity_loss"] > 0:
            apart = [_apart(x, image) for x, image in zip(own, images, strict=True)]
            summed["identity"] = weigh["identity_loss"]() * torch.stack(apart).sum()
        if plays:
            taken = [
                self._taken_for_real(self._critics(x, (), s), images[s], s, objective)["generator"]
                for s, x in enumerate(own)
            ]
            summed["generator_own"] = torch.stack(taken).sum()
        if (told := self._critics.codes) is not None:
            hidden = [self._hidden(told(code), s) for s, code in enumerate(codes)]
            summed["codes"] = weigh["code_adversary"]() * torch.stack(hidden).sum()
        return Losses(summed)

    def _taken_for_real(self, said: Critique, real: Tensor, domain: int, objective: Objective) -> dict[str, Tensor]:
        """What translators pay for what a critic says of an image; `real`: such of the domain."""
        r: Tensor | None = None
        if objective.needs_real:
            with torch.no_grad():
                r = self._critics(real, (), domain).score
        adversarial = objective.generator(said.score, r)
        return {name: self._numbers["adversarial"]() * term for name, term in adversarial.items()}

    def _hidden(self, logits: Tensor, domain: int) -> Tensor:
        """What an encoder pays for codes that tell where they come from."""
        if self.genes["code_game"] == "reversal":
            return -_cross_entropy(logits, domain)
        right = logits[:, domain] - logits.logsumexp(1)
        return -torch.log1p(-right.exp().clamp(max=1 - CERTAIN)).mean()

    def _summed(self, of_ways: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Over targets, of each the mean over its sources."""
        return {name: torch.stack([terms[name] for terms in of_ways]).sum() / (self.domains - 1) for name in of_ways[0]}

    def _images(self, batch: Batch) -> list[Tensor]:
        return [batch.data[name] for name in self._fields]

    @property
    def _translators(self) -> Crossing:
        return cast(Crossing, self.players["generator"])

    @property
    def _infers(self) -> Apart | None:
        """The translators, where they are given latents."""
        network = self.players["generator"]
        return network if isinstance(network, Apart) and network.latent else None

    @property
    def _critics(self) -> DomainCritics:
        return cast(DomainCritics, self.players["critic"])

    @property
    def _task(self) -> Task:
        return cast(Task, self.players["task"])

    def _critiques(self, real: Tensor, made: Tensor, domain: int) -> tuple[Critique, Critique]:
        """Both at once where the critic judges each image alone."""
        if not self._together:
            return self._critics(real, (), domain), self._critics(made, (), domain)
        said: Critique = self._critics(torch.cat([real, made.to(real.dtype)]), (), domain)
        return said.halves()

    def _judge_of(self, domain: int) -> Any:
        return lambda x, draws: self._critics(x, draws, domain)

    # --- between steps

    @torch.no_grad()
    def after_step(self, player: str, batch: Batch, losses: Losses) -> None:
        self._hold(player)
        if player == "generator" and self._average is not None:
            self._average.follow(self.players["generator"])

    # --- samples

    def prompts(self, n: int, data: Data, rng: torch.Generator) -> Prompt:
        """With the classes of sources, where these are known: what is made of them is to be of these, too."""
        labels = {LABELS: data[SOURCE_LABELS]} if SOURCE_LABELS in data else {}
        return {SOURCES: data[SOURCES], **labels}

    def sample(self, prompt: Prompt) -> Tensor:
        return self.translate(prompt[SOURCES])

    def translate(self, sources: Tensor) -> Tensor:
        return self.cross(sources, 0, self.domains - 1)

    @torch.no_grad()
    def cross(self, images: Tensor, origin: int, target: int) -> Tensor:
        self.sampler.eval()
        made: Tensor = self.sampler(images, (), origin, target)
        self.sampler.train()
        return made.float().clamp(-1, 1)

    # --- how the game goes

    @torch.no_grad()
    def diagnose(self, seen: Rows, unseen: Rows, rng: torch.Generator) -> dict[str, float]:
        """Means over the directions: of the critics, of whole images, as of the plain GAN; `source_effect`: how far
        another source moves an image, over how far apart two true ones are."""
        data, held_out = (rows(LOOKED_AT, self._fields) for rows in (seen, unseen))
        draws = self.players["generator"].draws(LOOKED_AT, rng)
        found: list[dict[str, float]] = []
        for s, t in self._ways:
            source, true = data[self._fields[s]], data[self._fields[t]]
            made = self._translators(source, draws, s, t).float()
            other = self._translators(source.roll(1, 0), draws, s, t).float()
            said = [self._critics(x, (), t) for x in (true, held_out[self._fields[t]], made)]
            training, unknown, fake = (one.score.flatten(1).mean(1) for one in said)
            found.append(
                {
                    "critic_accuracy": forced_choice(training, fake),
                    "critic_accuracy_held_out": forced_choice(unknown, fake),
                    "critic_features": _rms(torch.cat([one.features for one in said])),
                    "generator_output": _rms(made) / max(_rms(true), TINY),
                    "source_effect": _rms(other - made) / max(_rms(true.roll(1, 0) - true), TINY),
                }
            )
        return {name: sum(numbers[name] for numbers in found) / len(found) for name in found[0]}


class AdaptingGAN(DomainsGAN):
    """Whose third player classifies images of the last domain, too."""

    @torch.no_grad()
    def adapted(self, images: Tensor) -> Tensor:
        logits: Tensor = self._task(images, 1).float()
        return logits

    @torch.no_grad()
    def unadapted(self, images: Tensor) -> Tensor:
        logits: Tensor = self._task(images, 0).float()
        return logits


def _variation(images: Tensor) -> Tensor:
    """The mean length of the gradient, of steps to the right and down."""
    x = precise(images)
    corner = x[..., :-1, :-1]
    squares = (x[..., :-1, 1:] - corner).square() + (x[..., 1:, :-1] - corner).square()
    length: Tensor = (squares + TINY).sqrt().mean()
    return length


def _cross_entropy(logits: Tensor, domain: int) -> Tensor:
    return (logits.logsumexp(1) - logits[:, domain]).mean()


def _apart(one: Tensor, other: Tensor) -> Tensor:
    return (precise(one) - precise(other)).abs().mean()


def _rms(x: Tensor) -> float:
    return float(x.float().square().mean().sqrt())
