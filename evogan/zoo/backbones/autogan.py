"""AutoGAN, arXiv:1908.03835: a generator of three searched cells, against the residual critic.

With n = filters and images of side m * 2^k (m from 4 to 7): F n*b^2, three cells, batch norm, relu, C c k3, tanh. The
last min(3, k) cells double the image, from b = side / 2^min(3, k). A cell is, with its 4 or 5 genes,

    h = block(x), resized | h = h + sum over chosen earlier cells e: C1(h_e, resized) | y = block(h) [+ C1(x, resized)]
    block, post-activation: (resize), C3, norm, relu        pre-activation: norm, relu, (resize), C3

where h_e is what that cell's first block and its skips add up to, as in the released code. Resizing is bilinear,
nearest, or by transposed convolutions k2 s2, as many as it takes. 14 genes make 36 * 72 * 144 = 373,248 generators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from evogan.zoo import generator
from evogan.zoo.backbones import resnet
from evogan.zoo.backbones.sizes import doublings
from evogan.zoo.gan import Draws
from evogan.zoo.layers import LeakyReLU, norm, resize

CELLS = 3


class Resize(nn.Module):
    """(N, n, H, W) -> (N, n, 2^steps H, 2^steps W)."""

    def __init__(self, kind: str, n: int, steps: int) -> None:
        super().__init__()
        self.kind, self.factor = kind, 2**steps
        self.convs = nn.Sequential(
            *(nn.ConvTranspose2d(n, n, 2, 2) for _ in range(steps if kind == "transposed" else 0))
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.convs(x) if self.kind == "transposed" else resize(self.kind, x, self.factor)


class Block(nn.Module):
    """One convolution with its norm and activation; `steps` is how often it doubles the image."""

    def __init__(self, order: str, kind: str, up: str, n: int, activate: nn.Module, steps: int) -> None:
        super().__init__()
        self.order, self.activate = order, activate
        self.norm = norm(kind, n)
        self.resize = Resize(up, n, steps)
        self.conv = nn.Conv2d(n, n, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        if self.order == "post":
            activated: Tensor = self.activate(self.norm(self.conv(self.resize(x))))
            return activated
        maps: Tensor = self.conv(self.resize(self.activate(self.norm(x))))
        return maps


class Cell(nn.Module):
    """x and what earlier cells hand on -> y, and what this one hands on.

    `steps`: of each cell up to this one, how often it doubles the image.
    """

    def __init__(self, genes: Mapping[str, Any], steps: Sequence[int]) -> None:
        super().__init__()
        number, n, activate = len(steps), genes["filters"], LeakyReLU(genes["generator_slope"])
        order, kind, up = (genes[f"cell{number}_{what}"] for what in ("convolution", "norm", "upsampling"))
        bits = f"{genes.get(f'cell{number}_skip', 0):b}".zfill(number - 1) if number > 1 else ""
        self.chosen = [i for i, bit in enumerate(bits) if bit == "1"]  # the highest bit is the first cell
        self.first = Block(order, kind, up, n, activate, steps[-1])
        self.second = Block(order, kind, up, n, activate, 0)
        self.skips = nn.ModuleList(
            nn.Sequential(Resize(up, n, sum(steps[i + 1 :])), nn.Conv2d(n, n, 1)) for i in self.chosen
        )
        self.shortcut = (
            nn.Sequential(Resize(up, n, steps[-1]), nn.Conv2d(n, n, 1)) if genes[f"cell{number}_shortcut"] else None
        )

    def forward(self, x: Tensor, earlier: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        h = self.first(x)
        for i, skip in zip(self.chosen, self.skips, strict=True):
            h = h + skip(earlier[i])
        y = self.second(h)
        return (y if self.shortcut is None else y + self.shortcut(x)), h


class Generator(generator.Generator):
    def __init__(self, genes: Mapping[str, Any], size: int, channels: int) -> None:
        super().__init__()
        doubling = min(CELLS, doublings(size)[1])
        n, base = genes["filters"], size >> doubling
        self.width = n
        self.dense = nn.Linear(genes["latent"], n * base * base)
        steps = [int(i >= CELLS - doubling) for i in range(CELLS)]
        self.cells = nn.ModuleList(Cell(genes, steps[: i + 1]) for i in range(CELLS))
        self.head = nn.Sequential(
            norm(genes.get("generator_norm", "batch"), n),  # not a gene here, but a decoder has its critic's
            LeakyReLU(genes["generator_slope"]),
            nn.Conv2d(n, channels, 3, padding=1),
        )

    def forward(self, latent: Tensor, draws: Draws = ()) -> Tensor:
        x, handed = generator.maps(self.dense(latent), self.width), list[Tensor]()
        for cell in self.cells:
            x, h = cell(x, handed)
            handed.append(h)
        return torch.tanh(self.head(x))


class Critic(resnet.Critic):
    """That of the residual networks."""
