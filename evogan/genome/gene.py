"""A gene: one named dimension, and its levels in the unit interval."""

from __future__ import annotations

import math
import sys
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from evogan.errors import UserError, shortened, shown, unknown
from evogan.genome.levels import Cells, EqualCells, FloatGrid, LogCells, rounded
from evogan.genome.values import Value, When, plain, same, some_values
from evogan.stable import canonical

KINDS = ("float", "int", "choice")
SCALES = ("linear", "log")
DEFAULT_LEVELS = 101
MOST = 10**12  # of levels, and of an int gene's bounds in size: the unit interval can tell no more apart on a log scale


@dataclass(frozen=True, kw_only=True)
class Gene:
    """One named dimension.

    `float` and `int` genes have `low <= high` and `levels` evenly spaced values on their `scale`, both ends
    included; level values are rounded to 6 significant digits. Without `levels`, a float has 101 and an int all
    whole numbers. `choice` genes have `values`, in no order.
    `when` names other genes and the values that they must have for this gene to be active.
    Errors: UserError for a definition that makes no sense.
    """

    name: str
    kind: Literal["float", "int", "choice"]
    low: float | int | None = None
    high: float | int | None = None
    scale: Literal["linear", "log"] = "linear"
    levels: int | None = None
    values: tuple[Value, ...] = ()
    when: When = field(default_factory=dict)

    def __post_init__(self) -> None:
        name = plain(self.name)
        if not isinstance(name, str) or not name:
            raise UserError(f"a gene's name must be text, not {shown(name)}")
        for part, word, allowed in (("kind", self.kind, KINDS), ("scale", self.scale, SCALES)):
            if not isinstance(word, str) or word not in allowed:
                raise self._wrong(str(unknown(part, word if isinstance(word, str) else shown(word), allowed)))
        read: dict[str, object] = {part: self._number(part) for part in ("low", "high", "levels")}
        read |= {"name": name, "values": some_values(self.values, f"gene '{name}': 'values'"), "when": self._when()}
        for part, value in read.items():
            object.__setattr__(self, part, value)
        if self.kind == "choice":
            self._check_choice()
        else:
            self._check_number()

    def _number(self, part: str) -> float | int | None:
        """A bound or the levels. Whole ones of an int gene may be written as 3.0."""
        value = plain(getattr(self, part))
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(f"'{part}' must be a number, not {shown(value)}")
        if not isinstance(value, int) and not math.isfinite(value):
            raise self._wrong(f"'{part}' must be finite, not {value}")
        whole = self.kind == "int" or part == "levels"
        if whole and value != int(value):
            raise self._wrong(f"'{part}' must be a whole number, not {shown(value)}")
        if abs(value) > (MOST if whole else sys.float_info.max):
            raise self._wrong(f"'{part}' must be at most {MOST if whole else sys.float_info.max:g} in size")
        return int(value) if whole else value

    def _when(self) -> When:
        if not isinstance(self.when, Mapping):
            raise self._wrong(f"'when' must map genes to their values, not {shown(self.when)}")
        conditions = {}
        for parent, options in self.when.items():
            if not isinstance(parent, str):
                raise self._wrong(f"'when' must map genes to their values, not {shown(self.when)}")
            alone = isinstance(plain(options), bool | int | float | str)  # `{"optimizer": "adam"}` is short for one
            conditions[parent] = some_values((options,) if alone else options, f"gene '{self.name}': when '{parent}'")
        return conditions

    def _check_choice(self) -> None:
        if not self.values:
            raise self._wrong("a choice needs 'values'")
        keyed = [canonical(value) for value in self.values]  # what keys cannot tell apart is one value
        if any(same(a, b) for i, a in enumerate(keyed) for b in keyed[:i]):
            raise self._wrong("'values' has the same value twice")
        if (self.low, self.high, self.levels, self.scale) != (None, None, None, "linear"):
            raise self._wrong("a choice has 'values', not 'low', 'high', 'levels' or 'scale'")

    def _check_number(self) -> None:
        if self.values:
            raise self._wrong(f"'values' belongs to a choice, not to kind '{self.kind}'")
        if self.low is None or self.high is None:
            raise self._wrong("needs 'low' and 'high'")
        if self.low > self.high or (self.low == self.high and self.levels != 1):
            raise self._wrong(f"low {self.low} must be below high {self.high}")
        if self.scale == "log" and self.low <= 0:
            raise self._wrong(f"a log scale needs low above 0, not {self.low}")
        span = self.high / self.low if self.scale == "log" else float(self.high) - float(self.low)
        if not math.isfinite(span):
            raise self._wrong(f"from {self.low:g} to {self.high:g} is too far for floating-point numbers")
        if self.levels is not None and self.levels < (1 if self.low == self.high else 2):
            raise self._wrong(f"levels must be at least 2, not {self.levels}")
        if self.low < self.high and not self._levels_differ():
            raise self._wrong("6 significant digits cannot tell its levels apart: fewer levels, or a wider range")

    def _levels_differ(self) -> bool:
        assert self.low is not None and self.high is not None
        if self.kind == "int" and (self._every_number or max(abs(self.low), abs(self.high)) < 1e6):
            return True
        steps = (self.levels or DEFAULT_LEVELS) - 1
        if self.scale == "log":
            return math.expm1(math.log(self.high / self.low) / steps) >= 1e-5
        last_digit = 10.0 ** (math.floor(math.log10(max(abs(self.low), abs(self.high)))) - 5)
        step = (self.high - self.low) / steps / last_digit
        halves = step < 1 + 1e-9 and abs(self.low / last_digit % 1 - 0.5) < 1e-6  # two of which round to an even one
        return step >= 1 - 1e-9 and not halves

    @property
    def _every_number(self) -> bool:
        """Whether all whole numbers between the bounds are levels."""
        assert self.low is not None and self.high is not None
        return self.kind == "int" and (self.levels is None or self.levels > self.high - self.low)

    def _wrong(self, why: str) -> UserError:
        return UserError(f"gene '{shortened(self.name)}': {why}")

    @cached_property
    def _levels(self) -> tuple[Sequence[Value], Cells]:
        if self.kind == "choice":
            return self.values, EqualCells(len(self.values))
        assert self.low is not None and self.high is not None
        if self._every_number:
            low, count = int(self.low), int(self.high) - int(self.low) + 1
            return range(low, low + count), LogCells(low, count) if self.scale == "log" else EqualCells(count)
        grid = FloatGrid(self.low, self.high, self.scale, self.levels or DEFAULT_LEVELS)
        return rounded(grid) if self.kind == "int" else (grid, EqualCells(len(grid)))

    @property
    def grid(self) -> Sequence[Value]:
        """All values the gene can take in a space, in order."""
        return self._levels[0]

    @property
    def cells(self) -> Cells:
        """How the unit interval is shared among the levels."""
        return self._levels[1]

    def level(self, unit: float) -> Value:
        """The value whose cell holds `unit`."""
        return self.grid[self.cells.holding(unit)]

    def unit(self, value: Value) -> float:
        """The centre of the cell of the level nearest to `value`."""
        return self.cells.at(self.nearest(value))

    def nearest(self, value: Value) -> int:
        """The index of the level nearest to `value` on the gene's scale."""
        if self.kind == "choice":
            return next(i for i, option in enumerate(self.values) if same(option, value))
        grid, warp = self.grid, math.log if self.scale == "log" else float
        if isinstance(grid, FloatGrid):
            return grid.nearest(float(value))
        right = min(bisect_left(grid, value), len(grid) - 1)
        left = max(right - 1, 0)
        target = warp(float(value))
        return min((left, right), key=lambda i: abs(warp(float(grid[i])) - target))

    def among(self, options: Iterable[Value]) -> list[int]:
        """The levels that are one of `options`."""
        if self.kind == "choice":
            return [i for i, value in enumerate(self.values) if any(same(value, option) for option in options)]
        inside = (self.nearest(option) for option in options if self.low <= option <= self.high)  # type: ignore[operator]
        return sorted({i for i in inside if any(same(self.grid[i], option) for option in options)})

    def check(self, given: object) -> Value:
        """`given` as this gene's type; UserError if it is not one the gene allows."""
        value = plain(given)
        if self.kind == "choice":
            for option in self.values:
                if isinstance(value, bool | int | float | str) and same(option, value):
                    return option
        elif isinstance(value, int | float) and not isinstance(value, bool):
            assert self.low is not None and self.high is not None
            if self.low <= value <= self.high and (self.kind == "float" or value == int(value)):
                return float(value) + 0.0 if self.kind == "float" else int(value)
        raise self._wrong(f"{shown(value)} is not allowed: {self.domain}")

    def check_told_apart(self) -> None:
        """Errors: UserError for choices that are equal to Optuna."""
        if len(set(self.values)) < len(self.values):
            raise UserError(f"gene '{self.name}': to Optuna true is 1 and false is 0, so a choice cannot have both")

    @property
    def domain(self) -> str:
        """The allowed values in words."""
        if self.kind == "choice":
            return "one of " + ", ".join(str(v) for v in self.values)
        return f"{self.kind} from {self.low:g} to {self.high:g}"
