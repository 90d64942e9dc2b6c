"""Evolved GANs of images at full size, beside published ones at their own best, and the generators that evogan ships.

    python benchmarks/full_size.py search mnist      the space `modern`, narrowed to WIDEST filters (28x28)
    python benchmarks/full_size.py tune mnist NAME   a published genome, as narrow, at its best: TUNED (24) trainings
    python benchmarks/full_size.py train mnist       fresh replicates of all at KIMG (20), of the winner at LONG (100)
    python benchmarks/full_size.py ship mnist        genomes/evolved_mnist.toml and .safetensors: the median long one
    python benchmarks/full_size.py table             results/full_size.json, of what is there

Each goes on where it stopped, with EVOGAN_RUNS. MNIST and Fashion-MNIST are read from EVOGAN_DATA. Networks are narrow
and budgets small, for two CPU cores. What is free in a published genome are its rates and critic steps.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from _record import record
from safetensors import safe_open
from safetensors.torch import save_file

import evogan
from evogan import shipped
from evogan.comparison.statistics import bootstrap_ratio
from evogan.engine import Store
from evogan.genes import GENES
from evogan.genome import Gene, Genome
from evogan.report.page import genome_toml
from evogan.runs.gans import GANProblem
from evogan.settings import GANSettings
from evogan.space import Space
from evogan.trial import Evaluation, Trial

ROOT = Path(__file__).parent.parent
RUNS = Path(os.environ.get("EVOGAN_RUNS", ROOT / "runs")) / "full_size"
DATA = ("mnist", "fashion_mnist")
WIDEST, WIDTHS = 32, ("filters", "critic_filters")
KIMG, LONG = float(os.environ.get("KIMG", "20")), float(os.environ.get("LONG", "100"))
EVALUATIONS, TUNED = int(os.environ.get("EVALUATIONS", "10")), int(os.environ.get("TUNED", "24"))
REPLICATES = int(os.environ.get("N", "5"))
PUBLISHED = ("ragan", "rahinge", "rgan", "sngan_kurach", "dcgan")
FRESH = 1000
SETTINGS: dict[str, Any] = {"precision": "bf16", "runs": RUNS, "workers": 1}
TRAINING = {name: value for name, value in SETTINGS.items() if name != "workers"}


def space() -> Space:
    known = evogan.load_space("modern")
    genes = [replace(gene, low=16, high=WIDEST, levels=3) if gene.name == "filters" else gene for gene in known.genes]
    return Space("modern_narrow", genes, fixed=known.fixed, table=GENES)


def search(data: str) -> None:
    evogan.search(space(), data, name=data, evaluations=EVALUATIONS, kimg=KIMG, confirm=0, **SETTINGS)


def around(name: str) -> Space:
    """A published genome, as narrow; what its authors would have tuned is free."""
    known: dict[str, Any] = dict(shipped.read_genome(name).genome)
    free = [
        Gene(name="learning_rate", kind="float", low=5e-5, high=5e-3, scale="log", levels=9),
        Gene(name="lr_ratio", kind="float", low=0.25, high=4.0, scale="log", levels=5),
        Gene(name="critic_steps", kind="choice", values=(1, 2, 5)),
    ]
    fixed = {**known, **{gene: min(known[gene], WIDEST) for gene in WIDTHS if gene in known}}
    for gene in free:
        fixed.pop(gene.name, None)
    return Space(f"{name}_tuned", free, fixed=fixed, table=GENES)


def tune(data: str, *names: str) -> None:
    for name in names or PUBLISHED:
        evogan.search(
            around(name),
            data,
            name=f"{data}-{name}",
            evaluations=TUNED,
            kimg=KIMG,
            confirm=0,
            learn_from="none",
            **SETTINGS,
        )


def winner(run: str) -> Genome:
    best = evogan.open_run(run, RUNS).best
    assert best is not None
    return best.row.genome


def subjects(data: str) -> dict[str, Genome]:
    known = Store(RUNS).runs()
    tuned = {name: winner(f"{data}-{name}") for name in PUBLISHED if f"{data}-{name}" in known}
    return {"evolved": winner(data), **tuned}


def train(data: str) -> None:
    for replicate in range(FRESH, FRESH + REPLICATES):
        for name, genome in subjects(data).items():
            told(data, name, KIMG, replicate, evogan.train(genome, data, kimg=KIMG, replicate=replicate, **TRAINING)[0])
        told(data, "evolved", LONG, replicate, long(data, replicate)[0])


def long(data: str, replicate: int) -> tuple[Evaluation, Path]:
    return evogan.train(winner(data), data, kimg=LONG, replicate=replicate, **TRAINING)


def told(data: str, name: str, kimg: float, replicate: int, found: Evaluation) -> None:
    print(data, name, kimg, replicate, found.status, found.metric("fid"), flush=True)


def ship(data: str) -> None:
    """In float16, with the FID that it has so."""
    done = [long(data, replicate) for replicate in range(FRESH, FRESH + REPLICATES)]
    done.sort(key=lambda one: one[0].metric("fid") or float("inf"))
    _, folder = done[len(done) // 2]
    room = shipped.folder("genomes")
    with safe_open(folder / "generator.safetensors", "pt") as stored:
        half = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        half = {name: x.half() if x.dtype == torch.float32 else x for name, x in half.items()}
        save_file(half, room / f"evolved_{data}.safetensors", stored.metadata())
    title = f"evolved on {data} at 28x28, {EVALUATIONS} trainings of {KIMG:g} kimg"
    (room / f"evolved_{data}.toml").write_text(genome_toml(title, winner(data)))
    print(evogan.evaluate(f"evolved_{data}", data)["fid"])


def table() -> None:
    record("full_size", dict(rows()))


def rows() -> Iterator[tuple[str, Any]]:
    yield "kimg", {"search": KIMG, "long": LONG}
    for data in DATA:
        if data not in Store(RUNS).runs():
            continue
        fids = {name: fresh(data, genome, KIMG) for name, genome in subjects(data).items()}
        fids[f"evolved, {LONG:g} kimg"] = fresh(data, winner(data), LONG)
        for name, values in fids.items():
            if values:
                yield (
                    f"{data}, {name}",
                    {"median": round(statistics.median(values), 2), "all": [round(x, 2) for x in values]},
                )
        best = min(
            (name for name in PUBLISHED if fids.get(name)), key=lambda name: statistics.median(fids[name]), default=None
        )
        if best and fids["evolved"]:
            yield f"{data}, evolved over {best}", [round(x, 3) for x in bootstrap_ratio(fids["evolved"], fids[best])]


def fresh(data: str, genome: Genome, kimg: float) -> list[float]:
    """The FIDs of the fresh trainings that are in the store."""
    task, _ = GANProblem(GANSettings.of(data=data, kimg=kimg, precision="bf16")).prepare()
    trials = [Trial(genome, GENES.key(genome), task, 1.0, FRESH + i) for i in range(REPLICATES)]
    found = [Store(RUNS).find(trial.identity) for trial in trials]
    return [fid for one in found if one is not None and (fid := one.metric("fid")) is not None and not one.failed]


if __name__ == "__main__":
    steps: dict[str, Callable[..., None]] = {
        "search": search, "tune": tune, "train": train, "ship": ship, "table": table
    }  # fmt: skip
    steps[sys.argv[1]](*sys.argv[2:])
