"""Evolution strategies (mu + lambda) and (mu, lambda) with self-adaptive step sizes.

Schwefel, Evolution and Optimum Seeking (1995); Beyer and Schwefel, Evolution Strategies: A Comprehensive
Introduction, Natural Computing 1 (2002). A child blends two parents, numbers and step sizes alike, and then, for n
numeric genes,

    sigma_j' = sigma_j exp(tau_0 N(0, 1) + tau N_j(0, 1)),   tau_0 = 1/sqrt(2 n),  tau = 1/sqrt(2 sqrt(n))
    x_j'     = x_j + sigma_j' N_j(0, 1), reflected into [0, 1]

with N(0, 1) drawn once for the child and N_j for each gene. The next parents are the mu best of parents and children
(plus), or of the children alone (comma). These are DEAP's `cxESBlend` and `mutESLogNormal`; a step size is kept between
a quarter of its gene's level cell, below which it would change nothing, and 1.

Choices are inherited from either parent and mutate to another value with a probability that adapts itself too (Li et
al., Mixed Integer Evolution Strategies for Parameter Optimization, Evolutionary Computation 21, 2013), for m choices:

    p' = 1 / (1 + (1 - p)/p exp(-tau_p N(0, 1))),  tau_p = 1/sqrt(2 m),  kept in [1/(3 m), 1/2], 1/m at first
"""

from __future__ import annotations

import copy
import math
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from deap import tools

from evogan.stable import derive_seed
from evogan.strategies.base import (
    Generational,
    Individual,
    Point,
    at_least,
    choices,
    latin_hypercube,
    mutate_choices,
    numbers,
    numbers_of,
    reflected,
    share,
    within,
)
from evogan.strategies.draws import DEAPRandom, draws

StrategyParameters = tuple[list[float], float]  # of an individual: a step size each number, and the rate of choices


class ObjectVariables(list[float]):
    """Numbers with a step size each in `strategy`, as DEAP's operators want them."""

    def __init__(self, units: Iterable[float], strategy: Iterable[float]) -> None:
        super().__init__(units)
        self.strategy = list(strategy)


