"""The levels of a gene, and the cell of the unit interval that each owns.

Cells are of equal size, except where whole numbers lie on a log scale: there equal factors are to be equally likely,
but between small numbers there is nothing. Of all numbers from `low` to `high`, i owns the share

    log(1 + 1/i) / log((high + 1) / low)    (Benford, The law of anomalous numbers, 1938).

Of some, evenly spaced and then rounded, each owns the cells of all that were rounded to it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass


class Cells(ABC):
    @abstractmethod
    def holding(self, u: float) -> int:
        """The level whose cell holds `u`."""

    @abstractmethod
    def at(self, level: int, part: float = 0.5) -> float:
        """A coordinate in a level's cell: `part` of the way from its lower end to its upper one."""

    @property
    def width(self) -> float:
        """Of the cell in the middle of the interval."""
        middle = self.holding(0.5)
        return self.at(middle, 1.0) - self.at(middle, 0.0)


@dataclass(frozen=True)
class EqualCells(Cells):
    count: int

    def holding(self, u: float) -> int:
        return min(int(u * self.count), self.count - 1)

    def at(self, level: int, part: float = 0.5) -> float:
        return (level + part) / self.count

    @property
    def width(self) -> float:
        return 1 / self.count


@dataclass(frozen=True)
class JoinedCells(Cells):
    """Equal cells, neighbours of which are one: `ends` are the first cell of each level, and behind the last one's."""

    ends: Sequence[int]

    def holding(self, u: float) -> int:
        cell = min(int(u * self.ends[-1]), self.ends[-1] - 1)
        return bisect_right(self.ends, cell) - 1

    def at(self, level: int, part: float = 0.5) -> float:
        first, behind = self.ends[level], self.ends[level + 1]
        return (first + part * (behind - first)) / self.ends[-1]


@dataclass(frozen=True)
class LogCells(Cells):
    """Of the whole numbers `low`, `low` + 1, ..."""

    low: int
    count: int

    def holding(self, u: float) -> int:
        level = int(self.low * math.expm1(u * math.log1p(self.count / self.low)))
        level = min(max(level, 0), self.count - 1)
        while level > 0 and u < self._end(level):  # rounding may have led next door
            level -= 1
        while level < self.count - 1 and u >= self._end(level + 1):
            level += 1
        return level

    def at(self, level: int, part: float = 0.5) -> float:
        return self._end(level) * (1 - part) + self._end(level + 1) * part

    def _end(self, level: int) -> float:
        return math.log1p(level / self.low) / math.log1p(self.count / self.low)


class FloatGrid(Sequence[float]):
    """Evenly spaced levels of a float gene, computed on demand (a space may ask for a million)."""

    def __init__(self, low: float, high: float, scale: str, levels: int) -> None:
        self.low, self.high, self.log, self.levels = float(low), float(high), scale == "log", levels

    def __len__(self) -> int:
        return self.levels

    def __getitem__(self, index: int) -> float:  # type: ignore[override]
        index = range(self.levels)[index]
        if index in (0, self.levels - 1):
            return self.low if index == 0 else self.high
        part = index / (self.levels - 1)
        value = self.low * (self.high / self.low) ** part if self.log else self.low + part * (self.high - self.low)
        if not self.log and abs(value) < 1e-9 * (self.high - self.low):  # rounded, it is 0
            return 0.0
        return float(f"{value:.6g}")

    def nearest(self, value: float) -> int:
        if self.levels == 1:
            return 0
        if self.log:
            part = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return min(max(round(part * (self.levels - 1)), 0), self.levels - 1)


def rounded(grid: FloatGrid) -> tuple[list[int], Cells]:
    """The whole numbers next to levels, each once."""
    found = [round(value) for value in grid]
    firsts = [i for i, value in enumerate(found) if i == 0 or value != found[i - 1]]
    if len(firsts) == len(found):
        return found, EqualCells(len(found))
    return [found[i] for i in firsts], JoinedCells([*firsts, len(found)])
