"""Generators that make an image from an image.

unet     pix2pix, arXiv:1611.07004. With n = filters and L levels, a level halving the side (of an odd one what is left
         over goes), its width 8n at most:
             C n s2 | LR, C 2n s2, norm | LR, C 4n s2, norm | ... | LR, C s2            down to the smallest maps
             relu, T, norm, [dropout], joined with the maps of that side | ... | relu, T c, tanh      and up again
         Kernels are of 4x4, or 5x5; the first three steps up have dropout.
resnet   CycleGAN, arXiv:1703.10593 (Johnson et al., arXiv:1603.08155), with R blocks; r pads by reflection:
             r C7 n, norm, relu | C3 2n s2, norm, relu | C3 4n s2, norm, relu | R blocks | T3 2n s2, norm, relu |
             T3 n s2, norm, relu | r C7 c, tanh
         a block: x + (r C3, norm, relu, r C3, norm)
srresnet SRGAN, arXiv:1609.04802, with R blocks, of a source that is 2^k times smaller than the image; p is a PReLU:
             C9 n, p | R blocks | C3 n, norm, + what the first p gave | k times C3 4n, pixel shuffle, p | C9 c, tanh
         a block: x + (C3, norm, p, C3, norm); where the sides' ratio is no power of 2, or too large, the source is
         first made of the nearest side that fits

A latent may enter as planes beside the source.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evogan.zoo.gan import Draws
from evogan.zoo.generator import Generator
from evogan.zoo.layers import LeakyReLU, PReLU, Upsample, draw_masks, norm

WIDEST = 8  # times n
DROPPING = 3  # steps up of a U-Net that have dropout
SLOPE = 0.2


def fitted(source: Tensor, size: int) -> Tensor:
    """(N, C, H, H) -> (N, C, size, size), bilinear where it is of another size."""
    if source.shape[-1] == size:
        return source
    return F.interpolate(source, size=(size, size), mode="bilinear", antialias=source.shape[-1] > size)


class Translator(Generator):
    """Latents (N, latent), draws and sources (N, C, H, H) in [-1, 1] -> images (N, C', size, size) in [-1, 1].

    `latent`: how many numbers of it enter, as planes; 0 for none.
    """

    def __init__(self, size: int, latent: int, dropout: float, entry: int | None = None) -> None:
        """`entry`: the side that a source comes in with, the image's unless it is said."""
        super().__init__()
        self.size, self._latent, self._dropout = size, latent, dropout
        self._entry = entry or size
        self._shapes: list[tuple[int, int, int]] = []  # of the maps (C, H, W) that have dropout

    def draws(self, n: int, rng: torch.Generator) -> Draws:
        return draw_masks(self._shapes, n, self._dropout, rng)

    def forward(self, latent: Tensor, draws: Draws, source: Tensor) -> Tensor:
        """Without `draws` nothing is dropped."""
        x = fitted(source, self._entry)
        if self._latent:
            x = torch.cat([x, latent.to(x.dtype)[:, :, None, None].expand(-1, -1, *x.shape[2:])], 1)
        return torch.tanh(self.translate(x, draws))

    def translate(self, x: Tensor, draws: Draws) -> Tensor:
        raise NotImplementedError


class UNet(Translator):
    """`sources`, `channels`: of what comes in and goes out. `levels`: from 1 to `unet_levels(size)`."""

    def __init__(
        self,
        size: int,
        sources: int,
        channels: int,
        *,
        filters: int,
        levels: int,
        normed: str = "batch",
        dropout: float = 0.5,
        latent: int = 0,
        kernel: int = 4,
    ) -> None:
        super().__init__(size, latent, dropout)
        widths = [filters * min(2**i, WIDEST) for i in range(levels)]
        pad = (kernel - 1) // 2
        sides = [size]
        for _ in range(levels):
            sides.append(strided(sides[-1], kernel))
        bias = normed == "none"
        self.activate = LeakyReLU(SLOPE)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for i, (inputs, outputs) in enumerate(zip([sources + latent, *widths], widths, strict=False)):
            plain = i in (0, levels - 1)  # the first and the last have no norm
            conv = nn.Conv2d(inputs, outputs, kernel, 2, pad, bias=bias or i == 0)
            self.down.append(conv if plain else nn.Sequential(conv, norm(normed, outputs)))
        for i in reversed(range(levels)):
            inputs, outputs = widths[i] * (1 if i == levels - 1 else 2), widths[i - 1] if i else channels
            left = sides[i] - (2 * (sides[i + 1] - 1) - 2 * pad + kernel)
            back = nn.ConvTranspose2d(inputs, outputs, kernel, 2, pad, output_padding=left, bias=bias or i == 0)
            self.up.append(nn.Sequential(back, norm(normed, outputs)) if i else back)
        steps = [(widths[i - 1], sides[i], sides[i]) for i in reversed(range(1, levels))]
        self._shapes = steps[:DROPPING]

    def translate(self, x: Tensor, draws: Draws) -> Tensor:
        found: list[Tensor] = []
        for i, layer in enumerate(self.down):
            x = layer(self.activate(x) if i else x)
            found.append(x)
        found.pop()
        for i, layer in enumerate(self.up):
            x = layer(torch.relu(x))
            if i < len(draws):
                x = x * draws[i].to(x.dtype)
            if found:
                x = torch.cat([x, found.pop()], 1)
        return x


def strided(side: int, kernel: int, stride: int = 2) -> int:
    """Of maps of this side, padded by (kernel - 1)//2 all around, the side that is left by a convolution."""
    return (side + 2 * ((kernel - 1) // 2) - kernel) // stride + 1


def unet_levels(size: int) -> int:
    """The most levels that a U-Net may have."""
    return size.bit_length() - 1


class ResNet(Translator):
    """`size` must be divisible by 4, 8 at least; `blocks`: 0 or more."""

    def __init__(
        self,
        size: int,
        sources: int,
        channels: int,
        *,
        filters: int,
        blocks: int,
        normed: str = "instance",
        dropout: float = 0.0,
        latent: int = 0,
    ) -> None:
        super().__init__(size, latent, dropout)
        n, bias = filters, normed in ("none", "instance")

        def conv(inputs: int, outputs: int, side: int) -> list[nn.Module]:
            return [nn.ReflectionPad2d(side // 2), nn.Conv2d(inputs, outputs, side, bias=bias)]

        def then(channels: int) -> list[nn.Module]:
            return [norm(normed, channels), nn.ReLU()]

        self.before = nn.Sequential(
            *(*conv(sources + latent, n, 7), *then(n)),
            *(nn.Conv2d(n, 2 * n, 3, 2, 1, bias=bias), *then(2 * n)),
            *(nn.Conv2d(2 * n, 4 * n, 3, 2, 1, bias=bias), *then(4 * n)),
        )
        self.one = nn.ModuleList(nn.Sequential(*conv(4 * n, 4 * n, 3), *then(4 * n)) for _ in range(blocks))
        self.two = nn.ModuleList(nn.Sequential(*conv(4 * n, 4 * n, 3), norm(normed, 4 * n)) for _ in range(blocks))
        self.after = nn.Sequential(
            *(nn.ConvTranspose2d(4 * n, 2 * n, 3, 2, 1, 1, bias=bias), *then(2 * n)),
            *(nn.ConvTranspose2d(2 * n, n, 3, 2, 1, 1, bias=bias), *then(n)),
            *(nn.ReflectionPad2d(3), nn.Conv2d(n, channels, 7)),
        )
        self._shapes = [(4 * n, size // 4, size // 4)] * blocks

    def translate(self, x: Tensor, draws: Draws) -> Tensor:
        x = self.before(x)
        for i in range(len(self.one)):
            x = self.block(i, x, draws[i] if draws else None)
        translated: Tensor = self.after(x)
        return translated

    def block(self, i: int, x: Tensor, mask: Tensor | None) -> Tensor:
        h = self.one[i](x)
        changed: Tensor = x + self.two[i](h if mask is None else h * mask.to(h.dtype))
        return changed


class SRResNet(Translator):
    """`source`: the side of sources, any. `blocks`: 0 or more."""

    def __init__(
        self,
        size: int,
        sources: int,
        channels: int,
        *,
        source: int,
        filters: int,
        blocks: int,
        normed: str = "batch",
        dropout: float = 0.0,
        latent: int = 0,
    ) -> None:
        shuffles = doublings_from(source, size)
        side = size >> shuffles
        super().__init__(size, latent, dropout, side)
        n, bias = filters, normed in ("none", "instance")

        def conv() -> list[nn.Module]:
            return [nn.Conv2d(n, n, 3, padding=1, bias=bias), norm(normed, n)]

        self.before = nn.Sequential(nn.Conv2d(sources + latent, n, 9, padding=4), PReLU())
        self.one = nn.ModuleList(nn.Sequential(*conv(), PReLU()) for _ in range(blocks))
        self.two = nn.ModuleList(nn.Sequential(*conv()) for _ in range(blocks))
        self.joined = nn.Sequential(*conv())
        self.up = nn.Sequential(
            *(layer for _ in range(shuffles) for layer in (Upsample("pixel_shuffle", n, n, 3), PReLU()))
        )
        self.after = nn.Conv2d(n, channels, 9, padding=4)
        self._shapes = [(n, side, side)] * blocks

    def translate(self, x: Tensor, draws: Draws) -> Tensor:
        x = first = self.before(x)
        for i, (one, two) in enumerate(zip(self.one, self.two, strict=True)):
            h = one(x)
            x = x + two(h * draws[i].to(h.dtype) if draws else h)
        translated: Tensor = self.after(self.up(first + self.joined(x)))
        return translated


def doublings_from(source: int, size: int) -> int:
    """How often a side at least as large as the source's doubles to get to an image's."""
    shuffles = 0
    while size % 2 ** (shuffles + 1) == 0 and source << (shuffles + 1) <= size:
        shuffles += 1
    return shuffles
