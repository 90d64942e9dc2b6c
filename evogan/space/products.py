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
from evogan.space.space import Space

Array = npt.NDArray[np.float64]


class Products:
    """Those that several genes of a space of GANs have a part in, each once; of other spaces there are none."""

    def __init__(self, space: Space) -> None:
        self._genes = space.genes
        places = {gene.name: i for i, gene in enumerate(space.genes) if _has_logarithms(gene)}
        found = [{places[name]: c for name, c in product.items() if name in places} for product in PRODUCTS]
        several = [one for i, one in enumerate(found) if len(one) > 1 and one not in found[:i]]
        self._powers = several if space.table is not None else []

    def __len__(self) -> int:
        return len(self._powers)

    def __call__(self, points: Array) -> Array:
        """At points of the unit cube: (n, d) -> (n, products). A gene counts as its level, an inactive one as well."""
        places = {i for powers in self._powers for i in powers}
        logs = {i: _logarithms(self._genes[i], points[:, i]) for i in places}
        found = np.empty((len(points), len(self)))
        for k, powers in enumerate(self._powers):
            ends = [sorted(c * math.log(end) for end in _ends(self._genes[i])) for i, c in powers.items()]
            low, high = map(math.fsum, zip(*ends, strict=True))
            found[:, k] = (sum(c * logs[i] for i, c in powers.items()) - low) / (high - low)
        return found


def _has_logarithms(gene: Gene) -> bool:
    if gene.kind == "choice" and not all(type(value) in (int, float) for value in gene.values):
        return False
    low, high = _ends(gene)
    return 0 < low < high


def _ends(gene: Gene) -> tuple[float, float]:
    numbers = gene.values if gene.kind == "choice" else (gene.low, gene.high)
    return float(min(numbers)), float(max(numbers))  # type: ignore[type-var, arg-type]


def _logarithms(gene: Gene, u: Array) -> Array:
    places, which = np.unique(u, return_inverse=True)
    return np.array([math.log(gene.level(place)) for place in places])[which]  # type: ignore[arg-type]
