"""A search that begins with what others found, and one that does not, on real trainings: digits, which no table of the
knowledge has (a run's own data set is left out).

    python benchmarks/knowledge.py                 SPACES (wdcgan_wide,modern), SEEDS (3), EVALUATIONS (40)
    STRATEGIES="gp;tpe;ga" python benchmarks/knowledge.py      some of them first; with EVOGAN_RUNS it goes on

What counts is the mean FID over five fresh trainings of the genome that had the best in a search. All share one
store, so that none trains again what another has trained.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

from _record import RESULTS, record

import evogan

SPACES = os.environ.get("SPACES", "wdcgan_wide,modern").split(",")
SEEDS, EVALUATIONS = int(os.environ.get("SEEDS", "3")), int(os.environ.get("EVALUATIONS", "40"))
FRESH = range(1000, 1005)  # replicates that no search uses
TASK: dict[str, Any] = {"kimg": 5, "samples": 2000, "precision": "bf16"}
STRATEGIES: dict[str, dict[str, Any]] = {
    "auto, with knowledge": {"strategy": "auto"},
    "auto, without": {"strategy": "auto", "learn_from": "none"},
    **{name: {"strategy": name} for name in ("gp", "tpe", "ga")},
}


def recommended(space: str, strategy: str, seed: int, runs: Path) -> list[float]:
    """The FIDs of fresh trainings of what a search recommends."""
    run = evogan.search(
        space,
        "digits",
        evaluations=EVALUATIONS,
        seed=seed,
        confirm=0,
        name=f"{space}-{strategy.replace(', ', '-').replace(' ', '-')}-{seed}",
        runs=runs,
        workers=1,
        **TASK,
        **STRATEGIES[strategy],
    )
    assert run.best is not None
    best = run.best.row.genome
    trained = [evogan.train(best, "digits", replicate=fresh, runs=runs, **TASK)[0] for fresh in FRESH]
    fids = [evaluation.metric("fid") or math.inf for evaluation in trained]
    print(space, strategy, seed, [round(fid, 1) for fid in fids], flush=True)
    return fids


def main() -> None:
    asked = os.environ.get("STRATEGIES")
    strategies = asked.split(";") if asked else list(STRATEGIES)
    results: dict[str, Any] = json.loads((RESULTS / "knowledge.json").read_text())["results"]  # of other spaces, too
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(os.environ.get("EVOGAN_RUNS", folder)) / "knowledge"
        for space in SPACES:
            for strategy in strategies:
                fids = [recommended(space, strategy, seed, runs) for seed in range(SEEDS)]
                means = [round(statistics.fmean(one), 2) for one in fids]
                results[f"{space}, {strategy}"] = {"median": statistics.median(means), "means of a search": means}
    record("knowledge", results)


if __name__ == "__main__":
    main()
