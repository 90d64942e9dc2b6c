"""The residual networks of WGAN-GP, arXiv:1704.00028, and SNGAN, arXiv:1802.05957; by genes of SAGAN and BigGAN too.

With n = filters, d = critic_filters and images of side m * 2^k (m from 4 to 7):

    generator  F n*m^2 | k blocks [norm, relu, up, C n, norm, relu, C n] + [C n k1, up] | norm, relu, C c, tanh
    critic     a block [C d, relu, C d, pool] + [pool, C d k1]
               | blocks [norm, relu, C d, norm, relu, C d, pool] + [pool, C d k1] until the side is 8 or less
               | critic_depth blocks [norm, relu, C d, norm, relu, C d] + identity | relu, sum or mean of positions, F 1

Convolutions have kernels of side 3, and a gain of sqrt 2 in the residual branches. Shortcuts are resized by nearest
neighbours. Self-attention (SAGAN, arXiv:1805.08318) follows the layer that makes maps of its side. With a hierarchical
latent (BigGAN, arXiv:1809.11096) the latent is cut into k + 1 parts: the first makes the first maps, and part i + 1
the gains and biases of block i's batch norms.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evogan.zoo import critic, generator
from evogan.zoo.backbones.sizes import doublings
from evogan.zoo.gan import Draws
from evogan.zoo.layers import (
    Condition,
    ConditionalBatchNorm,
    LeakyReLU,
    SelfAttention,
    Upsample,
    norm,
    resize,
)

RESIDUAL_GAIN = math.sqrt(2)


def generator_sides(size: int) -> list[int]:
    """Of the maps that the generator's dense layer and its blocks make."""
    m, k = doublings(size)
    return [m << i for i in range(k + 1)]


def critic_sides(size: int) -> list[int]:
    """Of the maps that the critic's first blocks make, each half the side before."""
    sides = [size // 2]
    while sides[-1] > 8:
        sides.append(sides[-1] // 2)
    return sides


def attended(genes: Mapping[str, Any], size: int) -> int | None:
    """The side of the maps with self-attention; None without."""
    parts = {"half": 2, "quarter": 4}
    return size // parts[genes["attention"]] if genes.get("attention", "none") in parts else None


class GeneratorBlock(nn.Module):
    """(N, n, H, W) -> (N, n, 2H, 2W).

    `part`: how much of the latent its norms get, joined with a condition that there is. Given neither, it is called
    without.
    """

    def __init__(self, genes: Mapping[str, Any], part: int) -> None:
        super().__init__()
        n, kind, given = genes["filters"], genes["generator_norm"], genes.get("norm_condition")
        self.activate = LeakyReLU(genes["generator_slope"])

        def make() -> nn.Module:
            if part and given:
                return ConditionalBatchNorm(n, Condition(part + given.size))
            return ConditionalBatchNorm(n, Condition(part), bias=True) if part else norm(kind, n, given)

        self.norms = nn.ModuleList(make() for _ in range(2))
        self.up = Upsample(genes["upsampling"], n, n, 3)
        self.conv = nn.Conv2d(n, n, 3, padding=1)
        self.shortcut = nn.Conv2d(n, n, 1)
        self.up.conv.gain = self.conv.gain = RESIDUAL_GAIN  # type: ignore[assignment]

    def forward(self, x: Tensor, *condition: Tensor) -> Tensor:
        h: Tensor = self.up(self.activate(self.norms[0](x, *condition)))
        h = self.conv(self.activate(self.norms[1](h, *condition)))
        return h + resize("nearest", self.shortcut(x))  # a 1x1 convolution may as well come first


class Generator(generator.Generator):
    def __init__(self, genes: Mapping[str, Any], size: int, channels: int) -> None:
        super().__init__()
        m, k = doublings(size)
        n, latent = genes["filters"], genes["latent"]
        parts = min(k + 1, latent) if genes.get("hierarchical_latent") else 1  # no part is empty
        self.parts = [latent // parts + (i < latent % parts) for i in range(parts)]
        self.width = n
        self.dense = nn.Linear(self.parts[0], n * m * m)
        self.blocks = nn.ModuleList(GeneratorBlock(genes, part) for part in [*self.parts[1:], *[0] * (k + 1 - parts)])
        self.looks = nn.ModuleList(
            SelfAttention(n) if side == attended(genes, size) else nn.Identity() for side in generator_sides(size)
        )
        self.head = nn.Sequential(
            norm(genes["generator_norm"], n),
            LeakyReLU(genes["generator_slope"]),
            nn.Conv2d(n, channels, 3, padding=1),
        )

    def forward(self, latent: Tensor, draws: Draws = (), *condition: Tensor) -> Tensor:
        first, *rest = latent.split(self.parts, 1)
        x = self.looks[0](generator.maps(self.dense(first), self.width))
        for i, (block, look) in enumerate(zip(self.blocks, self.looks[1:], strict=True)):
            given = (*rest[i : i + 1], *condition)
            x = look(block(x, *([torch.cat(given, 1)] if given else [])))
        return torch.tanh(self.head(x))


class CriticBlock(nn.Module):
    """(N, inputs, H, W) -> (N, outputs, H, W), or half the side. The first block takes images as they are."""

    def __init__(
        self, inputs: int, outputs: int, kind: str, activate: nn.Module, *, down: bool, first: bool = False
    ) -> None:
        super().__init__()
        self.activate, self.down, self.first = activate, down, first
        self.norms = nn.ModuleList(norm("none" if first else kind, width) for width in (inputs, outputs))
        self.convs = nn.ModuleList(nn.Conv2d(width, outputs, 3, padding=1) for width in (inputs, outputs))
        for conv in self.convs:
            conv.gain = RESIDUAL_GAIN  # type: ignore[assignment]
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if down else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = x if self.first else self.activate(self.norms[0](x))
        h = self.convs[1](self.activate(self.norms[1](self.convs[0](h))))
        if not self.down:
            return h + x
        shortcut: Tensor = self.shortcut(F.avg_pool2d(x, 2))
        return F.avg_pool2d(h, 2) + shortcut


class Critic(critic.Critic):
    def __init__(self, genes: Mapping[str, Any], size: int, channels: int) -> None:
        super().__init__(genes)
        d, kind = genes["critic_filters"], genes["critic_norm"]
        blocks: list[nn.Module] = []
        for side in critic_sides(size):
            first = not blocks
            blocks.append(CriticBlock(channels if first else d, d, kind, self.activate, down=True, first=first))
            if side == attended(genes, size):
                blocks.append(SelfAttention(d))
        blocks += [CriticBlock(d, d, kind, self.activate, down=False) for _ in range(genes["critic_depth"])]
        self.blocks = nn.Sequential(*blocks)
        self.end_with(d, critic_sides(size)[-1], pooling=genes["critic_pooling"])

    def trunk(self, x: Tensor, draws: Draws) -> Tensor:
        maps: Tensor = self.activate(self.blocks(x))
        return maps
