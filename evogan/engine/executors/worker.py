"""What runs in a worker process: one trial at a time, watched from inside."""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Condition, Event, Thread, current_thread, main_thread
from time import monotonic, perf_counter, sleep
from typing import Any

import psutil
import ray
from ray.util import get_node_ip_address

from evogan.engine.executors import cluster
from evogan.engine.executors.base import Evaluate, evaluate_safely
from evogan.engine.executors.memory import capped, forget_peak, mapped, peak
from evogan.errors import summary
from evogan.files.processes import machine_memory
from evogan.trial import Evaluation, Stopped, Trial

LOOK = 0.1  # seconds between looks at the memory of a trial
GRACE = 0.5  # seconds that the driver has to hear why, and to end the worker, before it ends itself

Point = Mapping[str, float]


@dataclass(frozen=True)
class Location:
    """Where a worker is. `gpus`: what Ray calls them; `memory`: bytes of the node, `gpu_memory` of those GPUs."""

    node: str
    address: str
    process: int
    gpus: tuple[str, ...]
    memory: float
    gpu_memory: float

    def __str__(self) -> str:
        gpus = f"gpu {' '.join(self.gpus)}, " if self.gpus else ""
        return f"node {self.address}, {gpus}process {self.process}"


@dataclass(frozen=True)
class Offer:
    """What a trial has on this worker: bytes of the process, and the share of its GPUs' memory."""

    memory: float
    gpu: float = 1.0


@dataclass(frozen=True)
class News:
    """Of the trial that runs: the points it reported since the last news, the grids that came with some, by their
    place, and the memory that it ends the worker by."""

    number: int
    points: tuple[Point, ...] = ()
    grids: Mapping[int, bytes] = field(default_factory=dict)
    exceeded: float | None = None


class Worker:
    """An actor whose methods are called in three threads: `load` and `run` in one, `news` and `stop` in their own."""

    def __init__(self, threads: int, pause: float) -> None:
        """`threads` of a trial; `pause`: the least seconds between two news."""
        self._threads, self._pause, self._sent = threads, pause, -pause
        self._changed = Condition()
        self._number = -1
        self._points: list[Point] = []
        self._told = 0
        self._grids: dict[int, bytes] = {}  # by the place of their points, until they are told
        self._stopped = False
        self._exceeded: float | None = None
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
        os.environ.update(dict.fromkeys(names, str(threads)))  # for what is loaded from now on
        cluster.within_worker = True
        if current_thread() is main_thread():  # Ray would end it after the trial, without a word to those who wait
            signal.signal(signal.SIGTERM, lambda *_: os._exit(1))

    def load(self, evaluate: Evaluate) -> Location:
        """Be ready. Ray has fetched `evaluate` and all it needs by then."""
        from threadpoolctl import threadpool_limits

        threadpool_limits(self._threads)  # for what is loaded already
        self._evaluate, self._location = evaluate, here()
        self._may_cap = not self._location.gpus  # CUDA maps far more than it uses
        return self._location

    def run(self, number: int, trial: Trial, offer: Offer) -> tuple[Evaluation, list[Point]]:
        """The evaluation, and all that was reported on the way."""
        with self._changed:
            self._number, self._points, self._told, self._grids, self._stopped = number, [], 0, {}, False

        def report(point: Point, grid: bytes = b"") -> None:
            with self._changed:
                if grid:
                    self._grids[len(self._points)] = grid
                self._points.append(dict(point))
                self._changed.notify_all()
                if self._stopped:
                    raise Stopped

        cuda = self._cuda()
        if cuda is not None:
            for device in range(len(self._location.gpus)):
                cuda.set_per_process_memory_fraction(min(1.0, offer.gpu), device)
                cuda.reset_peak_memory_stats(device)
        forget_peak()
        started = perf_counter()
        with self._guarded(offer.memory), capped(offer.memory if self._may_cap else math.inf):
            evaluation = self._evaluated(replace(trial, report=report))
        cost = {"seconds": perf_counter() - started} | dict(evaluation.cost) | {"memory": peak()}
        cuda = self._cuda()
        if cuda is not None:
            cost["gpu_memory"] = float(sum(map(cuda.max_memory_reserved, range(len(self._location.gpus)))))
            cuda.empty_cache()
        return replace(evaluation, cost=cost), self._points

    def _evaluated(self, trial: Trial) -> Evaluation:
        try:
            return evaluate_safely(self._evaluate, trial)
        except KeyboardInterrupt as error:  # would end the worker
            return Evaluation(status="crashed", reason=summary(error))

    @ray.method(concurrency_group="news")
    def news(self) -> News:
        """Waits until there are any, and a little for more."""
        with self._changed:
            self._changed.wait_for(lambda: self._told < len(self._points) or self._exceeded is not None)
            self._changed.wait_for(lambda: self._exceeded is not None, self._sent + self._pause - monotonic())
            points = tuple(self._points[self._told :])
            grids = {place - self._told: grid for place, grid in self._grids.items()}
            self._told, self._grids, self._sent = len(self._points), {}, monotonic()
            return News(self._number, points, grids, self._exceeded)

    @ray.method(concurrency_group="stop")
    def stop(self, number: int) -> None:
        """The trial is to end with its next report."""
        with self._changed:
            self._stopped = number == self._number

    @contextmanager
    def _guarded(self, memory: float) -> Iterator[None]:
        """Whatever gets by the cap (other kinds of memory, other processes' pages) ends the worker, not the machine."""
        done = Event()

        def watch() -> None:
            process = psutil.Process()
            while not done.wait(LOOK):
                if (used := process.memory_info().rss - mapped()) > memory:
                    with self._changed:
                        self._exceeded = float(used)
                        self._changed.notify_all()
                    sleep(GRACE)
                    os._exit(1)

        Thread(target=watch, daemon=True).start()
        try:
            yield
        finally:
            done.set()

    def _cuda(self) -> Any:
        """torch.cuda where the trial has GPUs and torch is what uses them; never imported from here."""
        cuda = getattr(sys.modules.get("torch"), "cuda", None) if self._location.gpus else None
        return cuda if cuda is not None and cuda.is_available() else None


def here() -> Location:
    """Where this process is, by Ray."""
    gpus = tuple(map(str, ray.get_gpu_ids()))
    memory = machine_memory()
    torch = sys.modules.get("torch")
    if gpus and torch is not None and torch.cuda.is_available():
        gpu_memory = sum(torch.cuda.get_device_properties(i).total_memory for i in range(torch.cuda.device_count()))
    else:  # nobody says
        gpu_memory = memory * len(gpus) / max(1, _node_gpus())
    return Location(
        ray.get_runtime_context().get_node_id(), get_node_ip_address(), os.getpid(), gpus, memory, float(gpu_memory)
    )


def _node_gpus() -> float:
    here = ray.get_runtime_context().get_node_id()
    return next((node["Resources"].get("GPU", 0.0) for node in ray.nodes() if node["NodeID"] == here), 0.0)
