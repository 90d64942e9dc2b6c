"""Evolved conditional GANs of 28x28 pixels, trained for longer; and the generators that evogan ships.

    python benchmarks/full_size.py choose fashion_mnist   once each, at KIMG: the winners that `conditional.py` found
    python benchmarks/full_size.py train mnist            N (5) fresh replicates at LONG (300)
    python benchmarks/full_size.py ship mnist             genomes/evolved_mnist.toml and .safetensors: the median one
    python benchmarks/full_size.py table                  results/full_size.json, of what is there

On MNIST the evolved one is the winner of the search there; on Fashion-MNIST, where none was made, it is that of digits
or of MNIST, whichever is better there on one training. Each goes on where it stopped, with EVOGAN_RUNS. Data are read
from EVOGAN_DATA. Published GANs at their own best are in `at_their_best.py`.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from _fresh import FRESH, fresh
from _record import RESULTS, record
from safetensors import safe_open
from safetensors.torch import save_file

import evogan
from evogan import shipped
from evogan.evaluation.checkpoint import MAGIC
from evogan.genes import GENES
from evogan.genome import Genome
from evogan.report.page import genome_toml
from evogan.trial import Evaluation

ROOT = Path(__file__).parent.parent
RUNS = Path(os.environ.get("EVOGAN_RUNS", ROOT / "runs")) / "full_size"
DATA = ("mnist", "fashion_mnist")
KIMG, LONG = float(os.environ.get("KIMG", "60")), float(os.environ.get("LONG", "300"))
REPLICATES = int(os.environ.get("N", "5"))
METRICS = ("fid", "class_fid", "gan_test_error")
SOURCE = "found by evogan, benchmarks/conditional.py; trained by benchmarks/full_size.py"
TRAINING: dict[str, Any] = {"precision": "bf16", "runs": RUNS}


def found_on(data: str) -> Genome:
    """The winner of `conditional.py` there."""
    rows = json.loads((RESULTS / "conditional.json").read_text())["results"]
    return GENES.read(rows[f"{data}, evolved"]["genome"])


def choose(data: str) -> None:
    for origin in ("digits", "mnist"):
        told(data, f"of {origin}", KIMG, 0, once(data, found_on(origin)))


def once(data: str, genome: Genome) -> Evaluation:
    return evogan.train(genome, data, kimg=KIMG, **TRAINING)[0]


def evolved(data: str) -> Genome:
    if data == "mnist":
        return found_on(data)
    return min(map(found_on, ("digits", "mnist")), key=lambda genome: once(data, genome).metric("class_fid") or 1e9)


def train(data: str) -> None:
    for replicate in range(FRESH, FRESH + REPLICATES):
        told(data, "evolved", LONG, replicate, long(data, replicate)[0])


def long(data: str, replicate: int) -> tuple[Evaluation, Path]:
    return evogan.train(evolved(data), data, kimg=LONG, replicate=replicate, **TRAINING)


def told(data: str, name: str, kimg: float, replicate: int, found: Evaluation) -> None:
    print(data, name, kimg, replicate, found.status, [found.metric(metric) for metric in METRICS], flush=True)


def ship(data: str) -> None:
    """Weights in float16, running moments of norms as they are, with the scores that it has so."""
    done = [long(data, replicate) for replicate in range(FRESH, FRESH + REPLICATES)]
    done.sort(key=lambda one: one[0].metric("class_fid") or float("inf"))
    _, folder = done[(len(done) - 1) // 2]
    room = shipped.folder("genomes")
    path = room / f"evolved_{data}.safetensors"
    with safe_open(folder / "generator.safetensors", "pt") as stored:
        half = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        half = {name: x.half() if x.dtype == torch.float32 and "running" not in name else x for name, x in half.items()}
        save_file(half, path, stored.metadata())
        scores = evogan.evaluate(path, data)
        save_file(half, path, {MAGIC: json.dumps(json.loads(stored.metadata()[MAGIC]) | {"fid": scores["fid"]})})
    origin = next(name for name in ("mnist", "digits") if evolved(data) == found_on(name))
    title = f"evolved on {origin}, trained on {data}"
    title_line, _, genes = genome_toml(title, evolved(data)).partition("\n")
    (room / f"evolved_{data}.toml").write_text(f'{title_line}\nsource = "{SOURCE}"\n{genes}')
    path.chmod(0o644)
    print(scores)


def table() -> None:
    record("full_size", dict(rows()))


def rows() -> Iterator[tuple[str, Any]]:
    yield "kimg", LONG
    for data in DATA:
        if all_of := [one for _, one in fresh(evolved(data), data, LONG, REPLICATES, RUNS)]:
            yield data, {metric: numbers([one.metric(metric) for one in all_of]) for metric in METRICS}


def numbers(values: list[Any]) -> dict[str, Any]:
    known = [value for value in values if value is not None]
    return {"median": round(statistics.median(known), 4), "all": [round(value, 4) for value in known]} if known else {}


if __name__ == "__main__":
    steps: dict[str, Callable[..., None]] = {"choose": choose, "train": train, "ship": ship, "table": table}
    steps[sys.argv[1]](*sys.argv[2:])
