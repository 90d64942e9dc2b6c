"""Grid search: every genome of a space, or of a coarser grid in it, in a random order.

The baseline of Bergstra and Bengio, Random Search for Hyper-Parameter Optimization, JMLR 13 (2012). While the space has
more cells than `points`, the number with most levels is given half as many, evenly spread with both ends among them,
down to two; choices stay whole. Where even that is too much, `points` different cells of that grid are drawn. Cells
that differ only in inactive genes are one, and so are those that are repaired to the same genome. After the last point
the walk begins again.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from evogan.genome import Gene
from evogan.genome.levels import EqualCells
from evogan.space import Space
from evogan.strategies.base import Fitness, Point, Proposal, Strategy, at_least, centre, numbers


class GridSearch(Strategy):
    """`points`: the most points that the grid may have.

    >>> from evogan import Gene, Space, search
    >>> space = Space("bowl", [Gene(name=name, kind="float", low=-1.0, high=1.0) for name in ("x", "y")])
    >>> def bowl(genes):
    ...     return genes["x"] ** 2 + genes["y"] ** 2
    >>> run = search(space, objective=bowl, strategy="grid", options={"points": 25}, evaluations=25, workers=1)
    >>> len({told.row.key for told in run.history})
    25
    """

    several = True

    def __init__(self, space: Space, seed: int, *, points: int = 1000) -> None:
        super().__init__(space, seed)
        at_least("grid", "points", points, 1, 1_000_000)
        self.levels = self._coarsened(points)
        cells = list(dict.fromkeys(map(self._canonical, self._cells(points))))
        self._walk = [cells[k] for k in self.rng.permutation(len(cells))]

    def _coarsened(self, points: int) -> list[list[int]]:
        """For each gene the levels that the grid has."""
        counts = [len(gene.grid) for gene in self.space.genes]
        while math.prod(counts) > points:
            widest = max(numbers(self.space), key=counts.__getitem__, default=None)
            if widest is None or counts[widest] <= 2:
                break
            counts[widest] = (counts[widest] + 1) // 2
        return [spread(gene, n) for gene, n in zip(self.space.genes, counts, strict=True)]

    def _cells(self, points: int) -> Iterator[tuple[int, ...]]:
        if math.prod(map(len, self.levels)) <= points:
            yield from itertools.product(*self.levels)
            return
        seen: set[tuple[int, ...]] = set()
        while len(seen) < points:
            drawn = tuple(levels[int(self.rng.integers(len(levels)))] for levels in self.levels)
            if drawn not in seen:
                seen.add(drawn)
                yield drawn

    def _canonical(self, cell: tuple[int, ...]) -> tuple[int, ...]:
        """The cell of its genome, which is another one where genes cannot live together; inactive genes at 0."""
        genome = self.space.decode(self._vector(cell))
        places = zip(self.space.genes, self.space.encode(genome), strict=True)
        return tuple(gene.cells.holding(u) if gene.name in genome else 0 for gene, u in places)

    def _vector(self, cell: tuple[int, ...]) -> list[float]:
        return [centre(gene, k) for k, gene in zip(cell, self.space.genes, strict=True)]

    def _ask(self) -> Point:
        """Anywhere in the next cell."""
        at = self._walk[self._asked % len(self._walk)]
        genes = zip(at, self.space.genes, strict=True)
        return Point([gene.cells.at(k, float(self.rng.random())) for k, gene in genes], "grid")

    def tell(self, proposal: Proposal, fitness: Fitness) -> None:
        """Nothing is learned."""


def spread(gene: Gene, n: int) -> list[int]:
    """At most `n` levels, evenly spread on the gene's scale, both ends among them."""
    last, cells = len(gene.grid) - 1, gene.cells
    if isinstance(cells, EqualCells):
        return [round(k * last / max(n - 1, 1)) for k in range(n)]
    low, high = cells.at(0), cells.at(last)
    return list(dict.fromkeys(cells.holding(low + k / max(n - 1, 1) * (high - low)) for k in range(n)))
