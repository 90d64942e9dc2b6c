"""Statistics over runs that differ in their seed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from evogan.engine.history import RunHistory


def best_so_far(run: RunHistory) -> pd.Series:
    """The best fitness at full fidelity, indexed by what was spent (full trainings); NaN while none completed."""
    curve: dict[float, float] = {}
    best = math.nan
    for told, spent in zip(run.history, run.spent, strict=True):
        if told.value is not None and told.row.fidelity == 1.0:
            best = min(told.value, math.inf if math.isnan(best) else best)
        curve[spent] = best
    return pd.Series(curve, dtype=float)


def anytime(runs: Sequence[RunHistory]) -> pd.DataFrame:
    """Best-so-far over the budget: `median`, `low` and `high` quartile and `runs`, indexed by evaluations.

    Evaluations are full trainings spent, from 1; only runs that got that far enter a row.
    """
    curves = {}
    for i, run in enumerate(runs):
        curve = best_so_far(run)
        whole = pd.RangeIndex(1, int(curve.index[-1]) + 1 if len(curve) else 1)
        curves[i] = curve.reindex(curve.index.union(whole)).ffill().reindex(whole)
    table = pd.DataFrame(curves)
    table.index = pd.RangeIndex(1, len(table) + 1, name="evaluations")
    return pd.DataFrame(
        {
            "median": table.median(axis=1),
            "low": table.quantile(0.25, axis=1),
            "high": table.quantile(0.75, axis=1),
            "runs": table.count(axis=1),
        }
    )
