"""Any finite value of an objective is one that a search, its report and its exports live with."""

from __future__ import annotations

import csv
import itertools
import json
import math
import statistics
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest

import evogan
from evogan.comparison import Comparison
from evogan.engine.confirm import Confirmation
from evogan.engine.judge import Judge
from evogan.engine.pareto import spread_out
from evogan.extremes import TAME, deviation, mean, median, scaled, tamed
from evogan.genome import Genome
from evogan.optuna import EvoSampler
from evogan.report import facts, tables
from evogan.report.comparison import shown
from evogan.report.export import export_study, export_table
from evogan.strategies import STRATEGIES, Fitness
from evogan.trial import Evaluation
from tests.conftest import mixed_space
from tests.test_optuna import make
from tests.test_strategies import drive

MOST, LEAST = sys.float_info.max, 5e-324
SCALES = (LEAST, -MOST, 1.0, MOST, -1e-300, 0.0, 1e200, 2.0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([MOST, MOST], (MOST, MOST, 0.0)),
        ([MOST, MOST / 2], (0.75 * MOST, 0.75 * MOST, MOST / math.sqrt(8))),
        ([MOST, -MOST], (0.0, 0.0, MOST)),  # no float is as large as this deviation
        ([1.0, MOST, MOST, MOST], (0.75 * MOST, MOST, MOST / 2)),
        ([LEAST, LEAST], (LEAST, LEAST, 0.0)),
    ],
)
def test_averages_lie_between_what_they_are_of(values: list[float], expected: tuple[float, ...]) -> None:
    assert (mean(values), median(values), deviation(values)) == pytest.approx(expected)


def test_of_ordinary_numbers_averages_are_the_plain_ones_to_the_last_bit() -> None:
    for values in np.random.default_rng(0).lognormal(0, 9, (200, 4)).tolist():
        assert (mean(values), median(values)) == (statistics.fmean(values), statistics.median(values))
        assert deviation(values) == statistics.stdev(values)
        assert list(map(tamed, values)) == values
    assert mean([1.0, math.inf]) == median([1.0, math.inf]) == mean([MOST, MOST, math.inf]) == math.inf
    assert math.isnan(deviation([1.0]))


def test_tamed_values_keep_their_order_and_can_be_squared() -> None:
    rising = [0.0, LEAST, 1.0, TAME, 1.001 * TAME, 1e200, 1.001e200, MOST]
    assert sorted({tamed(value) for value in rising}) == [tamed(value) for value in rising]
    assert [tamed(-value) for value in rising] == [-tamed(value) for value in rising]
    assert math.isfinite(1000 * (2 * tamed(MOST)) ** 2)


def test_scaling_changes_no_digit() -> None:
    y = np.random.default_rng(0).normal(size=9)
    assert (scaled(y * 2.0**-900) == scaled(y)).all() and 0.5 <= np.abs(scaled(y)).max() < 1
    assert (scaled(np.zeros(3)) == 0).all()
    assert (scaled(np.array([LEAST, 0.0])) == [0.5, 0.0]).all()


def values_of(case: str) -> Callable[[int, tuple[float, ...]], Fitness]:
    """What a strategy hears of an objective in this case."""

    def smooth(vector: tuple[float, ...]) -> float:
        return sum((u - 0.3) ** 2 for u in vector)

    made: dict[str, Callable[[int, tuple[float, ...]], float]] = {
        "penalty": lambda number, vector: 1e200 if number % 3 == 0 else smooth(vector),
        "huge": lambda number, vector: MOST / 4 * smooth(vector),
        "mixed": lambda number, vector: SCALES[number % len(SCALES)],
        "ordinary": lambda number, vector: smooth(vector),
        "tiny": lambda number, vector: smooth(vector) * 2.0**-900,
    }
    return lambda number, vector: Fitness(False, tamed(made[case](number, vector)))


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("case", ["penalty", "huge", "mixed"])
def test_every_strategy_goes_on_whatever_the_values(name: str, case: str) -> None:
    with warnings.catch_warnings(action="error", category=RuntimeWarning):
        asked = drive(make(name, mixed_space()), values_of(case), 6 if name == "gp" else 30)
    assert all(0 <= u <= 1 for proposal in asked for u in proposal.vector)


