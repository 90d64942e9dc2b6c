"""Conditional GANs: an evolved one beside the published ones and its unconditional twin, under one small budget.

    python benchmarks/conditional.py search digits     a search of the space `conditional`, narrowed (WIDEST filters);
                                                       that of MNIST begins with the best five of digits
    python benchmarks/conditional.py train digits      five fresh replicates of the winner, of its twin, of the others
    python benchmarks/conditional.py train digits evolved acgan     of these alone
    python benchmarks/conditional.py table             results/conditional.json and class grids, of what is there

Each goes on where it stopped. For `mnist` the environment's EVOGAN_DATA names the folder. Published networks are
narrowed to WIDEST filters: a size for two CPU cores. A winner is chosen by class FID; GAN-test is the error of the
data's own classifier on what the generator was asked for.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from _record import record
from PIL import Image

import evogan
from evogan import shipped
from evogan.engine import Store
from evogan.families.shared.conditioning import CONDITIONING
from evogan.genes import GENES
from evogan.genome import Genome, Value
from evogan.runs.gans import GANProblem
from evogan.settings import GANSettings
from evogan.space import Space
from evogan.trial import Trial

ROOT = Path(__file__).parent.parent
RUNS = Path(os.environ.get("EVOGAN_RUNS", ROOT / "runs")) / "conditional"
FRESH = range(1000, 1005)  # replicates that no search uses
WIDEST = 32
KIMG = {"digits": 30.0, "mnist": 60.0}
EVALUATIONS = {"digits": 60, "mnist": int(os.environ.get("EVALUATIONS", "20"))}
WORKERS = int(os.environ.get("WORKERS", "2"))
PUBLISHED = ("cgan", "cgan_onehot", "acgan", "sngan_projection")
METRICS = ("fid", "class_fid", "gan_test_error", "gan_train_error", "label_effect")


def settings(data: str) -> dict[str, Any]:
    return {"data": data, "kimg": KIMG[data], "precision": "bf16", "runs": RUNS}


def narrowed(genome: Mapping[str, Value]) -> Genome:
    """The same GAN with fewer filters."""
    genes = GENES.complete(genome)
    widths = [name for name in ("filters", "critic_filters") if name in genes]
    return GENES.read({**genome, **{name: min(int(genes[name]), WIDEST) for name in widths}})


def space() -> Space:
    shipped_one = evogan.load_space("conditional")
    narrow = {"filters", "critic_filters"}
    genes = [replace(gene, low=8, high=WIDEST, levels=5) if gene.name in narrow else gene for gene in shipped_one.genes]
    return Space("conditional_narrow", genes, fixed=shipped_one.fixed, table=GENES)


def search(data: str) -> None:
    evogan.search(
        space(),
        name=f"conditional-{data}",
        evaluations=EVALUATIONS[data],
        fitness="class_fid",
        workers=WORKERS,
        seed_genomes=[] if data == "digits" else ["conditional-digits"],
        finalists=3,
        confirm=2,
        **settings(data),
    )


def subjects(data: str) -> dict[str, Genome]:
    """The winner, the same without labels, and the published ones."""
    best = evogan.open_run(f"conditional-{data}", RUNS).best
    assert best is not None
    winner = best.row.genome
    labels = {gene.name for gene in CONDITIONING}
    twin = GENES.read({name: value for name, value in winner.items() if name not in labels})
    published = {name: narrowed(shipped.read_genome(name).genome) for name in PUBLISHED}
    return {"evolved": winner, "its unconditional twin": twin, **published}


def train(data: str, *names: str) -> None:
    """All, or those named: a replicate of each first."""
    for replicate in FRESH:
        for name, genome in subjects(data).items():
            if names and name not in names:
                continue
            evaluation, _ = evogan.train(genome, replicate=replicate, **settings(data))
            scores = {metric: evaluation.metric(metric) for metric in METRICS}
            print(data, replicate, name, evaluation.status, scores, flush=True)


def table() -> None:
    results: dict[str, Any] = {}
    for data in KIMG:
        if f"conditional-{data}" not in Store(RUNS).runs() or not evogan.open_run(f"conditional-{data}", RUNS).ranking:
            continue
        task, _ = GANProblem(GANSettings.of(data=data, kimg=KIMG[data], precision="bf16")).prepare()
        grids = []
        for name, genome in subjects(data).items():
            trials = [Trial(genome, GENES.key(genome), task, 1.0, replicate) for replicate in FRESH]
            done = [(t, e) for t in trials if (e := Store(RUNS).find(t.identity)) is not None]
            row: dict[str, Any] = {"replicates": len(done), "genome": dict(genome)}
            for metric in METRICS:
                values = [v for _, e in done if (v := e.metric(metric)) is not None]
                if values:
                    row[metric] = {"median": round(statistics.median(values), 4), "all": [round(v, 4) for v in values]}
            if done:
                results[f"{data}, {name}"] = row
                grids.append(Image.open(Store(RUNS).files(done[0][0].identity) / "samples.png"))
        if grids:
            picture(grids).save(ROOT / "docs" / "images" / f"conditional-{data}.png", optimize=True)
    record("conditional", results, quiet=True)


def picture(grids: Sequence[Image.Image]) -> Image.Image:
    """Side by side."""
    whole = Image.new("L", (sum(grid.width + 16 for grid in grids), max(grid.height for grid in grids)), 128)
    for i, grid in enumerate(grids):
        whole.paste(grid, (sum(before.width + 16 for before in grids[:i]), 0))
    return whole


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["search", data]:
            search(data)
        case ["train", data, *names]:
            train(data, *names)
        case ["table"]:
            table()
        case _:
            sys.exit(__doc__)
