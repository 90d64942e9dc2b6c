"""NSGA-III: a genetic algorithm for three objectives and more, from DEAP's selection.

Deb and Jain, An Evolutionary Many-Objective Optimization Algorithm Using Reference-Point-Based Nondominated Sorting
Approach, Part I, IEEE Transactions on Evolutionary Computation 18 (2014). As `nsga2`, but of the front that does not
fit in, those survive that fill the least crowded directions. With z the best value of each objective so far, and a the
intercepts of the hyperplane through the most extreme points so far:

    f_m^n = (f_m - z_m) / (a_m - z_m)
    reference points: those of the unit simplex whose coordinates are multiples of 1/p (Das and Dennis 1998)
    a member belongs to the line from the origin through the reference point that it is nearest to; the line with the
    fewest members gets one more: the nearest if it had none, else any

Parents of children are drawn at random, since nearly all are of the first front. Crossover and mutation are those of
`ga`, as in `nsga2`. Failures survive only where too few have completed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from deap import tools

from evogan.strategies.base import at_least
from evogan.strategies.nsga2 import Member, Relative


@dataclass(eq=False, repr=False, kw_only=True)
class NSGA3(Relative):
    """`divisions` is p; 0: as many as give no more reference points than there are members.

    >>> from evogan import Gene, Space, search
    >>> space = Space("three bowls", [Gene(name=name, kind="float", low=-2.0, high=2.0) for name in ("x", "y")])
    >>> def bowls(genes):
    ...     x, y = genes["x"], genes["y"]
    ...     return {"left": (x + 1) ** 2 + y**2, "right": (x - 1) ** 2 + y**2, "top": x**2 + (y - 1) ** 2}
    >>> run = search(space, objective=bowls, fitness="left,right,top", strategy="nsga3", evaluations=36, workers=1)
    >>> len(run.front) > 8
    True
    """

    title: ClassVar[str] = "nsga3"

    divisions: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.divisions:
            at_least(self.title, "divisions", self.divisions, 1, 20)
        self._extreme: Any = None  # points of so far, a row an objective

    def _chosen(self, members: list[Member]) -> list[Member]:
        """DEAP subtracts the best point from the intercepts once too often: here it is the origin."""
        objectives = len(members[0].fitness.wvalues)
        chosen, memory = tools.selNSGA3(
            members,
            self.population,
            references(objectives, self.divisions, self.population),
            best_point=np.zeros((1, objectives)),
            worst_point=np.ones((1, objectives)),
            extreme_points=None if self._extreme is None else self._scaled(self._extreme),
            return_memory=True,
        )
        width = np.where(self._worst > self._best, self._worst - self._best, 1.0)
        self._extreme = self._best + memory.extreme_points * width
        return list(chosen)


def references(objectives: int, divisions: int, most: int) -> Any:
    """Reference points; without `divisions` the most regular ones of which there are at most so many."""
    if not divisions:
        divisions = 1
        while math.comb(objectives + divisions, objectives - 1) <= most:
            divisions += 1
    return tools.uniform_reference_points(objectives, divisions)
