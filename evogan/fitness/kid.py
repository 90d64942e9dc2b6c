"""Kernel distance between two sets of features (KID: Binkowski et al. 2018, arXiv:1801.01401).

The unbiased estimate of MMD^2 for the kernel k(x, y) = (x.y/d + 1)^3:

    KID = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j)

over all pairs, where the paper averages random subsets of 1,000: the same expectation, less variance. The
kernel is a polynomial, so for narrow features the sum over n m pairs follows from sums over n and over m:

    sum_{i,j} k(x_i, y_j) = sum_{p=0..3} binomial(3, p) d^-p <sum_i x_i^(tensor p), sum_j y_j^(tensor p)>

For wide features, whose third power would be too large, the pairs are visited block by block.
"""

from __future__ import annotations

from functools import cached_property
from math import comb

import torch
from torch import Tensor

NARROW = 128  # features: a third power of 128^3 numbers is 17 MB
BLOCK = 4096  # features at a time, which stay in the caches


class KernelSample:
    """Features (n, d), n >= 2, as the sums that KID needs of them, float64 on the CPU."""

    def __init__(self, features: Tensor) -> None:
        if len(features) < 2:
            raise ValueError(f"KID needs at least 2 features, not {len(features)}")
        self.n, self.d = features.shape
        features = features.double()
        self.diagonal = float(_kernel(features.square().sum(1) / self.d).sum())
        self.powers = _powers(features) if self.d <= NARROW else None
        self.blocks = () if self.powers else features.cpu().split(BLOCK)

    @cached_property
    def own(self) -> float:
        """The mean of k over all pairs of two different features."""
        return (self.total(self) - self.diagonal) / (self.n * (self.n - 1))

    def total(self, other: KernelSample) -> float:
        """The sum of k over all pairs of a feature of this sample and one of the other."""
        if self.powers is not None and other.powers is not None:
            inner = [float(a @ b) for a, b in zip(self.powers, other.powers, strict=True)]
            return float(sum(comb(3, power) * inner[power] / self.d**power for power in range(4)))
        total = 0.0
        for x in self.blocks:
            for y in other.blocks:
                total += float(_kernel(x @ y.T / self.d).sum())
        return total


def kernel_distance(a: KernelSample, b: KernelSample) -> float:
    """KID; unbiased, so it may lie a little below 0 where the two samples are alike."""
    return a.own + b.own - 2 * a.total(b) / (a.n * b.n)


def _kernel(product: Tensor) -> Tensor:
    return (product + 1) ** 3


def _powers(features: Tensor) -> tuple[Tensor, ...]:
    """Sums of the tensor powers 0..3 of the features, flat; inner products are those of the whole tensors."""
    parts = [_powers_of_few(part) for part in features.split(BLOCK)]
    return tuple(torch.stack(power).sum(0).cpu() for power in zip(*parts, strict=True))


def _powers_of_few(features: Tensor) -> tuple[Tensor, ...]:
    """The third costs the most and is symmetric: one entry stands for its equals, times the root of their number."""
    rows = features.T.contiguous()
    third = []
    for i, row in enumerate(rows):  # sum_n x_i x_j x_k for j, k >= i
        part = (rows[i:] * row) @ features[:, i:]
        equals = torch.full_like(part, 3.0)  # i is first, second or third; jk and kj are both here
        equals[0] = equals[:, 0] = 1.5  # iik, iki, kii, of which two are here
        equals[0, 0] = 1.0
        third.append((part * equals.sqrt()).flatten())
    zeroth = features.new_full((1,), len(features))
    return zeroth, features.sum(0), (rows @ features).flatten(), torch.cat(third)
