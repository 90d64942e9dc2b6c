"""The networks of generator and critic, by the gene `backbone`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from evogan.genes import AUTOENCODING, add_value
from evogan.plugins import enter
from evogan.zoo.autoencoder import Autoencoder, decoder_genes
from evogan.zoo.backbones import (
    autogan,
    dcgan,
    gans_in_action,
    improved_mlp,
    infogan,
    mlp,
    progressive,
    resnet,
    sndcgan,
    stylegan,
    wdcgan,
)
from evogan.zoo.backbones.sizes import stages
from evogan.zoo.code import Code
from evogan.zoo.conditioning import LabelledCritic, LabelledGenerator, extra_channels
from evogan.zoo.critic import Critic
from evogan.zoo.gan import Network
from evogan.zoo.generator import CodedGenerator, Generator
from evogan.zoo.latents import Prior
from evogan.zoo.layers import Condition, without_statistics
from evogan.zoo.virtual_batch import CriticWithReference, WithReference

Genes = Mapping[str, Any]


@dataclass(frozen=True)
class Backbone:
    """`generator` and `critic` are made of (genes, image size, channels). `sizes`: in words, what `fits` allows."""

    generator: Callable[[Genes, int, int], Generator]
    critic: Callable[[Genes, int, int], Critic]
    fits: Callable[[int], bool]
    sizes: str


def _any(size: int) -> bool:
    return size >= 1


def _images(size: int) -> bool:
    return size > 1


def _by_four(size: int) -> bool:
    return size >= 4 and size % 4 == 0


def _doubled(size: int) -> bool:
    return stages(size) is not None


ANY = (_any, "from 1 up, and points")
IMAGES = (_images, "from 2 up")
BY_FOUR = (_by_four, "divisible by 4")
DOUBLED = (_doubled, "8, 10, 12, 14 and their doublings (16, 20, 24, 28, 32, ...)")

BACKBONES: dict[str, Backbone] = {
    "mlp": Backbone(mlp.Generator, mlp.Critic, *ANY),
    "wdcgan": Backbone(wdcgan.Generator, wdcgan.Critic, *BY_FOUR),
    "infogan": Backbone(infogan.Generator, infogan.Critic, *BY_FOUR),
    "dcgan": Backbone(dcgan.Generator, dcgan.Critic, *DOUBLED),
    "sndcgan": Backbone(sndcgan.Generator, sndcgan.Critic, *DOUBLED),
    "resnet": Backbone(resnet.Generator, resnet.Critic, *DOUBLED),
    "autogan": Backbone(autogan.Generator, autogan.Critic, *DOUBLED),
    "progressive": Backbone(progressive.Generator, progressive.Critic, *DOUBLED),
    "stylegan": Backbone(stylegan.Generator, stylegan.Critic, *DOUBLED),
    "gans_in_action": Backbone(gans_in_action.Generator, gans_in_action.Critic, *BY_FOUR),
    "improved_mlp": Backbone(improved_mlp.Generator, improved_mlp.Critic, *IMAGES),
}


def add_backbone(name: str, backbone: Backbone) -> None:
    """For plugins; the genes that apply to all are its own. Errors: UserError for the name of one that is there."""
    add_value("backbone", name)
    enter(BACKBONES, "backbone", name, backbone)


def attention_fits(genes: Genes, size: int) -> bool:
    """Whether generator and critic have maps with the side that self-attention asks for, if it does."""
    side = resnet.attended(genes, size)
    if side is None:
        return True
    return _doubled(size) and side in resnet.generator_sides(size) and side in resnet.critic_sides(size)


def prior_of(genes: Genes) -> Prior:
    """What the genes say of latents; truncation is a gene of the normal prior alone."""
    code = Code(genes.get("code_categories", 0), genes.get("code_continuous", 0))
    return Prior(genes["latent"], genes["latent_prior"], genes.get("truncation", 0.0), code)


def is_conditional(genes: Genes) -> bool:
    return str(genes.get("condition", "none")) != "none"


def make_networks(genes: Genes, size: int, channels: int, classes: int = 0, planes: int = 0) -> tuple[Network, Network]:
    """Generator and critic without weights: to be called where `torch.device("meta")` is the default.

    `genes` is a complete phenotype; `size`, attention and `classes`, of the data, must fit. `planes`: channels more of
    the critic than an image has.
    """
    backbone = BACKBONES[genes["backbone"]]
    if is_conditional(genes):
        generator: Generator = _labelled_generator(backbone, genes, size, channels, classes)
        extra = extra_channels(genes["critic_label"], classes)
        critic: Network = LabelledCritic(
            backbone.critic(genes, size, channels + extra), genes["critic_label"], classes, size
        )
    else:
        generator = _generator(backbone, genes, size, channels)
        critic = encoder = backbone.critic(genes, size, channels + planes)
    if genes["loss"] in AUTOENCODING:
        norm = genes.get("reconstruction_norm", "l2")
        critic = Autoencoder(encoder, backbone.generator(decoder_genes(genes), size, channels), norm)
    if genes.get("critic_norm") == "virtual_batch":
        critic = CriticWithReference(critic, genes["batch_size"], channels, size)
    if genes.get("encoder") != "head":  # of which codes of single images are asked
        without_statistics(critic)  # it always judges a batch, and a gradient penalty could not pass their update
    refers = genes.get("generator_norm") == "virtual_batch"
    return WithReference(prior_of(genes), generator, classes) if refers else generator, critic


def _generator(backbone: Backbone, genes: Genes, size: int, channels: int) -> Generator:
    """One that starts from a code too, where there is one."""
    prior = prior_of(genes)
    if not prior.code.size:
        return backbone.generator(genes, size, channels)
    longer = {**genes, "latent": prior.whole, "drawn_latent": prior.size}
    return CodedGenerator(backbone.generator(longer, size, channels), prior.code.size)


def _labelled_generator(backbone: Backbone, genes: Genes, size: int, channels: int, classes: int) -> LabelledGenerator:
    entry, norms, latent = genes["generator_label"], genes.get("label_norm", "none"), genes["latent"]
    embedding = genes["label_embedding"] if norms == "shared" else 0
    conditions = {"per_class": Condition(classes, one_hot=True), "shared": Condition(embedding)}
    of_class = {
        **genes,
        "latent": latent + (classes if entry == "one_hot" else 0),
        "drawn_latent": latent,
        "norm_condition": conditions.get(norms),
    }
    inner = backbone.generator(of_class, size, channels)
    return LabelledGenerator(inner, entry, classes, latent, normed=norms != "none", embedding=embedding)
