"""How the engine scales: workers kept busy, a million evaluations, what Ray costs, two workers beside one.

    python benchmarks/scale.py busy       share of the workers' time that is work, trial times spread 50-fold
    python benchmarks/scale.py million    10,000 workers on a simulated clock, EVALUATIONS (1,000,000) evaluations
    python benchmarks/scale.py ray        milliseconds of a trial that does nothing
    python benchmarks/scale.py workers    trials an hour of two workers beside one, on digits
    python benchmarks/scale.py            all of it

The clock of the first two is simulated; the engine, its store and its queue are the real ones.
"""

from __future__ import annotations

import heapq
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any

import psutil
from _record import RESULTS, record

from evogan.engine import Broker, Judge, Loop, Store
from evogan.engine.executors.forecast import Forecast
from evogan.engine.executors.simulated import SimulatedExecutor
from evogan.genome import Gene, Genome
from evogan.settings import Order, Resources
from evogan.space import Space
from evogan.strategies import make_strategy
from evogan.trial import Evaluation, Task, Trial

WORKERS, SPREAD, TRIALS = 16, 50.0, 2000
MANY_WORKERS, EVALUATIONS = 10_000, int(os.environ.get("EVALUATIONS", "1000000"))
NO_OPS = 1000
SPACE = Space(
    "uneven",
    [
        Gene(name="seconds", kind="float", low=1.0, high=SPREAD, scale="log", levels=1001),
        *(Gene(name=f"x{i}", kind="float", low=0.0, high=1.0, levels=1001) for i in range(4)),
    ],
)


def train(trial: Trial) -> Evaluation:
    """Takes the seconds that the genome says."""
    cost = {"seconds": float(trial.genome["seconds"])}
    return Evaluation(status="completed", scores=({"value": value(trial.genome)},), cost=cost)


def value(genome: Genome) -> float:
    return sum((float(genome[f"x{i}"]) - 0.3) ** 2 for i in range(4))


def search(
    store: Store,
    executor: Any,
    *,
    strategy: str,
    evaluations: int,
    window: int,
    order: Order,
    listener: Callable[[Any], None] = lambda event: None,
) -> None:
    store.add_run("scale", {})
    broker = Broker(store, executor, listener)
    made = make_strategy(strategy, SPACE, 0)
    task = Task(name="simulated")
    loop = Loop(
        "scale", SPACE, made, task, Judge("value"), broker, seed=0, evaluations=evaluations, window=window, order=order
    )
    loop.go()


# --- workers kept busy


def busy() -> dict[str, Any]:
    """Share of the workers' time that is work; the ends of the searches, where nothing is left to do, included."""
    results: dict[str, Any] = {"workers": WORKERS, "trials": TRIALS, "times": f"log-uniform, {SPREAD:g}-fold"}
    orders: tuple[tuple[str, Order, int], ...] = (
        ("completion order", "completion", 2 * WORKERS),
        ("number order, window 4 x workers", "number", 4 * WORKERS),
        ("number order, window 2 x workers", "number", 2 * WORKERS),
        ("number order, window 1 x workers", "number", WORKERS),
    )
    for what, order, window in orders:
        for name, forecast in ((what, Forecast()), (f"{what}, first come first served", None)):
            executor = SimulatedExecutor(train, WORKERS, forecast)
            search(Store(), executor, strategy="random", evaluations=TRIALS, window=window, order=order)
            results[name] = round(executor.busy / (WORKERS * executor.now), 4)
            print(name, results[name], flush=True)
    for population in (16, 64):
        name = f"generational DEAP (eaSimple), population {population}"
        results[name] = round(deap_busy(population), 4)
        print(name, results[name], flush=True)
    return results


