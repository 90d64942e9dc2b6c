"""Strategies on recorded GAN landscapes: evaluations to a target, beside random search at once and twice the budget.

What counts is not the luckiest number that a search saw but the true mean FID of the genome that it recommends: the one
it believes best where it has a model, else the best at the highest fidelity seen. Evaluations are full trainings; a
strategy that stops some early spends parts. Targets are what random search recommends, in the median, after 200, and
half of that FID; a run that has not got there within its 100 counts as infinite.

    python benchmarks/landscape.py                              every table, every strategy
    TABLES=digits-wdcgan_wide STRATEGIES=auto,gp SEEDS=0:10 python benchmarks/landscape.py
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from _record import RESULTS, record

from evogan.bench.surrogate import StandIn, load_table
from evogan.engine import Account, Broker, Judge, LocalExecutor, Loop, Store
from evogan.strategies import AUTO, Fitness, Proposal, Strategy, choose, make_strategy
from evogan.trial import Task

TABLES = Path(__file__).parent / "tables"
BUDGET, STEP = 100, 5
TARGET = 200  # random evaluations, the median of whose recommendations is the target
SHOWN = (15, 25, 50, 100)
STRATEGIES = (
    "random auto assisted tpe gp ga-steady ga de shade l-shade es-plus es-comma cma-es aging sobol "
    "successive-halving hyperband dehb optuna-cma-es optuna-nsga2"
).split()


@cache
def landscape(name: str) -> StandIn:
    return load_table(name)


class Watched:
    """A strategy, and after every `STEP` full trainings the true FID of what it would recommend."""

    def __init__(self, strategy: Strategy, ground: StandIn) -> None:
        self.strategy, self.ground, self.account = strategy, ground, Account()
        self.told: list[tuple[Proposal, Fitness]] = []
        self.curve: list[float] = []

    def ask(self) -> Proposal | None:
        return self.strategy.ask()

    def tell(self, proposal: Proposal, fitness: Fitness) -> None:
        self.strategy.tell(proposal, fitness)
        self.told.append((proposal, fitness))
        genome = self.ground.space.decode(proposal.vector)
        key = self.ground.space.key(genome)
        self.account.ask(key, proposal.fidelity, 0)
        while self.account.spent >= STEP * (len(self.curve) + 1):
            self.curve.append(self.recommended())

    def recommended(self) -> float:
        completed = [(p, f) for p, f in self.told if not f.failed]
        if not completed:
            return np.inf
        top = max(p.fidelity for p, _ in completed)
        there = [(p.vector, f.value) for p, f in completed if p.fidelity == top]
        believed = self.strategy.estimate([vector for vector, _ in there])
        scores = [value for _, value in there] if believed is None else believed
        best = there[int(np.argmin(scores))][0]
        return self.ground.truth(self.ground.space.decode(best))


def replay(table: str, name: str, seed: int, budget: int, options: dict[str, Any] | None = None) -> list[float]:
    """The true FID of what a strategy recommends after 5, 10, ... full trainings."""
    ground, store = landscape(table), Store()
    if name == AUTO:
        name, options = choose(evaluations=budget)
    watched = Watched(make_strategy(name, ground.space, seed, options), ground)
    store.add_run("replay", {})
    task = Task(name=f"{table}, seed {seed}")
    broker = Broker(store, LocalExecutor(ground))
    loop = Loop("replay", ground.space, watched, task, Judge("fid"), broker, seed=seed, evaluations=budget, window=8)  # type: ignore[arg-type]
    loop.go()
    steps = budget // STEP
    return (watched.curve + watched.curve[-1:] * steps)[:steps]


def reached(curves: np.ndarray, target: float) -> np.ndarray:
    """For each run, the evaluations until its recommendation is at the target; infinite if it never is."""
    hit = curves <= target
    return np.where(hit.any(axis=1), (hit.argmax(axis=1) + 1) * STEP, np.inf)


def interval(values: np.ndarray) -> list[float]:
    """The 95 % bootstrap interval of the median."""
    drawn = np.random.default_rng(0).choice(values, (2000, len(values)))
    return [float(v) for v in np.quantile(np.median(drawn, axis=1), [0.025, 0.975], method="nearest")]


def finite(value: float) -> float | None:
    """JSON knows no infinity: None for what was not reached."""
    return float(value) if np.isfinite(value) else None


def row(curves: np.ndarray, targets: Sequence[float]) -> dict[str, object]:
    found: dict[str, object] = {}
    for target in targets:
        needed = reached(curves, target)
        found[f"to FID {target:.1f}"] = {
            "evaluations": finite(np.median(needed)),
            "95 %": [finite(end) for end in interval(needed)],
            "reached": f"{int(np.isfinite(needed).sum())} of {len(needed)}",
        }
    after = {str(n): round(float(np.median(curves[:, n // STEP - 1])), 1) for n in SHOWN}
    return found | {"true FID after": after}


def summary(curves: dict[str, np.ndarray]) -> dict[str, object]:
    easy = float(np.median(curves["random"][:, TARGET // STEP - 1]))
    rows = {name: row(found[:, : BUDGET // STEP], (easy, easy / 2)) for name, found in curves.items()}
    # random search with two trainings for each of the others
    rows["random, twice the budget"] = row(curves["random"][:, 1::2], (easy, easy / 2))
    return rows


def main() -> None:
    tables = os.environ.get("TABLES", ",".join(sorted(path.stem for path in TABLES.glob("*.parquet")))).split(",")
    names = os.environ.get("STRATEGIES", ",".join(STRATEGIES)).split(",")
    first, last = map(int, os.environ.get("SEEDS", "0:20").split(":"))
    path = RESULTS / "landscape.json"
    results: dict[str, object] = json.loads(path.read_text())["results"] if path.exists() else {}
    with ProcessPoolExecutor(2) as pool:
        for table in tables:
            curves: dict[str, np.ndarray] = {}
            for name in ["random", *(name for name in names if name != "random")]:
                budget = 2 * BUDGET if name == "random" else BUDGET
                jobs = [(table, name, seed, budget) for seed in range(first, last)]
                found = list(pool.map(replay, *zip(*jobs, strict=True)))
                curves[name] = np.array(found)
                rows = summary(curves)
                results[f"{table}, seeds {first} to {last - 1}"] = rows
                print(table, name, rows[name], flush=True)
                record("landscape", results)


if __name__ == "__main__":
    main()
