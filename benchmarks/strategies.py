"""Is each strategy a correct member of its kind? Evaluations to a target, beside a well-known implementation.

Both sides have the same settings, the same instances (one a seed) and the same cap. A run that does not reach the
target costs its cap; the expected running time (ERT, Hansen et al., COCO, arXiv:1603.08785) is what all runs cost over
the number that reached it. Intervals are 95 %, by bootstrap over the seeds. Goal: never above 1.25 times the peer's.

Then: what ask and tell take (goal: a median of at most 1 ms for every strategy without a model), and every strategy
with its default options beside random search.

EVOGAN_BENCH_MODELS=tpe,assisted adds these to the last part (`gp` takes hours). EVOGAN_BENCH_ONLY=de,ga measures
these alone: their rows replace the recorded ones. The peers are those of the extra `bench`; without it, their part is
skipped.
"""

from __future__ import annotations

import io
import json
import math
import os
import statistics
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stderr
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from time import perf_counter
from typing import Any

import _peers as peers
import numpy as np
import numpy.typing as npt
from _peers import Meter, Runner, measure, ours
from _problems import INSTANCES
from _record import RESULTS, record
from rich.console import Console
from rich.table import Table

from evogan.genome import Gene
from evogan.space import Space
from evogan.strategies import MODEL_BASED, STRATEGIES, Fitness, make_strategy

SEEDS = 20
MORE_SEEDS = 40  # where it is chance whether a run finds the right one of many optima
WORST_RATIO = 1.25
RESAMPLES = 4000
ONLY = {name for name in os.environ.get("EVOGAN_BENCH_ONLY", "").split(",") if name}
MODELS = [name for name in os.environ.get("EVOGAN_BENCH_MODELS", "").split(",") if name]
PROCESSES = int(os.environ.get("EVOGAN_BENCH_PROCESSES", len(os.sched_getaffinity(0))))
CONSOLE = Console(width=172)

Array = npt.NDArray[np.float64]


# The comparison with peers --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Contest:
    """A strategy of ours and a peer on a problem; each seed is an instance of it."""

    strategy: str
    peer: str
    problem: str
    dimension: int
    target: float
    cap: float
    seeds: int
    settings: str
    ours: Runner
    theirs: Runner

    @property
    def package(self) -> str:
        return self.peer.split()[0]

    def run(self, mine: bool, seed: int) -> tuple[float, bool]:
        instance = INSTANCES[self.problem](self.dimension, self.target, seed)
        return measure(instance, self.cap, self.ours if mine else self.theirs, seed)


def cma_es() -> Iterator[Contest]:
    """Both from the centre, with the same sigma and lambda; both begin anew at random when they have converged."""
    for problem, dimension, target, cap, population, seeds in (
        ("sphere", 5, 1e-4, 5_000, 8, SEEDS),
        ("sphere", 20, 1e-4, 10_000, 12, SEEDS),
        ("ellipsoid", 5, 1e-2, 10_000, 8, SEEDS),
        ("ellipsoid", 20, 1e-2, 40_000, 12, SEEDS),
        ("rosenbrock", 5, 1e-2, 10_000, 8, MORE_SEEDS),
        ("rastrigin", 2, 1e-2, 10_000, 30, MORE_SEEDS),
        ("rastrigin", 3, 1e-2, 20_000, 60, MORE_SEEDS),
        ("mixed", 7, 5e-2, 4_000, 40, MORE_SEEDS),
        ("conditional", 13, 0.35, 4_000, 40, MORE_SEEDS),
    ):
        with_choices = problem in ("mixed", "conditional")
        yield Contest(
            "cma-es",
            f"cmaes {'CatCMAwM' if with_choices else 'CMA'}",
            problem,
            dimension,
            target,
            cap,
            seeds,
            f"sigma 0.25, lambda {population}",
            ours("cma-es", sigma=0.25, population=population),
            (peers.catcma if with_choices else peers.cmaes)(0.25, population),
        )


