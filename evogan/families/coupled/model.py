"""Images of several domains from one latent: CoGAN, arXiv:1606.07536. For each domain d a plain GAN, a critic C_d that
tells its real images x_d from G_d(z), of one latent z for all of them. All generators are one player, and so are all
critics:

    critic     sum_d L_C(C_d; x_d, G_d(z))
    generator  sum_d L_G(C_d; G_d(z))

No loss says that G_0(z) and G_1(z) are to be of the same thing: only what the networks have in common does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from evogan.errors import UserError
from evogan.families.domains.family import SOURCES, domains_of
from evogan.families.family import Fields
from evogan.families.plain.model import IMAGES, LATENT, PlainGAN
from evogan.families.plain.part import Part, draws_of
from evogan.genes import GENES
from evogan.genome import Value
from evogan.zoo.augment import mirrored
from evogan.zoo.coupled import Critic, Generator
from evogan.zoo.fresh import Networks
from evogan.zoo.gan import Batch, Data, Draws, Losses, Network, Prompt
from evogan.zoo.latents import draw_latents
from evogan.zoo.layers import without_statistics
from evogan.zoo.losses import Objective

# what the plain GAN asks for, and this family has not
ABSENT = {name: GENES[name].default for name in ("unrolled", "jacobian_clamping", "batch_ratio")}

Genes = Mapping[str, Any]


def assemble(genes: dict[str, Any], fields: Fields, players: Networks, rng: torch.Generator) -> CoupledGAN:
    return CoupledGAN(genes, fields, players, rng)


def check(genes: Genes, fields: Fields) -> None:
    """Errors: UserError without domains."""
    if SOURCES not in fields:
        raise UserError("there are no domains to make images of: --domains says which")


def impossible(fields: Fields) -> dict[str, list[Value]]:
    return {}


def networks(genes: Genes, fields: Fields) -> dict[str, Network]:
    (channels, size, _), domains = fields[IMAGES].shape, len(domains_of(fields))
    critic = Critic(genes, size, channels, domains)
    without_statistics(critic)
    return {"critic": critic, "generator": Generator(genes, size, channels, domains)}


class CoupledGAN(PlainGAN):
    """Built from `genes`, a complete phenotype, and the two `networks` that it names, which have their weights.

    Asked as a plain GAN it is that of the last domain.
    """

    def __init__(
        self, genes: dict[str, Any], fields: Fields, networks: Mapping[str, Network], rng: torch.Generator
    ) -> None:
        filled = {**ABSENT, **genes, "critic_norm": genes["level_critic_norm"]}
        super().__init__(filled, fields[IMAGES].shape, networks["generator"], networks["critic"], rng)
        self._fields = domains_of(fields)
        self.domains = len(self._fields)

    # --- the randomness of a step

    def needs(self, player: str) -> tuple[str, ...]:
        return self._fields if IMAGES in super().needs(player) else ()

    def draw(self, player: str, n: int, data: Data, rng: torch.Generator) -> Batch:
        if self.genes["mirror"]:
            data = {name: mirrored(data[name], rng) for name in self._fields if name in data}
        draws: dict[str, Draws] = {LATENT: (draw_latents(self.prior, n, rng),), "generator": ()}
        for k, shown in self._each(data):
            own = self._part(k)._draw(player, n, shown, rng).draws
            draws |= {f"{k} {what}": drawn for what, drawn in own.items() if what not in draws}
        return Batch({name: data[name] for name in self.needs(player)}, draws)

    def among(self, batch: Batch) -> Batch:
        draws = dict(batch.draws)
        for k in range(self.domains):
            own = super().among(draws_of(batch, k)).draws
            draws |= {f"{k} {what}": drawn for what, drawn in own.items() if what not in (LATENT, "generator")}
        return Batch(batch.data, draws)

    def _each(self, data: Data) -> Iterator[tuple[int, Data]]:
        """The domains, each with its images as those of a plain GAN, if there are any."""
        for k, name in enumerate(self._fields):
            yield k, {IMAGES: data[name]} if name in data else {}

    def _part(self, k: int, made: Tensor | None = None) -> Part:
        critic = self.players["critic"]
        assert isinstance(critic, Critic)
        return Part(self, critic.of(k), self._image, made)

    # --- losses

    def _loss(self, player: str, batch: Batch, objective: Objective) -> Losses:
        generator, (latent,) = self.players["generator"], batch.draws[LATENT]
        assert isinstance(generator, Generator)
        if player == "critic":
            with torch.no_grad():
                made = generator.every(latent)
        else:
            made = generator.every(latent)
        terms: dict[str, Tensor] = {}
        watched: Mapping[str, Tensor] = {}
        for k, shown in self._each(batch.data):
            part, own = self._part(k, made[k]), Batch(shown, draws_of(batch, k).draws)
            losses = part._critic_loss(made[k], own) if player == "critic" else part._generator_loss(own, objective)
            watched = losses.watched
            for name, term in losses.terms.items():
                terms[name] = terms[name] + term if name in terms else term
        return self._pulled(player, Losses(terms, watched))

    # --- samples

    @torch.no_grad()
    def coupled(self, prompt: Prompt) -> list[Tensor]:
        sampler = self.sampler
        assert isinstance(sampler, Generator)
        sampler.eval()
        made = sampler.every(prompt[LATENT])
        sampler.train()
        return [images.float().clamp(-1, 1) for images in made]
