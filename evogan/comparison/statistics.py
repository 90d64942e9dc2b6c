"""Statistics over runs that differ in their seed: anytime curves, and what it took to reach a target."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from evogan.engine.history import RunHistory

Array = npt.NDArray[np.float64]
Against = Literal["evaluations", "kimg", "seconds", "clock"]

POINTS = 200  # of a curve against anything but evaluations
RESAMPLES = 10_000  # of the bootstrap


# --- anytime curves


def costs(run: RunHistory, against: Against = "evaluations") -> list[float]:
    """What the run had cost by the end of each step of its history.

    `evaluations`: full trainings, as its budget counts them; `kimg`: those times the task's budget (NaN where
    that is none of kimg); `seconds`: of all its evaluations, one after the other, each once, found in the store or
    trained; `clock`: the time on the simulated clock of a replay with many workers (NaN for real trainings).
    """
    if against == "clock":
        ends = [max((e.cost.get("clock", math.nan) for e in told.evaluations), default=0.0) for told in run.history]
        return list(np.maximum.accumulate(ends))
    if against == "seconds":
        return run.seconds
    gan = run.settings.gan
    one = 1.0 if against == "evaluations" else math.nan if gan is None or gan.kimg is None else gan.kimg
    return [one * round(spent, 6) for spent in run.spent]  # the account adds thirds of nine digits


def best_so_far(run: RunHistory, against: Against = "evaluations") -> pd.Series:
    """The best fitness at full fidelity, indexed by what it had cost; NaN while none completed."""
    curve: dict[float, float] = {}
    best = math.nan
    for told, cost in zip(run.history, costs(run, against), strict=True):
        if told.value is not None and told.fidelity == 1.0:
            best = min(told.value, math.inf if math.isnan(best) else best)
        curve[cost] = best
    return pd.Series(curve, dtype=float)


Curve = Callable[[RunHistory, Against], pd.Series]


def anytime(runs: Sequence[RunHistory], against: Against = "evaluations", so_far: Curve = best_so_far) -> pd.DataFrame:
    """Best-so-far over the budget: `median`, `low` and `high` quartile and `runs`, indexed by `against`.

    Only runs that got that far enter a row, and those that ended early at a target or out of patience, with their last
    best. A run in which nothing completed yet counts as infinite there.
    """
    found = [(so_far(run, against), bool(run.ended_early)) for run in runs]
    curves = [(curve, stays) for curve, stays in found if len(curve) and not curve.index.hasnans]
    end = max((curve.index[-1] for curve, _ in curves), default=0.0)
    grid = np.arange(1, int(end) + 1) if against == "evaluations" else np.linspace(0, end, POINTS + 1)[1:]
    table = np.column_stack([_at(*each, grid) for each in curves]) if curves else np.empty((len(grid), 0))
    quartiles = {name: quantile(table, q) for name, q in (("median", 0.5), ("low", 0.25), ("high", 0.75))}
    counted = {"runs": (~np.isnan(table)).sum(axis=1)}
    return pd.DataFrame(quartiles | counted, index=pd.Index(grid, name=against))


def _at(curve: pd.Series, stays: bool, grid: npt.NDArray[np.generic]) -> Array:
    """The curve at the points of the grid: infinite before its first number; NaN after its end, unless it `stays`."""
    ends = curve.index.to_numpy(dtype=float)
    reached = np.concatenate([[math.inf], curve.fillna(math.inf)])
    found: Array = reached[np.searchsorted(ends, grid, side="right")]
    if not stays:
        found[grid > ends[-1]] = math.nan
    return found


def quantile(table: Array, q: float) -> Array:
    """The `q` quantile of every row, linear between neighbours, of what is not NaN; infinities are numbers.

    (NumPy's own makes NaN of a quantile between two infinities.)
    """
    if not table.shape[1]:
        return np.full(len(table), math.nan)
    rows = np.sort(table, axis=1)  # NaN last
    last = (~np.isnan(rows)).sum(axis=1) - 1
    at = np.maximum(last * q, 0)
    low, high = (np.take_along_axis(rows, side(at).astype(int)[:, None], axis=1)[:, 0] for side in (np.floor, np.ceil))
    part = at % 1
    with np.errstate(invalid="ignore", over="ignore"):
        between = low + part * (high - low)
        wide = np.isinf(between) & np.isfinite(low) & np.isfinite(high)  # too wide for a float
        between = np.where(wide, (1 - part) * low + part * high, between)
        found: Array = np.where((part == 0) | (low == high), low, between)
    return found


# --- targets


def evaluations_to(curve: pd.Series, target: float) -> float:
    """What a `best_so_far` had cost when it first was `target` or better; infinite if it never was."""
    there = curve.index[curve <= target]
    return float(there[0]) if len(there) else math.inf


def bootstrap_ratio(
    ours: Sequence[float], others: Sequence[float], budget: float = math.inf, seed: int = 0
) -> tuple[float, float, float]:
    """median(ours) / median(others), and its 95 % percentile bootstrap interval over both.

    Infinite numbers of ours are runs that never got there; the others' are finite, those that did not are `budget`.
    What says the less counts at either end: ours for the lower one with the budget, too, or two strategies that are the
    same would be told apart. (Efron and Tibshirani, An Introduction to the Bootstrap, 1993.)
    """
    rng = np.random.default_rng(seed)
    picked = [rng.choice(len(side), (RESAMPLES, len(side))) for side in (ours, others)]
    least, mine, theirs = (
        np.median(np.sort(side)[rows], axis=1)
        for side, rows in zip((np.minimum(ours, budget), ours, others), (picked[0], *picked), strict=True)
    )
    low, high = (float(quantile((side / theirs)[None], q)[0]) for side, q in ((least, 0.025), (mine, 0.975)))
    return float(np.median(ours) / np.median(others)), low, high
