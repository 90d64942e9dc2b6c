"""The state of a run in a small file, for whoever looks on from another terminal."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from threading import Event as Flag
from threading import Lock, Thread
from time import monotonic
from types import TracebackType
from typing import Any

import psutil
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from evogan.engine import Event, Judge
from evogan.errors import UserError
from evogan.files import write_whole
from evogan.monitor.log import numbers, without_passwords
from evogan.monitor.tally import Best, Running, Tally

EVERY = 1.0  # seconds between two writes
GPU_EVERY = 10.0  # and between two looks at the GPUs
SHOWN = 100  # running trials in the file: the longest running ones
RECENT = 200  # trials that the rate is measured over
GPU_FACTS = ("index", "utilization.gpu", "memory.used", "memory.total")


@dataclass(frozen=True, kw_only=True)
class Status:
    """Plain data, as it lies in the file.

    `state`: searching, checking, stopping, waiting (`reason` says for what), finished or stopped. `driver`: host, pid,
    and `born`, seconds after the machine's start. `spent` of `budget` are full trainings. `rate`: of these, per second.
    `eta`: seconds. `running`: the longest running trials, of `counts["running"]`.
    """

    run: str
    state: str
    reason: str
    driver: Mapping[str, Any]
    updated: str
    seconds: float
    counts: Mapping[str, int]
    failed: Mapping[str, int]
    spent: float
    budget: float
    checked: int
    checks: int
    metric: str
    best: Mapping[str, Any] | None
    rate: float | None
    eta: float | None
    running: list[Mapping[str, Any]]
    use: Mapping[str, Any]

    @property
    def ended(self) -> bool:
        return self.state in ("finished", "stopped")

    @property
    def alive(self) -> bool | None:
        """Whether its driver lives; None where that cannot be seen from this host."""
        if self.ended:
            return False
        if self.driver["host"] != socket.gethostname():
            return None
        return bool(_born(self.driver["pid"]) == self.driver["born"])

    @property
    def age(self) -> float:
        """Seconds since it was written."""
        return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(self.updated)).total_seconds())

    def as_document(self) -> dict[str, Any]:
        return asdict(self) | {"alive": self.alive, "age": self.age}


def read_status(path: Path) -> Status | None:
    """None if no driver of this run has written one. Errors: UserError for a file that is no status."""
    try:
        return Status(**json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        raise UserError(f"'{path}' is no status of a run") from None


class StatusWriter:
    """A listener that keeps the file at `path` fresh, from a thread: a trial may run in this process.

    A context manager; on leaving, the state is finished, or stopped after an error. A file that cannot be written stops
    nothing.
    """

    def __init__(self, path: Path, run: str, judge: Judge, budget: float, checks: int = 0) -> None:
        self._path, self._run, self._judge, self._budget, self._checks = path, run, judge, budget, checks
        self._driver = {"host": socket.gethostname(), "pid": os.getpid(), "born": _born(os.getpid())}
        self._tally, self._pace, self._reason = Tally(judge), _Pace(), ""
        self._gpus = _Gpus()
        self._begun = monotonic()
        self._lock, self._left = Lock(), Flag()
        self._thread = Thread(target=self._keep_fresh, name="status", daemon=True)

    def __enter__(self) -> StatusWriter:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        self._thread.join()
        self._write(replace(self.status(), state="finished" if kind is None else "stopped", eta=None, running=[]))

    def __call__(self, event: Event) -> None:
        with self._lock:
            before = self._tally.spent + self._tally.checked
            self._tally.add(event)
            if event.kind == "submitted":
                self._pace.begin()
            elif event.kind in ("evaluated", "pruned"):
                self._pace.advance(self._tally.spent + self._tally.checked - before)
            self._reason = without_passwords(event.reason) if event.trial is None else ""

    def status(self) -> Status:
        """As things stand."""
        use = self._use()
        with self._lock:
            tally, rate, now = self._tally, self._pace.rate(), monotonic()
            left = max(0.0, self._budget - tally.spent) + max(0, self._checks - tally.checked)
            return Status(
                run=self._run,
                state=tally.state,
                reason=self._reason,
                driver=self._driver,
                updated=datetime.now(UTC).isoformat(timespec="seconds"),
                seconds=now - self._begun,
                counts=_counts(tally),
                failed=dict(tally.failed),
                spent=tally.spent,
                budget=self._budget,
                checked=tally.checked,
                checks=self._checks,
                metric=self._judge.metric,
                best=_best(tally.best),
                rate=rate,
                eta=left / rate if rate else None,
                running=[self._running(trial, now) for trial in islice(tally.running.values(), SHOWN)],
                use=use,
            )

    def _running(self, running: Running, now: float) -> dict[str, Any]:
        trial = running.trial
        heard = ("kimg", "fidelity", self._judge.metric)
        return {
            "number": trial.number,
            "key": trial.key,
            "fidelity": trial.fidelity,
            "replicate": trial.replicate,
            "where": running.where,
            "seconds": now - running.since,
            "point": numbers({name: running.point[name] for name in heard if name in running.point}),
        }

    def _use(self) -> dict[str, Any]:
        memory = psutil.virtual_memory()
        return {
            "cpu": psutil.cpu_percent(),
            "memory": {"used": memory.total - memory.available, "total": memory.total},
            "gpus": self._gpus.look(),
        }

    def _keep_fresh(self) -> None:
        psutil.cpu_percent()  # it measures since its last call
        while True:
            self._write(self.status())
            if self._left.wait(EVERY):
                return

    def _write(self, status: Status) -> None:
        with suppress(OSError):  # the disk is full: the search goes on, and the next one may come through
            write_whole(self._path, json.dumps(asdict(status), allow_nan=False, indent=1).encode())


def _counts(tally: Tally) -> dict[str, int]:
    return {
        "evaluated": tally.evaluated,
        "cached": tally.cached,
        "failed": tally.failed.total(),
        "retried": tally.retried,
        "pruned": tally.pruned,
        "running": len(tally.running),
        "queued": len(tally.queued),
        "awaited": len(tally.awaited),
    }


def _best(best: Best | None) -> dict[str, Any] | None:
    return None if best is None else {"value": best.value, "key": best.key, "number": best.number}


def _born(pid: int) -> float | None:
    """When a process began, in seconds after the machine's start, which no change of the clock moves; None: it is gone.

    With its pid that names a process.
    """
    try:
        process = psutil.Process(pid)
        born: float = round(process.create_time() - psutil.boot_time(), 2)
        return None if process.status() == psutil.STATUS_ZOMBIE else born
    except psutil.NoSuchProcess:
        return None


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


class _Gpus:
    """What nvidia-smi says of this machine, now and then; nothing where there is none."""

    def __init__(self) -> None:
        self._program = shutil.which("nvidia-smi")
        self._found: list[dict[str, float | None]] = []
        self._next = 0.0

    def look(self) -> list[dict[str, float | None]]:
        if self._program is not None and monotonic() >= self._next:
            query = [self._program, f"--query-gpu={','.join(GPU_FACTS)}", "--format=csv,noheader,nounits"]
            try:
                said = subprocess.run(query, capture_output=True, text=True, timeout=EVERY * 5, check=True).stdout
                self._found = [_gpu(line) for line in said.splitlines()]
            except (OSError, subprocess.SubprocessError, ValueError):
                self._found = []
            self._next = monotonic() + GPU_EVERY
        return self._found


def _gpu(line: str) -> dict[str, float | None]:
    """A line of nvidia-smi: memory comes in MiB, and what it cannot measure as '[N/A]'."""
    index, load, used, total = (None if "[" in part else float(part) for part in line.split(","))
    return {"index": index, "load": load, "used": _bytes(used), "total": _bytes(total)}


def _bytes(mebibytes: float | None) -> float | None:
    return None if mebibytes is None else mebibytes * 2**20


# --- for people


def status_table(status: Status) -> RenderableType:
    """The same on a terminal."""
    lines = [_headline(status), _work(status), _best_line(status), _time(status), _machine(status)]
    shown = [Text(line) for line in lines if line]
    return Group(*shown, _running_table(status)) if status.running and status.alive is not False else Group(*shown)


def _headline(status: Status) -> str:
    host, pid = status.driver["host"], status.driver["pid"]
    if status.ended:
        on = f"; `evogan resume {status.run}` goes on" if status.state == "stopped" else ""
        return f"{status.run}  {status.state} after {span(status.seconds)}{on}"
    if status.alive is False:
        return f"{status.run}  its driver is gone: `evogan resume {status.run}` goes on"
    heard = "" if status.alive else f", last heard of {span(status.age)} ago"
    reason = f" ({status.reason})" if status.reason else ""
    return f"{status.run}  {status.state}{reason} for {span(status.seconds)} on {host}, process {pid}{heard}"


def _work(status: Status) -> str:
    counts = status.counts
    failed = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in status.failed.items())
    parts = [
        f"{counts['evaluated']} evaluated",
        f"{counts['cached']} cached",
        f"{counts['failed']} failed" + (f" ({failed})" if failed else ""),
        *(f"{counts[name]} {name}" for name in ("pruned", "retried", "running", "queued", "awaited") if counts[name]),
    ]
    checks = f"; {status.checked} of {status.checks} checks" if status.checks else ""
    return f"{status.spent:g} of {status.budget:g} evaluations: {', '.join(parts)}{checks}"


def _best_line(status: Status) -> str:
    if status.best is None:
        return ""
    return f"best {status.metric} {status.best['value']:.4g} (proposal {status.best['number']}, {status.best['key']})"


def _time(status: Status) -> str:
    if status.rate is None or status.eta is None:
        return ""
    hourly = 3600 * status.rate
    pace = f"{hourly:.3g}" if hourly < 100 else f"{hourly:.0f}"
    return f"{pace} evaluations an hour, about {span(status.eta)} left"


def _machine(status: Status) -> str:
    """Of the driver's machine; nothing once it is gone."""
    if status.alive is False:
        return ""
    use = status.use
    parts = [f"cpu {use['cpu']:.0f} %", f"memory {_gigabytes(use['memory'])}"]
    for gpu in use["gpus"]:
        load = "" if gpu["load"] is None else f" {gpu['load']:.0f} %,"
        parts.append(f"gpu {gpu['index']:.0f}{load} {_gigabytes(gpu)}")
    return ", ".join(parts)


