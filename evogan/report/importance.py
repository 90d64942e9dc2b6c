"""Which genes mattered: a random forest on what the run was told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evogan.engine.history import RunHistory

LEAST = 10  # completed evaluations, below which a forest says nothing
LEAST_R2 = 0.1


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
    fitness = np.array([told.value for told in run.ranking], dtype=float)
    if (fitness > 0).all():
        fitness = np.log(fitness)
    if np.ptp(fitness) == 0:
        return "All genomes have the same fitness: no gene mattered."
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    vectors = np.array([run.space.encode(told.row.genome) for told in run.ranking])
    forest = RandomForestRegressor(100, min_samples_leaf=2, oob_score=True, random_state=0)
    r2 = float(forest.fit(vectors, fitness).oob_score_)
    if r2 < LEAST_R2:
        return (
            f"A random forest on {n} genomes does not predict the fitness of those it has not seen "
            f"(out-of-bag R² {r2:.2f}), so it has nothing to say on which genes mattered."
        )
    found = permutation_importance(forest, vectors, fitness, n_repeats=5, random_state=0)
    order = np.argsort(found.importances_mean)[::-1]
    genes = [run.space.genes[i].name for i in order]
    return Importance(genes, found.importances_mean[order], found.importances_std[order], r2, n)
