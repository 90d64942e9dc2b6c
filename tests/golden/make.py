"""What evogan 0.1.0 (commit 8229bc3) gave: keys, seeds, tables, and stores of finished and of stopped runs.

`python -m tests.golden.make` made the files beside this one, once, with that commit. They are not to be remade: what
was recorded then must be read, found again and gone on with by every later version. A change of them is a change of
what users have in their stores. This file may follow the package where it moves; what it returns may not.
"""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import fields
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evogan import Gene, Run, Space, load_space, load_table, open_run, search
from evogan.engine.store import ProposalRow
from evogan.fitness import SHIPPED, load_features
from evogan.genes import GENES
from evogan.runs.gans import GANProblem
from evogan.settings import GANSettings
from evogan.shipped import names, read_genome
from evogan.trial import GANTask, Task, Trial

GOLDEN = Path(__file__).parent
POINTS = 64  # of each space


def sha(value: Any) -> str:
    """Of plain data, every bit of its floats. Not the package's own: that is among what is tested."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


# --- keys


def genome_keys() -> dict[str, str]:
    return {name: GENES.key(read_genome(name).genome) for name in names("genomes")}


def spaces() -> dict[str, Any]:
    """Of the same points of every shipped space: the key of each, and a digest of the genomes and their way back.

    `anything` has every gene and grows with the table: it is read as it was.
    """
    found = {}
    for name in names("search_spaces"):
        space = load_space(GOLDEN / "anything.toml" if name == "anything" else name)
        points = np.random.default_rng(0).random((POINTS, space.dimension)).tolist()
        genomes = [space.decode(point) for point in points]
        found[name] = {
            "keys": [space.key(genome) for genome in genomes],
            "genomes": sha([dict(genome) for genome in genomes]),
            "points": sha([[f"{x:.9g}" for x in space.encode(genome)] for genome in genomes]),
        }
    return found


FACTS: dict[str, Any] = {
    "name": "digits",
    "fingerprint": "0123456789abcdef",
    "image_size": 8,
    "channels": 1,
    "kimg": 20.0,
    "features": "digits-01234567",
}
OTHER: dict[str, Any] = {
    "name": "called otherwise",
    "fingerprint": "fedcba9876543210",
    "image_size": 28,
    "channels": 3,
    "kimg": 0.5,
    "features": "mnist-01234567",
    "samples": 200,
    "precision": "bf16",
    "threads": 2,
    "checkpoints": (0.5, 1.0),
    "recipe": 2,
}


def tasks() -> dict[str, str]:
    """Made-up ones, each with another fact changed; those of digits, and of objectives."""
    found = {"defaults": GANTask(**FACTS).key}
    found |= {fact: GANTask(**{**FACTS, fact: value}).key for fact, value in OTHER.items()}
    found |= {"digits": GANProblem(GANSettings()).prepare()[0].key}
    found |= {"classes of digits": GANProblem(GANSettings(classes=("3", "5"), image_size=16)).prepare()[0].key}
    return found | {"objective": Task(name="made up").key, "another": Task(name="made up on bowl").key}


def trials() -> list[Any]:
    """The identity and the training seed of each."""
    found = []
    for name in ("wdcgan", "stylegan"):
        genome = read_genome(name).genome
        for task in (GANTask(**FACTS), Task(name="made up")):
            for fidelity, replicate in ((1.0, 0), (0.25, 0), (1.0, 1), (1.0, 1000)):
                trial = Trial(genome, GENES.key(genome), task, fidelity, replicate)
                found.append([list(trial.identity), trial.seed])
    return found


def feature_networks() -> dict[str, str]:
    return {name: load_features(name).id for name in SHIPPED}


def keys() -> dict[str, Any]:
    return {
        "genomes": genome_keys(),
        "spaces": spaces(),
        "tasks": tasks(),
        "trials": trials(),
        "features": feature_networks(),
    }


# --- tables


def tables() -> dict[str, Any]:
    """Rows as the package reads them; `fingerprint` is in the names of replays, which are found by it."""
    found = {}
    for name in names("benchmarks/tables"):
        table = load_table(name).table
        columns = sorted(table.rows.columns)
        rows = [[_plain(cell) for cell in row] for row in table.rows[columns].itertuples(index=False)]
        found[name] = {
            "rows": len(rows),
            "digest": sha([columns, *rows]),
            "facts": sha(dict(table.facts)),
            "genomes": sha([dict(genome) for genome in table.genomes]),
            "fingerprint": table.fingerprint,
        }
    return found


def _plain(cell: Any) -> Any:
    if pd.isna(cell):
        return None
    return cell.item() if isinstance(cell, np.generic) else cell


# --- runs

BOWL = Space(
    "bowl",
    [
        Gene(name="x", kind="float", low=-1.0, high=1.0, levels=41),
        Gene(name="rate", kind="float", low=0.001, high=1.0, scale="log", levels=13),
        Gene(name="n", kind="int", low=1, high=64, scale="log"),
        Gene(name="kind", kind="choice", values=("a", "b", "c")),
        Gene(name="depth", kind="int", low=0, high=5, when={"kind": ("b", "c")}),
    ],
)


def bowl(genes: Mapping[str, Any], fidelity: float = 1.0) -> dict[str, float]:
    """Sums and products alone, which every processor rounds alike. Where x is high and the kind is c it diverges."""
    depth = genes.get("depth", 3) - 2
    value = genes["x"] * genes["x"] + abs(genes["rate"] - 0.1) + depth * depth / 16 + (genes["kind"] != "b") / 4
    value = math.nan if genes["kind"] == "c" and genes["x"] > 0.5 else value / fidelity
    return {"value": value, "size": float(genes["n"] * 3)}


def whole(genes: Mapping[str, Any]) -> dict[str, float]:
    """`bowl`, of which there is no less than all."""
    return bowl(genes)


TINY = Space(  # with batch norm, or faster, processors' rounding would grow until the ranking differs
    "tiny",
    [
        Gene(name="learning_rate", kind="float", low=0.00001, high=0.001, scale="log", levels=5),
        Gene(name="critic_steps", kind="int", low=1, high=3),
        Gene(name="upsampling", kind="choice", values=("nearest", "transposed")),
    ],
    fixed={"filters": 4, "latent": 8, "batch_size": 16, "critic_norm": "none"},
)
OBJECTIVES: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "ga": (whole, {"strategy": "ga", "options": {"population": 6}, "evaluations": 24, "confirm": 2}),
    "de": (whole, {"strategy": "de", "evaluations": 24, "replicates": 2, "seed": 3, "window": 4}),
    "nsga2": (whole, {"strategy": "nsga2", "evaluations": 24, "fitness": "value,size"}),
    "hyperband": (
        bowl,
        {"strategy": "hyperband", "evaluations": 12, "seed_genomes": [{"x": 0.25, "rate": 0.1, "n": 8, "kind": "a"}]},
    ),
}
GAN: dict[str, Any] = {
    "strategy": "hyperband",
    "options": {"fidelities": (0.5, 1.0)},
    "evaluations": 6,
    "window": 2,
    "kimg": 0.5,
    "samples": 200,
    "finalists": 1,
    "confirm": 1,
}
STOPPED_AFTER = {"ga": 13, "de": 10, "nsga2": 15, "hyperband": 9, "digits": 3}  # evaluations


def find(name: str, runs: Path) -> Run:
    """Search with an objective, or go on with it."""
    objective, how = OBJECTIVES[name]
    return search(BOWL, objective=objective, task="bowl 1", name=name, runs=runs, workers=1, **how)


def proposal(row: ProposalRow) -> dict[str, Any]:
    """But for where it came from, which was not recorded then."""
    return {field.name: getattr(row, field.name) for field in fields(row) if field.compare}


def told(run: Run) -> dict[str, Any]:
    """A run as plain data: all that the store has of it."""
    history = [
        {
            "proposal": {**proposal(one.row), "vector": list(one.row.vector), "genome": dict(one.row.genome)},
            "values": None if one.values is None else list(one.values),
            "evaluations": [
                {
                    "status": e.status,
                    "reason": e.reason,
                    "scores": [dict(score) for score in e.scores],
                    "curve": [dict(point) for point in e.curve],
                    "diagnostics": sha([dict(found) for found in e.diagnostics]),
                    "flags": list(e.flags),
                    "cost": dict(e.cost),
                    "provenance": dict(e.provenance),
                }
                for e in one.evaluations
            ],
        }
        for one in run.history
    ]
    found = {
        "document": dict(run.document),
        "history": history,
        "spent": run.spent,
        "ranking": [one.row.key for one in run.ranking],
        "front": [one.row.key for one in run.front],
        "finalists": sorted(run.store.finalists(run.name)),
        "confirmations": [[one.name, one.key, list(one.values)] for one in run.confirmations],
        "best": run.best.row.key if run.best else None,
    }
    plain: dict[str, Any] = json.loads(json.dumps(found))
    return plain


class Stop:
    """A listener that ends a search as a Ctrl-C that is impatient does."""

    def __init__(self, after: int) -> None:
        self._left = count(after - 1, -1)

    def __call__(self, event: Any) -> None:
        if event.kind == "evaluated" and next(self._left) <= 0:
            raise KeyboardInterrupt


def make_runs(runs: Path, stop: bool) -> None:
    for name, (objective, how) in OBJECTIVES.items():
        _search(runs, name, stop, BOWL, objective=objective, task="bowl 1", **how)
    _search(runs, "digits", stop, TINY, data="digits", **GAN)
    with sqlite3.connect(runs / "evogan.db") as connection:
        connection.execute("VACUUM")  # nothing is left of what was deleted
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _search(runs: Path, name: str, stop: bool, space: Space, **how: Any) -> None:
    listener = Stop(STOPPED_AFTER[name]) if stop else None
    try:
        search(space, name=name, runs=runs, workers=1, listener=listener, **how).store.close()
    except KeyboardInterrupt:
        assert stop
    for path in ("log.jsonl", "status.json"):  # they tell of the machine
        (runs / name / path).unlink()
    (runs / name).rmdir()


def samples(run: Run) -> list[float]:
    """The mean of each of some images of its best generator."""
    means: list[float] = run.load_best().sample(8, seed=1).mean((1, 2, 3)).tolist()
    return means


def main() -> None:
    for what, found in (("keys", keys()), ("tables", tables())):
        (GOLDEN / f"{what}.json").write_text(json.dumps(found, indent=1) + "\n")
    recorded: dict[str, Any] = {}
    for state in ("finished", "stopped"):
        runs = GOLDEN / "runs" / state
        make_runs(runs, state == "stopped")
        recorded[state] = {name: told(open_run(name, runs)) for name in (*OBJECTIVES, "digits")}
        recorded[state]["samples"] = samples(open_run("digits", runs))
    (GOLDEN / "runs.json").write_text(json.dumps(recorded) + "\n")


if __name__ == "__main__":
    main()
