"""The Laplacian pyramid: Burt and Adelson, IEEE Transactions on Communications 31 (1983). With w = [1 4 6 4 1]/16,

    reduce  g(i, j) = sum_mn w_m w_n f(2i + m, 2j + n)       beyond the edge is what lies at it
    expand  pixels at the even places, 0 elsewhere, smoothed by 2w in both directions

An image is its reduction, expanded, and the residual that is left: exactly, whatever w. Both are products with a matrix
from the left and from the right, which a stack of GANs can map as it maps every other.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from evogan.zoo.layers import precise

WEIGHTS = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)  # of m = -2 .. 2
LEAST = 4  # side of the smallest images


def reduce(images: Tensor) -> Tensor:
    """(N, C, H, H) -> (N, C, H/2, H/2), of an even side."""
    return _both_ways(_reduction(images.shape[-1], images.device), images)


def expand(images: Tensor) -> Tensor:
    """(N, C, H, H) -> (N, C, 2H, 2H)."""
    return _both_ways(_expansion(images.shape[-1], images.device), images)


def low_passes(images: Tensor, levels: int) -> list[Tensor]:
    """The images themselves last, before them their reductions."""
    found = [images]
    for _ in range(levels - 1):
        found.insert(0, reduce(found[0]))
    return found


def residuals(images: Tensor, levels: int) -> list[Tensor]:
    """The smallest reduction, and of each next one what its expansion lacks: `rebuilt` makes the images of them."""
    found = low_passes(images, levels)
    return [found[0], *(large - expand(small) for small, large in itertools.pairwise(found))]


def rebuilt(parts: Sequence[Tensor]) -> Tensor:
    images = parts[0]
    for residual in parts[1:]:
        images = expand(images) + residual
    return images


def sides(size: int, levels: int) -> list[int]:
    """Of as many levels, or as many as there are of even sides down to `LEAST`; that of the images last."""
    found = [size]
    while len(found) < levels and found[0] % 2 == 0 and found[0] // 2 >= LEAST:
        found.insert(0, found[0] // 2)
    return found


def _both_ways(matrix: Tensor, images: Tensor) -> Tensor:
    with torch.autocast(images.device.type, enabled=False):
        x = precise(images)
        matrix = matrix.to(x.dtype)
        return matrix @ x @ matrix.mT


@lru_cache(maxsize=64)
def _reduction(side: int, device: torch.device) -> Tensor:
    """(side/2, side)"""
    matrix = torch.zeros(side // 2, side, dtype=torch.float64)
    for i in range(side // 2):
        for m, weight in enumerate(WEIGHTS, -2):
            matrix[i, min(max(2 * i + m, 0), side - 1)] += weight
    return matrix.to(device)


@lru_cache(maxsize=64)
def _expansion(side: int, device: torch.device) -> Tensor:
    """(2 side, side)"""
    matrix = torch.zeros(2 * side, side, dtype=torch.float64)
    for i in range(2 * side):
        for m, weight in enumerate(WEIGHTS, -2):
            if (i + m) % 2 == 0:
                matrix[i, min(max((i + m) // 2, 0), side - 1)] += 2 * weight
    return matrix.to(device)
