"""What the engine costs besides training: ask + look up + record + tell, with 10,000 evaluations in the store.

Goals: at most 5 ms a genome, at most 1 ms a cache hit.
"""

from __future__ import annotations

import statistics
import tempfile
from itertools import pairwise
from pathlib import Path
from time import perf_counter

from _record import record

from evogan.engine import Broker, Event, Judge, LocalExecutor, Loop, Store
from evogan.space import load_space
from evogan.strategies import make_strategy
from evogan.trial import Evaluation, Task, Trial

STORED, MEASURED = 10_000, 1_000
TASK = Task(name="stubbed out")
POINTS = tuple({"kimg": i / 4, "fidelity": i / 4, "fid": 100.0 / i, "kid": 0.1} for i in range(1, 5))
CURVE = tuple({"kimg": i / 32, "real": 0.1, "fake": 0.2, "generator": 0.3} for i in range(32))


def stub(trial: Trial) -> Evaluation:
    """An answer of the usual size that took no time."""
    scores = tuple(point | {"fid": trial.seed % 1000 / 10} for point in POINTS)
    return Evaluation(status="completed", scores=scores, curve=CURVE, cost={"seconds": 1.0})


def main() -> None:
    space = load_space("wdcgan_wide")
    results: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))

        def go(run: str, strategy: str, evaluations: int, seed: int) -> list[float]:
            """The seconds between one answer and the next."""
            times: list[float] = []

            def listener(event: Event) -> None:
                if event.evaluation is not None:
                    times.append(perf_counter())

            if run not in store.runs():
                store.add_run(run, {})
            broker = Broker(store, LocalExecutor(stub), listener)
            made = make_strategy(strategy, space, seed)
            Loop(run, space, made, TASK, Judge("fid"), broker, seed=seed, evaluations=evaluations, window=8).go()
            return [b - a for a, b in pairwise(times)]

        go("fill", "random", STORED, 0)
        for strategy in ("ga", "random"):  # the engine is measured here, not the strategies
            times = go(f"measure {strategy}", strategy, MEASURED, 1)
            results[f"{strategy}: ms per new genome (median)"] = round(1e3 * statistics.median(times), 3)
            results[f"{strategy}: ms per new genome (mean)"] = round(1e3 * statistics.fmean(times), 3)

        identities = [row.identity() for row in store.proposals("measure random")]
        started = perf_counter()
        for identity in identities:
            assert store.find(identity) is not None
        results["ms per cache hit (mean)"] = round(1e3 * (perf_counter() - started) / len(identities), 3)

        started = perf_counter()
        go("measure ga", "ga", MEASURED, 1)
        results["ms per replayed genome (mean)"] = round(1e3 * (perf_counter() - started) / MEASURED, 3)
        results["evaluations in the store"] = sum(1 for _ in store.evaluations())
    record("engine", results)


if __name__ == "__main__":
    main()
