"""Images from images, in pairs: pix2pix, arXiv:1611.07004. The plain GAN, whose generator is given a source, and whose
critic sees the image beside it and judges it patch by patch, or whole. With sources s, their true images x and T(s)
what is made:

    critic       that of the adversarial loss, for every patch of (s, x) and of (s, T(s))
    translator   a adversarial + b |x - T(s)|_1, or its square, + c |h(s, x) - h(s, T(s))|_1 + d |v(x) - v(T(s))|^2

h are the critic's last features, v the maps of a network that knows such images (SRGAN, arXiv:1609.04802), all of them
means. The published form of pix2pix halves the critic's loss, which an optimiser that divides by the gradient's size,
as Adam and RMSprop do, does not feel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from evogan.errors import UserError
from evogan.families.family import Fields
from evogan.families.plain.diagnostics import forced_choice
from evogan.families.plain.model import FAKE, IMAGES, LATENT, REAL, PlainGAN
from evogan.genes import GENES
from evogan.genome import Value
from evogan.zoo.augment import draw_flips, flipped
from evogan.zoo.fresh import Networks
from evogan.zoo.gan import Batch, Critique, Data, Draws, Losses, Network, Prompt, Rows
from evogan.zoo.latents import draw_latents
from evogan.zoo.layers import without_statistics
from evogan.zoo.losses import Objective, feature_matching
from evogan.zoo.patches import PatchCritic, SRCritic, patch_layers
from evogan.zoo.translators import ResNet, SRResNet, Translator, UNet, unet_levels

SOURCES = "sources"
TOLD = "told"  # among the draws: whether the translator is told more than pixels
LEAST = 8  # side of an image that residual blocks at a quarter of it make
TINY, LOOKED_AT = 1e-12, 64
# what the plain GAN asks for, and this family has not
ABSENT = {
    name: GENES[name].default
    for name in ("augmentation", "unrolled", "jacobian_clamping", "batch_ratio", "latent_prior")
}

Genes = Mapping[str, Any]


def assemble(genes: dict[str, Any], fields: Fields, players: Networks, rng: torch.Generator) -> TranslationGAN:
    return TranslationGAN(genes, fields, players, rng)


def check(genes: Genes, fields: Fields) -> None:
    """Errors: UserError if the networks cannot make images of this size, or there is nothing to make them from."""
    size = fields[IMAGES].shape[-1]
    if SOURCES not in fields:
        raise UserError("there is nothing to make images from: --pairs says what")
    if genes["translator"] == "resnet" and not _fits_resnet(size):
        raise UserError(f"image size {size}: translator = resnet makes sizes divisible by 4, {LEAST} and more")


def impossible(fields: Fields) -> dict[str, list[Value]]:
    """The values of genes with which no network makes images of this size."""
    return {"translator": [] if _fits_resnet(fields[IMAGES].shape[-1]) else ["resnet"]}


def _fits_resnet(size: int) -> bool:
    return size % 4 == 0 and size >= LEAST


def networks(genes: Genes, fields: Fields) -> dict[str, Network]:
    (sources, side, _), (channels, size, _) = fields[SOURCES].shape, fields[IMAGES].shape
    kernel, normed = genes["translation_kernel"], genes["patch_norm"]
    forms = {"filters": genes["filters"], "normed": genes["translator_norm"], "dropout": genes["translator_dropout"]}
    forms["latent"] = genes["latent_planes"]
    translator: Translator
    if genes["translator"] == "unet":
        levels = min(genes["unet_levels"], unet_levels(size))
        translator = UNet(size, sources, channels, levels=levels, kernel=kernel, **forms)
    elif genes["translator"] == "resnet":
        translator = ResNet(size, sources, channels, blocks=genes["translator_blocks"], **forms)
    else:
        translator = SRResNet(size, sources, channels, source=side, blocks=genes["translator_blocks"], **forms)
    seen = channels + (sources if genes["patch_sees_source"] else 0)
    shape = {"filters": genes["patch_filters"], "normed": normed, "slope": genes["slope"]}
    critic: Network
    if genes["translation_critic"] == "srgan":
        halvings = min(genes["patch_layers"], size.bit_length() - 1)
        critic = SRCritic(seen, size, layers=halvings, units=genes["critic_units"], **shape)
    else:
        whole = size if genes["translation_critic"] == "dense" else 0
        layers = min(genes["patch_layers"], patch_layers(size))
        critic = PatchCritic(seen, layers=layers, kernel=kernel, whole=whole, **shape)
    without_statistics(critic)
    return {"critic": critic, "generator": translator}


class TranslationGAN(PlainGAN):
    """Built from `genes`, a complete phenotype, and the two `networks` that it names, which have their weights."""

    def __init__(
        self, genes: dict[str, Any], fields: Fields, networks: Mapping[str, Network], rng: torch.Generator
    ) -> None:
        filled = {**ABSENT, **genes, "critic_norm": genes["patch_norm"], "latent": max(genes["latent_planes"], 1)}
        super().__init__(filled, fields[IMAGES].shape, networks["generator"], networks["critic"], rng)
        self.prompted = (SOURCES,)
        self._sees_source: bool = genes["patch_sees_source"]
        self._compares_features = genes["critic_feature_loss"] > 0
        self._pixels = torch.nn.functional.l1_loss if genes["pixel_norm"] == "l1" else torch.nn.functional.mse_loss
        self._places: bool = genes["translation_critic"] == "patches"
        self._looks: bool = genes["feature_loss"] > 0
        self._maps: Callable[[Tensor], Tensor] = torch.nn.Identity()
        self._alone, self._progress = genes["pixel_pretraining"], 0.0
        self.steady = self.steady and self._alone == 0

    def look_through(self, maps: Callable[[Tensor], Tensor]) -> None:
        """Before that the pixels themselves are what is seen."""
        self._maps = maps

    def begin(self, progress: float) -> bool:
        self._progress = progress
        return super().begin(progress)

    # --- the randomness of a step

    def needs(self, player: str) -> tuple[str, ...]:
        return (IMAGES, SOURCES)

    def draw(self, player: str, n: int, data: Data, rng: torch.Generator) -> Batch:
        if self.genes["mirror"]:  # both of a pair, or neither
            which = draw_flips(n, rng)
            data = {name: flipped(data[name], which) for name in (IMAGES, SOURCES)}
        return self._draw(player, n, data, rng)

    def _draw(self, player: str, n: int, data: Data, rng: torch.Generator) -> Batch:
        batch = self._of_places(super()._draw(player, n, data, rng))
        if player == "critic" or not self._alone:
            return batch
        told = torch.full((n,), float(self._progress >= self._alone), device=rng.device)
        return Batch(batch.data, {**batch.draws, TOLD: (told,)})

    def among(self, batch: Batch) -> Batch:
        return self._of_places(super().among(batch))

    def _of_places(self, batch: Batch) -> Batch:
        """With the targets of an image for all of its places."""
        if "targets" not in batch.draws or not self._places:
            return batch
        targets = tuple(y.view(len(y), 1) for y in batch.draws["targets"])
        return Batch(batch.data, {**batch.draws, "targets": targets})

    # --- losses

    def _labels(self, batch: Batch) -> tuple[Tensor, ...]:
        """What the critic sees beside an image."""
        return (batch.data[SOURCES],) if self._sees_source else ()

    def _generate(self, batch: Batch) -> Tensor:
        images: Tensor = self.players["generator"](*batch.draws[LATENT], batch.draws["generator"], batch.data[SOURCES])
        return images

    def _generator_loss(self, batch: Batch, objective: Objective) -> Losses:
        made, true, weigh = self._generate(batch), batch.data[IMAGES], self._numbers
        adversarial: dict[str, Tensor] = {}
        more: dict[str, Tensor] = {}
        if self.genes["adversarial"] > 0 or self._compares_features:
            adversarial, more = self._by_critic(made, batch, objective)
        if self._looks:
            with torch.no_grad():
                goal = self._maps(true)
            more["features"] = weigh["feature_loss"]() * (self._maps(made) - goal).float().square().mean()
        pixels, weight = self._pixels(made.float(), true), weigh["pixel_loss"]()
        if TOLD not in batch.draws:
            return Losses({**adversarial, "pixels": weight * pixels, **more})
        told = batch.draws[TOLD][0].mean()
        adversarial, more = ({name: told * term for name, term in terms.items()} for terms in (adversarial, more))
        return Losses({**adversarial, "pixels": (1 - told + told * weight) * pixels, **more})

    def _by_critic(self, made: Tensor, batch: Batch, objective: Objective) -> tuple[dict[str, Tensor], ...]:
        """What it says of what is made, and how far that is from the true images by its features, if it matters."""
        f = self._told(made, FAKE, batch)
        r: Critique | None = None
        if self._matches_real or self._compares_features:
            with torch.no_grad():
                r = self._told(batch.data[IMAGES], REAL, batch)
        terms = dict(objective.generator(f.score, None if r is None else r.score))
        if r is not None and self._feature_matching != "off":
            matched = feature_matching(r.features, f.features)
            terms["generator" if self._feature_matching == "alone" else "feature_matching"] = matched
        terms = {name: self._numbers["adversarial"]() * term for name, term in terms.items()}
        if r is None or not self._compares_features:
            return terms, {}
        apart = (r.features.float() - f.features.float()).abs().mean()
        return terms, {"critic_features": self._numbers["critic_feature_loss"]() * apart}

    def _told(self, images: Tensor, what: str, batch: Batch) -> Critique:
        said: Critique = self.players["critic"](
            self._seen(images, what, batch), batch.draws[what], *self._labels(batch)
        )
        return said

    # --- samples

    def given(self, images: Tensor, labels: Sequence[Tensor], start: Tensor | None = None) -> Sequence[Tensor]:
        return labels if self._sees_source else ()

    def prompts(self, n: int, data: Data, rng: torch.Generator) -> Prompt:
        return {LATENT: draw_latents(self.prior, n, rng), SOURCES: data[SOURCES]}

    def translate(self, sources: Tensor) -> Tensor:
        return self.sample({LATENT: sources.new_zeros(sources.shape[0], self.prior.size), SOURCES: sources})

    # --- how the game goes

    @torch.no_grad()
    def diagnose(self, seen: Rows, unseen: Rows, rng: torch.Generator) -> dict[str, float]:
        """As of the plain GAN, of whole images; `source_effect`: how far another source moves an image, over how far
        apart the true images of the two are."""
        data, held_out = (rows(LOOKED_AT, (IMAGES, SOURCES)) for rows in (seen, unseen))
        generator, critic = self.players["generator"], self.players["critic"]
        latent = draw_latents(self.prior, LOOKED_AT, rng)
        draws: Draws = generator.draws(LOOKED_AT, rng)
        made, other = (generator(latent, draws, x).float() for x in (data[SOURCES], data[SOURCES].roll(1, 0)))
        said = [
            critic(images, (), *((sources,) if self._sees_source else ()))
            for images, sources in (
                (data[IMAGES], data[SOURCES]),
                (held_out[IMAGES], held_out[SOURCES]),
                (made, data[SOURCES]),
            )
        ]
        training, unknown, fake = (critic.sign * one.score.view(len(one.score), -1).mean(1) for one in said)
        apart = data[IMAGES].roll(1, 0) - data[IMAGES]
        return {
            "critic_accuracy": forced_choice(training, fake),
            "critic_accuracy_held_out": forced_choice(unknown, fake),
            "critic_features": _rms(torch.cat([one.features for one in said])),
            "generator_output": _rms(made) / max(_rms(data[IMAGES]), TINY),
            "source_effect": _rms(other - made) / max(_rms(apart), TINY),
        }


def _rms(x: Tensor) -> float:
    return float(x.float().square().mean().sqrt())
