"""The networks of GANs between domains, and what they cannot make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from evogan.errors import UserError
from evogan.families.domains.family import IMAGES, SOURCE_LABELS, SOURCES, domains_of
from evogan.families.family import Fields
from evogan.genome import Value
from evogan.zoo.crossing import (
    Apart,
    Autoencoders,
    CodeClasses,
    Crossing,
    DomainCritics,
    LatentEncoder,
    One,
    ThreeClassPatches,
    dense_critic,
)
from evogan.zoo.gan import Network
from evogan.zoo.layers import without_statistics
from evogan.zoo.patches import PatchCritic, features, patch_layers
from evogan.zoo.task import Task
from evogan.zoo.translators import ResNet, Translator, UNet, unet_levels

LEAST = 8  # side of an image that residual blocks at a quarter of it make
LOGIT_UNITS = 500  # of CyCADA's adversary of features, as released

Genes = Mapping[str, Any]


def check(genes: Genes, fields: Fields) -> None:
    """Errors: UserError for domains or images that the networks cannot have."""
    if SOURCES not in fields:
        raise UserError("there are no domains to translate between: --domains says which")
    size, domains = fields[IMAGES].shape[-1], len(domains_of(fields))
    if genes["translator"] == "resnet" and not _fits_resnet(size):
        raise UserError(f"image size {size}: translator = resnet makes sizes divisible by 4, {LEAST} and more")
    if genes["task"] != "none" and SOURCE_LABELS not in fields:
        raise UserError(f"task = {genes['task']} learns the classes of the first domain: these are not known")
    if domains > 2 and genes["translators"] == "apart":
        raise UserError(f"{domains} domains: translators = apart are of two, autoencoders and one of more")


def impossible(fields: Fields) -> dict[str, list[Value]]:
    """The values of genes with which no network makes images of this size, or such of so many domains."""
    fits = _fits_resnet(fields[IMAGES].shape[-1])
    apart = ["apart"] if len(domains_of(fields)) > 2 else []
    return {
        "task": [] if SOURCE_LABELS in fields else ["source", "both"],
        "translator": [] if fits else ["resnet"],
        "translators": [*apart, *([] if fits else ["autoencoders", "one"])],
    }


def _fits_resnet(size: int) -> bool:
    return size % 4 == 0 and size >= LEAST


def networks(genes: Genes, fields: Fields) -> dict[str, Network]:
    (channels, size, _), domains = fields[IMAGES].shape, len(domains_of(fields))
    form = {"filters": genes["filters"], "normed": genes["translator_norm"], "dropout": genes["translator_dropout"]}
    codes: CodeClasses | None = None
    latent = genes["latent_planes"]
    generator: Crossing
    if genes["translators"] == "apart":
        into = [_translator(genes, fields) for _ in range(domains)]
        encoders = [LatentEncoder(2 * channels, latent, genes["filters"], genes["slope"]) for _ in into if latent]
        generator = Apart(into, latent, encoders)
    elif genes["translators"] == "one":
        generator = One(size, channels, domains, blocks=genes["translator_blocks"], **form)
    else:
        blocks, shared = genes["translator_blocks"], genes["shared_blocks"]
        generator = Autoencoders(size, channels, domains, blocks=blocks, shared=shared, **form)
        codes = CodeClasses(4 * genes["filters"], domains, genes["slope"]) if genes["code_game"] != "none" else None
    one = genes["translators"] == "one"
    three = genes.get("critic_classes") == 3
    critics = [_critic(genes, fields, three) for _ in range(1 if one else domains)]
    told_by = features(size, genes["patch_filters"], min(genes["patch_layers"], patch_layers(size)))
    latents = [dense_critic(latent, genes["patch_filters"], genes["slope"]) for _ in critics if latent]
    classes = (fields[SOURCE_LABELS].values or 0) if genes["task"] != "none" else 0
    logits = dense_critic(classes, LOGIT_UNITS, 0.0) if genes.get("feature_adversary", 0) > 0 else None
    critic = DomainCritics(critics, nn.Linear(told_by, domains) if one else None, codes, latents, logits)
    without_statistics(critic)
    found: dict[str, Network] = {"critic": critic, "generator": generator}
    if classes:
        found["task"] = Task(size, channels, classes, filters=genes["task_filters"], both=genes["task"] == "both")
    return found


def _critic(genes: Genes, fields: Fields, three: bool) -> PatchCritic | ThreeClassPatches:
    channels, size, _ = fields[IMAGES].shape
    critic = PatchCritic(
        channels,
        filters=genes["patch_filters"],
        layers=min(genes["patch_layers"], patch_layers(size)),
        normed=genes["patch_norm"],
        slope=genes["slope"],
    )
    return ThreeClassPatches(critic) if three else critic


def _translator(genes: Genes, fields: Fields) -> Translator:
    channels, size, _ = fields[IMAGES].shape
    forms = {"filters": genes["filters"], "normed": genes["translator_norm"], "dropout": genes["translator_dropout"]}
    forms["latent"] = genes["latent_planes"]
    if genes["translator"] == "unet":
        return UNet(size, channels, channels, levels=min(genes["unet_levels"], unet_levels(size)), **forms)
    return ResNet(size, channels, channels, blocks=genes["translator_blocks"], **forms)
