"""Answers trials so that nothing is trained twice: from the store, from one in flight here or elsewhere, or anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Event as Flag
from time import monotonic
from typing import Literal

from evogan.engine.executors import Executor, Report
from evogan.engine.executors.base import Lost
from evogan.engine.pruner import Pruner
from evogan.engine.store import UNLIMITED, Store
from evogan.trial import Choice, Evaluation, Identity, Trial

POLL = 0.5  # seconds between looks at what other drivers train, and at a wish to stop

Kind = Literal[
    "preparing",
    "data",
    "cached",
    "submitted",
    "started",
    "progress",
    "retried",
    "awaited",
    "evaluated",
    "pruned",
    "told",
    "checking",
    "stopping",
    "waiting",
]


@dataclass(frozen=True)
class Event:
    """What progress displays and logs are fed with.

    `cached`: known before; `evaluated`: just trained; `pruned`: the same, but stopped early; `awaited`: another driver
    trains it. `started`, `progress` and `retried` are an executor's reports. `told`: its strategy knows the trial, at
    the fidelity that was reached, with the `value` over all replicates (None: a failure), and the `generation` that it
    was proposed in, if there are any. `preparing` (`value`: which share of it is done, if it takes time), `data` (what
    was read, what judges, and by which `metric`, at the start), `checking` (the search is over, and why: `value` fresh
    replicates follow), `stopping` and `waiting` (for a store or a disk that does not answer) are about no trial.
    """

    kind: Kind
    trial: Trial | None
    evaluation: Evaluation | None = None
    where: str = ""
    point: Mapping[str, float] = field(default_factory=dict)
    grid: bytes = field(default=b"", repr=False)
    reason: str = ""
    value: float | None = None
    generation: int | None = None
    metric: str = ""


Listener = Callable[[Event], None]


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop, and what ran has ended and is recorded."""


