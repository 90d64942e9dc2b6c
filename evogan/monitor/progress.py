"""The live display of a search: evaluated, cached, failed, best so far, time left."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as Remaining

from evogan.engine import Event, Judge
from evogan.errors import without_passwords
from evogan.monitor.preparation import Preparation
from evogan.monitor.tally import Tally
from evogan.trial import EARLY_FID, turned


class SearchProgress:
    """A listener for `search`; use it as a context manager. Without a terminal it prints a line now and then."""

    def __init__(self, judge: Judge, evaluations: int, console: Console) -> None:
        self._metric, self._console, self._total = judge.metric, console, evaluations
        self._tally, self._tenths, self._said = Tally(), 0, ""
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[facts]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            Remaining(),
            console=console,
            disable=not console.is_terminal,
        )
        self._prepare = Preparation(self._bar, self._say)
        self._search = self._bar.add_task("searching", total=evaluations, facts="")
        self._check = self._bar.add_task("checking", total=None, facts="fresh replicates", visible=False)

    def __enter__(self) -> SearchProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, event: Event) -> None:
        if event.kind == "progress":
            self._look(event.point)
            return
        if event.kind == "preparing":
            self._prepare(event.reason, event.value)
            return
        self._tally.add(event)
        self._tell(event)
        spent = self._tally.account.spent
        self._bar.update(self._search, completed=spent, facts=", ".join((self.facts, *self.under_way)))
        if self._tally.checked:
            self._bar.update(self._check, completed=self._tally.checked, total=self._tally.checks, visible=True)
        tenths = int(10 * spent / self._total)
        if not self._console.is_terminal and tenths > self._tenths:
            self._tenths = tenths
            self._say(f"{spent:g}/{self._total} {self.facts}")

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

    def _say(self, line: str) -> None:
        self._console.print(without_passwords(line), highlight=False, markup=False, soft_wrap=True)

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
