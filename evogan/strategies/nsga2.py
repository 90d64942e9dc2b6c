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
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from deap import tools

from evogan.stable import derive_seed
from evogan.strategies.base import Fitness, Generational, Individual, Point, at_least, latin_hypercube
from evogan.strategies.draws import DEAPRandom
from evogan.strategies.ga import Variation

Array = npt.NDArray[np.float64]


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
        with self._random.installed():
            self._parents = self._survivors(self._parents + children)
            return self._children(self._mates())

    def _survivors(self, members: list[Member]) -> list[Member]:
        """The next parents, of parents and children."""
        survivors: list[Member] = tools.selNSGA2(members, self.population, nd="log")
        return survivors

    def _mates(self) -> list[Member]:
        """The parents of children, pair after pair."""
        contest = [*self._parents, *self._parents[: -self.population % 4]]  # DEAP's tournament takes them by fours
        winners: list[Member] = tools.selTournamentDCD(contest, len(contest))
        return winners

    def _children(self, mates: list[Member]) -> list[Point]:
        known = {self.space.decode(parent.individual.vector) for parent in self._parents}
        children: list[Point] = []
        for one, two in zip(mates[::2], mates[1::2], strict=True):
            pair = self.children((one.individual, two.individual))
            children += [self.renewed(child, known) for child in pair]
        return children[: self.population]


@dataclass(eq=False, repr=False, kw_only=True)
class Relative(NSGA2):
    """Another selection, one that looks at distances between objectives, and parents of children at random.

    `_chosen` is given more completed members than there is room for, and what they are to be selected by: their
    objectives, of which the best that was ever told is 0 and the worst 1. Failures have no place there: they survive
    only where too few have completed.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self._best = self._worst = np.empty(0)  # of each objective

    def _survivors(self, members: list[Member]) -> list[Member]:
        completed = [member for member in members if not member.individual.fitness.failed]
        failed = [member for member in members if member.individual.fitness.failed]
        if len(completed) <= self.population:
            return [*completed, *failed][: self.population]
        values = np.array([member.individual.fitness.values for member in completed])
        self._best = np.vstack([values, *self._best.reshape(-1, values.shape[1])]).min(axis=0)
        self._worst = np.vstack([values, *self._worst.reshape(-1, values.shape[1])]).max(axis=0)
        scaled = [Objectives(tuple(row)) for row in self._scaled(values).tolist()]
        return self._chosen([Member(one.individual, other) for one, other in zip(completed, scaled, strict=True)])

    @abstractmethod
    def _chosen(self, members: list[Member]) -> list[Member]: ...

    def _mates(self) -> list[Member]:
        mates: list[Member] = tools.selRandom(self._parents, self.population + self.population % 2)
        return mates

    def _scaled(self, values: Array) -> Array:
        width = self._worst - self._best
        scaled: Array = (values - self._best) / np.where(width > 0, width, 1.0)
        return scaled
