"""Which genes mattered: a random forest on what the run was told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evogan.engine.history import RunHistory
from evogan.extremes import scaled, tamed

LEAST = 10  # completed evaluations, below which a forest says nothing
LEAST_R2 = 0.1
REPEATS = 5  # shuffles of each gene
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Importance:
    """Permutation importance, most important gene first: the share of variance that shuffling a gene costs."""

    genes: list[str]
    means: NDArray[np.float64]
    spreads: NDArray[np.float64]
    r2: float
    evaluations: int


def gene_importance(run: RunHistory) -> Importance | str:
    """Fitted to the different genomes that completed, on log fitness where it is positive; or why not."""
    n = len(run.ranking)
    if n < LEAST:
        return f"Only {n} genomes completed; {LEAST} are the least from which importance can be read."
    fitness = np.array([tamed(told.value or 0.0) for told in run.ranking], dtype=float)
    if (fitness > 0).all():
        fitness = np.log(fitness)
    if np.ptp(fitness) == 0:
        return "All genomes have the same fitness: no gene mattered."
    from sklearn.ensemble import RandomForestRegressor

    fitness = scaled(fitness)
    vectors = np.array([run.space.encode(told.row.genome) for told in run.ranking])
    forest = RandomForestRegressor(100, min_samples_leaf=2, oob_score=True, random_state=0)
    r2 = float(forest.fit(vectors, fitness).oob_score_)
    if not r2 >= LEAST_R2:
        return (
            f"A random forest on {n} genomes does not predict the fitness of those it has not seen "
            f"(out-of-bag R² {r2:.2f}), so it has nothing to say on which genes mattered."
        )
    drops = _drops(forest.predict, vectors, fitness)
    order = np.argsort(drops.mean(axis=1))[::-1]
    genes = [run.space.genes[i].name for i in order]
    return Importance(genes, drops.mean(axis=1)[order], drops.std(axis=1)[order], r2, n)


def _drops(predict: Callable[[Array], Array], vectors: Array, values: Array) -> Array:
    """What of R2 is lost when a column is shuffled: (columns, REPEATS). (Breiman, Random Forests, 2001.)

    One prediction a column, where scikit-learn's own makes one a shuffle: few rows take a forest as long as many.
    """
    rng = np.random.default_rng(0)
    n = len(values)

    def r2(predicted: Array) -> Array:
        """Of every row."""
        lost: Array = 1 - ((predicted - values) ** 2).mean(axis=-1) / values.var()
        return lost

    drops = np.empty((vectors.shape[1], REPEATS))
    whole = r2(predict(vectors))
    for column in range(len(drops)):
        shuffled = np.tile(vectors, (REPEATS, 1))
        shuffled[:, column] = np.concatenate([rng.permutation(vectors[:, column]) for _ in range(REPEATS)])
        drops[column] = whole - r2(predict(shuffled).reshape(REPEATS, n))
    return drops
