"""The live line of one training: how far it is, its losses, its last FID, the time left."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as Remaining

from evogan.engine import Event
from evogan.monitor.preparation import Preparation
from evogan.trial import budget_unit

LOSSES = ("real", "fake", "generator")


class TrainingProgress:
    """A listener for `train`; use it as a context manager. Without a terminal it prints a line at every tenth."""

    def __init__(self, title: str, console: Console) -> None:
        self._title, self._console = title, console
        self._known: dict[str, float] = {}
        self._tenths = 0
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.percentage:>3.0f} %  {task.fields[facts]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            Remaining(),
            console=console,
            disable=not console.is_terminal,
        )
        self._prepare = Preparation(self._bar, self._say)
        self._task = self._bar.add_task(title, total=1.0, facts="")

    def __enter__(self) -> TrainingProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, event: Event) -> None:
        if event.kind == "preparing":
            self._prepare(event.reason, event.value)
        if event.kind != "progress":
            return
        self._known |= event.point
        share = self._known.get("fidelity", 0.0)
        self._bar.update(self._task, completed=share, facts=facts_of(self._known))
        tenths = int(10 * share + 1e-9)
        if not self._console.is_terminal and tenths > self._tenths:
            self._tenths = tenths
            self._say(f"{self._title}: {share:.0%}, {facts_of(self._known)}")

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


def facts_of(known: Mapping[str, float]) -> str:
    """'8 kimg, real 0.51, fake 0.49, generator 0.9, FID 23.1', as far as it is known."""
    unit = budget_unit(known)
    said = [f"{known[unit]:.4g} {unit}"] if unit in known else []
    said += [f"{name} {known[name]:.3g}" for name in LOSSES if name in known]
    return ", ".join([*said, *([f"FID {known['fid']:.4g}"] if "fid" in known else [])])
