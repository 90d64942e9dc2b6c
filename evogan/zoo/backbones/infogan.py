"""The networks of InfoGAN, arXiv:1606.03657, on which Lucic et al., arXiv:1711.10337, compared GANs.

With n = filters (there 64) and H = image size (divisible by 4), every convolution C and transposed one T k4 s2:

    generator  F 16n, norm, act | F 2n*(H/4)^2, norm over all of it, act | T n, norm, act | T c, tanh
    critic     C n, act | C 2n, norm, act | F 16n, norm, act | F 1
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from evogan.zoo import critic, generator
from evogan.zoo.gan import Draws
from evogan.zoo.layers import Chain, LeakyReLU, Upsample, dense_norm, norm


class Generator(generator.Generator):
    def __init__(self, genes: Mapping[str, Any], size: int, channels: int) -> None:
        super().__init__()
        n, kind, act = genes["filters"], genes["generator_norm"], LeakyReLU(genes["generator_slope"])
        given = genes.get("norm_condition")
        self.width = 2 * n
        wide = self.width * (size // 4) ** 2
        self.dense = Chain(
            nn.Linear(genes["latent"], 16 * n),
            dense_norm(kind, 16 * n, given),
            act,
            nn.Linear(16 * n, wide),
            dense_norm(kind, wide, given),
            act,
        )
        self.blocks = Chain(
            Upsample("transposed", 2 * n, n, 3), norm(kind, n, given), act, Upsample("transposed", n, channels, 3)
        )

    def forward(self, latent: Tensor, draws: Draws = (), *condition: Tensor) -> Tensor:
        x = generator.maps(self.dense(latent, *condition), self.width)
        return torch.tanh(self.blocks(x, *condition))


class Critic(critic.Critic):
    def __init__(self, genes: Mapping[str, Any], size: int, channels: int) -> None:
        super().__init__(genes)
        n, kind, act = genes["filters"], genes["critic_norm"], self.activate
        self.blocks = nn.Sequential(
            nn.Conv2d(channels, n, 4, 2, 1), act, nn.Conv2d(n, 2 * n, 4, 2, 1), norm(kind, 2 * n), act
        )
        self.dense = nn.Sequential(nn.Linear(2 * n * (size // 4) ** 2, 16 * n), dense_norm(kind, 16 * n), act)
        self.end_with(16 * n)

    def trunk(self, x: Tensor, draws: Draws) -> Tensor:
        features: Tensor = self.dense(self.blocks(x).flatten(1))
        return features
