"""Trials that can be trained as one program, handed to another executor together."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from evogan.engine.executors.base import Executor, Report, Watch
from evogan.trial import Evaluation, Limits, Trial

MEMBER = "member"  # in a point that a bundle reports: which of its trials it is of


@runtime_checkable
class FusingEvaluate(Protocol):
    """An evaluator that can train several trials as one program."""

    def __call__(self, trial: Trial) -> Evaluation: ...

    def alike(self, trial: Trial) -> Hashable | None:
        """Trials for which this is the same can be trained together; None: only alone."""

    def together(self, trials: Sequence[Trial]) -> Iterable[tuple[Trial, Evaluation]]:
        """Each with its evaluation, in whatever order they end. Errors: any, if they cannot be trained together."""


@dataclass(frozen=True)
class Bundle(Trial):
    """Several trials as one; what a trial is called and predicted by is that of the first."""

    trials: tuple[Trial, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Evaluations(Evaluation):
    """Of a bundle's trials, in their order."""

    parts: tuple[Evaluation, ...] = ()


class EvaluateBundles:
    """What is evaluated where an executor gets bundles too."""

    def __init__(self, evaluate: FusingEvaluate) -> None:
        self._evaluate = evaluate

    def __call__(self, trial: Trial) -> Evaluation:
        if not isinstance(trial, Bundle):
            return self._evaluate(trial)

        def reporting(number: int, member: Trial) -> Trial:
            return replace(member, report=lambda point, grid=b"": trial.report({**point, MEMBER: float(number)}, grid))

        members = [reporting(number, member) for number, member in enumerate(trial.trials)]
        found = {member.identity: evaluation for member, evaluation in self._evaluate.together(members)}
        return Evaluations(status="completed", parts=tuple(found[member.identity] for member in members))


class FusingExecutor:
    """Groups what waits into bundles of up to `most` trials, which `inner` carries out with `EvaluateBundles`.

    A bundle that comes to harm is tried again in halves, and a trial that does in a bundle is tried again alone: so
    every trial has the end that it would have alone. A size that took too much memory or time is not tried again.
    """

    def __init__(self, inner: Executor, evaluate: FusingEvaluate, most: int) -> None:
        self._inner, self._evaluate, self._most = inner, evaluate, most
        self._waiting: list[Trial] = []
        self._finished: deque[tuple[Trial, Evaluation]] = deque()

    def limits(self) -> Limits:
        return self._inner.limits()

    def submit(self, trial: Trial) -> None:
        self._waiting.append(trial)

    def wait(self, watch: Watch, timeout: float | None = None) -> tuple[Trial, Evaluation] | None:
        """Bundles are made when there is nothing else to hand back: by then all that may be asked for is."""
        while not self._finished:
            for group in self._groups():
                self._start(group)
            found = self._inner.wait(self._for_members(watch), timeout)
            if found is None:
                return None
            self._finish(*found, watch)
        return self._finished.popleft()

    def withdraw(self) -> list[Trial]:
        waiting = [member for trial in self._inner.withdraw() for member in _members(trial)]
        waiting += self._waiting
        self._waiting = []
        return waiting

    def close(self) -> None:
        self._inner.close()

    def _groups(self) -> Iterator[list[Trial]]:
        groups: dict[Hashable, list[Trial]] = {}
        for trial in self._waiting:
            shape = self._evaluate.alike(trial)
            groups.setdefault(trial if shape is None else ("alike", shape), []).append(trial)
        self._waiting = []
        for group in groups.values():
            for start in range(0, len(group), self._most):
                yield group[start : start + self._most]

    def _start(self, trials: Sequence[Trial]) -> None:
        if len(trials) == 1:
            self._inner.submit(trials[0])
            return
        first = trials[0]
        self._inner.submit(
            Bundle(first.genome, first.key, first.task, first.fidelity, first.replicate, trials=tuple(trials))
        )

    def _for_members(self, watch: Watch) -> Watch:
        def forward(report: Report) -> bool:
            if not isinstance(report.trial, Bundle):
                return watch(report)
            if report.kind == "progress":
                point = dict(report.point)
                watch(replace(report, trial=report.trial.trials[int(point.pop(MEMBER))], point=point))
            else:
                for member in report.trial.trials:
                    watch(replace(report, trial=member))
            return False  # one that is not wanted any longer is not ended for all the others

        return forward

    def _finish(self, trial: Trial, evaluation: Evaluation, watch: Watch) -> None:
        if not isinstance(trial, Bundle):
            self._finished.append((trial, evaluation))
        elif isinstance(evaluation, Evaluations):
            for member, found in parts(trial, evaluation):
                if found.failure in ("out_of_memory", "crashed"):  # perhaps by its company
                    watch(Report("retried", member, reason=f"{_why(found)}, of {len(trial.trials)} together"))
                    self._inner.submit(member)
                else:
                    self._finished.append((member, found))
        else:
            half = (len(trial.trials) + 1) // 2
            if evaluation.limit_bound:
                self._most = min(self._most, half)
            for part in (trial.trials[:half], trial.trials[half:]):
                for member in part:
                    watch(Report("retried", member, reason=f"{_why(evaluation)}, of {len(trial.trials)} together"))
                self._start(part)


def _why(evaluation: Evaluation) -> str:
    return evaluation.reason or evaluation.status.replace("_", " ")


def _members(trial: Trial) -> Sequence[Trial]:
    return trial.trials if isinstance(trial, Bundle) else (trial,)


def parts(trial: Trial, evaluation: Evaluation) -> Iterable[tuple[Trial, Evaluation]]:
    """A trial with its evaluation, or those of a bundle."""
    if isinstance(trial, Bundle) and isinstance(evaluation, Evaluations):
        return zip(trial.trials, evaluation.parts, strict=True)
    return [(trial, evaluation)]
