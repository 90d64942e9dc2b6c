"""Asynchronous successive halving (ASHA): many short trainings, and longer ones for those that look best.

Li, Jamieson, Rostamizadeh, Gonina, Ben-tzur, Hardt, Recht and Talwalkar, A System for Massively Parallel
Hyperparameter Tuning, MLSys 2020, arXiv:1810.05934. The rungs k = 0 .. K have rising fidelities; n_k results are in at
rung k. At each ask, from k = K - 1 down to 0:

    the best of the first floor(n_k / eta) at rung k that has not been promoted is judged again, at rung k + 1

and if there is none, a uniform point is judged at rung 0. So nothing waits, and with time 1 in eta of each rung has
been promoted (and a few that only seemed to belong there). Failures are counted in n_k, but never promoted.
"""

from __future__ import annotations

from bisect import insort

from evogan.space import Space
from evogan.strategies.base import Fitness, Individual, Point, Proposal
from evogan.strategies.fidelity import LADDER, MultiFidelity, promotion


class SuccessiveHalving(MultiFidelity):
    """`eta`: 1 in so many is promoted from each rung to the next of the `fidelities`.

    >>> from evogan import Gene, Space, search
    >>> space = Space("bowl", [Gene(name=name, kind="float", low=-1.0, high=1.0) for name in ("x", "y")])
    >>> def bowl(genes, fidelity):
    ...     return genes["x"] ** 2 + genes["y"] ** 2 + 0.1 / fidelity
    >>> run = search(space, objective=bowl, strategy="successive-halving", evaluations=10, workers=1)
    >>> sorted({told.row.operator for told in run.history})
    ['promotion', 'uniform']
    """

    title = "successive-halving"

    def __init__(self, space: Space, seed: int, *, fidelities: tuple[float, ...] = LADDER, eta: int = 2) -> None:
        super().__init__(space, seed, fidelities, eta)
        self._rungs: list[list[Individual]] = [[] for _ in self.fidelities]  # best first
        self._promoted: set[int | None] = set()

    def _next(self) -> tuple[Point, int]:
        for rung in reversed(range(self.top)):
            ranked = self._rungs[rung]
            for one in ranked[: len(ranked) // self.eta]:
                if one.number not in self._promoted and not one.fitness.failed:
                    self._promoted.add(one.number)
                    return promotion(one), rung + 1
        return self._uniform(), 0

    def tell(self, proposal: Proposal, fitness: Fitness) -> None:
        ranked = self._rungs[self.fidelities.index(proposal.fidelity)]
        insort(ranked, Individual.told(proposal, fitness), key=lambda one: one.fitness.order)
