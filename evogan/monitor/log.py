"""The structured log: JSON lines, one an event."""

from __future__ import annotations

import fcntl
import json
import math
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from evogan.engine import Event, Judge
from evogan.errors import UserError, unknown, without_passwords

LEVELS = ("debug", "info", "warning")
_KINDS = {
    "progress": "debug",
    "told": "debug",
    "retried": "warning",
    "pruned": "warning",
    "stopping": "warning",
    "waiting": "warning",
}


class Log:
    """A listener that appends to the file at `path`, from `level` on; several processes may share one.

    A line goes out in one write, so that a kill leaves whole lines. A log that cannot be written stops nothing: when
    it can again, a line says how many were lost. What is no finite number is null.
    Errors: UserError for an unknown level, or a file that cannot be opened.
    """

    def __init__(self, path: Path, run: str, judge: Judge, level: str = "info") -> None:
        if level not in LEVELS:
            raise unknown("log level", level, LEVELS)
        self._run, self._judge, self._least, self._lost = run, judge, LEVELS.index(level), 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o644)
        except OSError as error:
            raise UserError(f"log '{path}': {error.strerror}") from None
        if not stat.S_ISREG(os.fstat(self._file).st_mode):
            os.close(self._file)
            raise UserError(f"log '{path}': no regular file")

    def __enter__(self) -> Log:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def __call__(self, event: Event) -> None:
        level = level_of(event)
        if LEVELS.index(level) < self._least:
            return
        if self._lost and self._write("warning", "lost", {"lines": self._lost}):
            self._lost = 0
        self._lost += not self._write(level, event.kind, facts_of(event, self._judge))

    def _write(self, level: str, name: str, facts: Mapping[str, Any]) -> bool:
        """Whether the line is there, whole."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        document = {"time": now, "level": level, "event": name, "run": self._run, **facts}
        line = json.dumps(document, allow_nan=False).encode() + b"\n"
        try:
            with _turn(self._file):
                return _append(self._file, line)
        except OSError:
            return False


@contextmanager
def _turn(file: int) -> Iterator[None]:
    """Nobody else appends; where files cannot be locked, one process to a log has to do."""
    with suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)


def _append(file: int, line: bytes) -> bool:
    """Whether the line is there; half of one, of a process that was killed or on a full disk, spoils no other."""
    size = os.fstat(file).st_size
    torn = size > 0 and os.pread(file, 1, size - 1) != b"\n"
    whole = b"\n" * torn + line
    if os.write(file, whole) == len(whole):
        return True
    os.ftruncate(file, size)
    return False


def level_of(event: Event) -> str:
    failed = event.kind == "evaluated" and event.evaluation is not None and event.evaluation.failed
    return "warning" if failed else _KINDS.get(event.kind, "info")


def facts_of(event: Event, judge: Judge) -> dict[str, Any]:
    """The event as plain JSON data; what it does not have is left out."""
    trial, evaluation, reason = event.trial, event.evaluation, event.reason
    facts: dict[str, Any] = {}
    if trial is not None:
        facts |= {"ordinal": trial.number, "key": trial.key, "task": trial.task.key}
        facts |= {"fidelity": trial.fidelity, "replicate": trial.replicate}
    if evaluation is not None:
        point, reason = judge.point(evaluation), reason or evaluation.reason
        facts |= {"status": evaluation.status, "flags": list(evaluation.flags), "reached": evaluation.fidelity}
        facts |= {"scores": numbers({name: point.get(name) for name in judge.metrics})}
        facts |= numbers({"seconds": evaluation.cost.get("seconds")})
    if event.kind in ("told", "checking"):
        facts["value"] = event.value
    if event.generation is not None:
        facts["generation"] = event.generation
    if event.where:
        facts["where"] = event.where
    if event.point:
        facts["point"] = numbers(event.point)
    if reason:
        facts["reason"] = without_passwords(reason)
    return facts


def numbers(values: Mapping[str, float | None]) -> dict[str, float | None]:
    """JSON knows no NaN."""
    return {name: None if x is None or not math.isfinite(x) else float(x) for name, x in values.items()}
