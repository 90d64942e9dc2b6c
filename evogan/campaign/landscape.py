"""A landscape: a table of recorded GAN trainings, on which strategies are compared in seconds instead of days.

A table is a parquet file, a row an evaluation: its key and replicate, a column `gene.NAME` a gene (empty where
inactive), `status`, `seconds`, and at every score checkpoint `fid@SHARE` of the budget; beside it a JSON file says of
what.

Between the recorded genomes a model stands in: gradient-boosted trees (another class than any searcher's model) of the
logarithm of FID at each checkpoint. What a replay adds to it is noise of the size, and with the correlation between
checkpoints, that recorded replicates have; it is drawn from a trial's seed, so that a longer training begins as the
shorter one did. Failures happen with the probability that the recorded ones suggest.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from evogan.engine.store import Store
from evogan.errors import UserError
from evogan.files import write_whole
from evogan.genes import GENES
from evogan.genome import Genome, Value
from evogan.space import Space
from evogan.trial import Evaluation, GANTask, Trial

Array = npt.NDArray[np.float64]
DRAWS = 256  # of noise, over which the truth is a mean


def tabulate(store: Store, task: GANTask) -> pd.DataFrame:
    """Every full training on `task` that a store knows, failures too."""
    rows = []
    for (key, where, fidelity, replicate), genome, evaluation in store.evaluations():
        if where == task.key and fidelity == 1.0:
            rows.append(
                {"key": key, "replicate": replicate, "status": evaluation.status, "reason": evaluation.reason}
                | {"seconds": evaluation.cost.get("seconds", math.nan)}
                | {f"gene.{name}": value for name, value in genome.items()}
                | {f"fid@{c:g}": s["fid"] for c, s in zip(task.checkpoints, evaluation.scores, strict=False)}
            )
    return pd.DataFrame(rows).sort_values(["replicate", "key"], ignore_index=True)


@dataclass(frozen=True)
class Landscape:
    """`table` as `tabulate` makes it; `space` is where its genomes lie; `facts` say how it was made."""

    name: str
    table: pd.DataFrame
    space: Space
    facts: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> Landscape:
        """`path` is the parquet file; its description lies beside it. Errors: UserError if one is missing or unfit."""
        description = path.with_suffix(".json")
        for file in (path, description):
            if not file.is_file():
                raise UserError(f"no file '{file}': a table is a .parquet and the .json that describes it")
        document = json.loads(description.read_text(encoding="utf-8"))
        return cls(path.stem, pd.read_parquet(path), Space.from_document(document["space"], GENES), document["facts"])

    def write(self, path: Path) -> None:
        document = {"space": self.space.document(), "facts": dict(self.facts)}
        write_whole(path, self.table.to_parquet(index=False))
        write_whole(path.with_suffix(".json"), json.dumps(document, indent=2).encode())

    @cached_property
    def checkpoints(self) -> list[float]:
        return [float(column.removeprefix("fid@")) for column in self._columns("fid@")]

    def _columns(self, prefix: str) -> list[str]:
        return [column for column in map(str, self.table.columns) if column.startswith(prefix)]

    # --- the model

    @cached_property
    def _logs(self) -> Array:
        """log FID of every row at every checkpoint; NaN where it was not reached."""
        logs: Array = np.log(self.table[[f"fid@{c:g}" for c in self.checkpoints]].to_numpy(dtype=float))
        return logs

    @cached_property
    def _features(self) -> Array:
        names = self._columns("gene.")
        genomes = [
            {name.removeprefix("gene."): value for name, value in zip(names, row, strict=True) if not pd.isna(value)}
            for row in self.table[names].itertuples(index=False, name=None)
        ]
        return np.array([self.features(genome) for genome in genomes])

    def features(self, genome: Mapping[str, Value]) -> list[float]:
        """Numbers as unit values, choices one by one; -1 where a gene is inactive."""
        found: list[float] = []
        for gene in self.space.genes:
            if gene.kind == "choice":
                at = gene.nearest(genome[gene.name]) if gene.name in genome else -1
                found += [float(at == k) for k in range(len(gene.grid))]
            else:
                found.append(gene.unit(genome[gene.name]) if gene.name in genome else -1.0)
        return found

    def _fit(self, rows: npt.NDArray[np.bool_], column: int) -> Any:
        from sklearn.ensemble import GradientBoostingRegressor

        rows = rows & np.isfinite(self._logs[:, column])
        model = GradientBoostingRegressor(
            n_estimators=400, learning_rate=0.05, max_depth=4, subsample=0.5, max_features=0.5, random_state=0
        )
        return model.fit(self._features[rows], self._logs[rows, column])

    @cached_property
    def _models(self) -> list[Any]:
        return [self._fit(np.ones(len(self.table), bool), column) for column in range(len(self.checkpoints))]

    @cached_property
    def _failures(self) -> Any:
        """A model of failure, if anything failed."""
        from sklearn.ensemble import GradientBoostingClassifier

        failed = (self.table["status"] != "completed").to_numpy()
        return GradientBoostingClassifier(random_state=0).fit(self._features, failed) if failed.any() else None

    @cached_property
    def noise(self) -> Array:
        """Covariance of log FID between replicates of a genome, checkpoint by checkpoint."""
        groups = pd.DataFrame(self._logs).groupby(self.table["key"])
        several = (groups.transform("count").iloc[:, -1] > 1).to_numpy()
        residuals = (pd.DataFrame(self._logs) - groups.transform("mean"))[several].to_numpy()
        freedom = several.sum() - self.table["key"][several].nunique()
        covariance: Array = residuals.T @ residuals / freedom
        return covariance

    def quality(self, folds: int = 5) -> dict[str, float]:
        """How well the model knows genomes it has not seen: R2 and Kendall's tau of the final log FID."""
        from scipy.stats import kendalltau

        keys = self.table["key"].astype("category").cat.codes.to_numpy()
        fold = np.random.default_rng(0).permutation(keys.max() + 1)[keys] % folds
        truth, predicted = self._logs[:, -1], np.full(len(keys), math.nan)
        for k in range(folds):
            predicted[fold == k] = self._fit(fold != k, -1).predict(self._features[fold == k])
        known = np.isfinite(truth)
        truth, predicted = truth[known], predicted[known]
        r2 = 1 - ((truth - predicted) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()
        return {"r2": float(r2), "kendall_tau": float(kendalltau(truth, predicted).statistic)}

    # --- replays

    @cached_property
    def _cache(self) -> dict[Genome, Array]:
        return {}

    def curve(self, genome: Genome) -> Array:
        """The model's log FID at every checkpoint."""
        if genome not in self._cache:
            features = [self.features(genome)]
            self._cache[genome] = np.array([model.predict(features)[0] for model in self._models])
        return self._cache[genome]

    @cached_property
    def _draws(self) -> Array:
        rng = np.random.default_rng(0)
        return rng.multivariate_normal(np.zeros(len(self.checkpoints)), self.noise, DRAWS, method="cholesky")

    def truth(self, genome: Genome) -> float:
        """The geometric mean, over trainings, of the FID at the best checkpoint."""
        return float(np.exp((self.curve(genome) + self._draws).min(axis=1).mean()))

    def __call__(self, trial: Trial) -> Evaluation:
        """A replay: what training this genome might have given."""
        rng = np.random.default_rng(trial.seed)
        if self._failures is not None:
            risk = self._failures.predict_proba([self.features(trial.genome)])[0, 1]
            if rng.random() < risk:
                return Evaluation(status="diverged", reason="as recorded trainings near it did")
        noise = rng.multivariate_normal(np.zeros(len(self.checkpoints)), self.noise, method="cholesky")
        logs = self.curve(trial.genome) + noise
        stops = sorted({c for c in self.checkpoints if c < trial.fidelity} | {trial.fidelity})
        fids = np.exp(np.interp(stops, self.checkpoints, logs))
        scores = tuple({"fidelity": stop, "fid": float(fid)} for stop, fid in zip(stops, fids, strict=True))
        return Evaluation(status="completed", scores=scores)
