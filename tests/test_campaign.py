"""Statistics over many runs."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from evogan.api import search
from evogan.comparison import anytime
from evogan.comparison.statistics import best_so_far
from evogan.genome import Genome
from tests.conftest import mixed_space, score


def objective(genes: dict[str, object]) -> float:
    if genes["width"] == 9:
        raise ValueError("too wide")
    return score(Genome(genes))  # type: ignore[arg-type]


def test_best_so_far_falls_and_ends_at_the_best() -> None:
    run = search(mixed_space(), objective=objective, evaluations=30, workers=1, strategy="random")
    curve = best_so_far(run)
    assert len(curve) == 30
    known = [value for value in curve if not math.isnan(value)]
    assert known == sorted(known, reverse=True)
    assert known[-1] == run.ranking[0].value


def test_quartiles_over_runs() -> None:
    runs = [
        search(mixed_space(), objective=objective, evaluations=n, workers=1, seed=seed)
        for seed, n in enumerate((10, 20, 20, 20))
    ]
    table = anytime(runs)
    assert list(table.index) == list(range(1, 21))
    assert table["runs"].iloc[-1] == 3
    ends = pd.Series([best_so_far(run).iloc[-1] for run in runs[1:]])
    assert table["median"].iloc[-1] == pytest.approx(ends.median())
    assert (table["low"] <= table["median"]).all()
    assert (table["median"] <= table["high"]).all()


def test_a_run_where_nothing_completed_yet_has_no_best() -> None:
    def fail(genes: dict[str, object]) -> float:
        raise ValueError(genes)

    run = search(mixed_space(), objective=fail, evaluations=5, workers=1)
    assert all(math.isnan(value) for value in best_so_far(run))
