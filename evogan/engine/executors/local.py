"""One trial after another, in this process."""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from evogan.engine.executors.base import Evaluate, Lost, Report, Unheard, Watch, evaluate_safely
from evogan.engine.executors.memory import capped, free_memory
from evogan.files.processes import machine_memory
from evogan.trial import Evaluation, Limits, Stopped, Trial

ONEDNN = "could not create a primitive"  # for want of memory: from then on it creates none of a new shape


class LocalExecutor:
    """Evaluates when it is waited for. A trial has the memory that is free, and time without end."""

    spoiled: ClassVar[bool] = False  # the process, for every other one, too

    def __init__(self, evaluate: Evaluate) -> None:
        self._evaluate = evaluate
        self._queue: deque[Trial] = deque()
        whole = machine_memory()  # in tenths of it, so that as much is offered next time
        self._memory = whole * math.floor(10 * free_memory() / whole) / 10

    def limits(self) -> Limits:
        return Limits(memory=self._memory)

    def submit(self, trial: Trial) -> None:
        self._queue.append(trial)

    def wait(self, watch: Watch, timeout: float | None = None) -> tuple[Trial, Evaluation] | None:
        if self.spoiled:
            raise Lost(
                "memory ran out within oneDNN, which is of no use in this process any more: what was recorded is kept, "
                "a resume goes on"
            )
        trial = self._queue.popleft()
        watch(Report("started", trial))

        def report(point: Mapping[str, float], grid: bytes = b"") -> None:
            try:
                unwanted = watch(Report("progress", trial, point=point, grid=grid))
            except BaseException as error:
                raise Unheard(error) from None
            if unwanted:
                raise Stopped

        try:
            with capped(math.inf if _cuda() else free_memory()):
                evaluation = evaluate_safely(self._evaluate, replace(trial, report=report))
        except Unheard as unheard:
            raise unheard.error from None
        if evaluation.status == "out_of_memory":
            evaluation = replace(evaluation, limits=self.limits())
            LocalExecutor.spoiled |= ONEDNN in evaluation.reason
        return trial, evaluation

    def withdraw(self) -> list[Trial]:
        withdrawn = list(self._queue)
        self._queue.clear()
        return withdrawn

    def close(self) -> None:
        self._queue.clear()


def _cuda() -> bool:
    """Whether a trial may use CUDA, which maps far more memory than it uses."""
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.cuda.is_available())
