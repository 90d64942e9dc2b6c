"""Recorded work: what a GPU is told to do, told once, and from then on repeated at a word.

A step of a stack is some thousand small kernels, and Python takes longer to name them than a GPU to run them. A CUDA
graph keeps the names. It repeats the same kernels on the same memory: the work must change its tensors in place, ask
no number of the device, and take what differs from one time to the next from the tensors it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Protocol

import torch
from torch import Tensor

AFTER = 2  # times that work is done before it is recorded: libraries set themselves up, and rare work never is
MOST = 96  # recordings; each keeps some memory on the device

Work = Callable[..., None]


class Recorder(Protocol):
    def warm_up(self, work: Callable[[], None]) -> None:
        """Do it, as it will be recorded."""

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """How to do it again. It is not done by this."""


class Graphs:
    """Does work, from a recording as soon as there is one. Without a recorder, just does it.

    `refused`: why nothing is recorded any more; "" while it works.
    """

    def __init__(self, recorder: Recorder | None) -> None:
        self._recorder = recorder
        self._done: dict[Hashable, int] = {}
        self._kept: dict[Hashable, tuple[Sequence[Tensor], Callable[[], None]]] = {}
        self.refused = ""

    @property
    def recordings(self) -> int:
        return len(self._kept)

    def do(self, key: Hashable, work: Work, given: Sequence[Tensor]) -> None:
        """`work(*given)`. Under one key it must be the same but for what is in the tensors `given`."""
        if self._recorder is None or self.refused:
            work(*given)
            return
        done = self._done[key] = self._done.get(key, 0) + 1
        if key not in self._kept and (done <= AFTER or len(self._kept) == MOST):
            self._recorder.warm_up(lambda: work(*given))
            return
        if key not in self._kept:
            own = [tensor.clone() for tensor in given]
            try:
                self._kept[key] = own, self._recorder.record(lambda: work(*own))
            except RuntimeError as error:  # too little memory is one
                self.refused = str(error).strip().partition("\n")[0] or type(error).__name__
            if self.refused:  # what was recorded makes room
                self._kept.clear()
                work(*given)
                return
        own_tensors, again = self._kept[key]
        for mine, new in zip(own_tensors, given, strict=True):
            mine.copy_(new)
        again()


class CudaGraphs:
    """They share their memory: one is not begun before another has ended, and no results are kept in it."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream(device)

    def warm_up(self, work: Callable[[], None]) -> None:
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            work()
        torch.cuda.current_stream(self._device).wait_stream(self._stream)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        before = torch.cuda.current_stream(self._device)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.device(self._device), torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
                work()
        except BaseException:
            torch.cuda.set_stream(before)  # a recording that fails does not go back to it
            raise
        return graph.replay


def graphs(device: torch.device) -> Graphs:
    return Graphs(CudaGraphs(device) if device.type == "cuda" else None)


def upload(values: Sequence[object], dtype: torch.dtype, device: torch.device) -> Tensor:
    """A tensor on the device, which is not waited for."""
    tensor = torch.tensor(values, dtype=dtype)
    return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)
