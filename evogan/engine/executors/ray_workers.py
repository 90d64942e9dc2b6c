"""The worker processes on a Ray cluster: started where there is room, replaced when they are lost, and listened to."""

from __future__ import annotations

import math
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Literal, NamedTuple

import ray
from ray.exceptions import RayTaskError

from evogan.engine.executors import cluster
from evogan.engine.executors.base import Evaluate, Lost
from evogan.engine.executors.placement import Device
from evogan.engine.executors.worker import Location, Worker
from evogan.errors import UserError
from evogan.settings.resources import Resources
from evogan.trial import Trial

POLL = 5.0  # seconds between looks at which nodes there are
PAUSE = 1.0  # seconds between two news of a worker, at least
SETTLE = 30.0  # seconds that the first workers have to get ready, where the largest device is asked for
FAILED_STARTS = 3  # workers in a row that may die before they are ready, while none is
NODE, GPU = 0.9, 0.95  # share of their memory that trials may have


@dataclass(eq=False)
class Job:
    """A trial under way. `share` of the task's budget: what is to be trained. `sign`: when it was last heard of;
    `heard`: points. `memory`: what it has of its device."""

    trial: Trial
    share: float
    number: int = -1
    losses: int = 0
    alone: bool = False
    began: float = 0.0
    sign: float = 0.0
    heard: int = 0
    memory: float = math.inf
    stopped: bool = False


@dataclass(eq=False)
class RayWorker:
    actor: Any
    location: Location | None = None  # None: it is not ready yet
    job: Job | None = None


class Event(NamedTuple):
    """What a worker answers: that it is `ready`, what it `ran`, or `news` of what it runs."""

    worker: RayWorker
    kind: Literal["ready", "ran", "news"]
    answer: Future[Any]


class RayWorkers:
    """As many as wanted, or as there is room for. `evaluate` is shared among them, with the data it holds.

    The cluster is joined or started by `start`, and left or stopped by `close`. Events are put into one queue by Ray's
    own threads; only the thread that takes them out acts on them.
    """

    def __init__(self, evaluate: Evaluate, resources: Resources) -> None:
        self._evaluate, self._resources = evaluate, resources
        self.all: set[RayWorker] = set()
        self.devices: dict[str, Device] = {}
        self.share = 0.0  # of a GPU, that each has
        self.next_refresh = self._settled = math.inf
        self.events: SimpleQueue[Event] = SimpleQueue()
        self._cluster: cluster.Cluster | None = None
        self._room: dict[str, int] = {}
        self._failed_starts = self._unable = 0

    def start(self) -> None:
        """Takes seconds: a run that finds everything in the store never gets here."""
        if self._cluster is not None:
            return
        self._cluster = cluster.connect(self._resources)
        nodes = list(self._cluster.nodes().values())
        self.share = cluster.gpu_share(self._resources, nodes)
        try:
            cluster.check(self._resources, self.share, nodes)
        except UserError:
            self.close()
            raise
        self._settled = monotonic() + SETTLE
        remote: Any = ray.remote
        options = cluster.worker_options(self._resources, self.share)
        self._actor = remote(**options, concurrency_groups={"news": 1, "stop": 1})(Worker)
        self._shared = self._cluster.share(self._evaluate)
        self.refresh()

    def close(self) -> None:
        """Stops what runs at once."""
        if self._cluster is None:
            return
        if self._cluster.lost is None and ray.is_initialized():  # else Ray would start one of its own
            for worker in self.all:
                ray.kill(worker.actor)
        self.all.clear()
        cluster.leave(self._cluster)
        self._cluster = None

    def refresh(self) -> None:
        """See which nodes there are, and have as many workers as wanted. Errors: Lost, if the cluster has ended."""
        assert self._cluster is not None
        if (lost := self._cluster.lost) is not None:
            raise Lost(f"the Ray cluster is lost: {lost} has ended; what was recorded is kept, a resume goes on")
        self.next_refresh = monotonic() + POLL
        nodes = self._cluster.nodes()
        self._room = {name: cluster.room(self._resources, self.share, node) for name, node in nodes.items()}
        self.devices = {name: device for name, device in self.devices.items() if name.split()[0] in nodes}
        wanted = self._resources.workers or sum(self._room.values())
        for _ in range(wanted - self._unable - len(self.all)):
            self._add()

    def _add(self) -> None:
        """A worker more, as soon as Ray has room for it. No trial waits for it in particular."""
        pause = min(PAUSE, (self._resources.stall_limit or math.inf) / 4)
        worker = RayWorker(self._actor.remote(self._resources.threads, pause))
        self.all.add(worker)
        self.listen(worker, "ready", worker.actor.load.remote(self._shared))

    def remove(self, worker: RayWorker) -> None:
        """Ray ends the process, if need be by force, and counts its share as free when it is gone."""
        self.all.discard(worker)
        if ray.is_initialized():
            ray.kill(worker.actor)

    def listen(self, worker: RayWorker, kind: Literal["ready", "ran", "news"], reference: Any) -> None:
        reference.future().add_done_callback(lambda answer: self.events.put(Event(worker, kind, answer)))

    def ask_for_news(self, worker: RayWorker) -> None:
        """There is always one question open: it is also how the end of an idle worker is noticed."""
        self.listen(worker, "news", worker.actor.news.remote())

    def next_event(self, seconds: float) -> Event | None:
        """The next thing that happens, if it does by then, to a worker that is still there."""
        end = monotonic() + seconds
        while True:
            try:
                event = self.events.get(timeout=max(0.0, end - monotonic()) if end < math.inf else None)
            except Empty:
                return None
            if event.worker in self.all:
                return event

    def ready(self, worker: RayWorker, location: Location) -> Device:
        """It has loaded what it is to evaluate; the device that it shares with others."""
        worker.location, self._failed_starts = location, 0
        if location.gpus:
            device = Device(f"{location.node} gpu {' '.join(location.gpus)}", GPU * location.gpu_memory)
        else:
            device = Device(location.node, NODE * location.memory)
        self.ask_for_news(worker)
        return self.devices.setdefault(device.name, device)

    def not_ready(self, worker: RayWorker, error: BaseException) -> None:
        """It cannot load what it is to evaluate, or died over it. Errors: UserError, if none can."""
        self.remove(worker)
        none_ready = all(other.location is None for other in self.all)
        if isinstance(error, RayTaskError):
            self._unable += 1
            if none_ready:
                raise UserError(f"a worker cannot load what it is to evaluate: {in_a_line(error)}")
            return
        self._failed_starts += 1
        if none_ready and self._failed_starts >= FAILED_STARTS:
            raise UserError(f"workers die before they are ready: {in_a_line(error)}")
        self.refresh()

    @property
    def settled(self) -> bool:
        """Whether the devices are known, as far as waiting for them is worth it."""
        late = monotonic() >= self._settled
        return bool(self.devices) and (late or all(worker.location is not None for worker in self.all))

    def beside(self, location: Location) -> int:
        """Workers that share a node, those that are still to come included."""
        there = sum(worker.location is not None and worker.location.node == location.node for worker in self.all)
        planned = min(self._room.get(location.node, 1), self._resources.workers or math.inf)
        return max(there, int(planned))


def in_a_line(error: BaseException) -> str:
    cause = error.cause if isinstance(error, RayTaskError) else error
    lines = str(cause).strip().splitlines() or [""]
    return f"{type(cause).__name__}: {lines[0]}"
