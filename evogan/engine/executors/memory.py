"""Memory of a machine and of this process, and a cap on what a trial may take of it."""

from __future__ import annotations

import math
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

import psutil

from evogan.files.processes import machine_memory


def free_memory() -> float:
    """Bytes that this process may have in all: what it has, and what nobody has."""
    mine = psutil.Process().memory_info().rss - mapped()
    return min(machine_memory(), float(psutil.virtual_memory().available + mine))


@contextmanager
def capped(memory: float) -> Iterator[None]:
    """Allocating more than `memory` bytes in all fails, as a MemoryError or what torch makes of it (Linux alone). What
    several threads do at once has the cap of the first."""
    if memory == math.inf or sys.platform != "linux":
        yield
        return
    _cap.enter(memory)
    try:
        yield
    finally:
        _cap.leave()


class _Cap:
    """That of the process, which its threads share."""

    def __init__(self) -> None:
        self._turn, self._inside = Lock(), 0

    def enter(self, memory: float) -> None:
        with self._turn:
            if self._inside == 0:
                self._before = soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
                used = psutil.Process().memory_info()
                cap = int(used.data + max(0.0, memory - used.rss + mapped()))
                limits = [limit for limit in (cap, soft, hard) if limit != resource.RLIM_INFINITY]
                resource.setrlimit(resource.RLIMIT_DATA, (min(limits), hard))
            self._inside += 1

    def leave(self) -> None:
        with self._turn:
            self._inside -= 1
            if self._inside == 0:
                resource.setrlimit(resource.RLIMIT_DATA, self._before)


_cap = _Cap()


def mapped() -> int:
    """Resident bytes of files, such as code and large data sets: all processes share them, and they make room."""
    return int(_status("RssFile") or 0)


def forget_peak() -> None:
    with suppress(OSError):  # not Linux, or not allowed: the peak is then that of the process so far
        Path("/proc/self/clear_refs").write_text("5")


def peak() -> float:
    """The most resident memory in bytes."""
    known = _status("VmHWM")
    if known is not None:
        return known
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))


def _status(name: str) -> float | None:
    """Bytes, by Linux."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((1024.0 * int(line.split()[1]) for line in lines if line.startswith(name)), None)
