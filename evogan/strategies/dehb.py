"""DEHB: differential evolution on every rung of Hyperband's brackets.

Awad, Mallik and Hutter, DEHB: Evolutionary Hyperband for Scalable, Robust and Efficient Hyperparameter Optimization,
IJCAI 2021, arXiv:2105.09821, as its authors' package does it. Each rung has a population of its own, as large as the
largest number that a bracket judges there; of the S + 1 rungs bracket s begins with floor((S + 1) / (s + 1)) eta^s
points. Targets x of a population take turns, and a trial is rand/1/bin (see `de`), with r1, r2, r3 from a pool:

    v = x_r1 + F (x_r2 - x_r3);    u_j = v_j if rand_j < CR or j = j_rand, else x_j;    x' = u if f(u) <= f(x), else x

The pool is the best n of the population of the rung below, where n are judged at this rung of the bracket; at the first
rung of a bracket it is the best n of the population itself. The target is not in it, and where it holds fewer than
three, rand/1 mutants of all populations' members fill it. So the values of two fidelities never meet: a lower one says
only who is among the parents.

The first round fills the populations, as Hyperband would: the first bracket begins with the members of its population
as they were drawn, and the rungs above the first of each bracket judge the best of the population below that were
not promoted before. A member that has not been judged counts as failed; failures are not promoted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from evogan.space import Space
from evogan.strategies.base import (
    Fitness,
    Individual,
    Point,
    Proposal,
    at_least,
    latin_hypercube,
    numbers_of,
    reflected,
    share,
    within,
)
from evogan.strategies.de import Vector, binomial, mutant
from evogan.strategies.fidelity import LADDER, promotion
from evogan.strategies.hyperband import Bracket, Hyperband, ranked
from evogan.strategies.margin import Margin

OPERATOR = "rand/1/bin"
TRIAL = Point((), OPERATOR)  # in a bracket's queue: a trial, to be bred when it is asked for


class Donor(NamedTuple):
    """A member of a population, or a mutant of members: they are its parents."""

    vector: Vector
    parents: tuple[int, ...]


class DEHB(Hyperband):
    """`eta`: 1 in so many goes on from each rung to the next of the `fidelities`; `weight` is F, `crossover` is CR.

    >>> from evogan import Gene, Space, search
    >>> space = Space("bowl", [Gene(name=name, kind="float", low=-1.0, high=1.0) for name in ("x", "y")])
    >>> def bowl(genes, fidelity):
    ...     return genes["x"] ** 2 + genes["y"] ** 2 + 0.1 / fidelity
    >>> run = search(space, objective=bowl, strategy="dehb", options={"eta": 2}, evaluations=20, workers=1)
    >>> sorted({told.row.fidelity for told in run.history})
    [0.25, 0.5, 1.0]
    """

    title = "dehb"

    def __init__(
        self,
        space: Space,
        seed: int,
        *,
        fidelities: tuple[float, ...] = LADDER,
        eta: int = 3,
        weight: float = 0.5,
        crossover: float = 0.5,
    ) -> None:
        super().__init__(space, seed, fidelities=fidelities, eta=eta)
        at_least("dehb", "the number of fidelities", len(fidelities), 2)
        within("dehb", "weight", weight, 2)
        share("dehb", "crossover", crossover)
        self.weight, self.crossover = weight, crossover
        self._margin = Margin(space)
        largest = [max(self.sizes[first][rung - first] for first in range(rung + 1)) for rung in range(len(fidelities))]
        self._populations = [
            [Individual(tuple(one.vector), Fitness(True, 0.0)) for one in latin_hypercube(self.rng, n, space.dimension)]
            for n in largest
        ]
        self._turn = [0] * len(fidelities)
        self._raised: list[set[tuple[float, ...]]] = [set() for _ in fidelities]  # by the rung they were promoted to
        self._targets: dict[int, int] = {}  # by the number of the proposal

    def _points(self, rungs: int, s: int) -> int:
        return rungs // (s + 1) * int(self.eta**s)

    def _fresh(self, bracket: Bracket) -> list[Point]:
        if bracket.number == 0:
            return [Point(one.vector, "latin hypercube") for one in self._populations[0]]
        return [TRIAL] * self._size(bracket)

    def _promoted(self, bracket: Bracket, told: list[Individual]) -> list[Point]:
        size, raised = self._size(bracket), self._raised[bracket.rung]
        if bracket.number >= len(self.fidelities):
            return [TRIAL] * size
        best = ranked(one for one in self._populations[bracket.rung - 1] if not one.fitness.failed)
        chosen = [one for one in best if one.vector not in raised][:size]
        raised.update(one.vector for one in chosen)
        return [*map(promotion, chosen), *[TRIAL] * (size - len(chosen))]

    def _next(self) -> tuple[Point, int]:
        point, rung = super()._next()
        target = self._turn[rung]
        self._turn[rung] = (target + 1) % len(self._populations[rung])
        self._targets[self._asked] = target
        if point is TRIAL:
            point = self._trial(self._out[self._asked], self._populations[rung], target)
        return point, rung

    def tell(self, proposal: Proposal, fitness: Fitness) -> None:
        population = self._populations[self._out[proposal.number].rung]
        target, trial = self._targets.pop(proposal.number), Individual.told(proposal, fitness)
        if trial.no_worse_than(population[target]):
            population[target] = trial
        super().tell(proposal, fitness)

    def _trial(self, bracket: Bracket, population: list[Individual], i: int) -> Point:
        target = population[i]
        below = self._populations[max(bracket.rung - 1, bracket.first)]
        best = ranked(below)[: self._size(bracket)]
        pool = [donor(one) for one in best if one.vector != target.vector]
        everyone = [donor(one) for members in self._populations for one in members if one is not target]
        while len(pool) < 3:
            pool.append(self._mutant(everyone))
        v, parents = self._mutant(pool)
        trial = binomial(self.rng, self._margin, target.vector, v, self.crossover)
        trial = self._margin.kept(self.rng, trial, self._margin.lacking([one.vector for one in population]))
        return Point(trial, OPERATOR, tuple(dict.fromkeys([*numbers_of(target), *parents])))

    def _mutant(self, pool: Sequence[Donor]) -> Donor:
        r1, r2, r3 = (pool[k] for k in self.rng.choice(len(pool), 3, replace=False))
        v = mutant(self.rng, self.space, r1.vector, self.weight, [(r2.vector, r3.vector)])
        return Donor([reflected(u) for u in v], (*r1.parents, *r2.parents, *r3.parents))


def donor(one: Individual) -> Donor:
    return Donor(one.vector, numbers_of(one))
