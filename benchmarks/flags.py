"""How often flags cry wolf: every published genome on digits, at a short and a long budget (docs/failures.md).

    python benchmarks/flags.py train [GENOME ...]    fills the store (EVOGAN_RUNS), on from where it stopped
    python benchmarks/flags.py                       results/flags.json and the table, from what is there

Flags follow from what an evaluation recorded, so the rules of today judge the trainings of the past. An alarm is false
if the genome, trained for longer, more than halves the FID at which it was raised. Goal: at most 1 in 20 is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from _record import record

import evogan
from evogan import shipped
from evogan.engine import Store
from evogan.evaluation.flags import explain, flags_of
from evogan.genes import GENES
from evogan.runs.gans import GANProblem
from evogan.settings import GANSettings
from evogan.trial import Evaluation, Trial

RUNS = Path(os.environ.get("EVOGAN_RUNS", "runs"))
SHORT, LONG, LONGER = 5.0, 40.0, 160.0  # kimg; the last for genomes with an alarm at the end of the long one alone
REPLICATES = 2


@dataclass(frozen=True)
class Alarm:
    """`later`: the best FID of the longer training, None where there is none."""

    genome: str
    replicate: int
    said: tuple[str, ...]
    fid: float
    later: float | None

    @property
    def false(self) -> bool:
        return self.later is not None and self.later < self.fid / 2


def settings(kimg: float) -> GANSettings:
    return GANSettings.of(data="digits", kimg=kimg, precision="bf16")


def train(names: list[str]) -> None:
    for replicate in range(REPLICATES):
        for name in names or shipped.published():
            for kimg in (SHORT, LONG):
                found, _ = evogan.train(name, "digits", kimg=kimg, precision="bf16", replicate=replicate, runs=RUNS)
                print(name, replicate, kimg, [round(fid) for fid in fids(found)], flags_of(found), flush=True)
            if flags_of(found):
                evogan.train(name, "digits", kimg=LONGER, precision="bf16", replicate=replicate, runs=RUNS)


def recorded(kimg: float) -> dict[tuple[str, int], Evaluation]:
    """By genome and replicate."""
    task, _ = GANProblem(settings(kimg)).prepare()
    store = Store(RUNS)
    found = {}
    for name in shipped.published():
        genome = GENES.read(shipped.read_genome(name).genome)
        for replicate in range(REPLICATES):
            evaluation = store.find(Trial(genome, GENES.key(genome), task, 1.0, replicate).identity)
            if evaluation is not None and not evaluation.failed:
                found[name, replicate] = evaluation
    return found


def fids(evaluation: Evaluation | None) -> list[float]:
    return [score["fid"] for score in evaluation.scores] if evaluation else []


def summary() -> dict[str, Any]:
    trained = {kimg: recorded(kimg) for kimg in (SHORT, LONG, LONGER)}
    results: dict[str, Any] = {}
    for budget, after in ((SHORT, LONG), (LONG, LONGER)):
        raised = []
        for (name, replicate), evaluation in trained[budget].items():
            judged = replace(evaluation, flags=flags_of(evaluation))
            if judged.flags:
                later = min(fids(trained[after].get((name, replicate))), default=None)
                raised.append(Alarm(name, replicate, tuple(explain(judged).values()), fids(judged)[-1], later))
        results[f"{budget:g} kimg"] = {
            "trainings": len(trained[budget]),
            "genomes": sorted({name for name, _ in trained[budget]}),
            "missing": [name for name in shipped.published() if (name, 0) not in trained[budget]],
            "alarms": len(raised),
            "false": sum(alarm.false for alarm in raised),
            "raised": [asdict(alarm) for alarm in raised],
        }
    return results


def table(results: Mapping[str, Any]) -> str:
    """As docs/failures.md has it."""
    rows = [["budget", "genomes", "trainings", "alarms", "false"], ["---"] * 5]
    for budget, found in results.items():
        rows.append([budget, *(str(found[column]) for column in ("trainings", "alarms", "false"))])
        rows[-1].insert(1, str(len(found["genomes"])))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    if sys.argv[1:2] == ["train"]:
        train(sys.argv[2:])
        return
    results = summary()
    record("flags", results, quiet=True)
    for found in results.values():
        for alarm in found["raised"]:
            print(alarm)
    print(table(results))


if __name__ == "__main__":
    main()
