"""WDCGAN: a small upsample+conv generator and a strided-conv critic.

Lanham, Evolutionary Deep Learning (2023), ch. 8-9; the networks are those of Keras' DCGAN examples.
With n = filters, H = image size (divisible by 4):

    generator  F n*(H/4)^2 relu | up, C n, norm, relu | up, C n/2, norm, relu | C c, tanh
    critic     C n/4 s2 | C n/2 s2, pad bottom/right by 1, norm | C n s2, norm | C 2n, norm | F 1
               each with leaky ReLU and dropout
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evogan.zoo.gan import Masks
from evogan.zoo.layers import SameConv, Upsample, draw_masks, norm


class Generator(nn.Module):
    """(N, latent) -> (N, C, H, W) in [-1, 1]."""

    def __init__(self, genes: Mapping[str, Any], size: int, channels: int) -> None:
        super().__init__()
        n, kernel, kind = genes["filters"], genes["kernel_size"], genes["generator_norm"]
        self.base = (n, size // 4, size // 4)
        self.dense = nn.Linear(genes["latent"], n * (size // 4) ** 2)
        self.blocks = nn.Sequential(
            Upsample(genes["upsampling"], n, n, kernel),
            norm(kind, n),
            nn.ReLU(),
            Upsample(genes["upsampling"], n, n // 2, kernel),
            norm(kind, n // 2),
            nn.ReLU(),
            nn.Conv2d(n // 2, channels, kernel, padding=kernel // 2),
        )

    def forward(self, latent: Tensor) -> Tensor:
        x = F.relu(self.dense(latent)).unflatten(1, self.base)
        return torch.tanh(self.blocks(x.contiguous(memory_format=torch.channels_last)))


class Critic(nn.Module):
    """(N, C, H, W) in [-1, 1] -> (N,), any real number. Without `masks` nothing is dropped."""

    def __init__(self, genes: Mapping[str, Any], size: int, channels: int) -> None:
        super().__init__()
        n, kernel, kind = genes["filters"], genes["kernel_size"], genes["critic_norm"]
        self.slope, self.dropout = genes["slope"], genes["dropout"]
        blocks: list[nn.Module] = []
        self.shapes: list[tuple[int, int, int]] = []
        inputs = channels
        for outputs, stride, pad, kind_here in (
            (n // 4, 2, 0, "none"),
            (n // 2, 2, 1, kind),
            (n, 2, 0, kind),
            (2 * n, 1, 0, kind),
        ):
            conv = SameConv(inputs, outputs, kernel, size=size, stride=stride)
            blocks.append(nn.Sequential(conv, nn.ZeroPad2d((0, pad, 0, pad)), norm(kind_here, outputs)))
            inputs, size = outputs, conv.size + pad
            self.shapes.append((outputs, size, size))
        self.blocks = nn.ModuleList(blocks)
        self.dense = nn.Linear(inputs * size * size, 1)

    def masks(self, n: int, rng: torch.Generator) -> Masks:
        return draw_masks(self.shapes, n, self.dropout, rng)

    def forward(self, x: Tensor, masks: Masks = ()) -> Tensor:
        for i, block in enumerate(self.blocks):
            x = F.leaky_relu(block(x), self.slope)
            if masks:
                x = x * masks[i].to(x.dtype)
        out: Tensor = self.dense(x.flatten(1))
        return out.squeeze(1).float()