def de() -> Iterator[Contest]:
    """Synchronous generations from a Latin hypercube. SciPy draws anew what leaves the bounds, which we reflect; its
    difference may contain the best, which ours does not; it has no choices and codes them as integers."""
    for variant in ("rand/1/bin", "best/1/bin", "current-to-best/1/bin"):
        classic = variant == "rand/1/bin"
        for problem, dimension, target, cap, popsize, weight, crossover, seeds in (
            ("sphere", 10, 1e-3, 20_000, 5, 0.5 if classic else 0.7, 0.9, SEEDS),
            ("sphere", 20, 1.0, 20_000, 3, 0.5 if classic else 0.7, 0.9, SEEDS),
            ("ellipsoid", 10, 1e-2, 20_000, 5, 0.5 if classic else 0.7, 0.9, SEEDS),
            ("rosenbrock", 3, 1e-1, 5_000, 10, 0.7, 0.9, SEEDS),
            ("rastrigin", 3, 1e-1, 5_000, 15, 0.5, 0.3, MORE_SEEDS),
            ("mixed", 7, 5e-2, 6_000, 10, 0.7, 0.5, MORE_SEEDS),
            ("conditional", 13, 5e-2, 6_000, 5, 0.7, 0.5, 2 * MORE_SEEDS),
        ):
            population = popsize * dimension
            yield Contest(
                "de",
                "scipy differential_evolution",
                problem,
                dimension,
                target,
                cap,
                seeds,
                f"{variant}, F {weight}, CR {crossover}, population {population}",
                ours("de", variant=variant, weight=weight, crossover=crossover, population=population),
                peers.scipy_de(variant, popsize, weight, crossover),
            )


GENETIC = (
    ("sphere", 5, 1e-1, 3_000, 20, SEEDS),
    ("sphere", 20, 1.0, 5_000, 20, SEEDS),
    ("ellipsoid", 5, 1e3, 3_000, 20, MORE_SEEDS),
    ("rosenbrock", 2, 1e-1, 3_000, 20, MORE_SEEDS),
    ("rastrigin", 2, 0.5, 3_000, 20, MORE_SEEDS),
    ("rastrigin", 5, 3.0, 3_000, 20, MORE_SEEDS),
    ("mixed", 7, 0.1, 4_000, 40, MORE_SEEDS),
    ("conditional", 13, 0.35, 4_000, 40, MORE_SEEDS),
)
VARIATION = {"crossover": 0.9, "mutation": 1.0, "crossover_eta": 10.0, "mutation_eta": 10.0}
SAID = "SBX 0.9/10, mutation 1/n, 10"


def ga() -> Iterator[Contest]:
    """pymoo's sampling, tournaments, crossover and mutation, with our replacement: two elites and all children."""
    for problem, dimension, target, cap, population, seeds in GENETIC:
        with_choices = problem in ("mixed", "conditional")
        yield Contest(
            "ga",
            f"pymoo {'MixedVariableGA' if with_choices else 'GA'}",
            problem,
            dimension,
            target,
            cap,
            seeds,
            f"population {population}, 2 elites, tournament 2, {SAID}",
            ours("ga", population=population, elites=2, tournament=2, **VARIATION),
            (peers.pymoo_mixed_ga if with_choices else peers.pymoo_ga)(population, population - 2, 2, **VARIATION),
        )


def ga_steady() -> Iterator[Contest]:
    """pymoo's GA as it is, with one child a generation: that is the steady state."""
    for problem, dimension, target, cap, population, seeds in GENETIC:
        with_choices = problem in ("mixed", "conditional")
        yield Contest(
            "ga-steady",
            f"pymoo {'MixedVariableGA' if with_choices else 'GA'}",
            problem,
            dimension,
            target,
            cap,
            seeds,
            f"population {population}, tournament 2, {SAID}",
            ours("ga-steady", population=population, tournament=2, **VARIATION),
            (peers.pymoo_mixed_ga if with_choices else peers.pymoo_ga)(population, 1, None, **VARIATION),
        )


def nsga2() -> Iterator[Contest]:
    """Until everything that was evaluated dominates 95 % of what the true front dominates, up to (1.1, 1.1)."""
    options: dict[str, Any] = {"population": 100, "crossover": 0.9, "mutation": 1.0}
    options |= {"crossover_eta": 15.0, "mutation_eta": 20.0}
    for number, seeds in ((1, SEEDS), (2, SEEDS), (3, MORE_SEEDS)):  # ZDT3's front has parts, and a run may lose one
        yield Contest(
            "nsga2",
            "pymoo NSGA2",
            f"ZDT{number}",
            10,
            0.95,
            10_000,
            seeds,
            "population 100, SBX 0.9/15, mutation 1/n, 20",
            ours("nsga2", **options),
            peers.pymoo_nsga2(**options),
        )


