"""The caller's process: what it has set in torch disturbs no training, and nobody draws from its random numbers."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import Any


class _Float32:
    """torch's default type, and how exact its products are, which are those of all threads: set by the first that
    enters, given back by the last."""

    def __init__(self) -> None:
        self._lock, self._inside, self._before = Lock(), 0, list[Any]()

    def __enter__(self) -> None:
        torch: Any = sys.modules["torch"]
        with self._lock:
            if not self._inside:
                products = _products(torch)
                self._before = [torch.get_default_dtype(), *(one.fp32_precision for one in products)]
                torch.set_default_dtype(torch.float32)
                for one in products:
                    one.fp32_precision = "ieee"
            self._inside += 1

    def __exit__(self, *raised: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                torch: Any = sys.modules["torch"]
                dtype, *precisions = self._before
                torch.set_default_dtype(dtype)
                for one, precision in zip(_products(torch), precisions, strict=True):
                    one.fp32_precision = precision


def _products(torch: Any) -> list[Any]:
    """Of matrices in float32, on whatever device."""
    return [torch.backends.cuda.matmul, torch.backends.mkldnn.matmul]


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
