"""Collect a landscape: real trainings of a space on a data set, as a store that `make_table.py` makes a table of.

A space-filling design first, then the paths of searches (a table that is to judge searches must know where they go),
then replicates of genomes of every quality, for the noise. Interrupted, it goes on.

    python benchmarks/collect.py wdcgan_wide digits 10 STORE 345 40 24

takes 345 points by design, 40 of each search, and trains 24 genomes twice more.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

from evogan.engine import Broker, Judge, Loop, Resources, Store
from evogan.engine.executors.on_ray import RayExecutor
from evogan.engine.history import RunHistory
from evogan.genes import GENES
from evogan.settings import GANSettings
from evogan.space import load_space
from evogan.strategies import make_strategy
from evogan.trial import Trial

CHECKPOINTS = (0.125, 0.25, 0.5, 0.75, 1.0)
SEARCHES = ("ga-steady", "gp", "de", "tpe")


def settings(data: str, kimg: float) -> GANSettings:
    """Of data sets larger than digits, at 8x8 pixels, with a feature network for them beside the tables."""
    if data == "digits":
        return GANSettings.of(data=data, kimg=kimg)
    features = Path(__file__).parent / "tables" / f"{data}_8.safetensors"
    folder = os.environ.get("EVOGAN_DATA")
    return GANSettings.of(data=data, kimg=kimg, image_size=8, features=str(features), data_dir=folder)


def main(space_name: str, data: str, kimg: float, folder: Path, design: int, path: int, repeated: int) -> None:
    task, evaluate = settings(data, kimg).prepare()
    task = replace(task, checkpoints=CHECKPOINTS)
    space = load_space(space_name, GENES)
    store = Store(folder)
    executor = RayExecutor(evaluate, Resources(workers=2))
    broker = Broker(store, executor)
    judge = Judge("fid")
    document = {"fitness": "fid", "score": "best", "average": "mean", "replicates": 1, "race": False}
    try:
        for name, evaluations in [("sobol", design), *((name, path) for name in SEARCHES)]:
            run = f"{space_name}-{name}"
            if run not in store.runs():
                store.add_run(run, document | {"task": task.key, "data": data, "space": space.document()})
            Loop(
                run,
                space,
                make_strategy(name, space, seed=0),
                task,
                judge,
                broker,
                seed=0,
                evaluations=evaluations,
                window=4,
            ).go()
            print(run, "done", flush=True)
        genomes = {}
        for run in store.runs():
            for told in RunHistory(store, run).ranking:
                genomes[told.row.key] = told
        ranked = sorted(genomes.values(), key=lambda told: told.value or 0.0)
        for i in range(repeated):
            told = ranked[i * (len(ranked) - 1) // (repeated - 1)]
            broker.results([Trial(told.row.genome, told.row.key, task, 1.0, replicate) for replicate in (1, 2)])
    finally:
        executor.close()


if __name__ == "__main__":
    name, data, kimg, folder, *counts = sys.argv[1:]
    main(name, data, float(kimg), Path(folder), *map(int, counts))
