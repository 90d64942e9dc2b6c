"""What an executor is, and how a trial is evaluated without harm."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Literal, Protocol

from evogan.errors import UserError, summary, whole_traceback
from evogan.plugins import at_fault
from evogan.trial import IN_PLUGIN, TRACEBACK, Evaluation, Limits, Trial

Evaluate = Callable[[Trial], Evaluation]


@dataclass(frozen=True)
class Report:
    """What is heard of a trial before its end: that it began (`where`), how far it is (`point`, and at a checkpoint a
    `grid`, a PNG), why it is tried again.

    `where`: "node 10.0.0.2, gpu 0, process 4711", or "" in this process. `point`: as `Trial.report` was given it.
    """

    kind: Literal["started", "progress", "retried"]
    trial: Trial
    where: str = ""
    point: Mapping[str, float] = field(default_factory=dict)
    grid: bytes = field(default=b"", repr=False)
    reason: str = ""


Watch = Callable[[Report], bool]  # True: the trial is to stop at the last checkpoint that it reached


class Lost(UserError):
    """What evaluates is gone, and all that ran there."""


class Executor(Protocol):
    """Takes any number of trials and hands each back with its evaluation, in whatever order they finish."""

    def limits(self) -> Limits:
        """What a trial is offered at most. May have to start what evaluates."""

    def submit(self, trial: Trial) -> None: ...

    def wait(self, watch: Watch, timeout: float | None = None) -> tuple[Trial, Evaluation] | None:
        """The next one finished; None after `timeout` seconds. Only called while trials are out.

        `watch` hears meanwhile of the others.
        """

    def withdraw(self) -> list[Trial]:
        """Forget the trials that have not begun, and name them."""

    def close(self) -> None: ...


class Unheard(BaseException):
    """Raised by `Trial.report` where who listens fails: that is no fault of the trial, which ends without an answer."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def evaluate_safely(evaluate: Evaluate, trial: Trial) -> Evaluation:
    """A bad candidate is a result, not an accident. A process that it forks ends here: there is one driver."""
    started, process = perf_counter(), os.getpid()
    try:
        return evaluate(trial)
    except MemoryError as error:
        failed = Evaluation(status="out_of_memory", reason=str(error) or "out of memory")
    except (KeyboardInterrupt, Unheard):
        raise
    except BaseException as error:
        _end_fork(process, error)
        provenance = {IN_PLUGIN: True} if at_fault(error) else {}
        files = {TRACEBACK: whole_traceback(error)}
        failed = Evaluation(status="crashed", reason=summary(error), provenance=provenance, files=files)
    finally:
        _end_fork(process)
    return replace(failed, cost={"seconds": perf_counter() - started})


def _end_fork(process: int, error: BaseException | None = None) -> None:
    """In what was forked since: an end, with the code that it asks for."""
    if os.getpid() == process:
        return
    code = error.code if isinstance(error, SystemExit) else error and 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))
