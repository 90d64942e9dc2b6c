"""Pretext tasks: what a network can learn from images alone, so that its last hidden layer tells them apart.

    classes    the label of an image, where there are labels: no pretext
    attributes what else is true of it, where the data say so beside its label
    clusters   to which of k clusters an image belongs (k-means on the principal components of the pixels, each of
               variance 1: as they are, those of light and colour would decide alone)
    rotation   by which of four right angles it was turned (Gidaris, Singh and Komodakis 2018, arXiv:1803.07728)

Several tasks are heads on one trunk; the loss is the sum of theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from evogan.caller import undrawn
from evogan.fitness.features import to_unit_range

CLUSTERED = 10_000  # images that clusters are found in
FAINT = 1e-4  # of the largest variance of a component: what has less is rounding, and stays small

Examples = tuple[Tensor, Tensor]  # images (n, C, H, W) in [-1, 1], and what is to be said of each (n,)


@dataclass(frozen=True)
class Pretraining:
    """What a network learns, and for how long.

    `tasks`: of `TASKS`. `side`: images that are larger are made so small, in pixels. `images`: at most so many, drawn
    at random, are learned from. `passes`: so many are shown in all, but none more often than `epochs` times.
    `clusters` and `components` are those of the task of that name; of few images there are fewer.
    """

    tasks: tuple[str, ...]
    side: int = 32
    images: int = 20_000
    passes: int = 60_000
    epochs: int = 60
    clusters: int = 30
    components: int = 50


WITH_LABELS = Pretraining(("classes",), images=60_000, passes=180_000)
WITHOUT_LABELS = Pretraining(("clusters", "rotation"))


class Task(Protocol):
    """`title`: in words. `outputs`: of its head. It makes examples of a batch, with its labels (n,) if there are any.

    Images that are the batch's themselves pass the trunk once for all tasks.
    """

    @property
    def title(self) -> str: ...

    @property
    def outputs(self) -> int: ...

    def examples(self, images: Tensor, labels: Tensor | None, rng: torch.Generator) -> Examples: ...


@dataclass(frozen=True)
class Classes:
    outputs: int
    title: str = "classes"

    def examples(self, images: Tensor, labels: Tensor | None, rng: torch.Generator) -> Examples:
        assert labels is not None
        return images, labels


@dataclass(frozen=True)
class Rotation:
    outputs: int = 4
    title: str = "rotation"

    def examples(self, images: Tensor, labels: Tensor | None, rng: torch.Generator) -> Examples:
        """A quarter of the batch by each angle."""
        turned = [torch.rot90(images[angle::4], angle, (2, 3)) for angle in range(4)]
        angles = [torch.full((len(part),), angle) for angle, part in enumerate(turned)]
        return torch.cat(turned), torch.cat(angles)


@dataclass(frozen=True, eq=False)
class Clusters:
    """Centres (k, d) in the space of the `components` (d, C H W) of pixels about their `mean`, each of variance 1."""

    mean: Tensor
    components: Tensor
    centres: Tensor
    title: str

    @property
    def outputs(self) -> int:
        return len(self.centres)

    @classmethod
    def of(cls, images: Tensor, k: int, dim: int, seed: int) -> Clusters:
        with undrawn():
            from sklearn.cluster import KMeans
            from sklearn.decomposition import PCA
        from threadpoolctl import threadpool_limits

        pixels = images.flatten(1).numpy()
        dim = min(dim, *pixels.shape)
        with threadpool_limits(1):  # several add up in the order in which they end
            space = PCA(dim, svd_solver="randomized", random_state=seed).fit(pixels)
            variance = space.explained_variance_
            scale = np.sqrt(np.maximum(variance, FAINT * variance.max() + 1e-12)).astype(pixels.dtype)
            found = KMeans(min(k, len(pixels) // 10), n_init=3, random_state=seed).fit(space.transform(pixels) / scale)
        axes, centres = space.components_ / scale[:, None], found.cluster_centers_
        mean, axes, centres = map(torch.tensor, (space.mean_, axes, centres))
        return cls(mean, axes, centres, f"{len(centres)} clusters")

    def examples(self, images: Tensor, labels: Tensor | None, rng: torch.Generator) -> Examples:
        at = (images.flatten(1) - self.mean) @ self.components.T
        return images, torch.cdist(at, self.centres).argmin(1)


@dataclass(frozen=True)
class Column:
    """Of labels (n, K)."""

    column: int
    outputs: int
    title: str = "attributes"

    def examples(self, images: Tensor, labels: Tensor | None, rng: torch.Generator) -> Examples:
        assert labels is not None
        return images, labels[:, self.column]


def _classes(images: Tensor, labels: Tensor | None, plan: Pretraining, seed: int) -> Task:
    assert labels is not None
    return Classes(int(labels.max()) + 1)


def _clusters(images: Tensor, labels: Tensor | None, plan: Pretraining, seed: int) -> Task:
    return Clusters.of(to_unit_range(images[:CLUSTERED]), plan.clusters, plan.components, seed)


def _rotation(images: Tensor, labels: Tensor | None, plan: Pretraining, seed: int) -> Task:
    return Rotation()


# makes a task of images, uint8 (N, C, H, W), in random order, with their labels (N,) if there are any
TASKS: dict[str, Callable[[Tensor, Tensor | None, Pretraining, int], Task]] = {
    "classes": _classes,
    "clusters": _clusters,
    "rotation": _rotation,
}
