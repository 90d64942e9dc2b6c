"""Images from noise by levels of growing size: LAPGAN, arXiv:1506.05751, StackGAN, arXiv:1612.03242, and StackGAN++,
arXiv:1710.10916. Each level k is a plain GAN: its critic C_k tells the real images, reduced to its side, from what its
generator makes. All generators are one player, and so are all critics:

    critic     sum_k L_C(C_k; x_k, g_k)
    generator  sum_k L_G(C_k; g_k) + w KL(N(m_y, s_y^2) | N(0, 1)) / c       of conditions of c numbers, as released
               + sum_(k>0) E u |m(g_k) - m(g_(k-1))|^2 + v |S(g_k) - S(g_(k-1))|^2

m, S being the mean and the covariances of an image's colours. Adam and RMSprop work weight by weight, so levels without
common weights are trained as by an optimiser each. Levels that learn in turn have the sum's terms one after another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from evogan.families.family import Fields, told
from evogan.families.plain.model import IMAGES, LATENT, PlainGAN, check_told, untold
from evogan.families.plain.part import Part, draws_of
from evogan.genes import GENES
from evogan.genome import Value
from evogan.zoo.backbones import is_conditional
from evogan.zoo.conditioning import LabelledCritic, extra_channels
from evogan.zoo.fresh import Networks
from evogan.zoo.gan import Batch, Data, Draws, Losses, Network, Prompt
from evogan.zoo.inference import kl
from evogan.zoo.ladder import Climbed, Generator, LadderCritic, LevelCritic
from evogan.zoo.latents import draw_latents
from evogan.zoo.layers import precise, without_statistics
from evogan.zoo.losses import Objective
from evogan.zoo.pyramid import expand, low_passes, reduce, sides

# what the plain GAN asks for, and this family has not
ABSENT = {name: GENES[name].default for name in ("unrolled", "jacobian_clamping", "batch_ratio")}

Genes = Mapping[str, Any]


def assemble(genes: dict[str, Any], fields: Fields, players: Networks, rng: torch.Generator) -> LadderGAN:
    return LadderGAN(genes, fields, players, rng)


def check(genes: Genes, fields: Fields) -> None:
    """Errors: UserError for a conditional GAN where there is nothing to ask for, or not such as it takes."""
    check_told(genes, fields)


def impossible(fields: Fields) -> dict[str, list[Value]]:
    return untold(fields)


def networks(genes: Genes, fields: Fields) -> dict[str, Network]:
    channels, size, _ = fields[IMAGES].shape
    classes = told(fields) if is_conditional(genes) else 0

    def critic(k: int, side: int) -> Network:
        seen = channels * (2 if k and genes["level_sees_low"] else 1)
        units = 0 if k else genes.get("base_units", 0)
        if not classes:
            return LevelCritic(genes, side, seen, units)
        how = genes["critic_label"]
        return LabelledCritic(LevelCritic(genes, side, seen + extra_channels(how, classes), units), how, classes, side)

    critics = [critic(k, side) for k, side in enumerate(sides(size, genes["levels"]))]
    ladder = LadderCritic(critics, genes["level_sees_low"])
    without_statistics(ladder)
    return {"critic": ladder, "generator": Generator(genes, size, channels, classes)}


class LadderGAN(PlainGAN):
    """Built from `genes`, a complete phenotype, and the two `networks` that it names, which have their weights."""

    def __init__(
        self, genes: dict[str, Any], fields: Fields, networks: Mapping[str, Network], rng: torch.Generator
    ) -> None:
        filled = {**ABSENT, **genes, "critic_norm": genes["level_critic_norm"]}
        shape = fields[IMAGES].shape
        super().__init__(filled, shape, networks["generator"], networks["critic"], rng, told(fields))
        self.prior = replace(self.prior, size=self._generator.whole)
        self.sides = self._generator.sides
        self._in_turn: bool = genes["levels_in_turn"]
        self._from_real = genes.get("level_learns_from") == "real"
        self._sees_low: bool = genes["level_sees_low"]
        self._drawn = genes.get("condition_augmentation", 0) > 0
        self._colours = {name: genes[f"colour_{name}"] > 0 for name in ("mean", "covariance")}
        self._reached = 1 if self._in_turn else len(self.sides)

    @property
    def _generator(self) -> Generator:
        generator = self.players["generator"]
        assert isinstance(generator, Generator)
        return generator

    def begin(self, progress: float) -> bool:
        new = super().begin(progress)
        if not self._in_turn:
            return new
        before, self._reached = self._reached, 1 + int(progress * len(self.sides))
        if before != self._reached:
            self._generator.reached.fill_(self._reached)
        return new or before != self._reached

    # --- the randomness of a step

    def needs(self, player: str) -> tuple[str, ...]:
        found = super().needs(player)
        return found if IMAGES in found or not self._from_real else (IMAGES, *found)

    def _draw(self, player: str, n: int, data: Data, rng: torch.Generator) -> Batch:
        draws: dict[str, Draws] = {LATENT: (draw_latents(self.prior, n, rng),), "generator": ()}
        data = {name: data[name] for name in self.needs(player)}
        for k, shown in self._levels(data, range(len(self.sides))):
            own = self._level(k)._draw(player, n, shown, rng).draws
            draws |= {f"{k} {what}": drawn for what, drawn in own.items() if what not in draws}
        return Batch(data, draws)

    def among(self, batch: Batch) -> Batch:
        draws = dict(batch.draws)
        for k in range(len(self.sides)):
            own = super().among(draws_of(batch, k)).draws
            draws |= {f"{k} {what}": drawn for what, drawn in own.items() if what not in (LATENT, "generator")}
        return Batch(batch.data, draws)

    def _levels(self, data: Data, which: Sequence[int]) -> Iterator[tuple[int, Data]]:
        """The levels, each with its data: real images as its critic is shown them."""
        labels = {name: data[name] for name in self.prompted}
        if IMAGES not in data:
            yield from ((k, labels) for k in which)
            return
        reals = low_passes(data[IMAGES], len(self.sides))
        below = [None, *reals]
        for k in which:
            yield k, {IMAGES: self._with_low(k, reals[k], below[k]), **labels}

    def _with_low(self, k: int, images: Tensor, below: Tensor | None) -> Tensor:
        """As a critic of images that it sees with those below them."""
        if below is None or not self._sees_low:
            return images
        return torch.cat([images, expand(below).to(images.dtype)], 1)

    def _level(self, k: int, made: Tensor | None = None) -> Part:
        critic = self.players["critic"]
        assert isinstance(critic, LadderCritic)
        own = critic.critics[k]
        assert isinstance(own, Network)
        channels, side = self._image[0] * (2 if k and critic.sees_low else 1), self.sides[k]
        return Part(self, own, (channels, side, side), made)

    # --- losses

    def _loss(self, player: str, batch: Batch, objective: Objective) -> Losses:
        low = low_passes(batch.data[IMAGES], len(self.sides)) if self._from_real else None
        if player == "critic":
            with torch.no_grad():
                made = self._climb(batch, low)
        else:
            made = self._climb(batch, low)
        active = range(self._reached - 1, self._reached) if self._in_turn else range(self._reached)
        terms: dict[str, Tensor] = {}
        watched: Mapping[str, Tensor] = {}
        for k, shown in self._levels(batch.data, active):
            fake = made.images[k]
            if k and self._sees_low:
                fake = torch.cat([fake, made.given[k - 1].detach().to(fake.dtype)], 1)
            level, own = self._level(k, fake), Batch(shown, draws_of(batch, k).draws)
            losses = level._critic_loss(fake, own) if player == "critic" else level._generator_loss(own, objective)
            watched = losses.watched
            for name, term in losses.terms.items():
                terms[name] = terms[name] + term if name in terms else term
        if player == "generator":
            terms |= self._of_ladder(made)
        return self._pulled(player, Losses(terms, watched))

    def _climb(self, batch: Batch, low: Sequence[Tensor] | None) -> Climbed:
        (latent,) = batch.draws[LATENT]
        return self._generator.climb(latent, self._labels(batch), self._reached, low)

    def _of_ladder(self, made: Climbed) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = {}
        if made.mean is not None and made.log_variance is not None:
            of_each = kl(made.mean, made.log_variance) / made.mean.shape[1]
            terms["condition_kl"] = self._numbers["condition_kl"]() * of_each
        images = made.images[-2:] if self._in_turn else made.images
        if any(self._colours.values()) and len(images) > 1:
            apart = [of_colours(large, small.detach() if self._in_turn else small) for small, large in pairwise(images)]
            for name, terms_of in zip(("mean", "covariance"), zip(*apart, strict=True), strict=True):
                if self._colours[name]:
                    terms[f"colour_{name}"] = self._numbers[f"colour_{name}"]() * torch.stack(terms_of).sum()
        return terms

    # --- samples

    def given(self, images: Tensor, labels: Sequence[Tensor], start: Tensor | None = None) -> Sequence[Tensor]:
        if not self._sees_low or len(self.sides) == 1:
            return labels
        if start is None or self._reached < len(self.sides):
            return (*labels, expand(reduce(images)))
        return (*labels, self._generator.climb(start, labels, self._reached).given[-1])

    @torch.no_grad()
    def steps(self, prompt: Prompt) -> list[Tensor]:
        sampler = self.sampler
        assert isinstance(sampler, Generator)
        sampler.eval()
        labels = [prompt[name] for name in self.prompted]
        made = sampler.climb(prompt[LATENT], labels, int(sampler.reached))
        sampler.train()
        return [images.float().clamp(-1, 1) for images in made.images]


def of_colours(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Of images (N, C, ...) of any two sizes: |m - m'|^2 of their mean colours, |S - S'|^2 of the covariances of these,
    means over N."""
    (mean, covariance), (mean2, covariance2) = map(_colours, (one, other))
    return (mean - mean2).square().sum(1).mean(), (covariance - covariance2).square().sum((1, 2)).mean()


def _colours(images: Tensor) -> tuple[Tensor, Tensor]:
    """(N, C) and (N, C, C)."""
    pixels = precise(images).flatten(2)
    mean = pixels.mean(2)
    centred = pixels - mean[:, :, None]
    return mean, centred @ centred.mT / pixels.shape[2]
