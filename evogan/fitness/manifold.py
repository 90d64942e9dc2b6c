"""Precision and recall of manifolds (Kynkaanniemi et al. 2019, arXiv:1904.06991).

The manifold of a set of features is estimated as the union of balls, one around each, as far as its k-th nearest
neighbour in the set:

    manifold_precision  share of generated images within the manifold of the real ones
    manifold_recall     share of real images within the manifold of the generated ones

for k = 3 and as many random training images as generated ones, at most `PART`: with n both rise and fall, so it is part
of what they mean.
"""

from __future__ import annotations

import torch
from torch import Tensor

NEIGHBOURS = 3
PART = 1000


class Manifold:
    """Compares samples with a random part of `real` features (n, d). Small when pickled."""

    def __init__(self, real: Tensor, rng: torch.Generator) -> None:
        self._real = real[torch.randperm(len(real), generator=rng)[:PART]].cpu()

    def measure(self, network: object, fake: Tensor) -> dict[str, float]:
        """Of features (n, d) of independent samples; nothing of fewer than there are neighbours."""
        n = min(len(fake), len(self._real))
        if n <= NEIGHBOURS:
            return {}
        precision, recall = precision_recall(self._real[:n], fake[:n].cpu())
        return {"manifold_precision": precision, "manifold_recall": recall}


def precision_recall(real: Tensor, fake: Tensor, k: int = NEIGHBOURS) -> tuple[float, float]:
    """Of features (n, d) and (m, d), n and m > k, in float64: copies are within, but for rounding."""
    real, fake = real.double(), fake.double()
    apart = torch.cdist(fake, real)
    return _share_within(apart, _radii(real, k)), _share_within(apart.T, _radii(fake, k))


def _radii(features: Tensor, k: int) -> Tensor:
    """How far each keeps from its k-th nearest of the others: itself, at 0, is the first of k + 1."""
    return torch.cdist(features, features).kthvalue(k + 1).values


def _share_within(apart: Tensor, radii: Tensor) -> float:
    """Of the rows, those that lie in the ball of some column."""
    return float((apart <= radii).any(1).double().mean())
