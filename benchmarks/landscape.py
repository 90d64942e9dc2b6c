"""Strategies on recorded GAN landscapes: evaluations to a target, beside Optuna's Gaussian process and random search.

What counts is not the luckiest number that a search saw but the true mean FID of the genome that it recommends: the one
it believes best where it has a model, else the best at the highest fidelity seen. It is read after every evaluation, a
full training's worth; a strategy that stops some early spends parts. Targets are what random search recommends, in the
median, after 200, and half of that FID. The expected running time to a target is what all seeds have spent until there,
over the seeds that got there (Hansen et al., COCO, 2021); its ratios have bootstrap intervals.

A strategy NAME+KIND begins from the tables of the *other data sets*: `auto+known` with portfolio and prior, others with
the portfolio alone; `auto+portfolio` without the prior; `+reversed` with their ranks reversed and `+shuffled` with
genomes and ranks drawn apart, gene by gene: knowledge that misleads, and such as says nothing. `auto+plain` knows
nothing, and its process sees no products of genes; with PLAIN=1 (and a KEPT of its own) nor do the models of tables.

    python benchmarks/landscape.py                              every table, every strategy
    TABLES=digits-wdcgan_wide STRATEGIES=auto,auto+known,gp SEEDS=0:10 BUDGET=300 python benchmarks/landscape.py

Every search is kept as a line of KEPT/TABLE.jsonl as it ends (results/landscape), and not made again; PROCESSES: 2.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from _record import RESULTS, record

from evogan.bench import surrogate
from evogan.bench.surrogate import StandIn, load_table
from evogan.engine import Account, Broker, Judge, LocalExecutor, Loop, Store
from evogan.genome import Genome
from evogan.runs.knowledge import read_sources
from evogan.runs.launch import PORTFOLIO
from evogan.runs.own import Own
from evogan.runs.place import Place
from evogan.space.products import Products
from evogan.strategies import AUTO, Fitness, Proposal, Strategy, assisted, choose, make_strategy
from evogan.strategies.knowledge import Knowledge, thinned
from evogan.trial import Task

TABLES = Path(__file__).parent / "tables"
BUDGET = int(os.environ.get("BUDGET", "100"))
TARGET = 200  # random evaluations, the median of whose recommendations is the target
SHOWN = (3, 10, 15, 25, 50, 100, 200, 300)
STRATEGIES = (
    "random auto auto+known assisted tpe gp ga-steady ga de shade l-shade es-plus es-comma cma-es aging sobol "
    "successive-halving hyperband dehb optuna-cma-es optuna-nsga2"
).split()
PEER = "gp"


class NoProducts(Products):
    def __len__(self) -> int:
        return 0

    def __call__(self, points: np.ndarray) -> np.ndarray:
        return np.empty((len(points), 0))


@cache
def landscape(name: str) -> StandIn:
    surrogate.Products = NoProducts if os.environ.get("PLAIN") else Products  # type: ignore[attr-defined]
    return load_table(name)


class Watched:
    """A strategy, and after every full training's worth the true FID of what it would recommend."""

    def __init__(self, strategy: Strategy, ground: StandIn) -> None:
        self.strategy, self.ground, self.account = strategy, ground, Account()
        self.schedules = strategy.schedules
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
        while self.account.spent >= len(self.curve) + 1 - 1e-9:
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


@cache
def known(table: str, kind: str) -> Knowledge:
    """Of the tables of other data sets, as `kind` says."""
    ground = landscape(table).table
    own = Own(frozenset({ground.facts["data"]}), of_a_gan=True)
    sources = read_sources(["tables"], Judge("fid"), own, Place(None))
    rng = np.random.default_rng(0)
    if kind == "reversed":
        sources = [
            replace(one, rows=tuple(thinned((genome, -float(v or 0)) for genome, v in one.rows))) for one in sources
        ]
    if kind == "shuffled":
        sources = [replace(one, rows=tuple(shuffled(one.rows, rng))) for one in sources]
    return Knowledge.of(sources, ground.space, PORTFOLIO)


def shuffled(
    rows: Sequence[tuple[Genome, float | None]], rng: np.random.Generator
) -> list[tuple[Genome, float | None]]:
    """Every gene's values dealt out anew among the rows."""
    genes = dict.fromkeys(gene for genome, _ in rows for gene in genome)
    dealt = {gene: rng.permutation(np.array([g.get(gene) for g, _ in rows], dtype=object)) for gene in genes}
    return [
        (Genome((gene, values[i]) for gene, values in dealt.items() if values[i] is not None), value)
        for i, (_, value) in enumerate(rows)
    ]


def replay(table: str, name: str, seed: int, budget: int) -> list[float]:
    """The true FID of what a strategy recommends after 1, 2, ... full trainings."""
    ground, store, options = landscape(table), Store(), None
    base, _, kind = name.partition("+")
    if base == AUTO:
        base, options = choose(evaluations=budget)
    assisted.Products = NoProducts if kind == "plain" else Products  # type: ignore[attr-defined]
    strategy = make_strategy(base, ground.space, seed, options)
    knowledge = known(table, kind) if kind not in ("", "plain") else Knowledge()
    if knowledge and kind != "portfolio":
        strategy.learn(knowledge)
    watched = Watched(strategy, ground)
    store.add_run("replay", {})
    task = Task(name=f"{table}, seed {seed}")
    loop = Loop(
        "replay",
        ground.space,
        watched,  # type: ignore[arg-type]
        task,
        Judge("fid"),
        Broker(store, LocalExecutor(ground)),
        seed=seed,
        evaluations=budget,
        window=8,
        portfolio=knowledge.portfolio,
    )
    loop.go()
    return (watched.curve + watched.curve[-1:] * budget)[:budget]


