"""Precision and recall of manifolds (Kynkaanniemi et al. 2019, arXiv:1904.06991).

The manifold of a set of features is estimated as the union of balls, one around each, as far as its k-th nearest
neighbour in the set:

    manifold_precision  share of generated images within the manifold of the real ones
    manifold_recall     share of real images within the manifold of the generated ones

for k = 3, over at most `PART` images each: with their number both rise and fall, so it is part of what they mean. An
image that occurs k + 1 times or more has no ball: what is as near as its copies, but for rounding, is within it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from evogan.fitness.diversity import COPY

NEIGHBOURS = 3
PART = 1000


class Manifold:
    """Compares samples with a random part of `real` features (n, d). Small when pickled."""

    def __init__(self, real: Tensor, rng: torch.Generator) -> None:
        self._real = real[torch.randperm(len(real), generator=rng)[:PART]].cpu()
        self._least = COPY * float(self._real.double().var(0, correction=0).sum().sqrt())
        self._radii = radii(self._real.double(), self._least)

    def measure(self, network: object, fake: Tensor) -> dict[str, float]:
        """Of features (n, d) of independent samples."""
        fake = fake[:PART].double().cpu()
        apart = torch.cdist(fake, self._real.double())
        return {
            "manifold_precision": share_within(apart, self._radii),
            "manifold_recall": share_within(apart.T, radii(fake, self._least)),
        }


def radii(features: Tensor, least: float) -> Tensor:
    """How far each keeps from its `NEIGHBOURS`th nearest of the others, or from the farthest; itself is one more."""
    nearest = torch.cdist(features, features).topk(min(NEIGHBOURS + 1, len(features)), largest=False)
    return nearest.values[:, -1].clamp(min=least)


def share_within(apart: Tensor, radii: Tensor) -> float:
    """Of the rows, those that lie in the ball of some column."""
    return float((apart <= radii).any(1).double().mean())
