"""The margin: every value of a choice keeps a least probability, so that none is lost for good.

Hamano et al., CatCMA, GECCO 2024, arXiv:2405.09962. Of m choices, a value of one with K values is drawn with
probability q_min = (1 - 0.73^(1/m)) / (K - 1) at least: where all are settled, 0.73 of the points are free of it.

In a population q is the share of the members that hold a value. Of a trial, a choice becomes a value that lacks
q_min - q with that probability. The genes that apply only with this choice are then drawn anew: nothing was selected by
them while they were inactive, and what the population agrees on there is chance.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from evogan.space import Space
from evogan.strategies.base import cell, centre, choices

Vector = Sequence[float]
Lacking = dict[int, npt.NDArray[np.float64]]  # by choice, what each of its values lacks


def least_share(choices: int, values: int) -> float:
    """q_min of each of the `values` (two at least) of one of so many choices."""
    return float(1 - 0.73 ** (1 / choices)) / (values - 1)


class Margin:
    """Of the choices of a space."""

    def __init__(self, space: Space) -> None:
        self._space = space
        all_choices = choices(space)
        sizes = {i: len(space.genes[i].grid) for i in all_choices}
        self._least = {i: least_share(len(all_choices), size) for i, size in sizes.items() if size > 1}
        self._hanging = {i: _hanging(space, i) for i in self._least}

    def linked(self, one: Vector, other: Vector) -> dict[int, list[int]]:
        """By choice in which two points differ, the genes that apply in the `other` because of it."""
        genes = self._space.genes
        changed = [i for i in self._least if self._hanging[i] and cell(genes[i], one[i]) != cell(genes[i], other[i])]
        active = self._space.decode(other) if changed else {}
        return {i: [j for j in self._hanging[i] if genes[j].name in active] for i in changed}

    def lacking(self, population: Sequence[Vector]) -> Lacking:
        """What the values lack that too few of the population hold; only the choices that have such."""
        found = {}
        for i, least in self._least.items():
            gene = self._space.genes[i]
            held = np.bincount([cell(gene, one[i]) for one in population], minlength=len(gene.grid))
            lack = np.maximum(least - held / len(population), 0.0)
            if lack.any():
                found[i] = lack
        return found

    def kept(self, rng: np.random.Generator, trial: list[float], lacking: Lacking) -> list[float]:
        """`trial`, to which what is lacking has come back at its probability."""
        for i, lack in lacking.items():
            level = int(np.searchsorted(lack.cumsum(), rng.random(), side="right"))
            if level < len(lack):
                trial[i] = centre(self._space.genes[i], level)
                for j in self._hanging[i]:
                    trial[j] = float(rng.random())
        return trial


def _hanging(space: Space, i: int) -> list[int]:
    """The genes that apply, or not, by what the gene `i` is."""
    on = {space.genes[i].name}
    for gene in space.parents_first:
        if on & space.conditions[gene.name].keys():
            on.add(gene.name)
    return [j for j, gene in enumerate(space.genes) if gene.name in on and j != i]
