"""Differential evolution with binomial crossover: rand/1/bin, best/1/bin and current-to-best/1/bin.

Storn and Price, Differential Evolution: A Simple and Efficient Heuristic for Global Optimization over Continuous
Spaces, Journal of Global Optimization 11 (1997). For each target x_i of the population, with r1, r2, r3 drawn
mutually distinct and distinct from i (and from the best, where it takes part):

    v = x_r1 + F (x_r2 - x_r3)                            rand/1
    v = x_best + F (x_r1 - x_r2)                          best/1
    v = x_i + F (x_best - x_i) + F (x_r1 - x_r2)          current-to-best/1
    u_j = v_j if rand_j < CR or j = j_rand, else x_ij     binomial crossover; j_rand is forced
    x_i' = u if f(u) <= f(x_i), else x_i                  one to one

Generations are synchronous: all trials of one have the same population behind them. What leaves [0, 1] is reflected.

Choices have no order, so nothing is subtracted: where a and b of a term F (a - b) have the same choice, the term is
zero and changes nothing, as for numbers; where they differ, the mutant takes a's choice with probability F. A mutant's
choice is so always a donor's. With a choice that crosses over all genes do that apply because of it: in the target,
which has another choice, they mean nothing. Numbers go on to vary within a level when a population agrees on it; a
choice would be lost for good, so crossover is followed by the margin (see `margin`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from evogan.errors import unknown
from evogan.space import Space
from evogan.strategies.base import (
    Generational,
    Individual,
    Point,
    at_least,
    cell,
    latin_hypercube,
    numbers_of,
    reflected,
    share,
    within,
)
from evogan.strategies.margin import Lacking, Margin

VARIANTS = ("rand/1/bin", "best/1/bin", "current-to-best/1/bin")
Vector = Sequence[float]


def mutant(
    rng: np.random.Generator, space: Space, base: Vector, weight: float, differences: Sequence[tuple[Vector, Vector]]
) -> list[float]:
    """`base` plus `weight` times each difference (not yet inside the bounds); choices as the module says."""
    vector = list(base)
    for a, b in differences:
        for j, gene in enumerate(space.genes):
            if gene.kind != "choice":
                vector[j] += weight * (a[j] - b[j])
            elif cell(gene, a[j]) != cell(gene, b[j]) and rng.random() < weight:
                vector[j] = a[j]
    return vector


def binomial(rng: np.random.Generator, margin: Margin, target: Vector, donor: Vector, rate: float) -> list[float]:
    """`target` with each gene of `donor` at probability `rate`, and one at least; choices as the module says."""
    taken = rng.random(len(target)) < rate
    taken[rng.integers(len(target))] = True
    for i, genes in margin.linked(target, donor).items():
        if taken[i]:
            taken[genes] = True
    return [v if take else x for x, v, take in zip(target, donor, taken, strict=True)]


class DifferentialEvolution(Generational):
    """`weight` is F, `crossover` is CR.

    The default variant is the greedy one: at a few hundred evaluations it is far ahead of rand/1/bin, the classic.

    >>> from evogan import Gene, Space, search
    >>> space = Space("bowl", [Gene(name=name, kind="float", low=-1.0, high=1.0) for name in ("x", "y")])
    >>> def bowl(genes):
    ...     return genes["x"] ** 2 + genes["y"] ** 2
    >>> run = search(space, objective=bowl, strategy="de", options={"variant": "best/1/bin"}, evaluations=40, workers=1)
    >>> sorted({told.row.operator for told in run.history})
    ['best/1/bin', 'latin hypercube']
    """

    def __init__(
        self,
        space: Space,
        seed: int,
        *,
        population: int = 15,
        variant: str = "current-to-best/1/bin",
        weight: float = 0.5,
        crossover: float = 0.9,
    ) -> None:
        super().__init__(space, seed)
        at_least("de", "population", population, 4)
        within("de", "weight", weight, 2)
        share("de", "crossover", crossover)
        if variant not in VARIANTS:
            raise unknown("variant of strategy 'de'", variant, VARIANTS)
        self.population, self.variant, self.weight, self.crossover = population, variant, weight, crossover
        self._margin = Margin(space)
        self._parents: list[Individual] = []

    def _breed(self, told: list[Individual]) -> list[Point]:
        if not told:
            return latin_hypercube(self.rng, self.population, self.space.dimension)
        parents = self._parents or told
        self._parents = [u if u.no_worse_than(x) else x for u, x in zip(told, parents, strict=True)]
        lacking = self._margin.lacking([one.vector for one in self._parents])
        return [self._trial(i, lacking) for i in range(self.population)]

    def _trial(self, i: int, lacking: Lacking) -> Point:
        target = self._parents[i]
        b = min(range(self.population), key=lambda k: self._parents[k].fitness.order)
        if self.variant == "rand/1/bin":
            base, r2, r3 = self._distinct(3, {i})
            differences = [(r2, r3)]
        else:
            base, (r1, r2) = self._parents[b], self._distinct(2, {i, b})
            differences = [(r1, r2)]
            if self.variant == "current-to-best/1/bin":
                base, differences = target, [(self._parents[b], target), (r1, r2)]
        vectors = [(one.vector, two.vector) for one, two in differences]
        donor = mutant(self.rng, self.space, base.vector, self.weight, vectors)
        trial = binomial(self.rng, self._margin, target.vector, [reflected(u) for u in donor], self.crossover)
        trial = self._margin.kept(self.rng, trial, lacking)
        return Point(trial, self.variant, numbers_of(target, base, *chain(*differences)))

    def _distinct(self, n: int, but: set[int]) -> list[Individual]:
        """`n` different members of the population, none of them in `but`."""
        others = [k for k in range(self.population) if k not in but]
        return [self._parents[k] for k in self.rng.choice(others, n, replace=False)]
