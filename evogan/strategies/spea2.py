"""SPEA2: a genetic algorithm for several objectives, from DEAP's selection.

Zitzler, Laumanns and Thiele, SPEA2: Improving the Strength Pareto Evolutionary Algorithm, TIK report 103, ETH Zurich
(2001). Of parents and children together

    S(i) = how many i dominates                     strength
    R(i) = sum of S(j) over the j that dominate i   0 for those that nobody dominates: they survive
    D(i) = 1 / (distance of i to its k-th neighbour + 2),   k = sqrt(number)

Where those are too few, the ones with the smallest R + D join them. Where they are too many, always the one goes that
is nearest to another, among several the one whose next neighbour is nearest, and so on. Distances are between
objectives scaled to the range that they had so far.

Parents of children win a tournament of two, by dominance. Crossover and mutation are those of `ga`, as in `nsga2`.
Failures survive only where too few have completed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from deap import tools

from evogan.strategies.base import at_least
from evogan.strategies.nsga2 import Member, Relative


@dataclass(eq=False, repr=False, kw_only=True)
class SPEA2(Relative):
    """`mutation` is the expected number of genes that mutate in a child.

    >>> from evogan import Gene, Space, search
    >>> space = Space("two bowls", [Gene(name="x", kind="float", low=-2.0, high=2.0)])
    >>> def bowls(genes):
    ...     return {"left": (genes["x"] + 1) ** 2, "right": (genes["x"] - 1) ** 2}
    >>> run = search(space, objective=bowls, fitness="left,right", strategy="spea2", evaluations=24, workers=1)
    >>> len(run.front) > 5
    True
    """

    title: ClassVar[str] = "spea2"

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self.title, "population", self.population, 4, 200)  # a selection takes its cube

    def _chosen(self, members: list[Member]) -> list[Member]:
        first = [one for one in members if not any(other.fitness.dominates(one.fitness) for other in members)]
        if len(first) >= self.population:
            return list(tools.selSPEA2(members, self.population))
        # DEAP's density counts distances to later members alone
        order = sorted(range(len(members)), key=np.add(raw_fitness(members), density(members)).__getitem__)
        return [members[i] for i in order[: self.population]]

    def _mates(self) -> list[Member]:
        rivals = zip(super()._mates(), super()._mates(), strict=True)
        return [other if other.fitness.dominates(one.fitness) else one for one, other in rivals]


def raw_fitness(members: Sequence[Member]) -> npt.NDArray[np.float64]:
    """R: 0 for those that nobody dominates."""
    dominates = np.array([[one.fitness.dominates(other.fitness) for other in members] for one in members])
    found: npt.NDArray[np.float64] = dominates.sum(axis=1).astype(float) @ dominates
    return found


def density(members: Sequence[Member]) -> npt.NDArray[np.float64]:
    """D: below 1, the more crowded the more."""
    values = np.array([one.fitness.wvalues for one in members])
    distances = np.sort(np.linalg.norm(values[:, None] - values[None], axis=2), axis=1)  # the first is its own, 0
    found: npt.NDArray[np.float64] = 1 / (distances[:, min(math.isqrt(len(members)), len(members) - 1)] + 2)
    return found
