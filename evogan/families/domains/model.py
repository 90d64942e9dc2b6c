"""Images from one domain to another, without pairs: CycleGAN, arXiv:1703.10593, and what is a setting of it.

A translator T(x, s -> t) makes of images x of domain s such of domain t; each domain has a critic C_t. Sums are over
all pairs s, t of different domains; where there are more than two, terms of a target have the mean over its sources.

    critic       that of the adversarial loss, of x_t, and of T(x_s, s -> t) from the pool
    translator   a adversarial(C_t(T(x_s, s -> t))) + c |T(T(x_s, s -> t), t -> s) - x_s|_1 + i |T(x_t, t -> t) - x_t|_1

|.|_1 are means over pixels, in [-1, 1]. The published form halves the critic's loss, which an optimiser that divides by
the gradient's size, as Adam and RMSprop do, does not feel, and steps the translator first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

import torch
from torch import Tensor, nn

from evogan.errors import UserError
from evogan.families.domains.family import IMAGES, SOURCE_LABELS, SOURCES, domains_of
from evogan.families.family import Fields
from evogan.families.plain.diagnostics import forced_choice
from evogan.families.plain.model import PlainGAN
from evogan.genes import GENES, LABELLED
from evogan.genome import Value
from evogan.stable import derive_seed
from evogan.zoo.augment import mirrored
from evogan.zoo.crossing import Apart, DomainCritics
from evogan.zoo.fresh import counted, fresh
from evogan.zoo.gan import Batch, Critique, Data, Draws, Losses, Network, Prompt, Rows
from evogan.zoo.history import HistoryPool
from evogan.zoo.layers import precise, without_statistics
from evogan.zoo.losses import HARD, Objective, draw_targets
from evogan.zoo.patches import PatchCritic, patch_layers
from evogan.zoo.translators import ResNet, Translator, UNet, unet_levels

LEAST = 8  # side of an image that residual blocks at a quarter of it make
LOOKED_AT, TINY = 64, 1e-12
LABELS = "labels"
# what the plain GAN asks for, and this family has not
ABSENT = {
    name: GENES[name].default
    for name in (
        *("augmentation", "unrolled", "jacobian_clamping", "batch_ratio", "latent_prior", "feature_matching"),
        *("instance_noise", "input_noise"),
    )
}

Genes = Mapping[str, Any]


def build(genes: dict[str, Any], fields: Fields, seed: int) -> DomainsGAN:
    """With fresh weights, which depend on genes, fields and `seed` alone."""
    networks = fresh(lambda: _networks(genes, fields), genes, seed)
    gan = DomainsGAN(genes, fields, networks, torch.Generator().manual_seed(derive_seed(seed, "init")))
    gan.to(torch.device("cpu"))
    return gan


def count_parameters(genes: Genes, fields: Fields) -> dict[str, int]:
    return counted(lambda: _networks(genes, fields))


def check(genes: Genes, fields: Fields) -> None:
    """Errors: UserError for domains or images that the networks cannot have."""
    if SOURCES not in fields:
        raise UserError("there are no domains to translate between: --domains says which")
    size, domains = fields[IMAGES].shape[-1], len(domains_of(fields))
    if genes["translator"] == "resnet" and not _fits_resnet(size):
        raise UserError(f"image size {size}: translator = resnet makes sizes divisible by 4, {LEAST} and more")
    if domains > 2:
        raise UserError(f"{domains} domains: a network for each direction is of two")


def impossible(fields: Fields) -> dict[str, list[Value]]:
    """The values of genes with which no network makes images of this size."""
    return {"translator": [] if _fits_resnet(fields[IMAGES].shape[-1]) else ["resnet"]}


def _fits_resnet(size: int) -> bool:
    return size % 4 == 0 and size >= LEAST


def _networks(genes: Genes, fields: Fields) -> dict[str, Network]:
    domains = domains_of(fields)
    critics = DomainCritics([_critic(genes, fields) for _ in domains])
    without_statistics(critics)
    return {"critic": critics, "generator": Apart([_translator(genes, fields) for _ in domains])}


def _critic(genes: Genes, fields: Fields) -> PatchCritic:
    channels, size, _ = fields[IMAGES].shape
    return PatchCritic(
        channels,
        filters=genes["patch_filters"],
        layers=min(genes["patch_layers"], patch_layers(size)),
        normed=genes["patch_norm"],
        slope=genes["slope"],
    )


def _translator(genes: Genes, fields: Fields) -> Translator:
    channels, size, _ = fields[IMAGES].shape
    forms = {"filters": genes["filters"], "normed": genes["translator_norm"], "dropout": genes["translator_dropout"]}
    if genes["translator"] == "unet":
        return UNet(size, channels, channels, levels=min(genes["unet_levels"], unet_levels(size)), **forms)
    return ResNet(size, channels, channels, blocks=genes["translator_blocks"], **forms)


class DomainsGAN(PlainGAN):
    """Built from `genes`, a complete phenotype, and the two `networks` that it names, which have their weights.

    `domains`: how many; from 0, the first, on they are numbers.
    """

    def __init__(
        self, genes: dict[str, Any], fields: Fields, networks: Mapping[str, Network], rng: torch.Generator
    ) -> None:
        filled = {**ABSENT, **genes, "critic_norm": genes["patch_norm"], "latent": 1}
        super().__init__(filled, fields[IMAGES].shape, networks["generator"], networks["critic"], rng)
        self._fields = domains_of(fields)
        self.domains = len(self._fields)
        self._ways = list(permutations(range(self.domains), 2))
        self.prompted = (SOURCES, *(SOURCE_LABELS for name in (SOURCE_LABELS,) if name in fields))
        pools = [HistoryPool(self._image, genes["history_pool"]) for _ in self._ways if genes["history_pool"]]
        self._pools = nn.ModuleList(pools)
        self.networks = {**self.networks, "pools": self._pools}

    # --- the randomness of a step

    def needs(self, player: str) -> tuple[str, ...]:
        return self._fields

    def draw(self, player: str, n: int, data: Data, rng: torch.Generator) -> Batch:
        images = [mirrored(data[name], rng) if self.genes["mirror"] else data[name] for name in self._fields]
        generator, critic = self.players["generator"], self.players["critic"]
        draws: dict[str, Draws] = {f"made {s} {t}": generator.draws(n, rng) for s, t in self._ways}
        if self.genes["loss"] in LABELLED:
            targets = draw_targets(n, self.genes["label_smoothing"], self.genes["label_noise"], rng)
            draws["targets"] = tuple(y.view(n, 1) for y in targets)  # of all patches
        if player == "critic":
            for pool, (s, t) in zip(self._pools, self._ways, strict=False):
                assert isinstance(pool, HistoryPool)
                draws[f"pool {s} {t}"] = pool.draws(n, rng)
            for t, real in enumerate(images):
                drawn = self._regularizers.draw(critic, real, rng)
                draws |= {f"{what} {t}": found for what, found in drawn.items()}
        else:
            draws |= {f"back {s} {t}": generator.draws(n, rng) for s, t in self._ways}
            draws |= {f"own {t}": generator.draws(n, rng) for t in range(self.domains)}
        return Batch(dict(zip(self._fields, images, strict=True)), draws)

    def among(self, batch: Batch) -> Batch:
        if not self._gets_targets or "targets" in batch.draws:
            return batch
        like = batch.data[IMAGES]
        hard = tuple(like.new_full((len(like), 1), y) for y in (1.0, 0.0))
        return Batch(batch.data, {**batch.draws, "targets": hard})

    # --- losses

    def loss(self, player: str, batch: Batch) -> Losses:
        if player == "critic":
            return self._pulled(player, self._critics_loss(batch))
        return self._pulled(player, self._translators_loss(batch, self.objective))

    def _critics_loss(self, batch: Batch) -> Losses:
        """Of all critics together: what a player's optimiser does is done weight by weight."""
        images, targets = self._images(batch), batch.draws.get("targets", HARD)
        found: list[dict[str, Tensor]] = []
        scores: list[tuple[Tensor, Tensor]] = []
        for i, (s, t) in enumerate(self._ways):
            with torch.no_grad():
                made = precise(self._cross(images[s], batch.draws[f"made {s} {t}"], s, t))
            if len(self._pools):
                made = self._pools[i](made, batch.draws[f"pool {s} {t}"])
            r, f = self._told_each(images[t], made, t)
            terms = dict(self.objective.critic(r, f, targets))
            of_one = {
                what.removesuffix(f" {t}"): drawn for what, drawn in batch.draws.items() if what.endswith(f" {t}")
            }
            terms |= self._regularizers.terms(self._judge_of(t), (images[t], made), (r, f), of_one)
            found.append(terms)
            scores.append((r.detach().mean(), f.detach().mean()))
        real, fake = (torch.stack(means).mean() for means in zip(*scores, strict=True))
        return Losses(self._summed(found), {"score_real": real, "score_fake": fake})

    def _translators_loss(self, batch: Batch, objective: Objective) -> Losses:
        images, weigh = self._images(batch), self._numbers
        found: list[dict[str, Tensor]] = []
        for s, t in self._ways:
            made = self._cross(images[s], batch.draws[f"made {s} {t}"], s, t)
            terms: dict[str, Tensor] = {}
            if self.genes["adversarial"] > 0:
                f = self._told(made, t)
                r: Tensor | None = None
                if objective.needs_real:
                    with torch.no_grad():
                        r = self._told(images[t], t)
                adversarial = objective.generator(f, r)
                terms |= {name: weigh["adversarial"]() * term for name, term in adversarial.items()}
            if self.genes["cycle_loss"] > 0:
                again = self._cross(made, batch.draws[f"back {s} {t}"], t, s)
                terms["cycle"] = weigh["cycle_loss"]() * _apart(again, images[s])
            found.append(terms)
        summed = self._summed(found)
        if self.genes["identity_loss"] > 0:
            own = [_apart(self._cross(x, batch.draws[f"own {t}"], t, t), x) for t, x in enumerate(images)]
            summed["identity"] = weigh["identity_loss"]() * torch.stack(own).sum()
        return Losses(summed)

    def _summed(self, of_ways: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Over targets, of each the mean over its sources."""
        return {name: torch.stack([terms[name] for terms in of_ways]).sum() / (self.domains - 1) for name in of_ways[0]}

    def _images(self, batch: Batch) -> list[Tensor]:
        return [batch.data[name] for name in self._fields]

    def _cross(self, images: Tensor, draws: Draws, origin: int, target: int) -> Tensor:
        made: Tensor = self.players["generator"](images, draws, origin, target)
        return made

    def _told(self, images: Tensor, domain: int) -> Tensor:
        said: Critique = self.players["critic"](images, (), domain)
        return said.score

    def _told_each(self, real: Tensor, made: Tensor, domain: int) -> tuple[Tensor, Tensor]:
        """Both at once where the critic judges each image alone."""
        if not self._together:
            return self._told(real, domain), self._told(made, domain)
        r, f = self._told(torch.cat([real, made.to(real.dtype)]), domain).chunk(2)
        return r, f

    def _judge_of(self, domain: int) -> Any:
        return lambda x, draws: self.players["critic"](x, draws, domain)

    # --- between steps

    @torch.no_grad()
    def after_step(self, player: str, batch: Batch, losses: Losses) -> None:
        self._weights[player].after_step()
        if self._histories:
            self._histories[player].follow(self.players[player])
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
            made = self._cross(source, draws, s, t).float()
            other = self._cross(source.roll(1, 0), draws, s, t).float()
            critic = self.players["critic"]
            said = [critic(x, (), t) for x in (true, held_out[self._fields[t]], made)]
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


def _apart(one: Tensor, other: Tensor) -> Tensor:
    return (precise(one) - precise(other)).abs().mean()


def _rms(x: Tensor) -> float:
    return float(x.float().square().mean().sqrt())