def dehb() -> Iterator[Contest]:
    """Costs are sums of fidelities: 1 is one full evaluation."""
    for problem, dimension, target in (
        ("counting ones", 8, 0.05),
        ("counting ones", 16, 0.1),
        ("biased sphere", 5, 0.1),
        ("biased rosenbrock", 5, 20.0),
        ("biased rastrigin", 3, 3.0),
    ):
        yield Contest(
            "dehb",
            "dehb DEHB",
            problem,
            dimension,
            target,
            1_500,
            SEEDS,
            "fidelities 1/9, 1/3, 1, eta 3, F 0.5, CR 0.5",
            ours("dehb", fidelities=(1 / 9, 1 / 3, 1.0), eta=3, weight=0.5, crossover=0.5),
            peers.dehb(3, 3, 0.5, 0.5),
        )


CONTESTS = [contest for section in (cma_es, de, ga, ga_steady, nsga2, dehb) for contest in section()]


def one_run(job: tuple[int, bool, int]) -> tuple[float, bool]:
    which, mine, seed = job
    return CONTESTS[which].run(mine, seed)


@dataclass(frozen=True)
class Runs:
    """What each seed's run cost, and whether it reached the target."""

    spent: Array
    reached: npt.NDArray[np.bool_]

    def ert(self, draws: npt.NDArray[np.int64] | slice = slice(None)) -> Array:
        """The expected running time of these runs (the last axis): infinite where none reached the target."""
        with np.errstate(divide="ignore"):
            return np.asarray(self.spent[draws].sum(-1) / self.reached[draws].sum(-1))

    def said(self, draws: npt.NDArray[np.int64]) -> dict[str, Any]:
        low, high = interval(self.ert(draws))
        return {
            "ert": finite(float(self.ert())),
            "low": low,
            "high": high,
            "median": finite(float(np.median(np.where(self.reached, self.spent, np.inf)))),
            "reached": int(self.reached.sum()),
        }


def finite(value: float) -> float | None:
    """As JSON has it: None for what is not finite."""
    return float(f"{value:.4g}") if math.isfinite(value) else None


def interval(sample: Array) -> tuple[float | None, float | None]:
    with np.errstate(invalid="ignore"):
        low, high = np.quantile(sample, (0.025, 0.975), method="nearest")
    return finite(float(low)), finite(float(high))


def compared(contest: Contest, mine: Runs, theirs: Runs) -> dict[str, Any]:
    draws = np.random.default_rng(0).integers(contest.seeds, size=(RESAMPLES, contest.seeds))
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio, ratios = float(mine.ert() / theirs.ert()), mine.ert(draws) / theirs.ert(draws)
    low, high = interval(ratios[~np.isnan(ratios)])
    return {
        "strategy": contest.strategy,
        "peer": contest.peer,
        "problem": contest.problem,
        "dimension": contest.dimension,
        "target": contest.target,
        "settings": contest.settings,
        "cap": contest.cap,
        "seeds": contest.seeds,
        "ours": mine.said(draws),
        "theirs": theirs.said(draws),
        "ratio": finite(ratio),
        "ratio_low": low,
        "ratio_high": high,
        "within": ratio <= WORST_RATIO,
    }


def compare(pool: ProcessPoolExecutor, results: dict[str, Any]) -> None:
    """Fills `results["peers"]`, writing every row as soon as it is known; it replaces a recorded one."""
    versions, last = results["versions of peers"], ""
    rows = {identity(row): row for row in results["peers"]}
    for which, contest in enumerate(CONTESTS):
        if ONLY and contest.strategy not in ONLY:
            continue
        if installed(contest.package) is None:
            print(f"{contest.strategy}: skipped, '{contest.package}' is not installed (extra 'bench')", file=sys.stderr)
            continue
        jobs = [(which, mine, seed) for seed in range(contest.seeds) for mine in (True, False)]
        answers = list(pool.map(one_run, jobs))
        sides = [
            Runs(np.array([spent for spent, _ in side]), np.array([reached for _, reached in side]))
            for side in (answers[::2], answers[1::2])
        ]
        row = compared(contest, *sides)
        rows[identity(row)] = row
        results["peers"] = list(rows.values())
        write(results)
        title = f"{contest.strategy} against {contest.peer} {versions[contest.package]}"
        if title != last:
            heading(title)
        print_contest(row, header=title != last)
        last = title


def identity(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[fact] for fact in ("strategy", "peer", "problem", "dimension", "settings"))


def heading(text: str) -> None:
    CONSOLE.print(f"\n[bold]{text}[/bold]")


def figure(value: float | None) -> str:
    return "never" if value is None else f"{value:,.0f}"