@dataclass(eq=False, repr=False, kw_only=True)
class EvolutionStrategy(Generational):
    title: ClassVar[str]

    parents: int
    offspring: int
    sigma: float = 0.15
    crossover: float = 0.7
    blend: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self.title, "parents", self.parents, 1)
        at_least(self.title, "offspring", self.offspring, 1)
        within(self.title, "sigma", self.sigma, 1)
        share(self.title, "crossover", self.crossover)
        at_least(self.title, "blend", self.blend, 0)
        self._numbers, self._choices = numbers(self.space), choices(self.space)
        self._least = [0.25 * self.space.genes[i].cells.width for i in self._numbers]
        self._random = DEAPRandom(derive_seed(self.seed, self.title))
        self._carried: list[StrategyParameters] = []  # by the last offspring
        self._selected: list[tuple[Individual, StrategyParameters]] = []

    def _breed(self, told: list[Individual]) -> list[Point]:
        if not told:
            count = max(self.parents, self.offspring)
            start = [self._kept_step(j, self.sigma) for j in range(len(self._numbers))]
            self._carried = [(start, self._kept_rate(1 / max(len(self._choices), 1)))] * count
            return latin_hypercube(self.rng, count, self.space.dimension)
        pool = self._selection_pool(list(zip(told, self._carried, strict=True)))
        self._selected = sorted(pool, key=lambda one: one[0].fitness.order)[: self.parents]
        with self._random.installed():
            bred = [self._child() for _ in range(self.offspring)]
        self._carried = [carried for _, carried in bred]
        return [child for child, _ in bred]

    @abstractmethod
    def _selection_pool(
        self, told: list[tuple[Individual, StrategyParameters]]
    ) -> list[tuple[Individual, StrategyParameters]]:
        """Those of whom the best become the next parents."""

    def _child(self) -> tuple[Point, StrategyParameters]:
        one, (steps, rate) = draws.choice(self._selected)
        vector, child = list(one.vector), ObjectVariables((one.vector[i] for i in self._numbers), steps)
        operator, parents = "mutation", numbers_of(one)
        if draws.random() < self.crossover:
            two, (steps, other_rate) = draws.choice(self._selected)
            tools.cxESBlend(
                child, ObjectVariables((two.vector[i] for i in self._numbers), copy.copy(steps)), self.blend
            )
            operator, parents = "crossover", numbers_of(one, two)
            child.strategy = [self._kept_step(j, step) for j, step in enumerate(child.strategy)]
            rate = (rate + other_rate) / 2
            for i in self._choices:
                if draws.random() < 0.5:
                    vector[i] = two.vector[i]
        if child:
            tools.mutESLogNormal(child, c=1.0, indpb=1.0)
        for i, u in zip(self._numbers, child, strict=True):
            vector[i] = reflected(u)
        rate = self._mutate_choices(vector, rate)
        steps = [self._kept_step(j, step) for j, step in enumerate(child.strategy)]
        return Point(vector, operator, parents), (steps, rate)

    def _mutate_choices(self, vector: list[float], rate: float) -> float:
        """Mutates the choices of `vector`; returns the rate with which it did."""
        if not self._choices:
            return rate
        tau = 1 / math.sqrt(2 * len(self._choices))
        rate = self._kept_rate(1 / (1 + (1 - rate) / rate * math.exp(-tau * draws.gauss(0, 1))))
        mutate_choices(self.space, vector, rate)
        return rate

    def _kept_step(self, j: int, step: float) -> float:
        return min(max(step, self._least[j]), 1.0)

    def _kept_rate(self, rate: float) -> float:
        m = max(len(self._choices), 1)
        return min(max(rate, 1 / (3 * m)), 0.5)


@dataclass(eq=False, repr=False, kw_only=True)
class ESPlus(EvolutionStrategy):
    """`parents` is mu, `offspring` lambda; `sigma` the first step size, in cube widths.

    `crossover` is the probability that a child has two parents, `blend` how far beyond them it may lie (alpha).

    >>> from evogan import Gene, Space, search
    >>> space = Space("bowl", [Gene(name=name, kind="float", low=-1.0, high=1.0) for name in ("x", "y")])
    >>> def bowl(genes):
    ...     return genes["x"] ** 2 + genes["y"] ** 2
    >>> run = search(space, objective=bowl, strategy="es-plus", options={"sigma": 0.3}, evaluations=40, workers=1)
    >>> run.best.value < 0.1
    True
    """

    title: ClassVar[str] = "es-plus"

    parents: int = 5
    offspring: int = 10

    def _selection_pool(
        self, told: list[tuple[Individual, StrategyParameters]]
    ) -> list[tuple[Individual, StrategyParameters]]:
        return told + self._selected  # children first: of equals, the younger stay


@dataclass(eq=False, repr=False, kw_only=True)
class ESComma(EvolutionStrategy):
    """`parents` is mu, `offspring` lambda, which must be larger; otherwise as `es-plus`.

    >>> from evogan import Gene, Space, search
    >>> space = Space("bowl", [Gene(name=name, kind="float", low=-1.0, high=1.0) for name in ("x", "y")])
    >>> def bowl(genes):
    ...     return genes["x"] ** 2 + genes["y"] ** 2
    >>> run = search(space, objective=bowl, strategy="es-comma", evaluations=40, workers=1)
    >>> run.best.value < 0.1
    True
    """

    title: ClassVar[str] = "es-comma"

    parents: int = 3
    offspring: int = 14

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self.title, "offspring - parents", self.offspring - self.parents, 1)

    def _selection_pool(
        self, told: list[tuple[Individual, StrategyParameters]]
    ) -> list[tuple[Individual, StrategyParameters]]:
        return told
