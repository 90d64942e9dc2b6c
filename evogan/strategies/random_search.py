"""Random search: uniform over the levels of every gene; the space repairs what cannot live together.

Bergstra and Bengio, Random Search for Hyper-Parameter Optimization, JMLR 13 (2012).
"""

from __future__ import annotations

from evogan.strategies.base import Fitness, Point, Proposal, Strategy


class RandomSearch(Strategy):
    """It has no options.

    >>> from evogan import Gene, Space, search
    >>> space = Space("bowl", [Gene(name=name, kind="float", low=-1.0, high=1.0) for name in ("x", "y")])
    >>> def bowl(genes):
    ...     return genes["x"] ** 2 + genes["y"] ** 2
    >>> run = search(space, objective=bowl, strategy="random", evaluations=20, workers=1)
    >>> sorted({told.row.operator for told in run.history})
    ['uniform']
    """

    several = True

    def _ask(self) -> Point:
        return self._uniform()

    def tell(self, proposal: Proposal, fitness: Fitness) -> None:
        """Nothing is learned."""
