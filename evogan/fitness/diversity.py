"""What one distance does not tell: classes that are missing, samples that are alike, samples that are copies.

From features of generated images, of training images and of held-out ones. With p and q the shares of the classes that
the feature network sees in training and in generated images, S their covariances, F, R and H random subsets of
generated, training and held-out images, and d(x, T) the distance of x to the nearest training image:

    class_distance  1/2 sum |p - q|, the total variation distance; 0 is best
    coverage        the share of the data's classes of which q has at least a tenth of p
    diversity       tr S_fake / tr S_real
    collision       (c(F) - c(R)) / (1 - c(R)), c(A) being the mean over pairs in A of exp(-|x - y|^2 / w^2)
                    for w^2 = tr S_real / 16; of one image alone 1, of real images 0
    memorisation    the 10 % quantile of d(f, T) over F, over that of d(h, T) over H; of copies 0, of unseen images 1

The data's classes are those with a tenth of an even share or more.

c is the chance that two samples are the same image, softly: the birthday paradox test of Arora and Zhang (2018,
arXiv:1706.08224) without an eye that judges, estimated without bias from any number of samples. 1 / c is Simpson's
effective number of different images. The scale w is the data's, a little less than real images keep from the nearest of
500, so c falls with every distance between samples. `collision` is what is beyond chance, as in Cohen's kappa; what is
more varied than real images is below 0 by no more than c(R).

The quantile of the distances to training images is low, since T is at most `TRAINING` of them: what copies the others
cannot be seen. Where the held-out images are themselves copies of training images, `memorisation` is not measured.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from evogan.fitness.features import Features

SUBSET = 500
TRAINING = 16_384  # 4 MB of 64 features
SAME = 0.25  # of the root of the data's variance: the distance at which two images are hardly the same any more
COPY = 1e-3  # the same, below which a distance is rounding
NEAREST = 0.1  # quantile of samples whose distance to the training images counts
SHARE = 0.1  # of its share, below which a class is lost


class Diversity:
    """Compares samples with `real` and `held_out` features (n, d), drawing subsets from `rng`. Small when pickled."""

    def __init__(self, network: Features, real: Tensor, held_out: Tensor, rng: torch.Generator) -> None:
        self._variance = _variance(real)
        self._collision = self._same(_draw(real, SUBSET, rng))
        self._training = _draw(real, TRAINING, rng)
        self._unseen = float(_to_nearest(_draw(held_out, SUBSET, rng), self._training).quantile(NEAREST))
        self._classes = _classes(network, real)

    def measure(self, network: Features, fake: Tensor) -> dict[str, float]:
        """What can be measured of features (n, d) of independent samples; the first two take a network with classes."""
        found = {}
        p, q = self._classes, _classes(network, fake)
        if p is not None and q is not None:
            theirs = p >= SHARE / len(p)
            found["class_distance"] = float((p - q).abs().sum() / 2)
            found["coverage"] = float((q >= SHARE * p)[theirs].double().mean())
        subset = fake[:SUBSET].cpu()
        found["diversity"] = _variance(fake) / self._variance
        found["collision"] = (self._same(subset) - self._collision) / (1 - self._collision)
        if self._unseen > COPY * math.sqrt(self._variance):
            found["memorisation"] = float(_to_nearest(subset, self._training).quantile(NEAREST)) / self._unseen
        return found

    def _same(self, features: Tensor) -> float:
        """The chance that two of them are the same."""
        squares = torch.pdist(features.double()).square()
        return float(squares.div(-(SAME**2) * self._variance).exp().mean())


def _draw(features: Tensor, n: int, rng: torch.Generator) -> Tensor:
    """At most n of them."""
    return features[torch.randperm(len(features), generator=rng)[:n]].cpu()


def _variance(features: Tensor) -> float:
    """The trace of the covariance."""
    return float(features.double().var(0).sum())


def _classes(network: Features, features: Tensor) -> Tensor | None:
    """The share of each class."""
    if not network.classes:
        return None
    with torch.no_grad():
        logits = network.classify(features)
    assert logits is not None
    return torch.bincount(logits.argmax(1).cpu(), minlength=network.classes).double() / len(logits)


def _to_nearest(features: Tensor, others: Tensor) -> Tensor:
    """The distance of each to the nearest of the others, in float64: copies are at 0, but for rounding."""
    return torch.cdist(features.double(), others.double()).amin(1)
