"""Products of a space's genes, as coordinates for whoever models fitness beside the genes themselves.

    log p(x) = sum_i c_i log x_i,

brought to [0, 1] over the space: so a distance between points knows that half the rate in twice the updates is near.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from evogan.genes.products import PRODUCTS
from evogan.genome import Gene
from evogan.genome.levels import EqualCells
from evogan.space.space import Space

Array = npt.NDArray[np.float64]


class Products:
    """Those that several genes of a space of GANs have a part in, each once; of other spaces there are none."""

    def __init__(self, space: Space) -> None:
        places = {gene.name: i for i, gene in enumerate(space.genes) if _has_logarithms(gene)}
        found = [{places[name]: c for name, c in product.items() if name in places} for product in PRODUCTS]
        self._powers = [one for i, one in enumerate(found) if len(one) > 1 and one not in found[:i]]
        self._powers = self._powers if space.table is not None else []
        self._genes = {i: space.genes[i] for one in self._powers for i in one}
        self._logs = {i: np.log(np.array(gene.grid, dtype=float)) for i, gene in self._genes.items()}

    def __len__(self) -> int:
        return len(self._powers)

    def __call__(self, points: Array) -> Array:
        """At points of the unit cube: (n, d) -> (n, products). A gene counts as its level, an inactive one as well."""
        logs = {i: self._logs[i][_levels(gene, points[:, i])] for i, gene in self._genes.items()}
        found = np.empty((len(points), len(self)))
        for k, powers in enumerate(self._powers):
            ends = [sorted((c * self._logs[i].min(), c * self._logs[i].max())) for i, c in powers.items()]
            low, high = (math.fsum(side) for side in zip(*ends, strict=True))
            found[:, k] = (sum(c * logs[i] for i, c in powers.items()) - low) / (high - low)
        return found


def _has_logarithms(gene: Gene) -> bool:
    numbers = [value for value in gene.grid if isinstance(value, int | float) and not isinstance(value, bool)]
    return len(numbers) == len(gene.grid) > 1 and min(numbers) > 0


def _levels(gene: Gene, u: Array) -> npt.NDArray[np.int_]:
    if isinstance(gene.cells, EqualCells):
        levels: npt.NDArray[np.int_] = np.minimum((u * gene.cells.count).astype(int), gene.cells.count - 1)
        return levels
    places, which = np.unique(u, return_inverse=True)
    return np.array([gene.cells.holding(place) for place in places], dtype=int)[which]
