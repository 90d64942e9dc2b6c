"""The live line of one training: how far it is, its losses, its last FID, the time left."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.progress import TextColumn

from evogan.engine import Event
from evogan.monitor.display import Display
from evogan.trial import budget_unit

LOSSES = ("real", "fake", "generator")


class TrainingProgress(Display):
    """A listener for `train`; use it as a context manager. Without a terminal it prints a line at every tenth."""

    def __init__(self, title: str, console: Console) -> None:
        super().__init__(console, TextColumn("{task.percentage:>3.0f} %"), width=20)
        self._title = title
        self._known: dict[str, float] = {}
        self._task = self._bar.add_task(title, total=1.0, facts="")

    def __call__(self, event: Event) -> None:
        if event.kind == "preparing":
            self._prepare(event.reason, event.value)
        if event.kind == "awaited":
            self._say("another process trains it just now: waiting for what that records")
        if event.kind != "progress":
            return
        self._known |= event.point
        share = self._known.get("fidelity", 0.0)
        self._bar.update(self._task, completed=share, facts=facts_of(self._known))
        self._say_tenth(share, f"{self._title}: {share:.0%}, {facts_of(self._known)}")


def facts_of(known: Mapping[str, float]) -> str:
    """'8 kimg, real 0.51, fake 0.49, generator 0.9, FID 23.1', as far as it is known."""
    unit = budget_unit(known)
    said = [f"{known[unit]:.4g} {unit}"] if unit in known else []
    said += [f"{name} {known[name]:.3g}" for name in LOSSES if name in known]
    return ", ".join([*said, *([f"FID {known['fid']:.4g}"] if "fid" in known else [])])
