"""The demo's search, afresh: the best evolved GAN against the published reference at the same budget.

Goal: at most half of the reference's FID, on fresh replicates, in at most 4 minutes on 2 cores.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from time import perf_counter

from _record import record

import evogan


def main() -> None:
    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(int(os.environ.get("SEEDS", "3"))):
            started = perf_counter()
            run = evogan.search(
                "wdcgan_wide",
                "digits",
                strategy="ga",
                options={"population": 8},
                evaluations=32,
                kimg=10,
                finalists=2,
                confirm=3,
                seed=seed,
                runs=Path(folder) / str(seed),
            )
            seconds = perf_counter() - started
            best = min((c for c in run.confirmations if c.name != "wdcgan"), key=lambda c: c.order)
            reference = next(c for c in run.confirmations if c.name == "wdcgan")
            results[f"seed {seed}"] = {
                "evolved FID (mean, sd, n)": [round(best.mean, 2), round(best.spread, 2), len(best.values)],
                "reference FID (mean, sd, n)": [
                    round(reference.mean, 2),
                    round(reference.spread, 2),
                    len(reference.values),
                ],
                "evolved over reference": round(best.mean / reference.mean, 3),
                "seconds": round(seconds, 1),
                "failed": sum(told.evaluation.failed for told in run.history),
            }
    record("demo", results)


if __name__ == "__main__":
    main()
