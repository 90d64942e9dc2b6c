"""A campaign seen from outside: how far its runs are, and how long the rest will take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from statistics import fmean
from typing import Any, Literal

from rich.console import Group
from rich.table import Table
from rich.text import Text

from evogan.monitor.status import Status
from evogan.monitor.table import span
from evogan.trial import turned

State = Literal["done", "going", "waiting", "crashed"]


@dataclass(frozen=True, kw_only=True)
class RunState:
    """A run of a campaign: what is planned (full trainings that search and that check the winners), what became of it.

    `status`: None if it was never begun. `crashed`: why it ended before its time, else empty.
    """

    name: str
    data: str
    space: str
    strategy: str
    evaluations: int
    checks: int
    status: Status | None
    crashed: str
    total_seconds: float | None = None  # of training, at which the search ends

    @property
    def is_done(self) -> bool:
        """With the budget that is planned now: an earlier one may have been smaller."""
        status = self.status
        return (
            status is not None
            and status.state == "finished"
            and status.budget >= self.evaluations
            and status.checks >= self.checks
        )

    @property
    def state(self) -> State:
        """A run that was stopped half-way waits for its turn."""
        if self.status is not None and self.status.going:
            return "going"
        return "done" if self.is_done else "crashed" if self.crashed else "waiting"

    @property
    def spent(self) -> float:
        """Full trainings of the search."""
        return min(self.status.spent, self.evaluations) if self.status else 0.0

    @property
    def failed(self) -> int:
        return self.status.counts["failed"] if self.status else 0

    @property
    def best(self) -> float | None:
        return self.status.best["value"] if self.status and self.status.best else None

    @property
    def left(self) -> float:
        """Full trainings that are still to come."""
        if self.state in ("done", "crashed"):
            return 0.0
        return self.evaluations - self.spent + max(0, self.checks - (self.status.checked if self.status else 0))

    def as_document(self) -> dict[str, Any]:
        return asdict(self) | {"state": self.state, "spent": self.spent, "failed": self.failed, "best": self.best}


class CampaignStatus:
    """How far a campaign is, as plain numbers, a line or a table."""

    def __init__(self, name: str, runs: Sequence[RunState]) -> None:
        self.name, self.runs = name, runs
        self.done = [run for run in runs if run.state == "done"]
        self.going = [run for run in runs if run.state == "going"]
        self.waiting = [run for run in runs if run.state == "waiting"]
        self.crashed = [run for run in runs if run.state == "crashed"]

    @property
    def eta(self) -> float | None:
        """Seconds; None if nothing was trained yet. A run goes as fast as those that are most like it went."""
        waits = [
            min(run.left * pace, run.total_seconds or math.inf)
            for run in self.runs
            if run.left and (pace := self._pace(run)) is not None
        ]
        return sum(waits) if waits else None

    def _pace(self, run: RunState) -> float | None:
        """Seconds a full training: on the same data in the same space, else on the same data, else of any."""
        timed = [(other, other.status.rate) for other in self.runs if other.status and other.status.rate]
        for alike in (lambda o: (o.data, o.space) == (run.data, run.space), lambda o: o.data == run.data, bool):
            paces = [1 / rate for other, rate in timed if alike(other)]
            if paces:
                return fmean(paces)
        return None

    @property
    def share(self) -> float:
        """Of its evaluations, what is done."""
        return sum(run.spent for run in self.runs) / sum(run.evaluations for run in self.runs)

    @property
    def headline(self) -> str:
        spent, planned = sum(run.spent for run in self.runs), sum(run.evaluations for run in self.runs)
        crashed = f", {len(self.crashed)} crashed" if self.crashed else ""
        left = "" if self.eta is None else f", about {span(self.eta)} left"
        return (
            f"{self.name}: {len(self.done)} of {len(self.runs)} runs done{crashed}, "
            f"{spent:g} of {planned} evaluations{left}"
        )

    def line(self, name: str) -> str:
        """What became of a run, for the terminal as it ends."""
        run = next(run for run in self.runs if run.name == name)
        best = "nothing completed" if run.best is None or not run.status else f"best {run.status.metric} {run.best:.4g}"
        became = f"crashed: {run.crashed}" if run.state == "crashed" else f"is done, {best}"
        return f"{name} {became} ({self.headline})"

    def table(self) -> Group:
        """A row for each strategy on a data set and space, whatever the seed; then what runs now, and what crashed."""
        table = Table(title=Text(self.headline), title_justify="left")
        for column in ("data", "space", "strategy", "done", "going", "waiting", "crashed", "evaluations", "failed"):
            left = column in ("data", "space", "strategy")
            table.add_column(Text(column), justify="left" if left else "right", overflow="fold")
        table.add_column(Text("best"), justify="right")
        groups: dict[tuple[str, str, str], list[RunState]] = {}
        for run in self.runs:
            groups.setdefault((run.data, run.space, run.strategy), []).append(run)
        for group, runs in groups.items():
            counts = [sum(run.state == state for run in runs) for state in ("done", "going", "waiting", "crashed")]
            evaluations = f"{sum(run.spent for run in runs):g} of {sum(run.evaluations for run in runs)}"
            metric = next((run.status.metric for run in runs if run.status), "")  # of all its runs
            best = min((run.best for run in runs if run.best is not None), default=None, key=partial(turned, metric))
            cells = [*group, *(str(n or "") for n in counts), evaluations, str(sum(run.failed for run in runs))]
            table.add_row(*map(Text, cells), Text("" if best is None else f"{metric} {best:.4g}"))
        lines = [
            f"{run.name}  {run.status.state}{f' ({run.status.reason})' if run.status.reason else ''}: "
            f"{run.spent:g} of {run.evaluations} evaluations, {run.status.checked} of {run.checks} checks"
            for run in self.going
            if run.status
        ]
        lines += [f"{run.name}  crashed: {run.crashed}" for run in self.crashed]
        return Group(table, *map(Text, lines))

    def as_document(self) -> dict[str, Any]:
        return {"name": self.name, "eta": self.eta, "runs": [run.as_document() for run in self.runs]}
