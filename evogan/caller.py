"""The caller's process: what it has set in torch disturbs no training, and nobody draws from its random numbers."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import Any

HIGHEST = "highest"


class _Float32:
    """torch's default type, and how exact its products are, which are those of all threads: set by the first that
    enters, given back by the last."""

    def __init__(self) -> None:
        self._lock, self._inside, self._before = Lock(), 0, (None, "")

    def __enter__(self) -> None:
        torch: Any = sys.modules["torch"]
        with self._lock:
            if not self._inside:
                self._before = torch.get_default_dtype(), _precision(torch)
                torch.set_default_dtype(torch.float32)
                if self._before[1] != HIGHEST:
                    torch.set_float32_matmul_precision(HIGHEST)
            self._inside += 1

    def __exit__(self, *raised: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                torch: Any = sys.modules["torch"]
                dtype, precision = self._before
                torch.set_default_dtype(dtype)
                if precision != HIGHEST:
                    torch.set_float32_matmul_precision(precision)


def _precision(torch: Any) -> str:
    """Of products in float32; the highest, too, where it is set for each backend apart, which torch does not tell."""
    try:
        return str(torch.get_float32_matmul_precision())
    except RuntimeError:
        return HIGHEST


_FLOAT32 = _Float32()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Inside, torch computes as where nothing was set: in exact float32, on the CPU, with gradients, without autocast.

    A script that has set its own defaults would get other images, and other trainings under the same key.
    """
    torch: Any = sys.modules.get("torch")
    if torch is None:  # nobody has
        yield
        return
    with ExitStack() as stack:
        stack.enter_context(_FLOAT32)
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        yield


@contextmanager
def undrawn() -> Iterator[None]:
    """Python's own generator ends as it was: what imports rich or scikit-learn draws from it."""
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)
