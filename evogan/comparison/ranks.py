"""Who is better: mean ranks with the tests of Friedman and Nemenyi, and paired wins.

A table of results has a row a block (a problem and a seed) and a column a strategy; smaller is better, infinite is a
failure, NaN is missing. Everything here looks at the order within a row only, so no scale of any problem matters.

Source: Demsar, Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 7, 2006.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

LEVEL = 0.05  # of every test


@dataclass(frozen=True)
class Ranking:
    """`means`: mean rank of each strategy over `blocks`, 1 is best, the best first; ties share their ranks.

    `statistic`, `p`: Friedman's test that all are alike (NaN for fewer than three strategies or two blocks).
    `critical_difference`: strategies whose mean ranks differ by less are not told apart (Nemenyi; NaN without blocks).
    """

    means: pd.Series
    blocks: int
    statistic: float
    p: float
    critical_difference: float

    @property
    def alike(self) -> list[list[str]]:
        """The largest groups of strategies that Nemenyi's test does not tell apart, best first."""
        names, means = list(self.means.index), self.means.to_numpy()
        groups: list[list[str]] = []
        for i, mean in enumerate(means):
            group = [name for name, other in zip(names[i:], means[i:], strict=True) if other - mean < self.least]
            if len(group) > 1 and not (groups and set(group) <= set(groups[-1])):
                groups.append(group)
        return groups

    @property
    def least(self) -> float:
        """The critical difference; infinite where there is none, or where Friedman's test found nothing."""
        return self.critical_difference if self.p < LEVEL else math.inf


def rank(results: pd.DataFrame) -> Ranking:
    """Ranks over the complete rows of `results`."""
    from scipy.stats import friedmanchisquare

    complete = results.dropna()
    blocks, k = complete.shape
    means = complete.rank(axis=1).mean().sort_values(kind="stable")
    statistic = p = math.nan
    if k > 2 and blocks > 1:
        if (complete.nunique(axis=1) == 1).all():  # all tied: the test would divide by zero
            statistic, p = 0.0, 1.0
        else:
            statistic, p = map(float, friedmanchisquare(*(complete[name] for name in complete)))
    return Ranking(means, blocks, statistic, p, critical_difference(k, blocks))


def critical_difference(k: int, blocks: int) -> float:
    """Nemenyi's, of `k` mean ranks over `blocks`: q sqrt(k (k + 1) / 6 blocks); q: studentized range / sqrt(2)."""
    from scipy.stats import studentized_range

    if k < 2 or not blocks:
        return math.nan
    q = float(studentized_range.ppf(1 - LEVEL, k, math.inf)) / math.sqrt(2)
    return q * math.sqrt(k * (k + 1) / (6 * blocks))


def wins(results: pd.DataFrame) -> pd.DataFrame:
    """Every pair of strategies over the rows that both have: `wins`, `ties` and `losses` of `one` against `other`.

    `probability`: that `one` wins, a tie is half a win. `p`: the exact sign test, ties left out; `p_holm`: corrected
    for the number of pairs that met (Holm, 1979).
    """
    from scipy.stats import binomtest

    rows = []
    for one, other in combinations(results.columns, 2):
        both = results[[one, other]].dropna()
        won, lost = int((both[one] < both[other]).sum()), int((both[one] > both[other]).sum())
        ties = len(both) - won - lost
        rows.append(
            {
                "one": one,
                "other": other,
                "wins": won,
                "ties": ties,
                "losses": lost,
                "probability": (won + ties / 2) / len(both) if len(both) else math.nan,
                "p": float(binomtest(won, won + lost).pvalue) if won + lost else 1.0,
            }
        )
    table = pd.DataFrame(rows, columns=["one", "other", "wins", "ties", "losses", "probability", "p"])
    met = (table[["wins", "ties", "losses"]].sum(axis=1) > 0).to_numpy()
    corrected = np.ones(len(table))
    corrected[met] = _holm(table["p"].to_numpy(dtype=float)[met])
    return table.assign(p_holm=corrected)


def _holm(p: np.ndarray[tuple[int], np.dtype[np.float64]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    order = np.argsort(p, kind="stable")
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return corrected
