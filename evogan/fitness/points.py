"""How samples in the plane lie beside points: judged by their own coordinates, no network between.

    w1            W1 distance of as many samples and points, the cost of the best one-to-one assignment (Kuhn 1955)
    kl            KL(points || samples) of counts on a grid, half a count in every cell more (Krichevsky, Trofimov)
    js            the Jensen-Shannon divergence of the same two, in nats: at most log 2
    modes         Gaussians of the data with a sample within 3 standard deviations
    high_quality  share of samples within 3 standard deviations of one (Srivastava et al., arXiv:1705.07761)

Distances are in units of the points' own spread: their root mean square from the mean, a coordinate. The last two are
of data that are known to be Gaussians.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from evogan.data import Dataset
from evogan.data.dataset import Plane
from evogan.fitness.features import Features

ASSIGNED = 500  # samples, and as many points: of twice as many it takes ten times as long
CELLS, MARGIN = 32, 0.25  # of the grid along each side; beyond the points, as a share of what they span
NEAR = 3.0  # standard deviations

Coordinates = npt.NDArray[np.float64]  # (N, 2)


class PlaneFeatures(Features):
    """The coordinates themselves."""

    name, dim, bounded = "coordinates", 2, False

    def __init__(self, dataset: Dataset) -> None:
        super().__init__()
        judge, held_out = PlaneMeasures(dataset, len(dataset.images)), torch.from_numpy(dataset.held_out)
        self._floor = judge.measure(held_out) | {"n": len(held_out)}

    @property
    def id(self) -> str:
        return self.name

    def describe(self) -> str:
        floor = self._floor
        said = f"W1 is {floor['w1']:.2g} and JS {floor['js']:.2g}"
        return f"their coordinates; of {floor['n']:,} held-out points {said}, of more samples less"

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1).float()


class PlaneMeasures:
    """All of the above, of `n` samples (n, 2, 1, 1) as networks make them, against the points of a data set."""

    def __init__(self, dataset: Dataset, n: int) -> None:
        assert dataset.plane is not None
        points = _flat(torch.from_numpy(dataset.images))
        low, high = points.min(0), points.max(0)
        span = np.maximum(high - low, 1e-12)
        self.n = n
        self._edges = [
            np.linspace(a - MARGIN * s, b + MARGIN * s, CELLS + 1) for a, b, s in zip(low, high, span, strict=True)
        ]
        self._counts = self._counted(points)
        self._known = points[:ASSIGNED]
        self._modes, self._near = _modes(dataset.plane)

    def measure(self, samples: Tensor) -> dict[str, float]:
        from scipy.spatial.distance import cdist  # takes half a second

        made = _flat(samples)
        p, q = (_smoothed(counts) for counts in (self._counts, self._counted(made)))
        found = {
            "w1": w1(self._known, made),
            "kl": kl(p, q),
            "js": (kl(p, (p + q) / 2) + kl(q, (p + q) / 2)) / 2,
        }
        if self._modes is None:
            return found
        apart = cdist(made, self._modes)
        near = apart.min(1) <= self._near
        covered = len(np.unique(apart.argmin(1)[near]))
        return found | {"modes": float(covered), "high_quality": float(near.mean())}

    def _counted(self, points: Coordinates) -> npt.NDArray[np.float64]:
        """In every cell of the grid, and outside."""
        inside = np.histogram2d(points[:, 0], points[:, 1], bins=self._edges)[0].ravel()
        return np.append(inside, len(points) - inside.sum())


def w1(one: Coordinates, other: Coordinates) -> float:
    """Of the first points of each, as many, at most `ASSIGNED`."""
    from scipy.optimize import linear_sum_assignment  # takes half a second
    from scipy.spatial.distance import cdist

    n = min(len(one), len(other), ASSIGNED)
    cost = cdist(one[:n], other[:n])
    return float(cost[linear_sum_assignment(cost)].mean())


def kl(p: npt.NDArray[np.float64], q: npt.NDArray[np.float64]) -> float:
    """In nats, of positive probabilities."""
    return float((p * np.log(p / q)).sum())


def _smoothed(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    more = counts + 0.5
    smoothed: npt.NDArray[np.float64] = more / more.sum()
    return smoothed


def _modes(plane: Plane) -> tuple[Coordinates | None, float]:
    """Their centres as networks are shown them, and how near is near."""
    if plane.modes is None or plane.spread is None:
        return None, 0.0
    return plane.inside(plane.modes)[:, :, 0, 0].astype(np.float64), NEAR * plane.spread / plane.scale


def _flat(points: Tensor) -> Coordinates:
    flat: Coordinates = points.flatten(1).double().cpu().numpy()
    return flat