@pytest.mark.parametrize("name", sorted({*STRATEGIES} - {"gp"}))  # of Optuna's process deviations below 1e-10 are none
def test_no_strategy_minds_the_unit_of_the_values(name: str) -> None:
    one, other = (drive(make(name, mixed_space()), values_of(case), 30) for case in ("ordinary", "tiny"))
    assert one == other


def test_a_study_of_optunas_may_have_any_values() -> None:
    space, values = mixed_space(), itertools.cycle(SCALES)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=EvoSampler("shade", seed=0, population=4))
    with warnings.catch_warnings(action="error", category=RuntimeWarning):
        study.optimize(lambda trial: evogan.optuna.suggest(trial, space) and next(values), n_trials=30)  # type: ignore[attr-defined]
    assert len(study.trials) == 30


def objective(genes: dict[str, object]) -> dict[str, float]:
    """Of the genome alone, as a run that goes on needs it: every size there is, and positive ones for a log axis."""
    at = int(genes["width"]) + "abc".index(str(genes["kind"]))  # type: ignore[call-overload]
    return {"value": SCALES[at % len(SCALES)], "other": (1.0, MOST, LEAST, 1e200)[at % 4]}


def test_a_run_that_met_a_penalty_goes_on_as_if_it_had_never_stopped(runs: Path) -> None:
    def history(folder: Path, *budgets: int) -> list[tuple[object, ...]]:
        for n in budgets:
            run = evogan.search(
                mixed_space(), objective=objective, task="t", name="r", evaluations=n, workers=1, runs=folder
            )
        assert {told.value for told in run.history} > {MOST, -MOST, 1e200}
        return [(told.row, told.values) for told in run.history]

    assert history(runs / "1", 15, 25) == history(runs / "2", 25)


@pytest.mark.parametrize("average", ["mean", "median"])
def test_replicates_of_large_values_are_no_failures(average: str) -> None:
    judge = Judge.of("value", average=average)  # type: ignore[arg-type]
    large = [Evaluation(status="completed", scores=({"value": MOST},))] * 2
    assert judge.over(large) == (MOST,)


def test_a_front_of_extremes_is_spread_out() -> None:
    assert spread_out([(-MOST, MOST), (MOST, -MOST), (0.0, 0.0), (0.0, 1.0)], 3) in ([0, 1, 2], [0, 1, 3])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((MOST, -MOST), "0 ± 1.8e+308"),
        ((1e200, 3e200), "2e+200 ± 1.4e+200"),
        ((1e-300, 3e-300), "2e-300 ± 1.4e-300"),
        ((13.0, 14.0), "13.50 ± 0.71"),
    ],
)
def test_a_mean_and_its_spread_are_short(values: tuple[float, ...], said: str) -> None:
    found = tuple(Evaluation(status="completed", scores=({"value": value},)) for value in values)
    assert facts.figure(Confirmation("a", Genome({}), "k", Judge.of("value"), found)) == said


def test_reports_tables_and_exports_take_every_value(tmp_path: Path) -> None:
    """Without a warning, and exactly."""
    runs = [
        evogan.search(
            mixed_space(),
            objective=objective,
            task="t",
            fitness="value,other",
            strategy=strategy,
            name=strategy,
            evaluations=24,
            confirm=2,
            workers=1,
            runs=tmp_path,
        )
        for strategy in ("nsga2", "random")
    ]
    run = runs[0]
    expected = [told.value for told in run.history]
    assert {*expected} > {MOST, -MOST, LEAST}
    with warnings.catch_warnings(action="error"):
        warnings.simplefilter("ignore", ResourceWarning)
        run.report()
        shown(Comparison(runs))
        json.dumps(tables.as_document(run), allow_nan=False)
        for kind in ("csv", "parquet", "json"):
            export_table(run, kind, tmp_path / f"run.{kind}")
    with (tmp_path / "run.csv").open() as file:
        assert [float(row["fitness"]) for row in csv.DictReader(file)] == expected
    assert pd.read_parquet(tmp_path / "run.parquet")["fitness"].to_list() == expected
    assert [row["fitness"] for row in json.loads((tmp_path / "run.json").read_text())] == expected
    storage = f"sqlite:///{tmp_path}/study.db"
    export_study(run, storage)
    study = optuna.load_study(study_name=run.name, storage=storage)
    assert [trial.values[0] for trial in study.trials] == expected
