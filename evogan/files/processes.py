"""Processes, told from all others that there are or were."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil


@cache
def machine() -> str:
    """Where process numbers mean the same: a machine since it was booted; in it, a container."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def cores() -> int:
    """Of this machine, those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def born(pid: int) -> float | None:
    """When a process began, in seconds after the machine's start, which no change of the clock moves; None: it is gone.

    With its pid that names a process.
    """
    try:
        process = psutil.Process(pid)
        after: float = round(process.create_time() - psutil.boot_time(), 2)
        return None if process.status() == psutil.STATUS_ZOMBIE else after
    except psutil.NoSuchProcess:
        return None