class Broker:
    """`choice`: how answers are judged; one without the metrics, or with weights of another checkpoint, is none.
    `stopping`: when it is set nothing more begins, what runs is waited for, and `Interrupted` ends the search.
    """

    def __init__(
        self,
        store: Store,
        executor: Executor,
        listener: Listener = lambda event: None,
        *,
        choice: Choice | None = None,
        pruner: Pruner | None = None,
        stopping: Flag | None = None,
    ) -> None:
        self.store, self._executor, self.listener = store, executor, listener
        self._choice, self._pruner, self._stopping = choice, pruner, stopping or Flag()
        self._in_flight: dict[Identity, Trial] = {}
        self._awaited: dict[Identity, Trial] = {}  # other drivers train them
        self._answers: dict[Identity, Evaluation] = {}
        self._pruned: dict[Identity, Evaluation] = {}
        self._withdrawn, self._next_look = False, 0.0

    @contextmanager
    def stopped_together(self) -> Iterator[None]:
        """Whoever stops this process may stop what evaluates, too, and that is no loss. Errors: Interrupted."""
        try:
            yield
        except Lost:
            if self._stopping.is_set():
                raise Interrupted from None
            raise

    def request(self, trial: Trial) -> None:
        """Make sure that an answer to `trial` is known or under way."""
        identity = trial.identity
        if self._stopping.is_set() and not self._in_flight:
            raise Interrupted
        if identity in self._answers or identity in self._in_flight or identity in self._awaited:
            return
        known = self._known(trial)
        if known is not None:
            self._answer(trial, known)
        elif self.store.leases.claim(identity):
            self._begin(trial)
        else:
            self._awaited[identity] = trial
            self.listener(Event("awaited", trial))

    def peek(self, trial: Trial) -> Evaluation | None:
        """The answer, if it is here."""
        return self._answers.get(trial.identity)

    def result(self, trial: Trial) -> Evaluation:
        """The answer, handed out once; waits for it. Whatever else finishes meanwhile is recorded too."""
        self.request(trial)
        while trial.identity not in self._answers:
            self.wait()
        return self._answers.pop(trial.identity)

    def results(self, trials: list[Trial]) -> list[Evaluation]:
        """The answers to several trials, worked on together."""
        for trial in trials:
            self.request(trial)
        return [self.result(trial) for trial in trials]

    def learn(self, trial: Trial, evaluation: Evaluation) -> None:
        """The strategy was told of it: those to come may be pruned by its curve."""
        if self._pruner is not None:
            self._pruner.learn(trial, evaluation)

    def recall(self, trial: Trial, evaluation: Evaluation) -> None:
        """What this run was told before it was stopped."""
        if evaluation.fidelity is not None and evaluation.fidelity < trial.fidelity:
            self._pruned[trial.identity] = evaluation
        self.listener(Event("cached", trial, evaluation))

    def wait(self) -> list[Identity]:
        """Until something happens: an end, an answer of another driver's, or a moment has passed. What is new."""
        if self._stopping.is_set():
            self._wind_down()
        arrived = self._ask_again() if self.store.leases.lapsed() else []
        if arrived:
            return arrived
        if self._in_flight:
            finished = self._executor.wait(self._watch, POLL)
            if finished is not None:
                arrived.append(self._record(*finished))
        else:
            self._stopping.wait(POLL)
        if self._awaited and monotonic() >= self._next_look:
            self._next_look = monotonic() + POLL
            arrived += [identity for identity, trial in list(self._awaited.items()) if self._look_again(trial)]
        return arrived

    def _known(self, trial: Trial) -> Evaluation | None:
        """What the store answers; a limit-bound failure only if no more is offered now."""
        if trial.identity in self._pruned:
            return self._pruned[trial.identity]
        for evaluation in self.store.answers(trial.identity):
            offer = self._executor.limits() if evaluation.limit_bound else UNLIMITED
            if evaluation.answers(offer, self._choice):
                return evaluation
        return None

    def _answer(self, trial: Trial, evaluation: Evaluation) -> None:
        self._answers[trial.identity] = evaluation
        self.listener(Event("cached", trial, evaluation))

    def _begin(self, trial: Trial) -> None:
        """The lease is ours. Its last holder may have recorded an answer just before it let go."""
        known = self._known(trial)
        if known is not None or self._stopping.is_set():
            self.store.leases.release(trial.identity)
            if known is not None:
                self._answer(trial, known)
            return
        self._in_flight[trial.identity] = trial
        choice = self._choice or trial.choice
        self._executor.submit(replace(trial, earlier=self.store.earlier(trial, choice), choice=choice))
        self.listener(Event("submitted", trial))

    def _look_again(self, trial: Trial) -> bool:
        """Whether what another driver trains is answered; where that one gave up, it is begun here."""
        known = self._known(trial)
        if known is None and not self.store.leases.claim(trial.identity):
            return False
        del self._awaited[trial.identity]
        if known is None:
            self._begin(trial)
        else:
            self._answer(trial, known)
        return trial.identity in self._answers

    def _ask_again(self) -> list[Identity]:
        """Others may have taken over what has not begun here: what of it is answered by now."""
        withdrawn = self._executor.withdraw()
        for trial in withdrawn:
            del self._in_flight[trial.identity]
            self.store.leases.release(trial.identity)
            self.request(trial)
        return [trial.identity for trial in withdrawn if trial.identity in self._answers]

    def _watch(self, report: Report) -> bool:
        if self._stopping.is_set():
            self._withdraw()
        self.listener(
            Event(
                report.kind,
                report.trial,
                where=report.where,
                point=report.point,
                grid=report.grid,
                reason=report.reason,
            )
        )
        return self._pruner is not None and report.kind == "progress" and self._pruner.stops(report.trial, report.point)

    def _record(self, trial: Trial, evaluation: Evaluation) -> Identity:
        reached = evaluation.fidelity
        pruned = reached is not None and reached < trial.fidelity
        done = replace(trial, fidelity=reached) if pruned and reached is not None else trial
        recorded = self.store.record(done, evaluation, self._executor.limits(), self._choice)
        self.store.leases.release(trial.identity)
        self._in_flight.pop(trial.identity)
        self._answers[trial.identity] = recorded
        if pruned:
            self._pruned[trial.identity] = recorded
        self.listener(Event("pruned" if pruned else "evaluated", trial, recorded))
        return trial.identity

    def _wind_down(self) -> None:
        self._withdraw()
        if not self._in_flight:
            raise Interrupted

    def _withdraw(self) -> None:
        """Take back what has not begun."""
        if self._withdrawn:
            return
        self._withdrawn = True
        for trial in self._executor.withdraw():
            del self._in_flight[trial.identity]
            self.store.leases.release(trial.identity)
        self._awaited.clear()
        self.listener(Event("stopping", None, reason=f"running: {len(self._in_flight)}"))
