"""The live display of a search: evaluated, cached, failed, best so far, time left."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as Remaining

from evogan.engine import Event, Judge, Ledger
from evogan.engine.confirm import FRESH


class SearchProgress:
    """A listener for `search`; use it as a context manager. Without a terminal it prints a line now and then."""

    def __init__(self, judge: Judge, evaluations: int, checks: int, console: Console) -> None:
        self._judge, self._console, self._total = judge, console, evaluations
        self._trained = self._cached = self._failed = 0
        self._ledger, self._said = Ledger(), 0
        self._best: float | None = None
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[facts]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            Remaining(),
            console=console,
            disable=not console.is_terminal,
        )
        self._search = self._bar.add_task("searching", total=evaluations, facts="")
        self._check = self._bar.add_task("checking", total=checks, facts="fresh replicates", visible=False)

    def __enter__(self) -> SearchProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, event: Event) -> None:
        if event.evaluation is None:
            return
        if event.trial.replicate >= FRESH:
            self._bar.update(self._check, advance=1, visible=True)
            return
        self._trained += event.kind == "evaluated"
        self._cached += event.kind == "cached"
        self._failed += event.evaluation.failed
        value = self._judge.value(event.evaluation)
        if value is not None and (self._best is None or value < self._best):
            self._best = value
        self._ledger.add(event.trial)
        spent = self._ledger.spent
        self._bar.update(self._search, completed=spent, facts=self.facts)
        tenth = int(10 * spent / self._total)
        if not self._console.is_terminal and tenth > self._said:
            self._said = tenth
            self._console.print(f"{spent:g}/{self._total} {self.facts}", highlight=False)

    @property
    def facts(self) -> str:
        best = "-" if self._best is None else f"{self._best:.4g}"
        return (
            f"{self._trained} evaluated, {self._cached} cached, {self._failed} failed, best {self._judge.metric} {best}"
        )
