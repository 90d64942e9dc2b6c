"""Random search: uniform over the levels of every gene.

Bergstra and Bengio, Random Search for Hyper-Parameter Optimization, JMLR 13 (2012).
"""

from __future__ import annotations

from evogan.strategies.base import Fitness, Point, Proposal, Strategy


class RandomSearch(Strategy):
    several = True

    def _ask(self) -> Point:
        return self._uniform()

    def tell(self, proposal: Proposal, fitness: Fitness) -> None:
        """Nothing is learned."""
