"""Frechet distance between two sets of features (FID: Heusel et al. 2017, arXiv:1706.08500).

    FID = |m1 - m2|^2 + tr(S1) + tr(S2) - 2 tr((S1 S2)^1/2)

for means m and covariances S. tr((S1 S2)^1/2) is the sum of the square roots of the eigenvalues of the
symmetric S1^1/2 S2 S1^1/2, which are real and not negative: no root of an asymmetric matrix is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Moments:
    """`n` features' `mean` (d,) and unbiased `covariance` (d, d), float64 on the CPU."""

    n: int
    mean: Tensor
    covariance: Tensor

    @classmethod
    def of(cls, features: Tensor) -> Self:
        """From features (n, d), n >= 2."""
        if len(features) < 2:
            raise ValueError(f"a covariance needs at least 2 features, not {len(features)}")
        features = features.double()
        mean = features.mean(0)
        centred = features - mean
        covariance = centred.T @ centred / (len(features) - 1)
        return cls(len(features), mean.cpu(), covariance.cpu())

    @cached_property
    def root(self) -> Tensor:
        """The symmetric square root of the covariance, computed once."""
        values, vectors = torch.linalg.eigh(self.covariance)
        root: Tensor = vectors * values.clamp(min=0).sqrt() @ vectors.T
        return root


def frechet_distance(a: Moments, b: Moments) -> float:
    """The squared Frechet distance, >= 0, of the Gaussians with these moments.

    Symmetric, but `a.root` is computed once and kept: put the reference first.
    """
    product = a.root @ b.covariance @ a.root
    values = torch.linalg.eigvalsh((product + product.T) / 2).clamp(min=0)
    distance = (a.mean - b.mean).square().sum() + a.covariance.trace() + b.covariance.trace()
    return float((distance - 2 * values.sqrt().sum()).clamp(min=0))
