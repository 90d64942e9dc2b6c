"""Several objectives as one number: how much of the hypervolume a front lacks of what all runs together found.

The hypervolume of a set of points is the volume that they dominate up to a reference point (Zitzler and Thiele, IEEE
Transactions on Evolutionary Computation 3, 1999). Objectives are minimised, and scaled so that the front of the union
of all runs spans from 0, the ideal, to 1, the nadir; the reference point is 1.1 in each, so that the ends of a front
count too. Of more than `EXACT` objectives it is approximated, to some thousandths, by moocore (Deng and Zhang, IEEE
Transactions on Evolutionary Computation 23, 2019, with points of a lattice): to be exact takes minutes, and then days.

    lacking(A) = 1 - hypervolume(A) / hypervolume(the union)       0: all that any run found; 1: nothing up to there
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import moocore
import numpy as np
import numpy.typing as npt
import pandas as pd

from evogan.comparison.statistics import Against, costs
from evogan.engine.history import RunHistory
from evogan.extremes import tamed

Array = npt.NDArray[np.float64]
REFERENCE = 1.1  # in every objective
EXACT = 5  # objectives; of six, 100 points take seconds
DIRECTIONS = 2**16


@dataclass(frozen=True)
class Union:
    """Of all `points` that the runs of a problem found within `budget` evaluations, a row each; one at least."""

    points: Array
    budget: float = math.inf

    @classmethod
    def of(cls, runs: Iterable[RunHistory], budget: float) -> Union | None:
        """Of what completed at full fidelity within the budget; None if nothing did."""
        found = [values for run in runs for cost, values in completed(run) if cost <= budget + 1e-9]
        return cls(np.array(found), budget) if found else None

    @cached_property
    def front(self) -> Array:
        found: Array = self.points[moocore.is_nondominated(self.points)]
        return found

    @cached_property
    def low(self) -> Array:
        return np.asarray(self.front.min(axis=0))

    @cached_property
    def width(self) -> Array:
        """Of the front; of all points in an objective where it has none."""
        width, whole = np.ptp(self.front, axis=0), np.ptp(self.points, axis=0)
        return np.asarray(np.where(width > 0, width, np.where(whole > 0, whole, 1.0)))

    @property
    def reference(self) -> tuple[float, ...]:
        """The reference point, in the objectives' own units."""
        return tuple((self.low + REFERENCE * self.width).tolist())

    def hypervolume(self, points: Array) -> float:
        """Of rows of objectives: at most REFERENCE to the power of their number."""
        scaled = (points - self.low) / self.width
        if len(self.low) > EXACT:
            return float(moocore.hv_approx(scaled, ref=REFERENCE, nsamples=DIRECTIONS))
        return float(moocore.hypervolume(scaled, ref=REFERENCE))

    def lacking(self, points: Array) -> float:
        return 1 - self.hypervolume(points) / self.hypervolume(self.front)

    def so_far(self, run: RunHistory, against: Against = "evaluations") -> pd.Series:
        """What a run lacks, indexed by what it had cost, up to the budget: what it finds later is in no union. NaN
        while nothing completed. See `best_so_far`.
        """
        curve: dict[float, float] = {}
        front, lacks = np.empty((0, len(self.low))), math.nan
        values = iter(completed(run, against))
        point = next(values, None)
        within = sum(cost <= self.budget + 1e-9 for cost in costs(run, "evaluations"))
        for cost in costs(run, against)[:within]:
            while point is not None and point[0] <= cost:
                grown = np.vstack([front, point[1]])
                grown = grown[moocore.is_nondominated(grown, keep_weakly=False)]
                if not np.array_equal(grown, front):
                    front, lacks = grown, self.lacking(grown)
                point = next(values, None)
            curve[cost] = lacks
        return pd.Series(curve, dtype=float)


def completed(run: RunHistory, against: Against = "evaluations") -> list[tuple[float, Sequence[float]]]:
    """What the run had cost when a genome had completed at full fidelity, and its objectives."""
    return [
        (cost, [tamed(value) for value in told.values])
        for told, cost in zip(run.history, costs(run, against), strict=True)
        if told.values is not None and told.fidelity == 1.0
    ]
