"""WDCGAN: a small upsample+conv generator and a strided-conv critic.

Lanham, Evolutionary Deep Learning (2023), ch. 8-9; the networks are those of Keras' DCGAN examples.
With n = filters, H = image size (divisible by 4):

    generator  F n*(H/4)^2, relu | up, C n, norm, relu | up, C n/2, norm, relu | C c, tanh
    critic     C n/4 s2 | C n/2 s2, pad bottom/right by 1, norm | C n s2, norm | C 2n, norm | F 1
               each with leaky ReLU and dropout

In place of a strided convolution (s2) the critic may have one of stride 1 and a pooling of 2x2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from evogan.zoo import critic, generator
from evogan.zoo.gan import Draws
from evogan.zoo.layers import Chain, LeakyReLU, SameConv, Upsample, norm, pool


class Generator(generator.Generator):
    def __init__(self, genes: Mapping[str, Any], size: int, channels: int) -> None:
        super().__init__()
        n, kernel, kind = genes["filters"], genes["kernel_size"], genes["generator_norm"]
        given = genes.get("norm_condition")
        self.activate = LeakyReLU(genes["generator_slope"])
        self.width = n
        self.dense = nn.Linear(genes["latent"], n * (size // 4) ** 2)
        self.blocks = Chain(
            Upsample(genes["upsampling"], n, n, kernel),
            norm(kind, n, given),
            self.activate,
            Upsample(genes["upsampling"], n, n // 2, kernel),
            norm(kind, n // 2, given),
            self.activate,
            nn.Conv2d(n // 2, channels, kernel, padding=kernel // 2),
        )

    def forward(self, latent: Tensor, draws: Draws = (), *condition: Tensor) -> Tensor:
        x = self.activate(self.dense(latent))
        return torch.tanh(self.blocks(generator.maps(x, self.width), *condition))


class Critic(critic.DroppingCritic):
    def __init__(self, genes: Mapping[str, Any], size: int, channels: int) -> None:
        super().__init__(genes)
        n, kernel, kind = genes["filters"], genes["kernel_size"], genes["critic_norm"]
        down = genes["critic_downsampling"]
        blocks: list[nn.Module] = []
        self.shapes = []
        inputs = channels
        for outputs, stride, pad, kind_here in (
            (n // 4, 2, 0, "none"),
            (n // 2, 2, 1, kind),
            (n, 2, 0, kind),
            (2 * n, 1, 0, kind),
        ):
            pools = [pool(down)] if stride == 2 and down != "strided" else []
            conv = SameConv(inputs, outputs, kernel, size=size, stride=1 if pools else stride)
            blocks.append(nn.Sequential(conv, *pools, nn.ZeroPad2d((0, pad, 0, pad)), norm(kind_here, outputs)))
            inputs, size = outputs, math.ceil(size / stride) + pad
            self.shapes.append((outputs, size, size))
        self.blocks = nn.ModuleList(blocks)
        self.end_with(inputs, size)
