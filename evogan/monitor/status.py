"""The state of a run in a small file, for whoever looks on from another terminal."""

from __future__ import annotations

import json
import math
import os
import socket
from collections import deque
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from threading import Event as Flag
from threading import Lock, Thread
from time import monotonic
from types import TracebackType
from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, Field, FiniteFloat
from typing_extensions import TypedDict  # pydantic's for Python 3.11

from evogan.engine import Event, Judge
from evogan.errors import UserError, without_passwords
from evogan.files import read_small, write_whole
from evogan.files.documents import parse_json
from evogan.files.processes import born, namespace
from evogan.files.shapes import fit
from evogan.monitor.log import numbers
from evogan.monitor.machine import Machine, Use
from evogan.monitor.tally import Best, Running, State, Tally
from evogan.trial import turned

EVERY = 1.0  # seconds between two writes
SHOWN = 100  # running trials in the file: the longest running ones
RECENT = 200  # trials that the rate is measured over
GIVEN_UP = 600.0  # seconds after which a driver that cannot be seen is gone: clocks of machines differ by less
COUNTS = ("evaluated", "cached", "failed", "retried", "pruned", "running", "queued", "awaited")


class Driver(TypedDict):
    host: str
    pid: Annotated[int, Field(ge=0, lt=2**31)]
    born: float | None
    namespace: NotRequired[str]


class BestSoFar(TypedDict):
    value: FiniteFloat
    key: str
    number: int | None


class RunningTrial(TypedDict):
    number: int | None
    key: str
    fidelity: Annotated[float, Field(gt=0, le=1)]
    replicate: int
    where: str
    seconds: FiniteFloat
    point: dict[str, FiniteFloat | None]


def _complete(counts: dict[str, int]) -> dict[str, int]:
    if missing := [name for name in COUNTS if name not in counts]:
        raise ValueError(f"{missing[0]} is missing")
    return counts


def _aware(time: str) -> str:
    if datetime.fromisoformat(time).tzinfo is None:
        raise ValueError("a time without its zone")
    return time


@dataclass(frozen=True, kw_only=True)
class Status:
    """Plain data, as it lies in the file.

    `state`: searching, checking, stopping, waiting, finished or stopped. `reason`: what is waited for, or why
    the search has ended. `driver`: host, pid, `born`, seconds after the machine's start, and the `namespace` of the
    pid. `spent` of `budget` are full trainings. `rate`: of these, per second. `eta`: seconds. `running`: the longest
    running trials, of `counts["running"]`. `references`: genomes that winners are checked beside, where the driver
    says so.
    """

    run: str
    state: State | Literal["finished", "stopped"]
    reason: str
    driver: Driver
    updated: Annotated[str, AfterValidator(_aware)]
    seconds: FiniteFloat
    counts: Annotated[dict[str, int], AfterValidator(_complete)]
    failed: dict[str, int]
    spent: FiniteFloat
    budget: FiniteFloat
    checked: int
    checks: int
    metric: str
    best: BestSoFar | None
    rate: Annotated[FiniteFloat, Field(gt=0)] | None
    eta: FiniteFloat | None
    running: list[RunningTrial]
    use: Use
    references: int | None = None

    @property
    def ended(self) -> bool:
        return self.state in ("finished", "stopped")

    @property
    def alive(self) -> bool | None:
        """Whether its driver lives; None where that cannot be seen from this host."""
        if self.ended:
            return False
        if self.driver["host"] != socket.gethostname() or self.driver.get("namespace", namespace()) != namespace():
            return None
        return bool(born(self.driver["pid"]) == self.driver["born"])

    @property
    def going(self) -> bool:
        """Whether it goes on, as far as can be seen from this host: of a driver elsewhere, whether it was heard of."""
        return not self.ended and (self.age < GIVEN_UP if self.alive is None else self.alive)

    @property
    def age(self) -> float:
        """Seconds since it was written."""
        return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(self.updated)).total_seconds())

    def as_document(self) -> dict[str, Any]:
        return asdict(self) | {"alive": self.alive, "age": self.age}


def read_status(path: Path) -> Status | None:
    """None if no driver of this run has written one. Errors: UserError for a file that is no status."""
    if not path.exists():
        return None
    try:
        return fit(Status, parse_json(read_small(path)))
    except UserError as error:
        raise UserError(f"'{path}' is no status of a run: {error}") from None


