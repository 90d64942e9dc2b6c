"""What one distance does not tell: classes that are missing, samples that are alike, samples that are copies.

From features of generated images, of training images and of held-out ones. With p and q the shares of the classes that
the feature network sees in training and in generated images, S their covariances, d(x, A) the distance of x to the
nearest (other) member of A, and F, R, H random subsets of all three, as large as each other:

    class_distance  1/2 sum |p - q|, the total variation distance; 0 is best
    coverage        the share of the data's classes of which q has at least a tenth of p
    diversity       tr S_fake / tr S_real
    duplicates      the share of f in F with d(f, F) / sqrt(tr S_fake) at most the 1 % quantile, over R, of
                    d(r, R) / sqrt(tr S_real)
    memorisation    the 10 % quantile of d(f, T) over F, over that of d(h, T) over H, T being the training images; of
                    copies 0, of unseen real images 1

The data's classes are those with a tenth of an even share or more. Duplicates are measured by the samples' own spread:
pale or unfinished samples lie close together, but no closer to some than to others. The quantile of the distances to
training images is low, since T is at most `TRAINING` of them: what copies the others cannot be seen.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from evogan.fitness.features import FeatureNet, Features

SUBSET = 500
TRAINING = 16_384  # 4 MB of 64 features
SAME = 0.01  # quantile of real images' distances up to which two are the same
NEAREST = 0.1  # quantile of samples whose distance to the training images counts
SHARE = 0.1  # of its share, below which a class is lost


class Diversity:
    """Compares samples with `real` and `held_out` features (n, d), drawing subsets from `rng`. Small when pickled."""

    def __init__(self, network: Features, real: Tensor, held_out: Tensor, rng: torch.Generator) -> None:
        self._variance = _variance(real)
        nearest = _to_nearest_other(_draw(real, SUBSET, rng))
        self._same = float(nearest.quantile(SAME)) / math.sqrt(self._variance)
        self._training = _draw(real, TRAINING, rng)
        self._unseen = float(_to_nearest(_draw(held_out, SUBSET, rng), self._training).quantile(NEAREST))
        self._classes = _classes(network, real)

    def measure(self, network: Features, fake: Tensor) -> dict[str, float]:
        """All of the above, of features (n, d) of independent samples; the first two where the network has classes."""
        found = {}
        p, q = self._classes, _classes(network, fake)
        if p is not None and q is not None:
            theirs = p >= SHARE / len(p)
            found["class_distance"] = float((p - q).abs().sum() / 2)
            found["coverage"] = float((q >= SHARE * p)[theirs].double().mean())
        subset, variance = fake[:SUBSET].cpu(), _variance(fake)
        same = _to_nearest_other(subset) <= self._same * math.sqrt(variance)
        return found | {
            "diversity": variance / self._variance,
            "duplicates": float(same.double().mean()),
            "memorisation": float(_to_nearest(subset, self._training).quantile(NEAREST)) / self._unseen,
        }


def _draw(features: Tensor, n: int, rng: torch.Generator) -> Tensor:
    """At most n of them."""
    return features[torch.randperm(len(features), generator=rng)[:n]].cpu()


def _variance(features: Tensor) -> float:
    """The trace of the covariance."""
    return float(features.double().var(0).sum())


def _classes(network: Features, features: Tensor) -> Tensor | None:
    """The share of each class."""
    if not isinstance(network, FeatureNet):
        return None
    with torch.no_grad():
        seen = network.head(features).argmax(1).cpu()
    return torch.bincount(seen, minlength=network.record.classes).double() / len(seen)


def _to_nearest(features: Tensor, others: Tensor) -> Tensor:
    """The distance of each to the nearest of the others, in float64: copies are at 0."""
    return torch.cdist(features.double(), others.double()).amin(1)


def _to_nearest_other(features: Tensor) -> Tensor:
    return torch.cdist(features.double(), features.double()).fill_diagonal_(torch.inf).amin(1)
