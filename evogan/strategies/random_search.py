"""Random search: uniform over the levels of every gene.

Bergstra and Bengio, Random Search for Hyper-Parameter Optimization, JMLR 13 (2012).
"""

from __future__ import annotations

from collections.abc import Sequence

from evogan.strategies.base import Fitness, Proposal, Strategy


class RandomSearch(Strategy):
    several = True

    def _ask(self) -> Sequence[float]:
        return list(self.rng.random(self.space.dimension))

    def tell(self, proposal: Proposal, fitness: Fitness) -> None:
        """Nothing is learned."""
