"""Small convolutional networks of Keras' examples: Langr and Bok, GANs in Action (2019), ch. 4, 7 and 8.

With n = filters (there 256), H = image size (divisible by 4), kernels of 3 with Keras' `same` padding:

    generator  F n*(H/4)^2 | T n/2 s2, norm, act | T n/4, norm, act | T c s2, tanh
    critic     C n/8 s2, act | C n/4 s2, norm, act | C n/2 s2, norm, act, dropout | F 1
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from evogan.zoo import critic, generator
from evogan.zoo.gan import Draws
from evogan.zoo.layers import Chain, LeakyReLU, SameConv, Upsample, draw_masks, norm


class Generator(generator.Generator):
    def __init__(self, genes: Mapping[str, Any], size: int, channels: int) -> None:
        super().__init__()
        n, kind, act = genes["filters"], genes["generator_norm"], LeakyReLU(genes["generator_slope"])
        given = genes.get("norm_condition")
        self.width = n
        self.dense = nn.Linear(genes["latent"], n * (size // 4) ** 2)
        self.blocks = Chain(
            Upsample("transposed", n, n // 2, 3, even=False),
            norm(kind, n // 2, given),
            act,
            nn.ConvTranspose2d(n // 2, n // 4, 3, padding=1),
            norm(kind, n // 4, given),
            act,
            Upsample("transposed", n // 4, channels, 3, even=False),
        )

    def forward(self, latent: Tensor, draws: Draws = (), *condition: Tensor) -> Tensor:
        return torch.tanh(self.blocks(generator.maps(self.dense(latent), self.width), *condition))


class Critic(critic.Critic):
    def __init__(self, genes: Mapping[str, Any], size: int, channels: int) -> None:
        super().__init__(genes)
        n, kind = genes["filters"], genes["critic_norm"]
        self.dropout: float = genes["dropout"]
        layers: list[nn.Module] = []
        for inputs, outputs, kind_here in (
            (channels, max(n // 8, 1), "none"),
            (max(n // 8, 1), n // 4, kind),
            (n // 4, n // 2, kind),
        ):
            layers += [SameConv(inputs, outputs, 3, size=size, stride=2), norm(kind_here, outputs), self.activate]
            size = math.ceil(size / 2)
        self.blocks = nn.Sequential(*layers)
        self.shape = (n // 2, size, size)
        self.end_with(n // 2, size)

    def draws(self, n: int, rng: torch.Generator) -> Draws:
        return draw_masks([self.shape], n, self.dropout, rng)

    def trunk(self, x: Tensor, draws: Draws) -> Tensor:
        maps: Tensor = self.blocks(x)
        return maps * draws[0].to(maps.dtype) if draws else maps
