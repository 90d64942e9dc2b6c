"""Where evaluations are carried out: in this process here, on Ray in `ray_executor`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from evogan.trial import Evaluation, Trial

Evaluate = Callable[[Trial], Evaluation]


class Executor(Protocol):
    """Takes any number of trials and hands each back with its evaluation, in whatever order they finish."""

    def submit(self, trial: Trial) -> None: ...

    def wait(self) -> tuple[Trial, Evaluation]:
        """The next one finished; blocks. Only called while trials are out."""

    def close(self) -> None: ...


class LocalExecutor:
    """One trial after another, in this process, when it is waited for."""

    def __init__(self, evaluate: Evaluate) -> None:
        self._evaluate = evaluate
        self._queue: deque[Trial] = deque()

    def submit(self, trial: Trial) -> None:
        self._queue.append(trial)

    def wait(self) -> tuple[Trial, Evaluation]:
        trial = self._queue.popleft()
        return trial, evaluate_safely(self._evaluate, trial)

    def close(self) -> None:
        self._queue.clear()


def evaluate_safely(evaluate: Evaluate, trial: Trial) -> Evaluation:
    """A bad candidate is a result, not an accident."""
    try:
        return evaluate(trial)
    except MemoryError as error:
        return Evaluation(status="out_of_memory", reason=str(error) or "out of memory")
    except Exception as error:
        return Evaluation(status="crashed", reason=f"{type(error).__name__}: {error}")
