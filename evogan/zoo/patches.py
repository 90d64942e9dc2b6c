"""Critics of images and of what they were made from. With n = filters, widths 8n at most:

patches  PatchGAN, Isola et al., arXiv:1611.07004: it judges every place of an image by what is around. With `layers`
         that stride, kernels of 4x4:
             C n s2, LR | C 2n s2, norm, LR | ... | C s1, norm, LR | C 1 s1
         and without any, pixels alone: C1 n, LR | C1 2n, norm, LR | C1 1. A score comes of a field of `field(layers)`
         pixels a side: 1, 16, 34, 70, 142, ...
dense    the same maps, of which a dense layer makes one score of the whole image
srgan    SRGAN's, Ledig et al., arXiv:1609.04802, of the whole image too; `layers`: how often it halves the side (4):
             C3 n, LR | C3 n s2, norm, LR | C3 2n, norm, LR | C3 2n s2, norm, LR | ... | F units, LR | F 1
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from evogan.zoo.gan import Critique, Draws, Network
from evogan.zoo.layers import LeakyReLU, norm, precise
from evogan.zoo.translators import WIDEST, fitted, strided


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


def features(size: int, filters: int, layers: int) -> int:
    """How many there are of an image of this side."""
    side = (size >> layers) - 1 if layers else size
    return filters * min(1 << max(layers, 1), WIDEST) * side * side


class PatchCritic(Network):
    """Images (N, C, H, H), draws, and what each was made from, if anything, (N, C', H', H') -> a `Critique` whose score
    is (N, P), of P places. `channels`: of an image and of what is shown beside it. `whole`: the side of images of which
    a dense layer makes one score, (N,); 0 for places.
    """

    head: nn.Conv2d | nn.Linear

    def __init__(
        self,
        channels: int,
        *,
        filters: int,
        layers: int,
        normed: str = "batch",
        slope: float = 0.2,
        kernel: int = 4,
        whole: int = 0,
    ) -> None:
        super().__init__()
        bias = normed in ("none", "instance")
        widths = [filters * min(2**i, WIDEST) for i in range(max(layers, 1) + 1)]
        side = kernel if layers else 1
        pad = (side - 1) // 2
        self.first = nn.Sequential(nn.Conv2d(channels, filters, side, 2 if layers else 1, pad), LeakyReLU(slope))
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(inputs, outputs, side, 2 if i < layers else 1, pad, bias=bias),
                norm(normed, outputs),
                LeakyReLU(slope),
            )
            for i, (inputs, outputs) in enumerate(itertools.pairwise(widths), 1)
        )
        if whole:
            for _ in range(layers):
                whole = strided(whole, kernel)
            self.head = nn.Linear(widths[-1] * strided(whole, side, 1) ** 2, 1)
        else:
            self.head = nn.Conv2d(widths[-1], 1, side, 1, pad)
        self._whole = whole > 0

    def forward(self, x: Tensor, draws: Draws = (), *beside: Tensor) -> Critique:
        x = self.first(together(x, beside))
        for block in self.blocks:
            x = block(x)
        features = x.flatten(1)
        if self._whole:
            return Critique(precise(self.head(features)).squeeze(1), features)
        return Critique(precise(self.head(x)).flatten(1), features)


class SRCritic(Network):
    """The same of whole images of side `size`: scores (N,)."""

    def __init__(
        self,
        channels: int,
        size: int,
        *,
        filters: int,
        layers: int,
        units: int,
        normed: str = "batch",
        slope: float = 0.2,
    ) -> None:
        super().__init__()
        bias = normed in ("none", "instance")
        self.first = nn.Sequential(nn.Conv2d(channels, filters, 3, 1, 1), LeakyReLU(slope))
        widths = [filters * min(2**i, WIDEST) for i in range(layers)]
        steps = [(widths[0], widths[0], 2)] if layers else []
        for inputs, outputs in itertools.pairwise(widths):
            steps += [(inputs, outputs, 1), (outputs, outputs, 2)]
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(inputs, outputs, 3, stride, 1, bias=bias), norm(normed, outputs), LeakyReLU(slope)
                )
                for inputs, outputs, stride in steps
            )
        )
        for _ in range(layers):
            size = strided(size, 3)
        self.dense = nn.Linear((widths[-1] if layers else filters) * size**2, units)
        self.activate = LeakyReLU(slope)
        self.head = nn.Linear(units, 1)

    def forward(self, x: Tensor, draws: Draws = (), *beside: Tensor) -> Critique:
        features = self.activate(self.dense(self.blocks(self.first(together(x, beside))).flatten(1)))
        return Critique(precise(self.head(features)).squeeze(1), features)


def together(x: Tensor, beside: tuple[Tensor, ...]) -> Tensor:
    """Images and what is shown beside them, in their size, as one with all channels."""
    return torch.cat([x, *(fitted(other, x.shape[-1]).to(x.dtype) for other in beside)], 1)
