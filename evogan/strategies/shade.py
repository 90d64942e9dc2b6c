"""SHADE and L-SHADE: differential evolution that remembers which F and CR succeeded.

Tanabe and Fukunaga, Success-History Based Parameter Adaptation for Differential Evolution, CEC 2013; Improving the
Search Performance of SHADE Using Linear Population Size Reduction, CEC 2014. For each target x_i, with an entry r
of the memories M_F and M_CR (H entries, 0.5 at first) drawn at random:

    CR_i ~ N(M_CR,r, 0.1), cut to [0, 1]
    F_i  ~ Cauchy(M_F,r, 0.1), drawn again while <= 0, cut to 1
    v = x_i + F_i (x_pbest - x_i) + F_i (x_r1 - x_r2)     x_pbest of the best p N, r1 of P, r2 of P and the archive
    v_j = (bound_j + x_ij)/2 where v_j is out of bounds; binomial crossover; one-to-one selection

A parent that a better child replaces goes into the archive (beyond its size, random ones leave it). After a generation
with successes, with w_k proportional to the improvement |f(u_k) - f(x_k)|, the memory's next entry becomes

    SHADE:    M_CR = sum w CR,             M_F = sum w F^2 / sum w F     p_i ~ U[2/N, 0.2], archive N
    L-SHADE:  M_CR = sum w CR^2 / sum w CR (from then on 0 for ever, where all successful CR were 0), M_F as above;
              p = 0.11, archive 2.6 N,
              N(t) = round(N_init + (4 - N_init) t / evaluations) after t evaluations; the worst leave

Improvements over a failure are measured from its imputed value. Choices are handled as in `de`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from evogan.space import Space
from evogan.strategies.base import Generational, Individual, Point, at_least, imputed, latin_hypercube, numbers_of
from evogan.strategies.de import binomial, mutant
from evogan.strategies.margin import Lacking, Margin

OPERATOR = "current-to-pbest/1/bin"


def lehmer(values: Sequence[float], weights: Sequence[float]) -> float:
    """The weighted Lehmer mean of order 2."""
    return sum(w * v * v for v, w in zip(values, weights, strict=True)) / sum(
        w * v for v, w in zip(values, weights, strict=True)
    )


class SHADE(Generational):
    """`memory` is H.

    >>> from evogan import Gene, Space, search
    >>> space = Space("bowl", [Gene(name=name, kind="float", low=-1.0, high=1.0) for name in ("x", "y")])
    >>> def bowl(genes):
    ...     return genes["x"] ** 2 + genes["y"] ** 2
    >>> run = search(space, objective=bowl, strategy="shade", evaluations=40, workers=1)
    >>> run.history[-1].row.operator
    'current-to-pbest/1/bin'
    """

    def __init__(self, space: Space, seed: int, *, population: int = 10, memory: int = 5) -> None:
        super().__init__(space, seed)
        at_least("shade", "population", population, 4)
        at_least("shade", "memory", memory, 1)
        self._start_with(population, memory)

    def _start_with(self, population: int, memory: int) -> None:
        self.population = population
        self._margin = Margin(self.space)
        self._memory_f: list[float] = [0.5] * memory
        self._memory_cr: list[float | None] = [0.5] * memory  # None: L-SHADE's terminal value
        self._entry = 0
        self._parents: list[Individual] = []
        self._archive: list[Individual] = []
        self._drawn: list[tuple[float, float]] = []  # F and CR of each trial that is out

    def _breed(self, told: list[Individual]) -> list[Point]:
        if not told:
            return latin_hypercube(self.rng, self.population, self.space.dimension)
        if self._parents:
            self._select(told)
            self._resize()
        else:
            self._parents = told
        self._drawn = [self._draw() for _ in self._parents]
        ranked = sorted(self._parents, key=lambda one: one.fitness.order)
        lacking = self._margin.lacking([one.vector for one in self._parents])
        return [self._trial(i, ranked, lacking) for i in range(len(self._parents))]

    def _select(self, told: list[Individual]) -> None:
        values = imputed([one.fitness for one in (*self._parents, *told)])
        gains, successes, chosen = [], [], []
        for i, (u, x) in enumerate(zip(told, self._parents, strict=True)):
            chosen.append(u if u.no_worse_than(x) else x)
            if u.better_than(x):
                self._archive.append(x)
                gains.append(values[i] - values[len(told) + i])
                successes.append(self._drawn[i])
        self._parents = chosen
        if successes and sum(gains) > 0:
            weights = [gain / sum(gains) for gain in gains]
            self._remember([f for f, _ in successes], [cr for _, cr in successes], weights)

    def _remember(self, f: list[float], cr: list[float], weights: list[float]) -> None:
        self._memory_f[self._entry] = lehmer(f, weights)
        self._memory_cr[self._entry] = self._mean_cr(cr, weights)
        self._entry = (self._entry + 1) % len(self._memory_f)

    def _mean_cr(self, cr: list[float], weights: list[float]) -> float | None:
        return sum(w * v for v, w in zip(cr, weights, strict=True))

    def _resize(self) -> None:
        while len(self._archive) > self._archive_size():
            del self._archive[self.rng.integers(len(self._archive))]

    def _archive_size(self) -> int:
        return len(self._parents)

    def _p(self) -> float:
        return float(self.rng.uniform(min(2 / len(self._parents), 0.2), 0.2))

    def _draw(self) -> tuple[float, float]:
        r = int(self.rng.integers(len(self._memory_f)))
        middle = self._memory_cr[r]
        cr = 0.0 if middle is None else min(max(float(self.rng.normal(middle, 0.1)), 0.0), 1.0)
        f = 0.0
        while f <= 0:
            f = self._memory_f[r] + 0.1 * float(self.rng.standard_cauchy())
        return min(f, 1.0), cr

    def _trial(self, i: int, ranked: list[Individual], lacking: Lacking) -> Point:
        f, cr = self._drawn[i]
        target, size = self._parents[i], len(self._parents)
        best = ranked[int(self.rng.integers(max(2, round(self._p() * size))))]
        k1 = int(self.rng.choice([k for k in range(size) if k != i]))
        others = [self._parents[k] for k in range(size) if k not in (i, k1)] + self._archive
        r1, r2 = self._parents[k1], others[int(self.rng.integers(len(others)))]
        x = target.vector
        v = mutant(self.rng, self.space, x, f, [(best.vector, x), (r1.vector, r2.vector)])
        inside = [x_j / 2 if v_j < 0 else (1 + x_j) / 2 if v_j > 1 else v_j for v_j, x_j in zip(v, x, strict=True)]
        trial = self._margin.kept(self.rng, binomial(self.rng, self._margin, x, inside, cr), lacking)
        return Point(trial, OPERATOR, numbers_of(target, best, r1, r2))


class LSHADE(SHADE):
    """`evaluations` is the budget, over which the population shrinks to 4; `memory` is H.

    `population` 0 is the paper's 18 x dimension, but no more than a tenth of the budget.

    >>> from evogan import Gene, Space, search
    >>> space = Space("bowl", [Gene(name=name, kind="float", low=-1.0, high=1.0) for name in ("x", "y")])
    >>> def bowl(genes):
    ...     return genes["x"] ** 2 + genes["y"] ** 2
    >>> run = search(space, objective=bowl, strategy="l-shade", options={"evaluations": 40}, evaluations=40, workers=1)
    >>> run.best.value < 0.1
    True
    """

    def __init__(
        self, space: Space, seed: int, *, evaluations: int = 100, population: int = 0, memory: int = 6
    ) -> None:
        Generational.__init__(self, space, seed)
        at_least("l-shade", "evaluations", evaluations, 4, math.inf)
        at_least("l-shade", "memory", memory, 1)
        if population:
            at_least("l-shade", "population", population, 4)
        self.evaluations = evaluations
        self._start_with(population or max(4, min(18 * space.dimension, evaluations // 10)), memory)

    def _mean_cr(self, cr: list[float], weights: list[float]) -> float | None:
        if self._memory_cr[self._entry] is None or max(cr) == 0:
            return None
        return lehmer(cr, weights)

    def _archive_size(self) -> int:
        return round(2.6 * len(self._parents))

    def _p(self) -> float:
        return 0.11

    def planned(self, evaluations: int) -> int:
        """The size of the population after so many evaluations."""
        done = min(evaluations / self.evaluations, 1.0)
        return math.floor(self.population + (4 - self.population) * done + 0.5)

    def _resize(self) -> None:
        keep = self.planned(self._asked)  # all that were asked have been told
        if keep < len(self._parents):
            order = sorted(range(len(self._parents)), key=lambda i: self._parents[i].fitness.order)
            self._parents = [self._parents[i] for i in sorted(order[:keep])]
        super()._resize()
