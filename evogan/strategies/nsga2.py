"""NSGA-II: a genetic algorithm for several objectives, from DEAP's operators.

Deb, Pratap, Agarwal and Meyarivan, A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II, IEEE Transactions on
Evolutionary Computation 6 (2002). a dominates b if it is no worse in every objective and better in one. Of parents and
children together the next parents are the first fronts, and of the front that does not fit in the most lonely:

    front 1: those that nobody dominates;    front k + 1: those that only members of the fronts 1 .. k dominate
    crowding of i = sum_m (f_m(i+) - f_m(i-)) / (max f_m - min f_m) over its neighbours i-, i+ by each objective,
                    infinite for the best and the worst of a front

Parents of children win a tournament of two, by dominance, then by crowding. Crossover and mutation are those of `ga`;
a child that is the same genome as a parent or another child is mutated again, since copies crowd a front. Failures
form the last front: everything completed dominates them. With one objective it is an elitist genetic algorithm.

The paper's operators are crossover_eta=20, mutation_eta=20, mutation=1; the defaults here are for small budgets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

from deap import tools

from evogan.stable import derive_seed
from evogan.strategies.base import DEAPRandom, Fitness, Generational, Individual, Point, at_least, latin_hypercube
from evogan.strategies.ga import Variation


@dataclass
class Objectives:
    """A fitness as DEAP's operators want it. A failure is infinitely bad in every objective."""

    values: tuple[float, ...]
    crowding_dist: float = field(default=0.0, compare=False)

    @classmethod
    def of(cls, fitness: Fitness) -> Objectives:
        return cls((math.inf,) * len(fitness.values) if fitness.failed else fitness.values)

    @property
    def wvalues(self) -> tuple[float, ...]:
        """What DEAP maximises; its fast sort needs two values at least."""
        return tuple(-value for value in self.values) * (2 if len(self.values) == 1 else 1)

    def dominates(self, other: Objectives) -> bool:
        return self.values != other.values and all(a <= b for a, b in zip(self.values, other.values, strict=True))


@dataclass(frozen=True)
class Member:
    """An individual for DEAP's operators."""

    individual: Individual
    fitness: Objectives


@dataclass(eq=False, repr=False, kw_only=True)
class NSGA2(Variation, Generational):
    """`mutation` is the expected number of genes that mutate in a child.

    >>> from evogan import Gene, Space, search
    >>> space = Space("two bowls", [Gene(name="x", kind="float", low=-2.0, high=2.0)])
    >>> def bowls(genes):
    ...     return {"left": (genes["x"] + 1) ** 2, "right": (genes["x"] - 1) ** 2}
    >>> run = search(space, objective=bowls, fitness="left,right", strategy="nsga2", evaluations=24, workers=1)
    >>> len(run.front) > 5
    True
    """

    title: ClassVar[str] = "nsga2"
    several: ClassVar[bool] = True

    population: int = 12

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self.title, "population", self.population, 4)
        self._random = DEAPRandom(derive_seed(self.seed, "nsga2"))
        self._parents: list[Member] = []

    def _breed(self, told: list[Individual]) -> list[Point]:
        if not told:
            return latin_hypercube(self.rng, self.population, self.space.dimension)
        children = [Member(one, Objectives.of(one.fitness)) for one in told]
        self._parents = tools.selNSGA2(self._parents + children, self.population, nd="log")
        with self._random.installed():
            return self._children()

    def _children(self) -> list[Point]:
        contest = [*self._parents, *self._parents[: -self.population % 4]]  # DEAP's tournament takes them by fours
        winners = tools.selTournamentDCD(contest, len(contest))
        known = {self.space.decode(parent.individual.vector) for parent in self._parents}
        children: list[Point] = []
        for one, two in zip(winners[::2], winners[1::2], strict=True):
            pair = self.children((one.individual, two.individual))
            children += [self.renewed(child, known) for child in pair]
        return children[: self.population]
