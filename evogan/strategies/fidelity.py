"""What strategies share that choose how much of its full training a genome gets.

A ladder is the fidelities they choose from: rising, in (0, 1], the last of them 1. Its steps are rungs, the lowest is
rung 0. Values of different fidelities are never compared with each other.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from numbers import Real
from typing import Any, ClassVar

from evogan.errors import UserError
from evogan.genome import plain
from evogan.space import Space
from evogan.strategies.base import Individual, Point, Strategy, at_least, numbers_of

LADDER = (0.25, 0.5, 1.0)  # where trainings are scored anyway


class MultiFidelity(Strategy):
    """Subclasses give `_next`, a point and the rung where it is to be judged; 1 in `eta` is promoted to the next."""

    title: ClassVar[str]

    def __init__(self, space: Space, seed: int, fidelities: Sequence[float], eta: int) -> None:
        super().__init__(space, seed)
        check_ladder(self.title, fidelities)
        at_least(self.title, "eta", eta, 2)
        self.fidelities, self.eta = tuple(fidelities), eta

    @property
    def top(self) -> int:
        """The rung of full trainings."""
        return len(self.fidelities) - 1

    def _ask(self) -> Point:
        point, rung = self._next()
        return replace(point, fidelity=self.fidelities[rung])

    @abstractmethod
    def _next(self) -> tuple[Point, int]: ...


def promotion(one: Individual) -> Point:
    """The same point for the next rung."""
    return Point(one.vector, "promotion", numbers_of(one))


def check_ladder(strategy: str, fidelities: Sequence[float]) -> None:
    """UserError if these are not the fidelities of a ladder."""
    if not fidelities:
        raise UserError(f"strategy '{strategy}': fidelities must not be empty")
    at_least(strategy, "the number of fidelities", len(fidelities), 1, 100)
    for fidelity in fidelities:
        if not 0 < fidelity <= 1:
            raise UserError(f"strategy '{strategy}': fidelities must lie in (0, 1], not {fidelity:g}")
    for low, high in pairwise(fidelities):
        if low >= high:
            raise UserError(f"strategy '{strategy}': fidelities must rise, not go from {low:g} to {high:g}")
    if fidelities[-1] != 1:
        raise UserError(f"strategy '{strategy}': fidelities must end at 1, not {fidelities[-1]:g}")


def read_numbers(value: Any) -> tuple[float, ...] | None:
    """A list of numbers, or a text such as "1/9, 1/3, 1"; None if it is neither."""
    value = plain(value)
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else [value]
    try:
        found = tuple(map(_number, parts))
    except (ArithmeticError, TypeError, ValueError):
        return None
    return found if all(map(math.isfinite, found)) else None


def _number(part: Any) -> float:
    if isinstance(part, str):
        top, slash, bottom = part.partition("/")
        return int(top) / int(bottom) if slash else float(part)
    if isinstance(part, bool) or not isinstance(part, Real):
        raise TypeError
    return float(part)
