"""Quasi-random search: the scrambled Sobol' sequence, which fills the cube more evenly than chance.

Sobol', USSR Computational Mathematics and Mathematical Physics 7 (1967), with the direction numbers of Joe and Kuo
(2008) and Owen's scrambling (1995), by `scipy.stats.qmc`. Points are drawn in blocks of a power of two, which keeps
the sequence balanced: each 2^m points from the first lie one to a slice in every gene.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evogan.space import Space
from evogan.strategies.base import Fitness, Point, Proposal, Strategy

BLOCK = 64


class SobolSearch(Strategy):
    """It has no options.

    >>> from evogan import Gene, Space, search
    >>> space = Space("bowl", [Gene(name=name, kind="float", low=-1.0, high=1.0) for name in ("x", "y")])
    >>> def bowl(genes):
    ...     return genes["x"] ** 2 + genes["y"] ** 2
    >>> run = search(space, objective=bowl, strategy="sobol", evaluations=20, workers=1)
    >>> run.best.value < 0.2
    True
    """

    several = True

    def __init__(self, space: Space, seed: int) -> None:
        super().__init__(space, seed)
        self._sequence: Any = None
        self._block: list[Sequence[float]] = []

    def _ask(self) -> Point:
        if self._sequence is None:
            from scipy.stats import qmc  # takes a second

            self._sequence = qmc.Sobol(self.space.dimension, scramble=True, seed=self.rng)
        if not self._block:
            self._block = self._sequence.random(BLOCK).tolist()
        return Point(self._block.pop(0), "sobol")

    def tell(self, proposal: Proposal, fitness: Fitness) -> None:
        """Nothing is learned."""
