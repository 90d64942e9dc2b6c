"""What all generators share."""

from __future__ import annotations

import math

from torch import Tensor

from evogan.zoo.gan import Network


class Generator(Network):
    """Latent (N, latent) -> images (N, C, H, W) in [-1, 1]: the `forward(latent, draws=())` that a backbone gives."""


def maps(features: Tensor, channels: int) -> Tensor:
    """(N, C*H*H) -> (N, C, H, H), channels last in memory."""
    size = math.isqrt(features.shape[1] // channels)
    by_position = features.unflatten(1, (channels, size * size)).mT.contiguous()  # `vmap` knows no memory formats
    square: Tensor = by_position.mT.unflatten(2, (size, size))
    return square
