"""SNDCGAN: the convolutional networks of spectral normalisation, arXiv:1802.05957.

With n = filters (there 64) and images of side m * 2^k (m from 4 to 7):

    generator  F n*2^k*m^2, norm, relu | k times: up, half the channels, norm, relu | C c k3, tanh
    critic     C n k3 | k times: C k4 s2, twice the channels | C k3 | F 1     norm after each but the first, leaky ReLU

This is the authors' code. In the form of the paper (table 3) it is C k3 that doubles the channels, after C k4 s2, and
the generator's F has neither norm nor activation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from evogan.zoo import critic, generator
from evogan.zoo.backbones.sizes import doublings
from evogan.zoo.gan import Draws
from evogan.zoo.layers import Chain, LeakyReLU, Upsample, norm


class Generator(generator.Generator):
    def __init__(self, genes: Mapping[str, Any], size: int, channels: int) -> None:
        super().__init__()
        m, k = doublings(size)
        n, kind, act = genes["filters"], genes["generator_norm"], LeakyReLU(genes["generator_slope"])
        self.width = n * 2**k
        self.dense = nn.Linear(genes["latent"], self.width * m * m)
        given = genes.get("norm_condition")
        blocks: list[nn.Module] = [] if genes["sndcgan_form"] == "paper" else [norm(kind, self.width, given), act]
        for i in reversed(range(k)):
            outputs = n * 2**i
            blocks += [Upsample(genes["upsampling"], 2 * outputs, outputs, 3), norm(kind, outputs, given), act]
        self.blocks = Chain(*blocks, nn.Conv2d(n, channels, 3, padding=1))

    def forward(self, latent: Tensor, draws: Draws = (), *condition: Tensor) -> Tensor:
        return torch.tanh(self.blocks(generator.maps(self.dense(latent), self.width), *condition))


class Critic(critic.Critic):
    def __init__(self, genes: Mapping[str, Any], size: int, channels: int) -> None:
        super().__init__(genes)
        m, k = doublings(size)
        n, kind, act = genes["filters"], genes["critic_norm"], self.activate
        blocks: list[nn.Module] = [nn.Conv2d(channels, n, 3, padding=1), act]
        for i in range(k):
            inputs, outputs = n * 2**i, n * 2 ** (i + 1)
            halved = inputs if genes["sndcgan_form"] == "paper" else outputs
            blocks += [nn.Conv2d(inputs, halved, 4, 2, 1), norm(kind, halved), act]
            blocks += [nn.Conv2d(halved, outputs, 3, padding=1), norm(kind, outputs), act]
        self.blocks = nn.Sequential(*blocks)
        self.end_with(n * 2**k, m)

    def trunk(self, x: Tensor, draws: Draws) -> Tensor:
        maps: Tensor = self.blocks(x)
        return maps
