"""What stands in for training: a model of a table, or the table itself where it has every genome of its space.

The model is gradient-boosted trees (Friedman, 2001; another class than any searcher's model): of the logarithm of the
metric at each checkpoint, of the logarithm of the seconds, and of failure. What a replay adds is noise of the size, and
with the correlation between checkpoints, that recorded replicates have, drawn from the trial's seed: so a longer
training begins as the shorter one did.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from evogan.caller import undrawn
from evogan.errors import UserError, unknown
from evogan.genes import GENES
from evogan.genome import Genome, Value
from evogan.runs.table import Table
from evogan.space import Space
from evogan.space.products import Products
from evogan.trial import MAXIMISED, Evaluation, Task, Trial, turned

Array = npt.NDArray[np.float64]
Kind = Literal["surrogate", "table"]
KINDS: tuple[Kind, ...] = ("surrogate", "table")
FOLDS = 5  # of genomes, each judged by a model of the others
MODEL = 2  # raised where surrogates come to answer otherwise: replays of another are other runs
DRAWS = 256  # of noise, over which the truth is a mean


class StandIn(ABC):
    """What answers trials in place of training: `table` says of what, `metric` is what is measured."""

    def __init__(self, table: Table, metric: str = "fid") -> None:
        self.table, self.metric = table, metric
        values = table.curves(metric)
        if (values <= 0).any():
            raise UserError(f"metric '{metric}' is not positive everywhere, and only its logarithm is modelled")
        self._logs: Array = np.log(values)

    @property
    def space(self) -> Space:
        return self.table.space

    @abstractmethod
    def __call__(self, trial: Trial) -> Evaluation:
        """What this trial might have given."""

    @abstractmethod
    def truth(self, genes: Mapping[str, Value]) -> float:
        """The metric at the best checkpoint: the geometric mean over trainings that complete. Genes as in `value`."""

    def value(self, genes: Mapping[str, Value], fidelity: float = 1.0, replicate: int = 0) -> float:
        """The metric at the best checkpoint of one training; infinitely bad if it failed.

        genes: moved to the levels of the space; those that it fixes may be left out. fidelity: in (0, 1]. replicate:
        from 0, each is another training. Errors: UserError for an unknown or missing gene, and what lies outside the
        space.
        """
        if not 0 < fidelity <= 1:
            raise UserError(f"fidelity must lie in (0, 1], not {fidelity:g}")
        if replicate < 0:
            raise UserError(f"replicates count from 0, not {replicate}")
        genome = self._at(genes)
        trial = Trial(genome, self.space.key(genome), Task(name=self.table.name), fidelity, replicate)
        found = self(trial).metric(self.metric)
        return self._worst if found is None else found

    @property
    def _worst(self) -> float:
        return turned(self.metric, math.inf)

    def _best(self, logs: Array) -> Array:
        """Over checkpoints, of logarithms (n, checkpoints); those without a value have none."""
        found: Array = (np.nanmax if self.metric in MAXIMISED else np.nanmin)(logs, axis=1)
        return found

    def _at(self, genes: Mapping[str, Value]) -> Genome:
        """A published genome may leave out what is a default; here that would be a misspelt name."""
        given = self.space.fixed | dict(genes)
        for name in given:
            if name not in GENES:
                raise unknown("gene", name, [gene.name for gene in self.space.genes])
        genome, _ = self.space.snap(given)
        for name in genome:
            if name not in given:
                raise UserError(f"gene '{name}' of space '{self.space.name}' is missing")
        return genome

    def _evaluation(self, fidelity: float, logs: Array, cost: Mapping[str, float]) -> Evaluation:
        """Up to a fidelity; between checkpoints the logarithm is interpolated, before them it is that of the first."""
        checkpoints, there = np.array(self.table.checkpoints), np.isfinite(logs)
        stops = sorted({float(c) for c in checkpoints[there] if c < fidelity} | {fidelity})
        values = np.exp(np.interp(stops, checkpoints[there], logs[there]))
        scores = [{"fidelity": stop, self.metric: float(value)} for stop, value in zip(stops, values, strict=True)]
        return Evaluation(status="completed", scores=tuple(scores), cost=cost)


def load_table(name_or_path: str | Path, kind: str = "surrogate", metric: str = "fid") -> StandIn:
    """A table that answers in place of training: a shipped one by its name, or a parquet file.

    kind: `surrogate` asks a model of the recorded trainings, `table` answers with these themselves.
    Errors: UserError for a kind that is none, a metric the table has not, or cells that are missing.
    """
    if kind not in KINDS:
        raise unknown("kind", kind, KINDS)
    table = Table.read(name_or_path)
    return Surrogate(table, metric) if kind == "surrogate" else Cells(table, metric)


class Surrogate(StandIn):
    """The model; `metric` must be positive."""

    @cached_property
    def _known(self) -> dict[Genome, Array]:
        return {}

    def __call__(self, trial: Trial) -> Evaluation:
        rng = np.random.default_rng(trial.seed)
        cost = {"seconds": trial.fidelity * self.seconds(trial.genome)}
        if rng.random() < self.risk(trial.genome):
            return Evaluation(status="diverged", reason="as recorded trainings near it did", cost=cost)
        noise = self._root @ rng.standard_normal(len(self._root))
        return self._evaluation(trial.fidelity, self.curve(trial.genome) + noise, cost)

    def truth(self, genes: Mapping[str, Value]) -> float:
        genome = self._at(genes)
        return float(np.exp(self._best(self.curve(genome) + self._draws).mean()))

    def predict(self, genomes: Sequence[Mapping[str, Value]]) -> Array:
        """The logarithm of the metric of each genome at every checkpoint: (genomes, checkpoints)."""
        at = self._features_of(genomes)
        return np.column_stack([model.predict(at) for model in self._models])

    def curve(self, genome: Mapping[str, Value]) -> Array:
        """The logarithm of the metric at every checkpoint."""
        return self._answers(genome)[2:]

    def seconds(self, genome: Mapping[str, Value]) -> float:
        """Of a full training."""
        return math.exp(self._answers(genome)[0])

    def risk(self, genome: Mapping[str, Value]) -> float:
        """The probability that a training fails."""
        return float(self._answers(genome)[1])

    def _answers(self, genome: Mapping[str, Value]) -> Array:
        """Logarithm of the seconds, probability of failure, curve."""
        genome = Genome(genome)
        if genome not in self._known:
            at = self._features_of([genome])
            cost, *curve = self._trees(at[0])
            risk = 0.0 if self._failure is None else self._failure.predict_proba(at)[0, 1]
            self._known[genome] = np.array([cost, risk, *curve])
        return self._known[genome]

    def check(self) -> None:
        """Errors: UserError for a table of which no model can be made."""
        if not np.isfinite(self._logs).all(axis=1).any():
            raise UserError(f"table '{self.table.name}' has no training that completed")
        _ = self.noise

    # --- the models

    def _features_of(self, genomes: Sequence[Mapping[str, Value]]) -> Array:
        """(genomes, features): numbers as unit values, choices one by one; -1 where a gene is inactive; then products
        of genes."""
        points = np.array([self.space.encode(genome) for genome in genomes])
        return np.hstack([np.array([self._coded(genome) for genome in genomes]), self._products(points)])

    def _coded(self, genome: Mapping[str, Value]) -> list[float]:
        found: list[float] = []
        for gene in self.table.space.genes:
            if gene.kind == "choice":
                at = gene.nearest(genome[gene.name]) if gene.name in genome else -1
                found += [float(at == k) for k in range(len(gene.grid))]
            else:
                found.append(gene.unit(genome[gene.name]) if gene.name in genome else -1.0)
        return found

    @cached_property
    def _products(self) -> Products:
        return Products(self.space)

    @cached_property
    def features(self) -> Array:
        """(rows, features) of the table."""
        return self._features_of(self.table.genomes)

    def _fit(self, values: Array, rows: npt.NDArray[np.bool_] | None = None) -> Any:
        with undrawn():
            from sklearn.ensemble import GradientBoostingRegressor

        rows = np.isfinite(values) if rows is None else rows & np.isfinite(values)
        model = GradientBoostingRegressor(
            n_estimators=400,
            learning_rate=0.04,
            max_depth=6,
            min_samples_leaf=4,
            subsample=0.5,
            max_features=0.4,
            random_state=0,
        )
        return model.fit(self.features[rows], values[rows])

    @cached_property
    def _models(self) -> list[Any]:
        return [self._fit(column) for column in self._logs.T]

    @cached_property
    def _cost(self) -> Any:
        return self._fit(np.log(self.table.rows["seconds"].to_numpy(dtype=float)))

    @cached_property
    def _trees(self) -> Trees:
        return Trees([self._cost, *self._models])

    @cached_property
    def _failure(self) -> Any:
        """None if nothing failed."""
        with undrawn():
            from sklearn.ensemble import GradientBoostingClassifier

        failed = (self.table.rows["status"] != "completed").to_numpy()
        return GradientBoostingClassifier(random_state=0).fit(self.features, failed) if failed.any() else None

    @cached_property
    def noise(self) -> Array:
        """Covariance of the logarithm between replicates of a genome, checkpoint by checkpoint."""
        whole = np.isfinite(self._logs).all(axis=1)
        logs, keys = pd.DataFrame(self._logs[whole]), self.table.rows["key"].to_numpy()[whole]
        freedom = len(keys) - len(set(keys))
        if not freedom:
            raise UserError(f"table '{self.table.name}' has no replicates, so its noise is not known")
        residuals = (logs - logs.groupby(keys).transform("mean")).to_numpy()
        covariance: Array = residuals.T @ residuals / freedom
        return covariance

    @cached_property
    def _root(self) -> Array:
        """The symmetric R with R R = noise, which may be singular."""
        values, vectors = np.linalg.eigh(self.noise)
        root: Array = vectors * np.sqrt(np.maximum(values, 0.0)) @ vectors.T
        return root

    @cached_property
    def _draws(self) -> Array:
        draws: Array = np.random.default_rng(0).standard_normal((DRAWS, len(self._root))) @ self._root
        return draws

    def quality(self) -> dict[str, float]:
        """How well the models know genomes that they have not seen.

        `r2` and `kendall_tau` of the logarithm of the metric at the end, `cost_r2` of that of the seconds;
        `failure_auc` if something failed. `r2_ceiling`: what the noise between replicates leaves to know.
        """
        from scipy.stats import kendalltau

        with undrawn():
            from sklearn.metrics import r2_score, roc_auc_score

        keys = self.table.rows["key"].astype("category").cat.codes.to_numpy()
        fold = np.random.default_rng(0).permutation(keys.max() + 1)[keys] % min(FOLDS, keys.max() + 1)
        seconds = np.log(self.table.rows["seconds"].to_numpy(dtype=float))
        failed = (self.table.rows["status"] != "completed").to_numpy()
        truths = {"end": self._logs[:, -1], "cost": seconds}
        predicted = {name: np.full(len(keys), math.nan) for name in (*truths, "risk")}
        for k in range(fold.max() + 1):
            held_out = fold == k
            for name, truth in truths.items():
                predicted[name][held_out] = self._fit(truth, ~held_out).predict(self.features[held_out])
            if failed[~held_out].any():
                model = type(self._failure)(random_state=0).fit(self.features[~held_out], failed[~held_out])
                predicted["risk"][held_out] = model.predict_proba(self.features[held_out])[:, 1]
        known = np.isfinite(truths["end"])
        end, guess = truths["end"][known], predicted["end"][known]
        found = {"r2": r2_score(end, guess), "kendall_tau": kendalltau(end, guess).statistic}
        with suppress(UserError):
            found["r2_ceiling"] = 1.0 - self.noise[-1, -1] / end.var()
        timed = np.isfinite(seconds)
        found["cost_r2"] = r2_score(seconds[timed], predicted["cost"][timed])
        if failed.any() and np.isfinite(predicted["risk"]).all():
            found["failure_auc"] = roc_auc_score(failed, predicted["risk"])
        return {name: float(value) for name, value in found.items()}


class Trees:
    """Gradient-boosted regressors, all trees walked at once: scikit-learn takes twenty times as long for one genome."""

    def __init__(self, models: Sequence[Any]) -> None:
        trees = [stage.tree_ for model in models for stage in model.estimators_[:, 0]]
        starts = np.cumsum([0, *(tree.node_count for tree in trees)])
        self._roots, offsets = starts[:-1], np.repeat(starts[:-1], np.diff(starts))
        self._gene = np.concatenate([tree.feature for tree in trees])  # negative at a leaf
        self._threshold = np.concatenate([tree.threshold for tree in trees])
        self._left = np.concatenate([tree.children_left for tree in trees]) + offsets
        self._right = np.concatenate([tree.children_right for tree in trees]) + offsets
        rates = np.repeat([model.learning_rate for model in models], [len(model.estimators_) for model in models])
        self._value = np.concatenate([r * tree.value[:, 0, 0] for r, tree in zip(rates, trees, strict=True)])
        self._first = np.cumsum([0, *(len(model.estimators_) for model in models[:-1])])
        self._constant = np.array([model.init_.constant_.item() for model in models])

    def __call__(self, features: Array) -> Array:
        """What each model says of one genome."""
        x, at = features.astype(np.float32), self._roots
        while (inner := self._gene[at] >= 0).any():
            onward = np.where(x[self._gene[at]] <= self._threshold[at], self._left[at], self._right[at])
            at = np.where(inner, onward, at)
        found: Array = self._constant + np.add.reduceat(self._value[at], self._first)
        return found


class Cells(StandIn):
    """The recorded trainings themselves: replicate r of a genome is the r-th that was recorded, then the first again.

    Errors: UserError unless the table has every genome of its space.
    """

    def __init__(self, table: Table, metric: str = "fid") -> None:
        super().__init__(table, metric)
        genomes, size = table.rows["key"].nunique(), table.space.size
        if genomes < size:
            raise UserError(f"table '{table.name}' has {genomes} of the {size} genomes of its space: kind 'surrogate'")
        self._rows: dict[str, list[int]] = {}
        for row, key in enumerate(table.rows["key"]):  # by replicate
            self._rows.setdefault(key, []).append(row)

    def __call__(self, trial: Trial) -> Evaluation:
        rows = self._rows[trial.key]
        row = rows[trial.replicate % len(rows)]
        recorded = self.table.rows.iloc[row]
        cost = {"seconds": trial.fidelity * float(np.nan_to_num(recorded["seconds"]))}
        if recorded["status"] != "completed":
            return Evaluation(status=recorded["status"], reason=recorded["reason"], cost=cost)
        return self._evaluation(trial.fidelity, self._logs[row], cost)

    def truth(self, genes: Mapping[str, Value]) -> float:
        logs = self._logs[self._rows[self.space.key(self._at(genes))]]
        logs = logs[np.isfinite(logs).any(axis=1)]
        return float(np.exp(self._best(logs).mean())) if len(logs) else self._worst
