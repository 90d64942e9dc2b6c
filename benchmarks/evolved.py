"""Evolved against published: a search, and every published genome at its own settings, under one small budget.

    python benchmarks/evolved.py digits            fills the store, on from where it stopped, and tells the outcome
    python benchmarks/evolved.py mnist 8 5         at 8x8 pixels and 5 kimg (EVOGAN_DATA names the folder of the data)

Every published genome is trained once; the best three of them, and the three best of the search, get five fresh
replicates. The search is `auto` on the space SPACE (modern), EVALUATIONS (100) trainings, with no published seeds and
no knowledge of other data.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
from pathlib import Path
from typing import Any

from _record import RESULTS, record

import evogan
from evogan import shipped
from evogan.engine import Broker, LocalExecutor, Store
from evogan.errors import UserError
from evogan.genes import GENES
from evogan.runs.gans import GANProblem
from evogan.settings import GANSettings
from evogan.trial import Trial

ROOT = Path(__file__).parent.parent
RUNS = Path(os.environ.get("EVOGAN_RUNS", ROOT / "runs")) / "evolved"
FRESH = [1000, 1001, 1002, 1003, 1004]  # replicates that no search uses
CHECKED = 3
EVALUATIONS = int(os.environ.get("EVALUATIONS", "100"))
SPACE = os.environ.get("SPACE", "modern")
LEFT_OUT = os.environ.get("LEFT_OUT", "").split(",")  # published ones that take too long


def settings(data: str, size: int | None, kimg: float) -> GANSettings:
    """At 8x8 pixels with the feature networks for them that lie beside the tables."""
    small = Path(__file__).parent / "tables" / f"{data}_8.safetensors"
    return GANSettings.of(
        data=data,
        kimg=kimg,
        samples=2000,
        precision="bf16",
        image_size=size,
        features=str(small) if size == 8 and small.is_file() else None,
        data_dir=os.environ.get("EVOGAN_DATA"),
    )


def published(gan: GANSettings) -> list[tuple[str, list[float]]]:
    """Names and fresh FIDs of the published genomes that did best in one training each."""
    task, evaluate = GANProblem(gan).prepare()
    store = Store(RUNS)
    broker = Broker(store, LocalExecutor(evaluate))
    genomes = {name: shipped.read_genome(name).genome for name in shipped.published() if name not in LEFT_OUT}
    first: dict[str, float] = {}
    for name, genome in genomes.items():
        try:
            found = broker.result(Trial(genome, GENES.key(genome), task)).metric("fid")
        except UserError as error:
            print(f"{name}: {error}", flush=True)
            continue
        print(f"{name:<20} {found}", flush=True)
        if found is not None:
            first[name] = found
    best = sorted(first, key=first.__getitem__)[:CHECKED]
    checked: list[tuple[str, list[float]]] = []
    for name in best:
        trials = [Trial(genomes[name], GENES.key(genomes[name]), task, 1.0, r) for r in FRESH]
        fids = [fid for one in broker.results(trials) if (fid := one.metric("fid")) is not None]
        print(name, fids, flush=True)
        if len(fids) == len(trials):
            checked.append((name, fids))
    store.close()
    return sorted(checked, key=lambda one: statistics.fmean(one[1]))


def evolved(gan: GANSettings, name: str) -> list[float]:
    """Fresh FIDs of the best finalist."""
    keywords = {part: value for part, value in vars(gan).items() if part not in ("data", "device", "dataset")}
    run = evogan.search(
        SPACE,
        gan.data,
        evaluations=EVALUATIONS,
        finalists=CHECKED,
        confirm=len(FRESH),
        name=name,
        runs=RUNS,
        workers=1,
        memory_per_trial=8,  # genomes of `anything` may ask for all there is, of memory and of time
        time_limit=300,
        learn_from="none",
        **keywords,
    )
    finalists = [c for c in run.confirmations if c.name.startswith("evolved")]
    return list(min(finalists, key=lambda c: c.order).values)


def summary(fids: list[float]) -> dict[str, Any]:
    return {"mean": round(statistics.fmean(fids), 2), "sd": round(statistics.stdev(fids), 2), "n": len(fids)}


def main(data: str, size: int | None, kimg: float) -> None:
    gan = settings(data, size, kimg)
    name = f"{data}-{SPACE}-{kimg:g}kimg-{EVALUATIONS}"
    ours, theirs = evolved(gan, name), published(gan)
    (best, fids), *_ = theirs
    outcome = {
        "image size": GANProblem(gan).dataset.image_size,
        "kimg": kimg,
        "space": SPACE,
        "evaluations of the search": EVALUATIONS,
        "evolved": summary(ours),
        "best published": best,
        "left out": [name for name in LEFT_OUT if name],
        "published": {name: summary(values) for name, values in theirs},
        "ratio": round(statistics.fmean(ours) / statistics.fmean(fids), 3),
    }
    path = RESULTS / "evolved.json"
    before = json.loads(path.read_text())["results"] if path.exists() else {}
    record("evolved", {**before, name: outcome})


if __name__ == "__main__":
    given = sys.argv[1:]
    main(given[0], int(given[1]) if len(given) > 1 else None, float(given[2]) if len(given) > 2 else 10.0)