def kept(table: str) -> Path:
    return Path(os.environ.get("KEPT", RESULTS / "landscape")) / f"{table}.jsonl"


def searches(table: str, names: Sequence[str], seeds: range, pool: ProcessPoolExecutor) -> dict[str, np.ndarray]:
    """(seeds, budget) of each strategy: what is kept, and what is made now."""
    path, found = kept(table), dict[tuple[str, int, int], list[float]]()
    path.parent.mkdir(parents=True, exist_ok=True)
    for line in path.read_text().splitlines() if path.exists() else []:
        one = json.loads(line)
        found[one["strategy"], one["seed"], len(one["curve"])] = one["curve"]
    wanted = [(name, seed, max(BUDGET, TARGET) if name == "random" else BUDGET) for seed in seeds for name in names]
    jobs = {pool.submit(replay, table, *one): one for one in wanted if one not in found}
    for job in as_completed(jobs):
        name, seed, _ = one = jobs[job]
        found[one] = job.result()
        with path.open("a") as file:
            file.write(json.dumps({"strategy": name, "seed": seed, "curve": [round(v, 3) for v in found[one]]}) + "\n")
        print(table, name, seed, [round(found[one][n - 1], 1) for n in SHOWN if n <= BUDGET], flush=True)
    return {name: np.array([found[one] for one in wanted if one[0] == name]) for name in names}


def reached(curves: np.ndarray, target: float) -> np.ndarray:
    """For each run, the evaluations until its recommendation is at the target; infinite if it never is."""
    hit = curves <= target
    return np.where(hit.any(axis=1), hit.argmax(axis=1) + 1.0, np.inf)


def running_time(needed: np.ndarray, budget: int) -> np.ndarray:
    """The expected one, over the last axis."""
    spent = np.minimum(needed, budget).sum(axis=-1)
    with np.errstate(divide="ignore"):
        expected: np.ndarray = spent / np.isfinite(needed).sum(axis=-1)
    return expected


def times(one: np.ndarray, other: np.ndarray, budget: int) -> dict[str, object]:
    """The ratio of expected running times, and its 95 % bootstrap interval over seeds."""
    rng = np.random.default_rng(0)
    drawn = [running_time(rng.choice(needed, (2000, len(needed))), budget) for needed in (one, other)]
    with np.errstate(invalid="ignore"):
        ratio = running_time(one, budget) / running_time(other, budget)
        ends = np.quantile(np.nan_to_num(drawn[0] / drawn[1], nan=1.0, posinf=np.inf), [0.025, 0.975], method="nearest")
    return {"times": finite(ratio), "95 %": [finite(end) for end in ends]}


def interval(values: np.ndarray) -> list[float]:
    """The 95 % bootstrap interval of the median."""
    drawn = np.random.default_rng(0).choice(values, (2000, len(values)))
    return [float(v) for v in np.quantile(np.median(drawn, axis=1), [0.025, 0.975], method="nearest")]


def finite(value: float) -> float | None:
    """JSON knows no infinity: None for what was not reached."""
    return round(float(value), 3) if np.isfinite(value) else None


def row(curves: np.ndarray, targets: Sequence[float], others: Mapping[str, np.ndarray]) -> dict[str, object]:
    found: dict[str, object] = {}
    budget = curves.shape[1]
    for target in targets:
        needed = reached(curves, target)
        found[f"to FID {target:.1f}"] = {
            "evaluations": finite(np.median(needed)),
            "95 %": [finite(end) for end in interval(needed)],
            "reached": f"{int(np.isfinite(needed).sum())} of {len(needed)}",
            "expected": finite(float(running_time(needed, budget))),
            **{f"of {name}": times(needed, reached(other, target), budget) for name, other in others.items()},
        }
    after = {str(n): round(float(np.median(curves[:, n - 1])), 1) for n in SHOWN if n <= budget}
    return found | {"true FID after": after}


def summary(curves: dict[str, np.ndarray]) -> dict[str, object]:
    easy = float(np.median(curves["random"][:, TARGET - 1]))
    peers = {name: curves[name] for name in (PEER, AUTO) if name in curves}
    rows: dict[str, object] = {
        name: row(found[:, :BUDGET], (easy, easy / 2), {peer: one for peer, one in peers.items() if peer != name})
        for name, found in curves.items()
    }
    if curves["random"].shape[1] >= 2 * BUDGET:  # with two trainings for each of the others
        rows["random, twice the budget"] = row(curves["random"][:, 1 : 2 * BUDGET : 2], (easy, easy / 2), peers)
    return rows


def main() -> None:
    tables = os.environ.get("TABLES", ",".join(sorted(path.stem for path in TABLES.glob("*.parquet")))).split(",")
    names = os.environ.get("STRATEGIES", ",".join(STRATEGIES)).split(",")
    seeds = range(*map(int, os.environ.get("SEEDS", "0:20").split(":")))
    path = RESULTS / "landscape.json"
    results: dict[str, object] = json.loads(path.read_text())["results"] if path.exists() else {}
    with ProcessPoolExecutor(int(os.environ.get("PROCESSES", "2"))) as pool:
        for table in tables:
            curves = searches(table, ["random", *(name for name in names if name != "random")], seeds, pool)
            rows = summary(curves)
            results[f"{table}, seeds {seeds.start} to {seeds.stop - 1}, {BUDGET} evaluations"] = rows
            print(json.dumps({table: rows}, indent=1), flush=True)
            record("landscape", results)


if __name__ == "__main__":
    main()
