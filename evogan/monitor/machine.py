"""The machine of a driver: which of its processes lives, and how busy it is."""

from __future__ import annotations

import shutil
import subprocess
from time import monotonic

import psutil
from pydantic import FiniteFloat
from typing_extensions import TypedDict  # pydantic's for Python 3.11

GPU_EVERY, GPU_PATIENCE = 10.0, 5.0  # seconds between two looks at the GPUs, and for one
GPU_FACTS = ("index", "utilization.gpu", "memory.used", "memory.total")


class Memory(TypedDict):
    used: FiniteFloat | None
    total: FiniteFloat | None


class GPU(Memory):
    index: FiniteFloat
    load: FiniteFloat | None


class Use(TypedDict):
    cpu: FiniteFloat
    memory: Memory
    gpus: list[GPU]


class Machine:
    """Its load: CPU in percent, memory and GPUs in bytes."""

    def __init__(self) -> None:
        self._gpus = Gpus()
        psutil.cpu_percent()  # it measures since its last call

    def use(self) -> Use:
        memory = psutil.virtual_memory()
        return {
            "cpu": psutil.cpu_percent(),
            "memory": {"used": memory.total - memory.available, "total": memory.total},
            "gpus": self._gpus.look(),
        }


class Gpus:
    """What nvidia-smi says of this machine, now and then; nothing where there is none."""

    def __init__(self) -> None:
        self._program = shutil.which("nvidia-smi")
        self._found: list[GPU] = []
        self._next = 0.0

    def look(self) -> list[GPU]:
        if self._program is not None and monotonic() >= self._next:
            query = [self._program, f"--query-gpu={','.join(GPU_FACTS)}", "--format=csv,noheader,nounits"]
            try:
                said = subprocess.run(query, capture_output=True, text=True, timeout=GPU_PATIENCE, check=True).stdout
                self._found = [gpu(line) for line in said.splitlines()]
            except (OSError, subprocess.SubprocessError, ValueError):
                self._found = []
            self._next = monotonic() + GPU_EVERY
        return self._found


def gpu(line: str) -> GPU:
    """A line of nvidia-smi: memory comes in MiB, and what it cannot measure as '[N/A]'."""
    index, load, used, total = (None if "[" in part else float(part) for part in line.split(","))
    return {"index": index or 0.0, "load": load, "used": _bytes(used), "total": _bytes(total)}


def _bytes(mebibytes: float | None) -> float | None:
    return None if mebibytes is None else mebibytes * 2**20
