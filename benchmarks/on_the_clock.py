"""Evolved for a clock, against published GANs at their best that have as many seconds.

    python benchmarks/on_the_clock.py search fashion_mnist     `auto` in `modern`, EVALUATIONS (20) trainings of SECONDS
                                                               (60) each
    python benchmarks/on_the_clock.py train fashion_mnist      N (5) fresh trainings of SECONDS of the winner, of what
                                                               `at_their_best.py` tuned there, also as narrow as the
                                                               winner, and of what it searched; they take turns
    python benchmarks/on_the_clock.py table                    results/on_the_clock.json, and a picture, of what is
                                                               there

The budget of every training is seconds, so a genome that is faster sees more images; how many is timed before it
begins. Space, sizes and the rest are those of `at_their_best.py`, whose runs in EVOGAN_RUNS are needed. One training
at a time: the machine should be quiet.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Callable, Iterator
from typing import Any

from _fresh import FRESH, fid_of, fresh
from _record import machine, record
from at_their_best import DATA, REPLICATES, ROOT, RUNS, SEARCHING, TRAINING, WIDTHS, narrow, picture, subjects

import evogan
from evogan.comparison.statistics import bootstrap_ratio
from evogan.engine import Store
from evogan.genes import GENES
from evogan.genome import Genome

SECONDS, EVALUATIONS = float(os.environ.get("SECONDS", "60")), int(os.environ.get("EVALUATIONS", "20"))
CLOCK = {"kimg": None, "seconds": SECONDS}
OURS = "evolved for the clock"


def search(data: str) -> None:
    evogan.search(narrow(), DATA[data], name=name(data), evaluations=EVALUATIONS, **SEARCHING | CLOCK)


def name(data: str) -> str:
    return f"{data}-{SECONDS:g}s-{EVALUATIONS}"


def trained(data: str) -> dict[str, Genome]:
    """The winner; what was tuned there, and the same as narrow as the winner; what was searched for equal images."""
    best = evogan.open_run(name(data), RUNS).best
    if best is None:
        return {}
    winner, known = best.row.genome, subjects(data)
    tuned = {what: one for what, one in known.items() if "tuned" in what}
    width = {gene: winner[gene] for gene in WIDTHS if gene in winner}
    narrowed = {f"{what}, {width['filters']} filters": GENES.changed(one, width) for what, one in tuned.items()}
    return {OURS: winner, **tuned, **narrowed, **{what: one for what, one in known.items() if "evolved" in what}}


def train(data: str) -> None:
    for replicate in range(FRESH, FRESH + REPLICATES):
        for what, genome in trained(data).items():
            found, _ = evogan.train(genome, DATA[data], replicate=replicate, **TRAINING | CLOCK)
            print(data, replicate, what, found.status, found.metric("fid"), found.cost, flush=True)


def table() -> None:
    record("on_the_clock", {"seconds": SECONDS, "evaluations": EVALUATIONS, **dict(rows())})


def rows() -> Iterator[tuple[str, Any]]:
    for data in DATA:
        if name(data) not in Store(RUNS).runs():
            continue
        found = {
            what: done
            for what, genome in trained(data).items()
            if (done := fresh(genome, DATA[data], None, REPLICATES, RUNS, seconds=SECONDS))
        }
        if OURS not in found or not any("tuned" in what for what in found):
            continue
        yield f"{data}, measured on", machine()["cpu"]
        fids = {what: [fid_of(evaluation) for _, evaluation in done] for what, done in found.items()}
        for what, done in found.items():
            yield (
                f"{data}, {what}",
                {
                    "median": round(statistics.median(fids[what]), 2),
                    "all": [round(fid, 2) for fid in fids[what]],
                    "kimg": [round(one.cost["kimg"], 1) for _, one in done],
                    "seconds": [round(one.cost["seconds"] - one.cost["scoring_seconds"], 1) for _, one in done],
                    "parameters": int(done[0][1].metric("parameters") or 0),
                    "genome": dict(done[0][0].genome),
                },
            )
            if what != OURS:
                yield f"{data}, {OURS} over {what}", [round(x, 3) for x in bootstrap_ratio(fids[OURS], fids[what])]
        best = min((what for what in fids if "tuned" in what), key=lambda what: statistics.median(fids[what]))
        shown = [found[what][0][0] for what in (OURS, best)]
        picture(shown).save(ROOT / "docs" / "images" / f"on_the_clock-{data}.png", optimize=True)


if __name__ == "__main__":
    steps: dict[str, Callable[..., None]] = {"search": search, "train": train, "table": table}
    steps[sys.argv[1]](*sys.argv[2:])