def print_contest(row: dict[str, Any], header: bool) -> None:
    table = Table(box=None, show_header=header, pad_edge=False)
    for title, width in (("problem", 21), ("settings", 66)):
        table.add_column(title, width=width, no_wrap=True)
    for title, width in (("ours: ERT (95 %)", 29), ("theirs: ERT (95 %)", 29), ("ratio (95 %)", 19)):
        table.add_column(title, width=width, justify="right", no_wrap=True)
    sides = [
        f"{figure(side['ert'])} ({figure(side['low'])}-{figure(side['high'])}) {side['reached']}/{row['seeds']}"
        for side in (row["ours"], row["theirs"])
    ]
    low, high = ("inf" if end is None else f"{end:.2f}" for end in (row["ratio_low"], row["ratio_high"]))
    ratio = ("inf" if row["ratio"] is None else f"{row['ratio']:.2f}") + f" ({low}-{high})"
    table.add_row(
        f"{row['problem']} {row['dimension']}", row["settings"], *sides, ratio + ("" if row["within"] else "!")
    )
    CONSOLE.print(table)


# What ask and tell take -----------------------------------------------------------------------------------------------

TOLD, TIMED = 1_000, 300


def twenty() -> Space:
    """Twenty genes of every kind."""
    genes: list[Gene] = []
    for i in range(4):
        genes += [
            Gene(name=f"linear{i}", kind="float", low=0.0, high=1.0),
            Gene(name=f"log{i}", kind="float", low=1e-5, high=1e-1, scale="log"),
            Gene(name=f"fine{i}", kind="float", low=-5.0, high=5.0, levels=1001),
            Gene(name=f"whole{i}", kind="int", low=1, high=16),
            Gene(name=f"choice{i}", kind="choice", values=("a", "b", "c", "d")),
        ]
    return Space("twenty", genes)


def ask_and_tell(name: str) -> dict[str, float]:
    """Milliseconds for one ask and one tell, once TOLD results are known."""
    space, rng, times = twenty(), np.random.default_rng(0), []
    options = {"evaluations": TOLD + TIMED} if name == "l-shade" else {}
    strategy = make_strategy(name, space, 0, options, objectives=2 if STRATEGIES[name].make.several else 1)
    for _ in range(TOLD + TIMED):
        started = perf_counter()
        proposal = strategy.ask()
        asked = perf_counter() - started
        assert proposal is not None
        value = sum((u - 0.3) ** 2 for u in proposal.vector) + 0.1 * rng.random()
        others = (sum((u - 0.7) ** 2 for u in proposal.vector),) if STRATEGIES[name].make.several else ()
        started = perf_counter()
        strategy.tell(proposal, Fitness(False, value, others=others))
        times.append(1e3 * (asked + perf_counter() - started))
    late = times[TOLD:]
    return {
        "median": round(statistics.median(late), 4),
        "mean": round(statistics.fmean(late), 4),
        "longest": round(max(late), 2),
    }


def time_all(results: dict[str, Any]) -> None:
    heading(f"Ask and tell in 20 dimensions after {TOLD:,} results, ms")
    table = Table(box=None, pad_edge=False)
    for title in ("strategy", "median", "mean", "longest"):
        table.add_column(title, justify="left" if title == "strategy" else "right")
    for name in STRATEGIES:
        if name not in MODEL_BASED and wanted(name):
            entry = results["ask and tell, ms"][name] = ask_and_tell(name)
            table.add_row(name, *(f"{value:g}" for value in entry.values()))
    CONSOLE.print(table)
    write(results)


# Beside random search -------------------------------------------------------------------------------------------------

SINGLE_FIDELITY = {
    "sphere": 5,
    "ellipsoid": 10,
    "rosenbrock": 5,
    "rastrigin": 5,
    "mixed": 7,
    "conditional": 13,
}
SEVERAL_FIDELITIES = {"counting ones": 16, "biased sphere": 5, "biased rosenbrock": 5}
CHOOSE_FIDELITY = ("successive-halving", "hyperband", "dehb")


