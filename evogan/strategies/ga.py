"""Generational genetic algorithm with elitism, from DEAP's operators.

Goldberg, Genetic Algorithms (1989); operators of Deb and Agrawal, Simulated Binary Crossover (1995), and Deb
and Goyal, polynomial mutation (1996), both bounded to [0, 1]. A generation is the elite of the last one and
children of tournament winners:

    c1, c2 = (p1 + p2)/2 -+ beta (p2 - p1)/2,  beta ~ SBX(crossover_eta)     with probability `crossover`
    x' = x + delta,                            delta ~ polynomial(mutation_eta)   for each gene with
                                                                              probability `mutation`/dimension
Choices have no order: they are exchanged whole and mutate to any other value.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from deap import tools

from evogan.space import Space
from evogan.stable import derive_seed
from evogan.strategies.base import DEAPRandom, Fitness, Proposal, Strategy, at_least, share


@dataclass(frozen=True)
class _Individual:
    vector: tuple[float, ...]
    fitness: Fitness


class GeneticAlgorithm(Strategy):
    """`mutation` is the expected number of genes that mutate in a child."""

    def __init__(
        self,
        space: Space,
        seed: int,
        *,
        population: int = 20,
        elites: int = 2,
        tournament: int = 3,
        crossover: float = 0.9,
        mutation: float = 1.5,
        crossover_eta: float = 5.0,
        mutation_eta: float = 5.0,
    ) -> None:
        super().__init__(space, seed)
        at_least("ga", "population", population, 2)
        at_least("ga", "elites", elites, 0)
        at_least("ga", "population - elites", population - elites, 1)
        at_least("ga", "tournament", tournament, 1)
        at_least("ga", "mutation", mutation, 0)
        at_least("ga", "crossover_eta", crossover_eta, 0)
        at_least("ga", "mutation_eta", mutation_eta, 0)
        share("ga", "crossover", crossover)
        self.population, self.elites, self.tournament = population, elites, tournament
        self.crossover, self.mutation = crossover, min(1.0, mutation / space.dimension)
        self.crossover_eta, self.mutation_eta = crossover_eta, mutation_eta
        self._choices = [i for i, gene in enumerate(space.genes) if gene.kind == "choice"]
        self._numeric = [i for i, gene in enumerate(space.genes) if gene.kind != "choice"]
        self._random = DEAPRandom(derive_seed(seed, "ga"))
        self._queue: list[Sequence[float]] = self._latin_hypercube(population)
        self._parents: list[_Individual] = []
        self._told: list[_Individual] = []
        self._expected = population

    def _latin_hypercube(self, n: int) -> list[Sequence[float]]:
        """`n` points, one in each of `n` slices of every gene (McKay et al., Technometrics 1979)."""
        slices = self.rng.permuted(np.tile(np.arange(n), (self.space.dimension, 1)), axis=1).T
        points: list[Sequence[float]] = ((slices + self.rng.random(slices.shape)) / n).tolist()
        return points

    def _ask(self) -> Sequence[float] | None:
        if not self._queue and len(self._told) >= self._expected:
            self._next_generation()
        return self._queue.pop(0) if self._queue else None

    def tell(self, proposal: Proposal, fitness: Fitness) -> None:
        self._told.append(_Individual(proposal.vector, fitness))

    def _next_generation(self) -> None:
        elite = sorted(self._parents, key=lambda one: one.fitness.order)[: self.elites]
        self._parents = elite + self._told
        self._told = []
        children: list[Sequence[float]] = []
        count = self.population - self.elites
        with self._random.installed():
            while len(children) < count:
                children += self._mate()
        self._queue = children[:count]
        self._expected = count

    def _select(self) -> list[float]:
        contest = [random.choice(self._parents) for _ in range(self.tournament)]
        return list(min(contest, key=lambda one: one.fitness.order).vector)

    def _mate(self) -> tuple[list[float], list[float]]:
        one, two = self._select(), self._select()
        if random.random() < self.crossover:
            a, b = [one[i] for i in self._numeric], [two[i] for i in self._numeric]
            tools.cxSimulatedBinaryBounded(a, b, self.crossover_eta, 0.0, 1.0)
            for i, u, v in zip(self._numeric, a, b, strict=True):
                one[i], two[i] = u, v
            for i in self._choices:
                if random.random() < 0.5:
                    one[i], two[i] = two[i], one[i]
        self._mutate(one)
        self._mutate(two)
        return one, two

    def _mutate(self, child: list[float]) -> None:
        numbers = [child[i] for i in self._numeric]
        tools.mutPolynomialBounded(numbers, self.mutation_eta, 0.0, 1.0, self.mutation)
        for i, u in zip(self._numeric, numbers, strict=True):
            child[i] = u
        for i in self._choices:
            options = len(self.space.genes[i].grid)
            if options > 1 and random.random() < self.mutation:
                others = [k for k in range(options) if k != min(int(child[i] * options), options - 1)]
                child[i] = (random.choice(others) + 0.5) / options
