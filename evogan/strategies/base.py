"""What every strategy is: it proposes points of the unit cube and is told how they did."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from evogan.errors import UserError
from evogan.space import Space
from evogan.stable import derive_seed


@dataclass(frozen=True)
class Proposal:
    """Proposal `number` (from 0): a point of the unit cube, to be judged at `fidelity` in (0, 1]."""

    number: int
    vector: tuple[float, ...]
    fidelity: float = 1.0


@dataclass(frozen=True)
class Fitness:
    """How a proposal did, minimised. Failures order behind everything completed.

    `value` is finite, also for failures: worse than any completed one told before. `curve`: (fidelity, value)
    pairs of the score checkpoints.
    """

    failed: bool
    value: float
    curve: tuple[tuple[float, float], ...] = ()

    @property
    def order(self) -> tuple[bool, float]:
        return (self.failed, self.value)


def imputed(told: Sequence[Fitness]) -> list[float]:
    """Values to rank and model by: failures stand one range behind the worst completed one of `told`."""
    completed = [fitness.value for fitness in told if not fitness.failed]
    if not completed:
        return [1.0] * len(told)
    penalty = max(completed) + (max(completed) - min(completed) or 1.0)
    return [penalty if fitness.failed else fitness.value for fitness in told]


class Strategy(ABC):
    """Subclasses give `_ask` and `tell`; options are keyword parameters of their constructors.

    `tell` may bring another vector than was asked: the engine moves proposals that keep repeating.
    """

    def __init__(self, space: Space, seed: int) -> None:
        self.space = space
        self.rng = np.random.default_rng(derive_seed(seed, "strategy"))
        self._asked = 0

    def ask(self) -> Proposal | None:
        """The next proposal; None: wait for results first (a generation is still out)."""
        vector = self._ask()
        if vector is None:
            return None
        self._asked += 1
        return Proposal(self._asked - 1, tuple(float(u) for u in vector))

    @abstractmethod
    def _ask(self) -> Sequence[float] | None: ...

    @abstractmethod
    def tell(self, proposal: Proposal, fitness: Fitness) -> None: ...


def at_least(strategy: str, option: str, value: float, least: float) -> None:
    """UserError if an option of a strategy is too small."""
    if value < least:
        raise UserError(f"strategy '{strategy}': {option} must be at least {least:g}, not {value:g}")


def share(strategy: str, option: str, value: float) -> None:
    """UserError if an option of a strategy that is a probability lies outside [0, 1]."""
    if not 0 <= value <= 1:
        raise UserError(f"strategy '{strategy}': {option} must lie in [0, 1], not {value:g}")


class DEAPRandom:
    """Random state for DEAP's operators, which draw from Python's global generator.

    Inside `with state.installed():` the global generator is this one; afterwards it is as it was.
    """

    def __init__(self, seed: int) -> None:
        self._state = random.Random(seed).getstate()

    @contextmanager
    def installed(self) -> Iterator[None]:
        outside = random.getstate()
        random.setstate(self._state)
        try:
            yield
        finally:
            self._state = random.getstate()
            random.setstate(outside)
