"""Hyperband: brackets of successive halving that differ in how short their shortest trainings are.

Li, Jamieson, DeSalvo, Rostamizadeh and Talwalkar, Hyperband: A Novel Bandit-Based Approach to Hyperparameter
Optimization, JMLR 18 (2018). On a ladder of S + 1 fidelities (the paper's are eta^-S, .., 1/eta, 1), round after round,
the brackets s = S, .., 0 begin with n points of a Latin hypercube at the s-th fidelity below 1,

    n = ceil((S + 1) / (s + 1) eta^s),         and judge the best floor(n eta^-i) again, i fidelities higher.

A rung begins when the one below has been told completely. While all brackets that have begun wait for that, the next
one begins, so nothing waits; what is free in the oldest goes first. Failures are not promoted: a rung where too few
completed is followed by a smaller one, or by none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from evogan.space import Space
from evogan.strategies.base import Fitness, Individual, Point, Proposal, at_least, latin_hypercube
from evogan.strategies.fidelity import LADDER, MultiFidelity, promotion


@dataclass(eq=False)
class Bracket:
    """One run of successive halving: the rung it is at, and what of that rung is to be asked, is out, and was told."""

    number: int
    first: int
    rung: int
    queue: list[Point] = field(default_factory=list)
    out: int = 0
    told: list[Individual] = field(default_factory=list)


class Hyperband(MultiFidelity):
    """`eta`: 1 in so many is promoted from each rung to the next of the `fidelities`.

    >>> from evogan import Gene, Space, search
    >>> space = Space("bowl", [Gene(name=name, kind="float", low=-1.0, high=1.0) for name in ("x", "y")])
    >>> def bowl(genes, fidelity):
    ...     return genes["x"] ** 2 + genes["y"] ** 2 + 0.1 / fidelity
    >>> run = search(space, objective=bowl, strategy="hyperband", evaluations=20, workers=1)
    >>> sorted({told.row.fidelity for told in run.history})
    [0.25, 0.5, 1.0]
    """

    title = "hyperband"

    def __init__(self, space: Space, seed: int, *, fidelities: tuple[float, ...] = LADDER, eta: int = 2) -> None:
        super().__init__(space, seed, fidelities, eta)
        rungs = len(self.fidelities)
        self.sizes: list[list[int]] = [  # of each bracket, from its first rung on
            [self._points(rungs, rungs - 1 - first) // eta**i for i in range(rungs - first)] for first in range(rungs)
        ]
        at_least(self.title, "the points of a bracket", max(size for sizes in self.sizes for size in sizes), 1, 100_000)
        self._begun = 0
        self._open: list[Bracket] = []  # oldest first
        self._out: dict[int, Bracket] = {}  # by the number of the proposal

    def _points(self, rungs: int, s: int) -> int:
        """How many points bracket s begins with."""
        return -(-rungs * int(self.eta**s) // (s + 1))

    def _size(self, bracket: Bracket) -> int:
        return self.sizes[bracket.first][bracket.rung - bracket.first]

    def _next(self) -> tuple[Point, int]:
        bracket = next((one for one in self._open if one.queue), None) or self._begin()
        bracket.out += 1
        self._out[self._asked] = bracket
        return bracket.queue.pop(0), bracket.rung

    def _begin(self) -> Bracket:
        first = self._begun % len(self.fidelities)
        bracket = Bracket(self._begun, first, first)
        bracket.queue = self._fresh(bracket)
        self._begun += 1
        self._open.append(bracket)
        return bracket

    def tell(self, proposal: Proposal, fitness: Fitness) -> None:
        bracket = self._out.pop(proposal.number)
        bracket.out -= 1
        bracket.told.append(Individual.told(proposal, fitness))
        if bracket.queue or bracket.out:
            return
        told, bracket.told = bracket.told, []
        bracket.rung += 1
        if bracket.rung <= self.top:
            bracket.queue = self._promoted(bracket, told)
        if not bracket.queue:
            self._open.remove(bracket)

    def _fresh(self, bracket: Bracket) -> list[Point]:
        """What is judged at the first rung of a bracket."""
        return latin_hypercube(self.rng, self._size(bracket), self.space.dimension)

    def _promoted(self, bracket: Bracket, told: list[Individual]) -> list[Point]:
        """What is judged at a bracket's rung, of those told at the one below."""
        best = ranked(one for one in told if not one.fitness.failed)
        return [promotion(one) for one in best[: self._size(bracket)]]


def ranked(judged: Iterable[Individual]) -> list[Individual]:
    """The best first."""
    return sorted(judged, key=lambda one: one.fitness.order)
