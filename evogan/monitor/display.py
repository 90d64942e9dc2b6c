"""What the listeners of a search and of a training share: a bar on a terminal, and lines."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as Remaining

from evogan.errors import without_passwords
from evogan.monitor.preparation import Preparation
from evogan.monitor.tenths import Tenths


class Display:
    """A context manager. `done`: the column that says how much is done. Without a terminal there is no bar."""

    def __init__(self, console: Console, done: ProgressColumn, width: int | None = 40) -> None:
        self._console, self._tenths = console, Tenths()
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(width),
            done,
            TextColumn("{task.fields[facts]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            Remaining(),
            console=console,
            disable=not console.is_terminal,
        )
        self._prepare = Preparation(self._bar, self._say)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def _say(self, line: str) -> None:
        self._console.print(without_passwords(line), highlight=False, markup=False, soft_wrap=True)

    def _say_tenth(self, share: float, line: str, tenths: Tenths | None = None) -> None:
        """The line, where there is no bar and a further tenth is done."""
        if not self._console.is_terminal and (tenths or self._tenths)(share):
            self._say(line)
