"""Seconds that a training is charged: of those that several are trained in together, each has its share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter


class Clock:
    """One of the trainings that share it looks at it. `scoring`: the part of the seconds that was no training."""

    def __init__(self, sharing: int = 1) -> None:
        self.sharing = sharing
        self.scoring = 0.0
        self._charged = 0.0
        self._read = perf_counter()

    @property
    def seconds(self) -> float:
        read = perf_counter()
        self._charged += (read - self._read) / self.sharing
        self._read = read
        return self._charged

    @property
    def training(self) -> float:
        return self.seconds - self.scoring

    @contextmanager
    def scored(self) -> Iterator[None]:
        """What is done meanwhile is scoring."""
        started = self.seconds
        yield
        self.scoring += self.seconds - started

    def leave(self) -> None:
        """One of several has ended; what it was charged is read."""
        _ = self.seconds
        self.sharing = max(1, self.sharing - 1)
