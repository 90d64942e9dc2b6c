"""The Laplacian pyramid: Burt and Adelson, IEEE Transactions on Communications 31 (1983). With w = [1 4 6 4 1]/16,

    reduce  g(i, j) = sum_mn w_m w_n f(2i + m, 2j + n)       beyond the edge is what lies at it
    expand  pixels at the even places, 0 elsewhere, smoothed by 2w in both directions

An image is its reduction, expanded, and the residual that is left: exactly, whatever w.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from evogan.zoo.layers import precise

WEIGHTS = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)  # of m = -2 .. 2
LEAST = 4  # side of the smallest images


def reduce(images: Tensor) -> Tensor:
    """(N, C, H, H) -> (N, C, H/2, H/2), of an even side."""
    return _reduced(_reduced(precise(images)).mT).mT


def expand(images: Tensor) -> Tensor:
    """(N, C, H, H) -> (N, C, 2H, 2H)."""
    return _expanded(_expanded(precise(images)).mT).mT


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


def _reduced(x: Tensor) -> Tensor:
    """Its last axis, halved."""
    first, last, side = x[..., :1], x[..., -1:], x.shape[-1]
    wide = torch.cat([first, first, x, last, last], -1)
    found: Tensor = sum(
        (weight * wide[..., m : m + side : 2] for m, weight in enumerate(WEIGHTS)), start=x.new_zeros(())
    )
    return found


def _expanded(x: Tensor) -> Tensor:
    """Its last axis, doubled: at even places meet three of 2w, at odd ones two."""
    before, after = torch.cat([x[..., :1], x[..., :-1]], -1), torch.cat([x[..., 1:], x[..., -1:]], -1)
    edge, between, middle = (2 * weight for weight in WEIGHTS[:3])
    even, odd = edge * (before + after) + middle * x, between * (x + after)
    return torch.stack([even, odd], -1).flatten(-2)