class StatusWriter:
    """A listener that keeps the file at `path` fresh, from a thread: a trial may run in this process.

    A context manager; on leaving, the state is finished, or stopped after an error. A file that cannot be written stops
    nothing.
    """

    def __init__(
        self,
        path: Path,
        run: str,
        judge: Judge,
        budget: float,
        checks: int = 0,
        references: int = 0,
        total_seconds: float | None = None,
    ) -> None:
        self._total_seconds = math.inf if total_seconds is None else total_seconds
        self._path, self._run, self._judge, self._budget = path, run, judge, budget
        self._checks, self._references = checks, references
        self._driver = Driver(host=socket.gethostname(), pid=os.getpid(), born=born(os.getpid()), namespace=namespace())
        self._tally, self._pace, self._reason, self._why = Tally(), _Pace(), "", ""
        self._machine = Machine()
        self._begun = monotonic()
        self._ended: Status | None = None
        self._lock, self._left = Lock(), Flag()
        self._thread = Thread(target=self._keep_fresh, name="status", daemon=True)

    def __enter__(self) -> StatusWriter:
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        self._thread.join()
        status = replace(self.status(), state="stopped", eta=None, running=[])
        self._ended = status if kind else replace(status, state="finished", reason=self._why)
        self._write(self._ended)

    def __call__(self, event: Event) -> None:
        with self._lock:
            before = self._tally.account.spent + self._tally.checked
            self._tally.add(event)
            if event.kind == "submitted":
                self._pace.begin()
            elif event.kind in ("evaluated", "pruned"):
                self._pace.advance(self._tally.account.spent + self._tally.checked - before)
            if event.kind == "checking":
                self._why, self._checks = event.reason, max(self._checks, round(event.value or 0))
            self._reason = without_passwords(event.reason) if event.kind in ("stopping", "waiting") else ""

    def status(self) -> Status:
        """As things stand, or stood in the end."""
        if self._ended is not None:
            return self._ended
        use = self._machine.use()
        with self._lock:
            tally, rate, now = self._tally, self._pace.rate(), monotonic()
            left = max(0.0, self._left_to_search(tally)) + max(0, (tally.checks or self._checks) - tally.checked)
            return Status(
                run=self._run,
                state=tally.state,
                reason=self._reason,
                driver=self._driver,
                updated=datetime.now(UTC).isoformat(timespec="seconds"),
                seconds=now - self._begun,
                counts=_counts(tally),
                failed=dict(tally.account.failed),
                spent=tally.account.spent,
                budget=self._budget,
                checked=tally.checked,
                checks=self._checks,
                metric=self._judge.metric,
                best=self._best(tally.best),
                rate=rate,
                eta=left / rate if rate else None,
                running=[self._running(trial, now) for trial in islice(tally.running.values(), SHOWN)],
                use=use,
                references=self._references,
            )

    def _left_to_search(self, tally: Tally) -> float:
        """Full trainings, as far as the budget of seconds lets them be."""
        account = tally.account
        left = self._budget - account.spent
        return min(left, account.spent * (self._total_seconds / account.seconds - 1)) if account.seconds else left

    def _best(self, best: Best | None) -> BestSoFar | None:
        if best is None:
            return None
        return {"value": turned(self._judge.metric, best.value), "key": best.key, "number": best.number}

    def _running(self, running: Running, now: float) -> RunningTrial:
        trial = running.trial
        heard = ("kimg", "iterations", "fidelity", self._judge.metric)
        return {
            "number": trial.number,
            "key": trial.key,
            "fidelity": trial.fidelity,
            "replicate": trial.replicate,
            "where": running.where,
            "seconds": now - running.since,
            "point": numbers({name: running.point[name] for name in heard if name in running.point}),
        }

    def _keep_fresh(self) -> None:
        while True:
            self._write(self.status())
            if self._left.wait(EVERY):
                return

    def _write(self, status: Status) -> None:
        if not self._path.parent.is_dir():  # somebody deleted the run
            return
        with suppress(OSError):  # the disk is full: the search goes on, and the next one may come through
            write_whole(self._path, json.dumps(asdict(status), allow_nan=False, indent=1).encode())


def _counts(tally: Tally) -> dict[str, int]:
    return {
        "evaluated": tally.evaluated,
        "cached": tally.cached,
        "failed": tally.account.failed.total(),
        "retried": tally.retried,
        "pruned": tally.pruned,
        "running": len(tally.running),
        "queued": len(tally.queued),
        "awaited": len(tally.awaited),
    }


class _Pace:
    """Full trainings per second over the last trials; trials that were known take none."""

    def __init__(self) -> None:
        self._done = 0.0
        self._at: deque[tuple[float, float]] = deque(maxlen=RECENT)

    def begin(self) -> None:
        """The first trial was submitted."""
        if not self._at:
            self._at.append((monotonic(), 0.0))

    def advance(self, part: float) -> None:
        self._done += part
        self._at.append((monotonic(), self._done))

    def rate(self) -> float | None:
        if not self._at:
            return None
        since, before = self._at[0]
        return (self._done - before) / max(monotonic() - since, 1e-9) or None
