"""Arithmetic on a user's numbers that any finite ones survive, as far as floats reach (1.8e308, 5e-324).

Of numbers that need none of this, results are to the last bit what the plain formulas give.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

TAME = 1e100  # what is no larger can be squared and summed


def tamed(value: float) -> float:
    """`value`, but beyond TAME it grows as its logarithm does: to 5e102 at most, in the same order."""
    size = abs(value)
    return value if size <= TAME else math.copysign(TAME * (1 + math.log(size / TAME)), value)


def scaled(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Times the power of two that brings the largest near 1: no digit changes, and squares of tiny ones are there."""
    _, exponents = np.frexp(values)
    return np.asarray(np.ldexp(values, -exponents[np.argmax(np.abs(values))]))


def mean(values: Sequence[float]) -> float:
    """Infinite if one of them is."""
    try:
        return statistics.fmean(values)
    except OverflowError:  # of the sum
        return float(statistics.mean(values))


def median(values: Sequence[float]) -> float:
    """Infinite if one of the two in the middle is."""
    found = float(statistics.median(values))
    if math.isfinite(found):
        return found
    return statistics.median_low(values) / 2 + statistics.median_high(values) / 2


def deviation(values: Sequence[float]) -> float:
    """The sample's standard deviation, or the largest float there is; NaN of fewer than two."""
    if len(values) < 2:
        return math.nan
    try:
        return statistics.stdev(values)
    except OverflowError:
        return sys.float_info.max
