"""The machine, and its processes, told from all others that there are or were."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from functools import cache
from pathlib import Path


@cache
def machine() -> str:
    """Where process numbers mean the same: a machine since it was booted; in it, a container."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    return " ".join([*parts, namespace()])


@cache
def namespace() -> str:
    """Of process numbers, on a machine; containers have their own, if not always a name of their own."""
    with suppress(OSError):
        return os.readlink("/proc/self/ns/pid")
    return ""


def cores() -> int:
    """Of this machine, those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine_memory() -> float:
    """Bytes of the machine, or of the container."""
    import psutil  # not everywhere that GANs are trained

    memory = psutil.virtual_memory().total
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        if Path(path).is_file() and (limit := Path(path).read_text().strip()).isdigit():
            memory = min(memory, int(limit))
    return float(memory)


def born(pid: int) -> float | None:
    """When a process began, in seconds after the machine's start, which no change of the clock moves; None: it is gone.

    With its pid that names a process.
    """
    import psutil

    try:
        process = psutil.Process(pid)
        after: float = round(process.create_time() - psutil.boot_time(), 2)
        return None if process.status() == psutil.STATUS_ZOMBIE else after
    except psutil.NoSuchProcess:
        return None
