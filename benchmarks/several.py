"""Strategies with two and three objectives on problems whose fronts are known: what part of the hypervolume they lack.

ZDT1 (convex front), ZDT2 (concave), ZDT3 (in pieces) of five genes (Zitzler, Deb and Thiele, Evolutionary Computation
8, 2000), DTLZ2 of six genes and three objectives (Deb, Thiele, Laumanns and Zitzler, CEC 2002); and ZDT1 with a second
objective that spans five orders of magnitude, as FID may. After 100 evaluations, of the hypervolume of the true front
up to 1.1 times its nadir: the median over SEEDS (10) and its 95 % bootstrap interval.

    python benchmarks/several.py                   STRATEGIES=assisted,nsga2 SEEDS=20
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import moocore
import numpy as np
import numpy.typing as npt
from _record import record

from evogan import Gene, Space
from evogan.engine import Broker, Judge, LocalExecutor, Loop, Store
from evogan.strategies import make_strategy
from evogan.trial import Evaluation, Task, Trial

Array = npt.NDArray[np.float64]
Problem = Callable[[Array], Array]
EVALUATIONS = 100
STRATEGIES = "assisted nsga2 nsga3 spea2 tpe gp optuna-nsga2 random".split()


def zdt(front: Callable[[float, float], float]) -> Problem:
    def problem(x: Array) -> Array:
        g = 1 + 9 * float(x[1:].mean())
        return np.array([x[0], g * front(float(x[0]), g)])

    return problem


def dtlz2(x: Array) -> Array:
    radius = 1 + float(((x[2:] - 0.5) ** 2).sum())
    a, b = x[0] * np.pi / 2, x[1] * np.pi / 2
    return np.array([radius * np.cos(a) * np.cos(b), radius * np.cos(a) * np.sin(b), radius * np.sin(a)])


zdt1 = zdt(lambda x, g: 1 - (x / g) ** 0.5)
PROBLEMS: Mapping[str, tuple[int, Problem]] = {
    "ZDT1": (5, zdt1),
    "ZDT2": (5, zdt(lambda x, g: 1 - (x / g) ** 2)),
    "ZDT3": (5, zdt(lambda x, g: 1 - (x / g) ** 0.5 - x / g * np.sin(10 * np.pi * x))),
    "DTLZ2": (6, dtlz2),
    "ZDT1, wide": (5, lambda x: zdt1(x) * [1, 0] + [0, 10 ** (5 * zdt1(x)[1] / 10)]),
}


def true_front(name: str) -> Array:
    """Of many points where the genes that only do harm are at their best."""
    dimension, problem = PROBLEMS[name]
    if name == "DTLZ2":
        grid = np.linspace(0, 1, 200)
        points = np.array([problem(np.array([a, b, *[0.5] * 4])) for a in grid for b in grid])
    else:
        points = np.array([problem(np.array([a, *[0.0] * (dimension - 1)])) for a in np.linspace(0, 1, 2001)])
    found: Array = points[moocore.is_nondominated(points)]
    return found


def found(name: str, strategy: str, seed: int) -> Array:
    """The objectives of all that a search evaluated."""
    dimension, problem = PROBLEMS[name]
    space = Space(name, [Gene(name=f"x{i}", kind="float", low=0.0, high=1.0) for i in range(dimension)])
    names = [f"f{i}" for i in range(len(true_front(name)[0]))]
    points: list[Array] = []

    def evaluate(trial: Trial) -> Evaluation:
        points.append(problem(np.array([float(trial.genome[f"x{i}"]) for i in range(dimension)])))
        scores = dict(zip(names, map(float, points[-1]), strict=True))
        return Evaluation(status="completed", scores=(scores,))

    store, judge = Store(), Judge.of(",".join(names))
    store.add_run("run", {})
    searching = make_strategy(strategy, space, seed, objectives=len(names))
    broker = Broker(store, LocalExecutor(evaluate))
    Loop("run", space, searching, Task(name=name), judge, broker, seed=seed, evaluations=EVALUATIONS, window=8).go()
    return np.array(points)


def lacking(name: str, points: Array) -> float:
    front = true_front(name)
    low, width = front.min(axis=0), np.ptp(front, axis=0)
    reference = np.full(len(low), 1.1)
    whole, part = (moocore.hypervolume((one - low) / width, ref=reference) for one in (front, points))
    return float(1 - part / whole)


def one(name: str, strategy: str, seed: int) -> float:
    return lacking(name, found(name, strategy, seed))


def main() -> None:
    strategies = os.environ.get("STRATEGIES", ",".join(STRATEGIES)).split(",")
    seeds = range(int(os.environ.get("SEEDS", "10")))
    results: dict[str, Any] = {}
    with ProcessPoolExecutor(int(os.environ.get("PROCESSES", "2"))) as pool:
        for name in PROBLEMS:
            for strategy in strategies:
                lacked = np.array(list(pool.map(one, *zip(*((name, strategy, seed) for seed in seeds), strict=True))))
                drawn = np.random.default_rng(0).choice(lacked, (2000, len(lacked)))
                ends = np.quantile(np.median(drawn, axis=1), [0.025, 0.975])
                median, low, high = (round(float(v), 3) for v in (np.median(lacked), *ends))
                results[f"{name}, {strategy}"] = {"lacking": median, "95 %": [low, high]}
                print(name, strategy, median, (low, high), flush=True)
    record("several", results)


if __name__ == "__main__":
    main()