def deap_busy(population: int) -> float:
    """DEAP's own loop, its map spread over the workers: each generation waits for its last trial."""
    import random

    from deap import algorithms, base, creator, tools

    creator.create("Lowest", base.Fitness, weights=(-1.0,))
    creator.create("Vector", list, fitness=creator.Lowest)
    clock = {"now": 0.0, "busy": 0.0}
    random.seed(0)

    def trial(vector: list[float]) -> tuple[float, float]:
        return sum((x - 0.3) ** 2 for x in vector[1:]), SPREAD ** min(max(vector[0], 0.0), 1.0)

    def spread(function: Callable[[Any], Any], vectors: Iterable[Any]) -> list[Any]:
        ends, answers = [clock["now"]] * WORKERS, []
        for vector in vectors:
            answer, seconds = function(vector)
            heapq.heapreplace(ends, ends[0] + seconds)
            clock["busy"] += seconds
            answers.append((answer,))
        clock["now"] = max(ends)
        return answers

    box = base.Toolbox()
    box.register("individual", tools.initRepeat, creator.Vector, random.random, 5)
    box.register("population", tools.initRepeat, list, box.individual)
    box.register("evaluate", trial)
    box.register("map", spread)
    box.register("mate", tools.cxUniform, indpb=0.5)
    box.register("mutate", redrawn)
    box.register("select", tools.selRandom)  # times stay log-uniform, as in the searches beside it
    algorithms.eaSimple(box.population(population), box, 1.0, 0.2, TRIALS // population, verbose=False)
    return clock["busy"] / (WORKERS * clock["now"])


def redrawn(vector: list[float]) -> tuple[list[float]]:
    import random

    vector[:] = [random.random() for _ in vector]
    return (vector,)


# --- a million evaluations


def million() -> dict[str, Any]:
    """Milliseconds of the engine an evaluation, as the store grows, and the memory of the process."""
    marks = [10**k for k in range(3, 7) if 10**k <= EVALUATIONS]
    results: dict[str, Any] = {"workers": MANY_WORKERS, "window": 2 * MANY_WORKERS}
    times: list[float] = []
    told = 0
    last = perf_counter()

    def listener(event: Any) -> None:
        nonlocal told, last
        if event.kind != "evaluated":
            return
        told += 1
        now = perf_counter()
        times.append(now - last)
        last = now
        if told in marks or told % 100_000 == 0:
            here = times[-min(len(times), 20_000) :]
            found = {
                "ms an evaluation (median)": round(1e3 * statistics.median(here), 3),
                "ms an evaluation (mean)": round(1e3 * statistics.fmean(here), 3),
                "resident memory, GiB": round(psutil.Process().memory_info().rss / 2**30, 3),
            }
            results[f"{told} stored"] = found
            del times[:-20_000]
            keep("million", results)

    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        executor = SimulatedExecutor(train, MANY_WORKERS)
        options = {"evaluations": EVALUATIONS, "window": 2 * MANY_WORKERS, "order": "completion"}
        search(store, executor, strategy="random", listener=listener, **options)  # type: ignore[arg-type]
        results["workers busy"] = round(executor.busy / (MANY_WORKERS * executor.now), 4)
        store.leases.close()
        store.close()
    return results


# --- Ray


def no_op(trial: Trial) -> Evaluation:
    return Evaluation(status="completed", scores=({"value": 0.0},), cost={"seconds": 1e-6})


def ray() -> dict[str, Any]:
    """From submit to told, of trials that do nothing: one at a time, and with the queue full."""
    from evogan.engine.executors.on_ray import RayExecutor

    started = perf_counter()
    executor = RayExecutor(no_op, Resources(workers=2))
    trials = (Trial(Genome({"x": i}), f"key{i}", Task(name="no-op")) for i in count())

    def one() -> None:
        executor.submit(next(trials))
        while executor.wait(lambda report: False) is None:
            pass

    one()
    results: dict[str, Any] = {"seconds from nothing to the first answer": round(perf_counter() - started, 1)}
    for _ in range(50):
        one()
    times = []
    for _ in range(NO_OPS):
        begun = perf_counter()
        one()
        times.append(perf_counter() - begun)
    results["ms, one at a time (median)"] = round(1e3 * statistics.median(times), 2)
    begun = perf_counter()
    for _ in range(NO_OPS):
        executor.submit(next(trials))
    done = 0
    while done < NO_OPS:
        done += executor.wait(lambda report: False) is not None
    results["ms, 1000 in the queue, two workers (mean)"] = round(1e3 * (perf_counter() - begun) / NO_OPS, 2)
    executor.close()
    return results


def workers() -> dict[str, Any]:
    """Trials an hour on digits with one worker (in the process) and two (on Ray, its start left out), alternating."""
    from evogan.api import search as run_search

    rates: dict[int, list[float]] = {1: [], 2: []}
    for round_ in range(int(os.environ.get("EVOGAN_BENCH_BLOCKS", "3"))):
        for n in rates:
            ends: list[float] = []

            def listener(event: Any, ends: list[float] = ends) -> None:
                if event.kind == "evaluated":
                    ends.append(perf_counter())

            with tempfile.TemporaryDirectory() as folder:
                run_search(
                    "wdcgan_wide",
                    strategy="random",
                    evaluations=24,
                    kimg=5,
                    finalists=0,
                    confirm=0,
                    seed=round_,
                    workers=n,
                    runs=folder,
                    listener=listener,
                )
            rates[n].append(3600 * (len(ends) - 1 - 2 * n) / (ends[-1 - n] - ends[n]))
            print(n, "workers:", round(rates[n][-1]), "trials an hour", flush=True)
    ratios = [two / one for one, two in zip(rates[1], rates[2], strict=True)]
    return {
        "trials an hour, 1 worker": [round(rate) for rate in rates[1]],
        "trials an hour, 2 workers": [round(rate) for rate in rates[2]],
        "ratio (median)": round(statistics.median(ratios), 2),
    }


JOBS: dict[str, Callable[[], dict[str, Any]]] = {"busy": busy, "million": million, "ray": ray, "workers": workers}


def keep(job: str, results: dict[str, Any]) -> None:
    """Beside what was measured before."""
    path = RESULTS / "scale.json"
    before = json.loads(path.read_text())["results"] if path.exists() else {}
    record("scale", {**before, job: results})


def main() -> None:
    for job in sys.argv[1:] or JOBS:
        keep(job, JOBS[job]())


if __name__ == "__main__":
    main()
