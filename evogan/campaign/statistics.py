"""Statistics over runs that differ in their seed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from evogan.engine.history import RunHistory


def best_so_far(run: RunHistory) -> list[float]:
    """The best fitness after each different genome of a run; NaN as long as none completed."""
    curve: list[float] = []
    seen: set[str] = set()
    for told in run.history:
        if told.row.key not in seen:
            seen.add(told.row.key)
            values = [curve[-1] if curve else math.nan, math.nan if told.value is None else told.value]
            curve.append(min((v for v in values if not math.isnan(v)), default=math.nan))
    return curve


def anytime(runs: Sequence[RunHistory]) -> pd.DataFrame:
    """Best-so-far over evaluations: `median`, `low` and `high` quartile and `runs`, indexed by evaluations.

    Evaluations count from 1; only runs that got that far enter a row.
    """
    curves = pd.DataFrame({i: pd.Series(best_so_far(run)) for i, run in enumerate(runs)})
    curves.index = pd.RangeIndex(1, len(curves) + 1, name="evaluations")
    return pd.DataFrame(
        {
            "median": curves.median(axis=1),
            "low": curves.quantile(0.25, axis=1),
            "high": curves.quantile(0.75, axis=1),
            "runs": curves.count(axis=1),
        }
    )
