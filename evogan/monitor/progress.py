"""The live display of a search: evaluated, cached, failed, best so far, time left."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.progress import MofNCompleteColumn

from evogan.engine import Event
from evogan.monitor.display import Display
from evogan.monitor.tally import Tally
from evogan.monitor.tenths import Tenths
from evogan.trial import EARLY_FID, turned


class SearchProgress(Display):
    """A listener for `search`; use it as a context manager. Without a terminal it prints a line now and then."""

    def __init__(self, evaluations: int, console: Console, metric: str = "fitness") -> None:
        super().__init__(console, MofNCompleteColumn())
        self._metric, self._total, self._tally, self._said = metric, evaluations, Tally(), ""
        self._search = self._bar.add_task("searching", total=evaluations, facts="")
        self._check = self._bar.add_task("checking", total=None, facts="fresh replicates", visible=False)
        self._checked = Tenths()

    def __call__(self, event: Event) -> None:
        if event.kind == "progress":
            self._look(event.point)
            return
        if event.kind == "preparing":
            self._prepare(event.reason, event.value)
            return
        self._metric = event.metric or self._metric
        self._tally.add(event)
        self._tell(event)
        spent = self._tally.account.spent
        self._bar.update(self._search, completed=spent, facts=", ".join((self.facts, *self.under_way)))
        if checks := self._tally.checks:
            checked = self._tally.checked
            self._bar.update(self._check, completed=checked, total=checks, visible=True)
            self._say_tenth(checked / checks, f"winners checked: {checked} of {checks} trainings", self._checked)
        if event.kind == "told":  # what was evaluated before is in the best now
            self._say_tenth(spent / self._total, f"{spent:g}/{self._total} {self.facts}")

    def _look(self, point: Mapping[str, float]) -> None:
        """At the first trial, long before it is scored."""
        if EARLY_FID in point:
            self._say(f"the first trial has FID {point[EARLY_FID]:.4g}, of few samples, after {point['kimg']:.3g} kimg")

    def _tell(self, event: Event) -> None:
        """What a line is due for. A store that stays away is told of once."""
        said, self._said = self._said, ""
        if event.kind == "data":
            self._say(event.reason)
        elif event.kind == "checking" and event.reason:
            self._say(f"the search has ended: {event.reason}")
        elif event.kind == "retried":
            assert event.trial is not None
            self._say(f"{_name(event)} is tried again: {event.reason}")
        elif event.kind == "stopping":
            self._say(f"stopping: {event.reason}, Ctrl-C again stops at once")
        elif event.kind == "waiting":
            self._said = event.reason
            if event.reason != said:
                self._say(f"waiting: {event.reason}")

    @property
    def facts(self) -> str:
        tally = self._tally
        best = "-" if tally.best is None else f"{turned(self._metric, tally.best.value):.4g}"
        pruned = f", {tally.pruned} pruned" if tally.pruned else ""
        return (
            f"{tally.evaluated} evaluated, {tally.cached} cached, {tally.account.failed.total()} failed{pruned}, "
            f"best {self._metric} {best}"
        )

    @property
    def under_way(self) -> list[str]:
        """How many run here, and with other drivers."""
        here, elsewhere = len(self._tally.running), len(self._tally.awaited)
        return [f"{here} running"] * (here > 0) + [f"{elsewhere} awaited"] * (elsewhere > 0)


def _name(event: Event) -> str:
    assert event.trial is not None
    return f"trial {event.trial.key}" if event.trial.number is None else f"trial {event.trial.number}"
