"""Sliced Wasserstein distance of patches, level by level (Karras et al. 2018, arXiv:1710.10196, section 5).

Images are split into the levels of a Laplacian pyramid (Burt and Adelson 1983): what a level has beyond the next, half
as large. From each level come random patches of 7x7, standardised per channel over all images; u are random directions:

    swd = 1000 mean_level mean_u mean_i |sort(u.x)_i - sort(u.y)_i|

As published, but for their numbers (2,048 patches, of as many images, and 128 directions; not 2 million and 512) and
for levels of at least 14 pixels, not 16: of small images the finest alone. What is left at the coarsest tells of the
large structure, the finest of texture and noise.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

PATCH = 7
PATCHES, DIRECTIONS = 2048, 128
COARSEST = 14  # pixels a side
FLAT = 1e-6  # standard deviation of a channel's patches, below which it is rounding


class SlicedWasserstein:
    """Compares as many images with `real` ones (n, C, H, W) in [-1, 1]. Pickled it has a sorted sample, no images."""

    def __init__(self, real: Tensor, rng: torch.Generator) -> None:
        self.n, channels, *side = real.shape
        levels = list(pyramid(real))
        each = -(-PATCHES // self.n)
        size = min(PATCH, *side)
        self._corners = [
            torch.stack([torch.randint(s - size + 1, (self.n * each,), generator=rng) for s in level.shape[2:]])
            for level in levels
        ]
        directions = torch.randn(channels * size**2, DIRECTIONS, generator=rng)
        self._size, self._directions = size, directions / directions.norm(dim=0)
        self._real = self._projected(levels)

    def distance(self, fake: Tensor) -> float:
        """Of images (n, C, H, W) in [-1, 1], >= 0."""
        pairs = zip(self._real, self._projected(list(pyramid(fake))), strict=True)
        return 1000 * float(torch.stack([(real - fake).abs().double().mean() for real, fake in pairs]).mean())

    def _projected(self, levels: list[Tensor]) -> list[Tensor]:
        """Of each level the patches along each direction, sorted."""
        found = []
        for level, (top, left) in zip(levels, self._corners, strict=True):
            patches = level.unfold(2, self._size, 1).unfold(3, self._size, 1)
            image = torch.arange(len(top)) % self.n
            picked = standardised(patches[image, :, top, left])
            found.append((picked.flatten(1) @ self._directions).sort(0).values)
        return found


def pyramid(images: Tensor) -> list[Tensor]:
    """The levels of images (N, C, H, W), the finest first: their sum, blown up, is the images."""
    levels = [images.float()]
    while min(levels[-1].shape[2:]) >= 2 * COARSEST:
        fine = levels.pop()
        coarse = _blurred(fine)[:, :, ::2, ::2]
        spread = fine.new_zeros(fine.shape)
        spread[:, :, ::2, ::2] = coarse
        levels += [fine - 4 * _blurred(spread), coarse]
    return levels


def standardised(patches: Tensor) -> Tensor:
    """(N, C, h, w), over each channel."""
    centred = patches - patches.mean((0, 2, 3), keepdim=True)
    return centred / centred.square().mean((0, 2, 3), keepdim=True).sqrt().clamp(min=FLAT)


def _blurred(images: Tensor) -> Tensor:
    """By Burt and Adelson's filter, 1 4 6 4 1 along rows and columns; mirrored at the border."""
    for axis, sides in ((2, [0, 0, 2, 2]), (3, [2, 2, 0, 0])):
        padded, size = functional.pad(images, sides, mode="reflect"), images.shape[axis]
        a, b, c, d, e = (padded.narrow(axis, start, size) for start in range(5))  # faster than a convolution
        images = (a + e + 4 * (b + d) + 6 * c) / 16
    return images
