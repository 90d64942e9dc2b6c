"""Genome -> GAN."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from evogan.errors import UserError
from evogan.genes import GENES
from evogan.genome import Value
from evogan.stable import derive_seed
from evogan.zoo import wdcgan
from evogan.zoo.adversarial import AdversarialGAN
from evogan.zoo.layers import initialise


def build(genome: Mapping[str, Value], image_size: int, channels: int, seed: int) -> AdversarialGAN:
    """The GAN that `genome` describes, with fresh weights.

    `image_size`: side in pixels; `channels`: 1 or 3. The weights depend on genome, sizes and `seed` alone.
    Errors: UserError for an image size that the backbone cannot make.
    """
    check_size(genome, image_size)
    genes = GENES.complete(genome)
    with torch.device("meta"):  # constructors would draw from the global generator
        generator = wdcgan.Generator(genes, image_size, channels)
        critic = wdcgan.Critic(genes, image_size, channels)
    for name, network in (("generator", generator), ("critic", critic)):
        rng = torch.Generator().manual_seed(derive_seed(seed, "init", name))
        network.to_empty(device="cpu")
        initialise(network, float(genes["init_std"]), rng)
    gan = AdversarialGAN(genes, generator, critic)
    gan.to(torch.device("cpu"))
    return gan


def check_size(genome: Mapping[str, Value], image_size: int) -> None:
    """UserError if the genome's backbone cannot make images of this size."""
    backbone = GENES.complete(genome)["backbone"]
    if image_size % 4 or image_size < 4:
        raise UserError(f"image size {image_size}: {backbone} makes sizes divisible by 4; set --image-size")
