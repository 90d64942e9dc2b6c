"""Which genes mattered: a random forest on what the run was told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evogan.caller import undrawn
from evogan.engine.history import RunHistory
from evogan.extremes import scaled, tamed

LEAST = 10  # completed evaluations, below which a forest says nothing
LEAST_R2 = 0.1
REPEATS = 5  # shuffles of each gene
FOLDS = 5
Array = NDArray[np.float64]
Predict = Callable[[Array], Array]


@dataclass(frozen=True)
class Importance:
    """Permutation importance on genomes that the forest has not seen, most important gene first: the share of variance
    that shuffling a gene costs. `r2`: without any shuffling."""

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
    vectors = np.array([run.space.encode(told.row.genome) for told in run.ranking])
    r2, drops = _held_out(_forest, vectors, scaled(fitness))
    if not r2 >= LEAST_R2:
        return (
            f"A random forest on {n} genomes does not predict the fitness of those it has not seen "
            f"(R² {r2:.2f}), so it has nothing to say on which genes mattered."
        )
    order = np.argsort(drops.mean(axis=1))[::-1]
    genes = [run.space.genes[i].name for i in order]
    return Importance(genes, drops.mean(axis=1)[order], drops.std(axis=1)[order], r2, n)


def _forest(vectors: Array, values: Array) -> Predict:
    with undrawn():
        from sklearn.ensemble import RandomForestRegressor

    fitted: Predict = RandomForestRegressor(100, min_samples_leaf=2, random_state=0).fit(vectors, values).predict
    return fitted


def _held_out(fit: Callable[[Array, Array], Predict], vectors: Array, values: Array) -> tuple[float, Array]:
    """R2 of rows by models that have not seen them, and what of it is lost when a column is shuffled: (columns,
    REPEATS). (Breiman, Random Forests, 2001; of rows that it has seen, to a forest everything matters.)

    One prediction a column, where scikit-learn's own makes one a shuffle: few rows take a forest as long as many.
    """
    rng = np.random.default_rng(0)
    fold = rng.permutation(len(values)) % FOLDS
    models = [fit(vectors[fold != k], values[fold != k]) for k in range(FOLDS)]

    def r2(rows: Array) -> Array:
        """Of each of several versions (versions, n, columns) of the rows."""
        predicted = np.empty(rows.shape[:2])
        for k, predict in enumerate(models):
            part = rows[:, fold == k]
            predicted[:, fold == k] = predict(part.reshape(-1, rows.shape[2])).reshape(len(rows), -1)
        left: Array = 1 - ((predicted - values) ** 2).mean(axis=1) / values.var()
        return left

    whole = float(r2(vectors[None])[0])
    drops = np.empty((vectors.shape[1], REPEATS))
    for column in range(len(drops)):
        shuffled = np.tile(vectors, (REPEATS, 1, 1))
        shuffled[:, :, column] = [rng.permutation(vectors[:, column]) for _ in range(REPEATS)]
        drops[column] = whole - r2(shuffled)
    return whole, drops
