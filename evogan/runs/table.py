"""A table: recorded trainings of one space on one task, on which strategies are compared in seconds instead of days.

A table is a parquet file, a row an evaluation at full fidelity: `key` and `replicate`; `gene.NAME`, a column a gene
(empty where inactive); `status`, `reason` and `flags`; `seconds`, `parameters` and what else was measured once; and
`METRIC@SHARE` for whatever was measured at every score checkpoint, SHARE of the budget. The JSON file beside it says of
what: `space`, and `facts` (task, settings, versions, hardware, how well a model of it predicts).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from evogan import shipped
from evogan.engine.history import RunHistory
from evogan.errors import UserError, unknown
from evogan.files import check_file, write_whole
from evogan.files.documents import read_json
from evogan.genes import GENES
from evogan.genome import Genome
from evogan.space import Space
from evogan.stable import digest
from evogan.trial import CHECKPOINTS, Evaluation, Status, share_of

Array = npt.NDArray[np.float64]

ROOM = "benchmarks/tables"  # of the shipped ones
WHERE = {"kimg", "iterations", "fidelity", "seconds", "parameters"}  # of a score: no metrics
COLUMNS = ("key", "replicate", "status", "reason", "seconds")  # that no table is without
FACTS = ("data", "gan", "task", "genomes", "rows", "failed")
COSTS = ("seconds", "scoring_seconds", "flops")


def tabulate(runs: Sequence[RunHistory]) -> pd.DataFrame:
    """Every full training that runs on one space and task were told, each once, failures too; no schedules.

    `origin`: the strategy of the first run that was told. Errors: UserError if there is none.
    """
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    for run in runs:
        for told in (told for told in run.history if not told.row.genome.changes):
            for replicate, evaluation in enumerate(told.evaluations):
                key, _, fidelity, _ = told.identity(replicate)
                if fidelity == 1.0 and (key, replicate) not in rows:
                    origin = {"key": key, "replicate": replicate, "origin": run.settings.strategy}
                    genes = {f"gene.{gene.name}": told.row.genome.get(gene.name) for gene in run.space.genes}
                    rows[key, replicate] = origin | genes | _measured(evaluation)
    if not rows:
        raise UserError("no training is finished yet, of which a table could be made")
    return pd.DataFrame(list(rows.values())).sort_values(["replicate", "key"], ignore_index=True)


def _measured(evaluation: Evaluation) -> dict[str, Any]:
    found: dict[str, Any] = {"status": evaluation.status, "reason": evaluation.reason}
    found |= {"flags": " ".join(evaluation.flags)}
    own = share_of(1.0, evaluation.provenance)  # of what was trained before, the cost is another's
    found |= {name: evaluation.cost.get(name, np.nan) / own for name in COSTS}
    for score in evaluation.scores:
        share = f"{min(CHECKPOINTS, key=lambda checkpoint: abs(checkpoint - score['fidelity'])):g}"
        found |= {"parameters": score["parameters"]}
        found |= {f"{name}@{share}": np.float32(value) for name, value in score.items() if name not in WHERE}
    return found


@dataclass(frozen=True)
class Table:
    """`rows` as `tabulate` makes them; `space` is where its genomes lie; `facts` say how it was made.

    `folder`: where the table lies, and files that its facts name.
    """

    name: str
    rows: pd.DataFrame
    space: Space
    facts: Mapping[str, Any]
    folder: Path = Path()

    @classmethod
    def read(cls, name_or_path: str | Path) -> Table:
        """A shipped table by its name, or a parquet file with its description beside it.

        Errors: UserError if there is none, if its description is missing, or if the two do not fit.
        """
        table = cls.described(name_or_path)
        table._check(table.folder / f"{table.name}.parquet")
        return table

    @classmethod
    def described(cls, name_or_path: str | Path) -> Table:
        """The same, its rows unread: a shipped one needs no check of each."""
        path = shipped.find(ROOM, name_or_path)
        check_file(path)
        description = path.with_suffix(".json")
        if not description.is_file():
            raise UserError(f"no file '{description}': a table is a .parquet and the .json that describes it")
        document = read_json(description)
        try:
            space, facts = Space.from_document(document["space"], GENES), dict(document["facts"])
        except UserError as error:
            raise UserError(f"{description}: {error}") from None
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{description}: describes no table ({type(error).__name__}: {error})") from None
        try:
            rows = pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: no parquet file ({' '.join(str(error).split())})") from None
        genes = {f"gene.{gene.name}" for gene in space.genes}
        unfit = genes ^ {column for column in rows.columns if column.startswith("gene.")}
        if unfit:
            raise UserError(f"{path}: does not fit its description: {', '.join(sorted(unfit))} in only one of the two")
        missing = [name for name in COLUMNS if name not in rows.columns] or [
            name for name in FACTS if name not in facts
        ]
        if missing:
            raise UserError(f"{path}: no table of this version of evogan, '{missing[0]}' is missing")
        return cls(path.stem, rows, space, facts, path.parent)

    def _check(self, path: Path) -> None:
        """Errors: UserError for measurements that are none, or incomplete, and genomes of another space."""
        try:
            for metric in self.metrics:
                self.curves(metric)
            genomes = self.genomes
            if (self.rows["seconds"] <= 0).any():
                raise ValueError("a training that took no seconds")
            if odd := set(self.rows["status"]) - set(get_args(Status)):
                raise ValueError(f"status {min(map(str, odd))}")
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(f"{path}: no table of this version of evogan ({error})") from None
        for genome, key in zip(genomes, self.rows["key"], strict=True):
            if self.space.key(genome) != key:
                raise UserError(f"{path}: does not fit its description: a genome {key} is not in its space")

    def write(self, path: Path) -> None:
        document = {"space": self.space.document(), "facts": dict(self.facts)}
        write_whole(path, self.rows.to_parquet(index=False, compression="zstd"))
        write_whole(path.with_suffix(".json"), (json.dumps(document, indent=2) + "\n").encode())

    @cached_property
    def gan(self) -> dict[str, Any]:
        """Keywords of `GANSettings`, such as its trainings had."""
        given = dict(self.facts["gan"])
        features = given.get("features")
        if features and Path(features).suffix:
            given["features"] = str(self.folder / features)
        return given

    @cached_property
    def fingerprint(self) -> str:
        """Of what it says: a table that grew is another one."""
        return digest([dict(self.facts), int(pd.util.hash_pandas_object(self.rows).sum())])

    @cached_property
    def checkpoints(self) -> list[float]:
        """The shares of the budget at which every training was scored."""
        return sorted({float(column.rpartition("@")[2]) for column in self.rows.columns if "@" in column})

    @cached_property
    def metrics(self) -> list[str]:
        return list(dict.fromkeys(column.rpartition("@")[0] for column in self.rows.columns if "@" in column))

    def curves(self, metric: str) -> Array:
        """(rows, checkpoints), NaN where a training did not get. Errors: UserError for a metric it has not."""
        if metric not in self.metrics:
            raise unknown("metric", metric, self.metrics)
        columns = [f"{metric}@{checkpoint:g}" for checkpoint in self.checkpoints]
        found: Array = self.rows[columns].to_numpy(dtype=float)
        return found

    @cached_property
    def genomes(self) -> list[Genome]:
        """Of every row, with what the space fixes."""
        genes, fixed = self.space.genes, self.space.fixed
        columns = [self.rows[f"gene.{gene.name}"] for gene in genes]
        searched = [
            Genome(
                (gene.name, gene.grid[gene.nearest(value)])
                for gene, value in zip(genes, row, strict=True)
                if not pd.isna(value)
            )
            for row in zip(*columns, strict=True)
        ]
        # what is fixed need not apply to each; snapping knows, and takes its time
        return [self.space.snap({**fixed, **genome})[0] for genome in searched] if fixed else searched
