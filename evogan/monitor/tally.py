"""What the events of a search add up to."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic
from typing import Literal

from evogan.engine import Account, Event
from evogan.trial import FRESH, Identity, Trial

State = Literal["searching", "checking", "stopping", "waiting"]


@dataclass
class Running:
    """A trial under way: since when (monotonic), and the last that was heard of it."""

    trial: Trial
    where: str = ""
    since: float = field(default_factory=monotonic)
    point: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Best:
    value: float
    key: str
    number: int | None


class Tally:
    """Counts are of different evaluations: an answer that is given again is not counted again.

    `account`: of the search. `evaluated` were trained (`pruned` of them stopped early), `cached` known before;
    `checked` are fresh replicates (of `checks`, once the search is over), which are in none of the others. `running`:
    the longest running first.
    """

    def __init__(self) -> None:
        self.evaluated = self.cached = self.pruned = self.retried = self.checked = self.checks = 0
        self.account = Account()
        self.best: Best | None = None
        self.running: dict[Identity, Running] = {}
        self.queued: set[Identity] = set()
        self.awaited: set[Identity] = set()
        self.state: State = "searching"
        self._top = 0.0
        self._seen: set[int] = set()  # evaluations, by their number in the store
        self._stopping = False

    def add(self, event: Event) -> bool:
        """Whether it brought an evaluation that was not counted yet."""
        trial = event.trial
        if trial is None:
            self._enter(event)
            return False
        if event.kind == "told":
            self._compare(trial, event.value)
            return False
        self.state = "stopping" if self._stopping else "checking" if trial.replicate >= FRESH else "searching"
        self._move(event, trial)
        return self._count(event, trial)

    def _enter(self, event: Event) -> None:
        if event.kind in ("preparing", "data"):
            return
        if event.kind == "waiting":
            self.state = "waiting"
            return
        if event.kind == "checking":
            self.checks = round(event.value or 0)
            return
        self.state, self._stopping = "stopping", True
        self.queued.clear()
        self.awaited.clear()

    def _move(self, event: Event, trial: Trial) -> None:
        """Queued, running, with another driver, or none of these any more."""
        if event.kind == "progress":
            running = self.running.setdefault(trial.identity, Running(trial))
            running.point |= event.point
            running.where = event.where or running.where
            return
        for place in (self.queued, self.awaited):
            place.discard(trial.identity)
        self.running.pop(trial.identity, None)
        if event.kind == "started":
            self.running[trial.identity] = Running(trial, event.where)
        elif event.kind == "awaited":
            self.awaited.add(trial.identity)
        elif event.kind in ("submitted", "retried"):
            self.queued.add(trial.identity)
        self.retried += event.kind == "retried"

    def _compare(self, trial: Trial, value: float | None) -> None:
        """The best is one of those judged at the highest fidelity reached, as the run itself has it."""
        if value is None or trial.fidelity < self._top:
            return
        if self.best is None or trial.fidelity > self._top or value < self.best.value:
            self.best, self._top = Best(value, trial.key, trial.number), trial.fidelity

    def _count(self, event: Event, trial: Trial) -> bool:
        evaluation = event.evaluation
        if evaluation is None or evaluation.id in self._seen:
            return False
        if evaluation.id is not None:
            self._seen.add(evaluation.id)
        if trial.replicate >= FRESH:
            self.checked += 1
            return True
        self.cached += event.kind == "cached"
        self.evaluated += event.kind != "cached"
        self.pruned += event.kind == "pruned"
        self.account.ask(trial.key, trial.fidelity, trial.replicate, trial.prefixes)
        self.account.answer(trial.key, trial.fidelity, trial.replicate, evaluation)
        return True
