"""What all generators share."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from evogan.zoo.gan import Draws, Network


class Generator(Network):
    """Latent (N, latent) -> images (N, C, H, W) in [-1, 1]: the `forward(latent, draws=())` that a backbone gives.

    One whose batch norms are conditional has `forward(latent, draws, condition)`, with conditions (N, D).
    """

    def entered(self, draws: Draws, enter: Callable[[Tensor], Tensor]) -> Draws:
        """The draws, with `enter` applied to those that are latents too."""
        return draws


class AroundGenerator(Generator):
    """A generator around another, which it asks for all that is not its own."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def draws(self, n: int, rng: torch.Generator) -> Draws:
        return self.generator.draws(n, rng)

    def begin(self, progress: float) -> bool:
        return self.generator.begin(progress)

    def after_step(self, inputs: Tensor, *labels: Tensor) -> None:
        self.generator.after_step(inputs, *labels)


class CodedGenerator(AroundGenerator):
    """Of [code, latent] (N, code + latent): what else it draws of latents has the same code. `code`: its size."""

    def __init__(self, generator: Generator, code: int) -> None:
        super().__init__(generator)
        self._code = code

    def forward(self, start: Tensor, draws: Draws = ()) -> Tensor:
        code = start[:, : self._code]
        draws = self.generator.entered(draws, lambda other: torch.cat([code, other], 1))
        images: Tensor = self.generator(start, draws)
        return images


def maps(features: Tensor, channels: int) -> Tensor:
    """(N, C*H*H) -> (N, C, H, H), channels last in memory."""
    size = math.isqrt(features.shape[1] // channels)
    by_position = features.unflatten(1, (channels, size * size)).mT.contiguous()  # `vmap` knows no memory formats
    square: Tensor = by_position.mT.unflatten(2, (size, size))
    return square
