"""Genome -> GAN."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from evogan.errors import UserError
from evogan.genes import GENES
from evogan.genome import Value
from evogan.stable import derive_seed
from evogan.zoo.adversarial import AdversarialGAN
from evogan.zoo.backbones import BACKBONES, attention_fits, make_networks
from evogan.zoo.layers import initialise


def build(genome: Mapping[str, Value], image_size: int, channels: int, seed: int) -> AdversarialGAN:
    """The GAN that `genome` describes, with fresh weights.

    `image_size`: side in pixels; `channels`: 1 or 3. The weights depend on genome, sizes and `seed` alone.
    Errors: UserError for an image size that the backbone cannot make.
    """
    check_size(genome, image_size)
    genes = GENES.complete(genome)
    with torch.device("meta"):  # constructors would draw from the global generator
        generator, critic = make_networks(genes, image_size, channels)
    for name, network in (("generator", generator), ("critic", critic)):
        network.to_empty(device="cpu")
        initialise(network, genes, torch.Generator().manual_seed(derive_seed(seed, "init", name)))
    gan = AdversarialGAN(genes, generator, critic, torch.Generator().manual_seed(derive_seed(seed, "init")))
    gan.to(torch.device("cpu"))
    return gan


def count_parameters(genome: Mapping[str, Value], image_size: int, channels: int) -> dict[str, int]:
    """The trainable parameters of each player."""
    with torch.device("meta"):
        generator, critic = make_networks(GENES.complete(genome), image_size, channels)
    return {
        name: sum(p.numel() for p in network.parameters())
        for name, network in (("generator", generator), ("critic", critic))
    }


def check_size(genome: Mapping[str, Value], image_size: int) -> None:
    """UserError if the genome's networks cannot make images of this size."""
    genes = GENES.complete(genome)
    name = str(genes["backbone"])
    if not BACKBONES[name].fits(image_size):
        raise UserError(f"image size {image_size}: {name} makes sizes {BACKBONES[name].sizes}; set --image-size")
    if not attention_fits(genes, image_size):
        raise UserError(
            f"attention = {genes['attention']}: at image size {image_size} the networks have no maps of that size"
        )


def impossible(image_size: int) -> dict[str, list[Value]]:
    """The values of genes with which no network makes images of this size."""
    return {
        "backbone": [name for name, backbone in BACKBONES.items() if not backbone.fits(image_size)],
        "attention": [v for v in GENES["attention"].values if not attention_fits({"attention": v}, image_size)],
    }