def _running_table(status: Status) -> Table:
    table = Table()
    for column in ("proposal", "key", "where", "since", "kimg", "done", status.metric):
        left = column in ("key", "where")
        table.add_column(Text(column), justify="left" if left else "right", overflow="fold")
    for trial in status.running:
        point = trial["point"]
        done = point.get("fidelity")
        table.add_row(
            *(
                Text(cell)
                for cell in (
                    "check" if trial["number"] is None else str(trial["number"]),
                    trial["key"],
                    trial["where"],
                    span(trial["seconds"]),
                    _number(point.get("kimg")),
                    "" if done is None else f"{100 * done / trial['fidelity']:.0f} %",
                    _number(point.get(status.metric)),
                )
            )
        )
    more = status.counts["running"] - len(status.running)
    if more:
        table.caption = Text(f"and {more} more")
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _gigabytes(memory: Mapping[str, float | None]) -> str:
    used, total = memory["used"], memory["total"]
    return "-" if used is None or total is None else f"{used / 1e9:.1f} of {total / 1e9:.1f} GB"


def span(seconds: float) -> str:
    """'3 h 12 min', '12 min 5 s', '5 s'."""
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    left, parts = round(seconds), []
    for name, size in units:
        if left >= size:
            parts.append(f"{left // size} {name}")
            left %= size
    return " ".join(parts[:2]) or "0 s"