class Best(Meter):
    """Notes the best value at full fidelity, and after what cost it was found."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.steps: list[tuple[float, float]] = []

    def __call__(self, genome: Any, fidelity: float = 1.0) -> tuple[float, ...]:
        values = super().__call__(genome, fidelity)
        if fidelity == 1 and (not self.steps or values[0] < self.steps[-1][1]):
            self.steps.append((self.spent, values[0]))
        return values


def path(job: tuple[str, str, int, int]) -> list[tuple[float, float]]:
    """The best so far of a run with default options: (cost, value) at each improvement."""
    name, problem, budget, seed = job
    dimension = (SINGLE_FIDELITY | SEVERAL_FIDELITIES)[problem]
    meter = Best(INSTANCES[problem](dimension, -math.inf, seed), 2 * budget)
    try:
        ours(name, **({"evaluations": budget} if name == "l-shade" else {}))(meter, seed)
    except peers.Over:
        return meter.steps
    raise AssertionError("a strategy does not end by itself")


def best_within(steps: Sequence[tuple[float, float]], budget: float) -> float:
    return min((value for cost, value in steps if cost <= budget), default=math.inf)


def beside_random(
    pool: ProcessPoolExecutor,
    results: dict[str, Any],
    title: str,
    problems: Sequence[str],
    names: Sequence[str],
    budget: int,
    seeds: int,
) -> None:
    """Of each strategy and problem: the ERT to what random search reaches with twice the budget (in the median), and
    how many runs are better than that within the budget."""
    names = [name for name in names if wanted(name)]
    if not names:
        return
    section = results["beside random"].setdefault(title, {"budget": budget, "seeds": seeds, "problems": {}})
    heading(
        f"Beside random search, {title}: ERT to its median best of {2 * budget:,} evaluations, and how many of {seeds} "
        f"runs are beyond that after {budget:,}"
    )
    table = Table(box=None, pad_edge=False)
    table.add_column("strategy")
    cells: dict[str, list[str]] = {name: [] for name in names}
    for problem in problems:
        table.add_column(problem, justify="right")
        paths = {name: list(pool.map(path, [(name, problem, budget, seed) for seed in range(seeds)])) for name in names}
        entry = section["problems"].setdefault(problem, {"strategies": {}})
        if "random" in paths:
            entry["target"] = statistics.median(best_within(steps, 2 * budget) for steps in paths["random"])
        target = entry["target"]
        for name in names:
            costs = [min((cost for cost, value in steps if value <= target), default=math.inf) for steps in paths[name]]
            runs = Runs(np.minimum(costs, 2 * budget), np.isfinite(costs))
            draws = np.random.default_rng(0).integers(seeds, size=(RESAMPLES, seeds))
            beyond = sum(cost <= budget for cost in costs)
            best = [best_within(steps, budget) for steps in paths[name]]
            entry["strategies"][name] = runs.said(draws) | {
                "beyond after the budget": beyond,
                "median best after the budget": finite(statistics.median(best)),
            }
            cells[name].append(f"{figure(finite(float(runs.ert())))} ({beyond})")
        write(results)
    for name in names:
        table.add_row(name, *cells[name])
    CONSOLE.print(table)


# ----------------------------------------------------------------------------------------------------------------------


def wanted(name: str) -> bool:
    return not ONLY or name in ONLY


def write(results: dict[str, Any]) -> None:
    with redirect_stderr(io.StringIO()):  # the tables say it better
        record("strategies", results)


def installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def installed_peers() -> dict[str, str]:
    found = {package: installed(package) for package in ("cmaes", "scipy", "pymoo", "dehb")}
    return {package: version for package, version in found.items() if version is not None}


def main() -> None:
    started = perf_counter()
    results: dict[str, Any] = {
        "versions of peers": installed_peers(),
        "goal": WORST_RATIO,
        "peers": [],
        "ask and tell, ms": {},
        "beside random": {},
        "measured": {},
    }
    if ONLY:
        known = json.loads((RESULTS / "strategies.json").read_text())["results"]
        results = known | {"versions of peers": known["versions of peers"] | installed_peers()}
    results["measured"] |= {name: datetime.now(UTC).date().isoformat() for name in STRATEGIES if wanted(name)}
    time_all(results)
    with ProcessPoolExecutor(PROCESSES) as pool:
        compare(pool, results)
        without = [name for name in STRATEGIES if name not in (*MODEL_BASED, *CHOOSE_FIDELITY, "grid")]
        beside_random(pool, results, "without a model", list(SINGLE_FIDELITY), without, 500, SEEDS)
        fidelities = ["random", "de", *CHOOSE_FIDELITY]
        beside_random(pool, results, "several fidelities", list(SEVERAL_FIDELITIES), fidelities, 100, SEEDS)
        if MODELS:
            names = ["random", "ga", *MODELS]
            beside_random(pool, results, "with a model", list(SINGLE_FIDELITY), names, 50, SEEDS)
    results["seconds"] = round(perf_counter() - started)
    write(results)
    missed = [row for row in results["peers"] if not row["within"]]
    print(f"{len(results['peers']) - len(missed)} of {len(results['peers'])} rows within {WORST_RATIO} of the peer")


if __name__ == "__main__":
    main()
