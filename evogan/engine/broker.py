"""Answers trials so that nothing is trained twice: from the store, from one in flight, or anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from evogan.engine.executor import Executor
from evogan.engine.store import Store
from evogan.trial import Evaluation, Identity, Trial


@dataclass(frozen=True)
class Event:
    """What progress displays and logs are fed with. `cached`: known before; `evaluated`: just trained."""

    kind: Literal["cached", "submitted", "evaluated"]
    trial: Trial
    evaluation: Evaluation | None = None


Listener = Callable[[Event], None]


class Broker:
    def __init__(self, store: Store, executor: Executor, listener: Listener = lambda event: None) -> None:
        self.store, self._executor, self.listener = store, executor, listener
        self._in_flight: set[Identity] = set()
        self._answers: dict[Identity, Evaluation] = {}

    def request(self, trial: Trial) -> None:
        """Make sure that an answer to `trial` is known or under way."""
        identity = trial.identity
        if identity in self._answers or identity in self._in_flight:
            return
        known = self.store.find(identity)
        if known is not None:
            self._answers[identity] = known
            self.listener(Event("cached", trial, known))
        else:
            self._in_flight.add(identity)
            self._executor.submit(replace(trial, earlier=self.store.earlier(identity)))
            self.listener(Event("submitted", trial))

    def result(self, trial: Trial) -> Evaluation:
        """The answer; waits for it. Whatever else finishes meanwhile is recorded too."""
        self.request(trial)
        while trial.identity not in self._answers:
            done, evaluation = self._executor.wait()
            self._answers[done.identity] = self.store.record(done, evaluation)
            self._in_flight.discard(done.identity)
            self.listener(Event("evaluated", done, self._answers[done.identity]))
        return self._answers[trial.identity]

    def results(self, trials: list[Trial]) -> list[Evaluation]:
        """The answers to several trials, worked on together."""
        for trial in trials:
            self.request(trial)
        return [self.result(trial) for trial in trials]
