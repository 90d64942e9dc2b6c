"""Evolved against published, each at its best: published GANs are tuned before they are compared.

    python benchmarks/at_their_best.py search mnist        `auto` in SPACE (modern), EVALUATIONS (32 trainings)
    python benchmarks/at_their_best.py search mnist 32     the same with the batches of the published ones, so that
                                                           equal images are equal steps
    python benchmarks/at_their_best.py tune mnist rgan     its rates and critic steps, TUNED (24) trainings, the first
                                                           of them at the published settings
    python benchmarks/at_their_best.py train mnist         N (5) fresh replicates of the winners, of what was tuned,
                                                           and of all as published; or `train cifar ralsgan` of the
                                                           winner and what is named
    python benchmarks/at_their_best.py longer mnist        the same of the two best that were tuned, for as many seconds
                                                           of training as each winner takes, which is measured
                                                           first, on a machine that should be quiet
    python benchmarks/at_their_best.py table               results/at_their_best.json, and a picture, of what is there

Each goes on where it stopped, with EVOGAN_RUNS. All trainings are of KIMG (10), on data from EVOGAN_DATA, `cifar` on
the file that EVOGAN_CIFAR names, if not on CIFAR-10; no network has more than 32 filters, a size for two cores. The
published ones are the best five without labels of docs/zoo.md's table at 16x16, but for those that take four times as
long. Nothing known of other data is used.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from _fresh import FRESH, fid_of, fresh
from _record import RESULTS, machine, record
from PIL import Image

import evogan
from evogan import shipped
from evogan.comparison.statistics import bootstrap_ratio
from evogan.engine import Store
from evogan.genes import GENES
from evogan.genome import Gene, Genome
from evogan.space import Space
from evogan.trial import Trial

ROOT = Path(__file__).parent.parent
RUNS = Path(os.environ.get("EVOGAN_RUNS", ROOT / "runs")) / "at_their_best"
DATA = {
    "mnist": "mnist",
    "fashion_mnist": "fashion_mnist",
    "cifar": os.environ.get("EVOGAN_CIFAR", "cifar10"),  # in colour, at 32x32
}
PUBLISHED = ("ragan", "rahinge", "ralsgan", "rgan", "sngan_kurach")
WIDEST, WIDTHS = 32, ("filters", "critic_filters")
BATCH = "32"  # of the published ones
KIMG = float(os.environ.get("KIMG", "10"))
SPACE = os.environ.get("SPACE", "modern")
EVALUATIONS = {"mnist": 32, "fashion_mnist": 32, "cifar": 12}  # a training on CIFAR takes four minutes
TUNED, REPLICATES = int(os.environ.get("TUNED", "24")), int(os.environ.get("N", "5"))
TRAINING: dict[str, Any] = {"kimg": KIMG, "precision": "bf16", "runs": RUNS}
SEARCHING: dict[str, Any] = {"workers": 1, "learn_from": "none", "finalists": 3, "confirm": 2, **TRAINING}


def search(data: str, batch: str = "") -> None:
    space = narrow(batch)
    evogan.search(space, DATA[data], name=searched(data, batch), evaluations=EVALUATIONS[data], **SEARCHING)


def narrow(batch: str = "") -> Space:
    """The space, of networks that are no wider; with batches of this size alone, if one is said."""
    known, fixed = evogan.load_space(SPACE), {"batch_size": int(batch)} if batch else {}
    genes = [
        replace(gene, low=8, high=WIDEST, levels=5) if gene.name in WIDTHS else gene
        for gene in known.genes
        if gene.name not in fixed
    ]
    return Space(f"{SPACE}_narrow{batch}", genes, fixed={**known.fixed, **fixed}, table=GENES)


def searched(data: str, batch: str = "") -> str:
    return f"{data}-{SPACE}-{KIMG:g}kimg-{EVALUATIONS[data]}" + (batch and f"-batch{batch}")


def published(name: str) -> Genome:
    """As narrow."""
    genome = shipped.read_genome(name).genome
    complete = GENES.complete(genome)
    return GENES.read({**genome, **{gene: min(complete[gene], WIDEST) for gene in WIDTHS if gene in complete}})


def tune(data: str, name: str) -> None:
    """What its authors would have tuned is free."""
    free = [
        Gene(name="learning_rate", kind="float", low=5e-5, high=5e-3, scale="log", levels=9),
        Gene(name="lr_ratio", kind="float", low=0.25, high=4.0, scale="log", levels=5),
        Gene(name="critic_steps", kind="choice", values=(1, 2, 5)),
    ]
    named = {gene.name for gene in free}
    fixed = {gene: value for gene, value in published(name).items() if gene not in named}
    space = Space(f"{name}_tuned", free, fixed=fixed, table=GENES)
    first = [published(name)]
    evogan.search(space, DATA[data], name=tuning(data, name), evaluations=TUNED, seed_genomes=first, **SEARCHING)


def tuning(data: str, name: str) -> str:
    return f"{data}-{name}-{KIMG:g}kimg-{TUNED}"


def subjects(data: str) -> dict[str, Genome]:
    """The winners, and the published ones, before and after they were tuned, as far as they were."""
    known = Store(RUNS).runs()
    names = {"evolved": searched(data), f"evolved, batches of {BATCH}": searched(data, BATCH)}
    names |= {f"{name}, tuned": tuning(data, name) for name in PUBLISHED}
    best = {name: evogan.open_run(run, RUNS).best for name, run in names.items() if run in known}
    found = {name: one.row.genome for name, one in best.items() if one is not None}
    return found | {name: published(name) for name in PUBLISHED}


def train(data: str, *names: str) -> None:
    asked = {name: one for name, one in subjects(data).items() if not names or name == "evolved" or name in names}
    for replicate in range(FRESH, FRESH + REPLICATES):
        for name, genome in asked.items():
            evaluation, _ = evogan.train(genome, DATA[data], replicate=replicate, **TRAINING)
            print(data, replicate, name, evaluation.status, evaluation.metric("fid"), flush=True)


def longer(data: str) -> None:
    if not speeds(data):
        measure(data)
    for name, (genome, kimg) in as_long(data).items():
        for replicate in range(FRESH, FRESH + REPLICATES):
            evaluation, _ = evogan.train(genome, DATA[data], replicate=replicate, **TRAINING | {"kimg": kimg})
            print(data, replicate, name, kimg, evaluation.status, evaluation.metric("fid"), flush=True)


def as_long(data: str) -> dict[str, tuple[Genome, float]]:
    """The two best that were tuned, and the budget that takes them as many seconds of training as a winner; of each
    winner. Nothing before `longer` has measured that."""
    speed, known = speeds(data), subjects(data)
    return {
        f"{name}, as long{winner.removeprefix('evolved')}": (known[name], round(KIMG * speed[winner] / speed[name], 1))
        for winner in speed
        if winner.startswith("evolved")
        for name in speed
        if name.endswith("tuned")
    }


def speeds(data: str) -> dict[str, float]:
    """Seconds of a kimg, scores aside, as they were measured."""
    kept = RUNS / f"seconds-{data}.json"
    found: dict[str, float] = json.loads(kept.read_text()) if kept.exists() else {}
    return found


def measure(data: str) -> None:
    """Of the winners and the two best that were tuned: side by side, medians of three, on a machine that is quiet."""
    known = subjects(data)
    fids = {
        name: statistics.median(one.metric("fid") or math.inf for _, one in done)
        for name, genome in known.items()
        if name.endswith("tuned") and (done := fresh(genome, DATA[data], KIMG, REPLICATES, RUNS))
    }
    names = [*(name for name in known if name.startswith("evolved")), *sorted(fids, key=fids.__getitem__)[:2]]
    took: dict[str, list[float]] = {name: [] for name in names}
    for replicate in range(3):
        for name in names:
            with tempfile.TemporaryDirectory() as folder:
                short = TRAINING | {"kimg": 1.0, "samples": 2, "runs": folder}
                evaluation, _ = evogan.train(known[name], DATA[data], replicate=replicate, **short)
            took[name].append(evaluation.cost["seconds"] - evaluation.cost["scoring_seconds"])
    found = {name: round(statistics.median(seconds), 3) for name, seconds in took.items()}
    (RUNS / f"seconds-{data}.json").write_text(json.dumps(found))
    print(data, found, flush=True)


def table() -> None:
    """What is there replaces what was known of its data."""
    path, found = RESULTS / "at_their_best.json", dict(rows())
    measured = {row.split(",")[0] for row in found}
    known: dict[str, Any] = json.loads(path.read_text())["results"] if path.exists() else {}
    kept = {row: result for row, result in known.items() if row.split(",")[0] in DATA.keys() - measured}
    record(
        "at_their_best",
        {"kimg": KIMG, "space": SPACE, "evaluations": EVALUATIONS, "tuned": TUNED, **kept, **found},
    )


def rows() -> Iterator[tuple[str, Any]]:
    for data in DATA:
        asked = {name: (genome, KIMG) for name, genome in subjects(data).items()} | as_long(data)
        found = {
            name: (genome, done)
            for name, (genome, kimg) in asked.items()
            if (done := fresh(genome, DATA[data], kimg, REPLICATES, RUNS))
        }
        if found:
            yield f"{data}, measured on", machine()["cpu"]
        fids = {name: [fid_of(evaluation) for _, evaluation in done] for name, (_, done) in found.items()}
        for name, (genome, done) in found.items():
            yield (
                f"{data}, {name}",
                {
                    "median": round(statistics.median(fids[name]), 2),
                    "all": [round(fid, 2) for fid in fids[name]],
                    "seconds": round(statistics.median(one.cost["seconds"] for _, one in done), 1),
                    "seconds of a kimg, on a quiet machine": speeds(data).get(name),
                    "kimg": asked[name][1],
                    "parameters": int(done[0][1].metric("parameters") or 0),
                    "genome": dict(genome),
                },
            )
        winners = [name for name in fids if name.startswith("evolved")]
        for winner in winners:
            for name in (name for name in fids if not name.startswith("evolved")):
                ratio = bootstrap_ratio(fids[winner], fids[name])
                yield f"{data}, {winner} over {name}", [round(x, 3) for x in ratio]
        others = sorted(
            (name for name in fids if not name.startswith("evolved") and "as long" not in name),
            key=lambda name: statistics.median(fids[name]),
        )
        if winners and others:
            shown = [found[name][1][0][0] for name in (winners[0], others[0])]
            picture(shown).save(ROOT / "docs" / "images" / f"at_their_best-{data}.png", optimize=True)


def picture(trials: list[Trial]) -> Image.Image:
    """Grids side by side."""
    grids = [Image.open(Store(RUNS).files(trial.identity) / "samples.png") for trial in trials]
    whole = Image.new("RGB", (sum(grid.width for grid in grids) + 8 * (len(grids) - 1), grids[0].height), "white")
    left = 0
    for grid in grids:
        whole.paste(grid, (left, 0))
        left += grid.width + 8
    return whole


if __name__ == "__main__":
    steps: dict[str, Callable[..., None]] = {
        "search": search,
        "tune": tune,
        "train": train,
        "longer": longer,
        "table": table,
    }
    steps[sys.argv[1]](*sys.argv[2:])
