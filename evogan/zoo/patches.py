"""The critic of patches, PatchGAN: Isola et al., arXiv:1611.07004. It judges every place of an image by what is around.

With n = filters and `layers` that stride, widths 8n at most, kernels of 4x4:

    C n s2, LR | C 2n s2, norm, LR | ... | C s1, norm, LR | C 1 s1

and without any, pixels alone: C1 n, LR | C1 2n, norm, LR | C1 1. A score comes of a field of `field(layers)` pixels a
side: 1, 16, 34, 70, 142, ...
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from evogan.zoo.gan import Critique, Draws, Network
from evogan.zoo.layers import LeakyReLU, norm, precise
from evogan.zoo.translators import WIDEST, fitted


def field(layers: int) -> int:
    """The side of what one score is of: back from it, f -> (f - 1) stride + kernel."""
    if not layers:
        return 1
    side = 7  # of the two last layers
    for _ in range(layers):
        side = (side - 1) * 2 + 4
    return side


def places(size: int, layers: int) -> int:
    """The side of the map of scores of an image of this side; below 1 there is none."""
    return (size >> layers) - 2 if layers else size


def patch_layers(size: int) -> int:
    """The most layers that stride with which there is a score of an image of this side."""
    return next(layers for layers in reversed(range(size.bit_length())) if places(size, layers) > 0)


class PatchCritic(Network):
    """Images (N, C, H, H), draws, and what each was made from, if anything, (N, C', H', H') -> a `Critique` whose score
    is (N, P), of P places. `channels`: of an image and of what is shown beside it.
    """

    def __init__(self, channels: int, *, filters: int, layers: int, normed: str = "batch", slope: float = 0.2) -> None:
        super().__init__()
        bias = normed in ("none", "instance")
        widths = [filters * min(2**i, WIDEST) for i in range(max(layers, 1) + 1)]
        side, pad = (4, 1) if layers else (1, 0)
        self.first = nn.Sequential(nn.Conv2d(channels, filters, side, 2 if layers else 1, pad), LeakyReLU(slope))
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(inputs, outputs, side, 2 if i < layers else 1, pad, bias=bias),
                norm(normed, outputs),
                LeakyReLU(slope),
            )
            for i, (inputs, outputs) in enumerate(itertools.pairwise(widths), 1)
        )
        self.head = nn.Conv2d(widths[-1], 1, side, 1, pad)

    def forward(self, x: Tensor, draws: Draws = (), *beside: Tensor) -> Critique:
        x = self.first(torch.cat([x, *(fitted(other, x.shape[-1]).to(x.dtype) for other in beside)], 1))
        for block in self.blocks:
            x = block(x)
        return Critique(precise(self.head(x)).flatten(1), x.flatten(1))
