"""What products of genes are worth to the process of `assisted`: Kendall's tau with recorded trainings it has not seen.

From each table 25, 50 and 100 trainings of random genomes, DRAWS times; the process of them, with products beside the
genes and without, then ranks all other genomes of the table. No model of a table has a part in it.

    python benchmarks/products.py           TABLES (all), DRAWS (10)
"""

from __future__ import annotations

import os

import numpy as np
from _record import record
from scipy.stats import kendalltau

from evogan import shipped
from evogan.runs.table import Table
from evogan.space.products import Products
from evogan.strategies.assisted import AssistedEvolution, fence, normal
from evogan.strategies.gaussian_process import GaussianProcess, Results

TABLES = os.environ.get("TABLES", ",".join(shipped.names("benchmarks/tables"))).split(",")
DRAWS = int(os.environ.get("DRAWS", "10"))
SIZES = (25, 50, 100)
AT_RANDOM = ("sobol", "random")  # origins of genomes that nobody chose


def taus(name: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Without products and with them, of each draw."""
    table = Table.read(name)
    ends = table.curves("fid")[:, -1]
    there = np.isfinite(ends) & ~table.rows["key"].duplicated().to_numpy()
    genomes = [genome for genome, one in zip(table.genomes, there, strict=True) if one]
    values, origins = ends[there], table.rows["origin"].to_numpy()[there]
    strategy, products = AssistedEvolution(table.space, 0), Products(table.space)
    units = np.array([table.space.encode(genome) for genome in genomes])
    choice = np.array([gene.kind == "choice" for gene in table.space.genes])
    both = np.hstack([units, products(units)]), np.append(choice, np.zeros(len(products), dtype=bool))
    assert len(both[1]) == both[0].shape[1] == len(strategy._unordered)
    found = []
    for draw in range(DRAWS):
        seen = np.random.default_rng(draw).choice(np.flatnonzero(np.isin(origins, AT_RANDOM)), size, replace=False)
        unseen = np.setdiff1d(np.arange(len(values)), seen)
        told = normal(np.minimum(values[seen], fence(values[seen])))
        believed = [
            GaussianProcess(Results.of(x[seen], told), c).predict(x[unseen])[0] for x, c in ((units, choice), both)
        ]
        found.append([kendalltau(one, values[unseen]).statistic for one in believed])
    without, beside = np.array(found).T
    return without, beside


def main() -> None:
    results: dict[str, object] = {}
    for name in TABLES:
        for size in SIZES:
            without, beside = taus(name, size)
            gain = beside - without
            results[f"{name}, {size} trainings"] = {
                "without": round(float(without.mean()), 3),
                "with": round(float(beside.mean()), 3),
                "gain (mean, standard error)": [
                    round(float(gain.mean()), 3),
                    round(float(gain.std(ddof=1) / DRAWS**0.5), 3),
                ],
            }
    record("products", results)


if __name__ == "__main__":
    main()
