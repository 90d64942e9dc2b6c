"""Trials on Ray: worker processes on one machine or many, packed, watched, and replaced when they are lost."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from itertools import count
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Literal

import ray
from ray.exceptions import OutOfMemoryError, RayTaskError

from evogan.engine.executors import cluster
from evogan.engine.executors.base import Evaluate, Lost, Report, Watch
from evogan.engine.executors.forecast import Forecast
from evogan.engine.executors.fused import Bundle, parts
from evogan.engine.executors.placement import ALONE, Device, Placement
from evogan.engine.executors.resources import Resources
from evogan.engine.executors.worker import Home, News, Offer, Worker
from evogan.errors import UserError
from evogan.genome import Genome
from evogan.trial import Evaluation, GANTask, Limits, Trial

POLL = 5.0  # seconds between looks at which nodes there are
PAUSE = 1.0  # seconds between two news of a worker, at least
SETTLE = 30.0  # seconds that the first workers have to get ready, where the largest device is asked for
STILLBORN = 3  # workers in a row that may die before they are ready, while none is
NODE, GPU = 0.9, 0.95  # share of their memory that trials may have
CONTEXT = 0.6e9  # bytes of a GPU that a process takes before it has allocated anything

Kind = Literal["ready", "ran", "news"]


@dataclass(eq=False)
class _Job:
    """A trial under way. `sign`: when it was last heard of; `heard`: points. `memory`: what it has of its device."""

    trial: Trial
    work: float
    number: int = -1
    losses: int = 0
    alone: bool = False
    began: float = 0.0
    sign: float = 0.0
    heard: int = 0
    memory: float = math.inf
    stopped: bool = False


@dataclass(eq=False)
class _Worker:
    actor: Any
    home: Home | None = None  # None: it is not ready yet
    job: _Job | None = None


class RayExecutor:
    """Workers on a Ray cluster; `evaluate` goes into the object store once, and with it the data it holds.

    A cluster is joined or started by the first trial and left or stopped by `close`. Whatever happens arrives in one
    queue, put there by Ray's own threads; only the thread that submits and waits acts on it.
    """

    def __init__(self, evaluate: Evaluate, resources: Resources) -> None:
        self._evaluate, self._resources = evaluate, resources
        self._packed = resources.gpus_per_trial == "auto"
        self._forecast = Forecast("gpu_memory" if resources.gpus_per_trial else "memory")
        self._cluster: cluster.Cluster | None = None
        self._placement: Placement[_Job, _Worker] = Placement()
        self._workers: set[_Worker] = set()
        self._devices: dict[str, Device] = {}
        self._room: dict[str, int] = {}
        self._numbers = count()
        self._stillborn = self._unfit = 0
        self._happenings: SimpleQueue[tuple[_Worker, Kind, Future[Any]]] = SimpleQueue()
        self._reports: deque[tuple[Report, _Worker | None]] = deque()
        self._finished: deque[tuple[Trial, Evaluation]] = deque()
        self._ends: list[tuple[float, int, _Worker, _Job]] = []  # when to look whether a trial has had its time
        self._next_poll = self._settled = math.inf

    def learn(self, history: Sequence[tuple[Genome, Mapping[str, float]]]) -> None:
        """Genomes and what they cost, for predictions."""
        for genome, cost in history:
            self._forecast.learn(genome, cost.get("kimg", 1.0), cost)

    # --- the protocol

    def limits(self) -> Limits:
        """Waits for the first workers: only they know the memory of their devices."""
        self._start()
        while not self._devices or (monotonic() < self._settled and any(w.home is None for w in self._workers)):
            self._hear_within(1.0)
        return Limits(self._time_limit, max(device.memory for device in self._devices.values()))

    def submit(self, trial: Trial) -> None:
        self._start()
        self._add(_Job(trial, _work(trial)))
        self._place()

    def wait(self, watch: Watch, timeout: float | None = None) -> tuple[Trial, Evaluation] | None:
        end = math.inf if timeout is None else monotonic() + timeout
        while True:
            self._tell_all(watch)
            if self._finished:  # whoever waits may have a reason to take back what would start now
                return self._finished.popleft()
            self._place()
            self._tell_all(watch)
            if monotonic() >= end:
                return None
            self._hear_within(end - monotonic())

    def withdraw(self) -> list[Trial]:
        return [job.trial for job in self._placement.withdraw()]

    def close(self) -> None:
        """Stops what runs at once."""
        if self._cluster is None:
            return
        if self._cluster.lost is None:
            for worker in self._workers:
                ray.kill(worker.actor)
        self._workers.clear()
        cluster.leave(self._cluster)
        self._cluster = None

    # --- workers

    def _start(self) -> None:
        """Takes seconds: a run that finds everything in the store never gets here."""
        if self._cluster is not None:
            return
        self._cluster = cluster.connect(self._resources)
        nodes = list(self._cluster.nodes().values())
        self._share = cluster.gpu_share(self._resources, nodes)
        try:
            cluster.check(self._resources, self._share, nodes)
        except UserError:
            self.close()
            raise
        self._settled = monotonic() + SETTLE
        remote: Any = ray.remote
        options = cluster.worker_options(self._resources, self._share)
        self._actor = remote(**options, concurrency_groups={"news": 1, "stop": 1})(Worker)
        self._shared = ray.put(self._evaluate)
        self._look_around()

    def _look_around(self) -> None:
        """See which nodes there are, and have as many workers as wanted."""
        assert self._cluster is not None
        if (lost := self._cluster.lost) is not None:
            raise Lost(f"the Ray cluster is lost: {lost} has ended; what was recorded is kept, a resume goes on")
        self._next_poll = monotonic() + POLL
        nodes = self._cluster.nodes()
        self._room = {name: cluster.room(self._resources, self._share, node) for name, node in nodes.items()}
        self._devices = {name: device for name, device in self._devices.items() if name.split()[0] in nodes}
        wanted = self._resources.workers or sum(self._room.values())
        for _ in range(wanted - self._unfit - len(self._workers)):
            self._hire()

    def _hire(self) -> None:
        """A worker more, as soon as Ray has room for it. No trial waits for it in particular."""
        pause = min(PAUSE, (self._resources.stall_limit or math.inf) / 4)
        worker = _Worker(self._actor.remote(self._resources.threads, pause))
        self._workers.add(worker)
        self._listen(worker, "ready", worker.actor.load.remote(self._shared))

    def _listen(self, worker: _Worker, kind: Kind, reference: Any) -> None:
        reference.future().add_done_callback(lambda future: self._happenings.put((worker, kind, future)))

    def _ask_for_news(self, worker: _Worker) -> None:
        """There is always one question open: it is also how the end of an idle worker is noticed."""
        self._listen(worker, "news", worker.actor.news.remote())

    def _dismiss(self, worker: _Worker) -> None:
        """Ray ends the process, if need be by force, and counts its share as free when it is gone."""
        self._workers.discard(worker)
        if worker.home is not None:
            self._placement.lost(worker)
        ray.kill(worker.actor)

    # --- what happens

    def _hear_within(self, seconds: float) -> None:
        """The next thing that happens, if it does by then; and whatever is due."""
        due = min(self._next_poll, self._ends[0][0] if self._ends else math.inf)
        seconds = max(0.0, min(seconds, due - monotonic()))
        began = monotonic()
        try:
            worker, kind, future = self._happenings.get(timeout=seconds if seconds < math.inf else None)
        except Empty:
            pass
        else:
            if worker in self._workers:
                self._hear(worker, kind, future)
        self._excuse(monotonic() - began - seconds)
        self._end_overdue()
        if monotonic() >= self._next_poll:
            self._look_around()

    def _hear(self, worker: _Worker, kind: Kind, future: Future[Any]) -> None:
        error = future.exception()
        if kind == "ready":
            self._ready(worker, future) if error is None else self._not_ready(worker, error)
        elif error is not None and not (kind == "ran" and isinstance(error, RayTaskError)):
            self._lost(worker, error)
        elif kind == "news":
            self._news(worker, future.result())
        elif error is not None:  # of what it made: it cannot be sent
            self._ran(worker, Evaluation(status="crashed", reason=_one_line(error)), [])
        else:
            self._ran(worker, *future.result())

    def _ready(self, worker: _Worker, future: Future[Home]) -> None:
        home = worker.home = future.result()
        self._stillborn = 0
        if home.gpus:
            device = Device(f"{home.node} gpu {' '.join(home.gpus)}", GPU * home.gpu_memory)
        else:
            device = Device(home.node, NODE * home.memory)
        device = self._devices.setdefault(device.name, device)
        self._placement.join(worker, device)
        self._ask_for_news(worker)

    def _not_ready(self, worker: _Worker, error: BaseException) -> None:
        """It cannot load what it is to evaluate, or died over it."""
        self._dismiss(worker)
        none_ready = all(other.home is None for other in self._workers)
        if isinstance(error, RayTaskError):
            self._unfit += 1
            if none_ready:
                raise UserError(f"a worker cannot load what it is to evaluate: {_one_line(error)}")
            return
        self._stillborn += 1
        if none_ready and self._stillborn >= STILLBORN:
            raise UserError(f"workers die before they are ready: {_one_line(error)}")
        self._look_around()

    def _lost(self, worker: _Worker, error: BaseException) -> None:
        job = worker.job
        self._dismiss(worker)
        if job is not None and isinstance(error, MemoryError | OutOfMemoryError):
            had = f"more than the {job.memory / 1e9:.1f} GB that it had"
            self._out_of_memory(job, Evaluation(status="out_of_memory", reason=had))
        elif job is not None:
            job.losses += 1
            times = f"{job.losses} times" if job.losses > 1 else "once"
            if job.losses <= self._resources.retries:
                self._again(job, "its worker was lost")
            else:
                self._finish(job, Evaluation(status="crashed", reason=f"worker lost {times}"))
        self._look_around()

    def _news(self, worker: _Worker, news: News) -> None:
        self._ask_for_news(worker)
        job = worker.job
        if job is not None and news.number == job.number:
            job.sign = monotonic()
            job.heard += len(news.points)
            self._reports += [(Report("progress", job.trial, point=point), worker) for point in news.points]
        if news.exceeded is not None:
            self._lost(worker, MemoryError())

    def _ran(self, worker: _Worker, evaluation: Evaluation, points: list[Mapping[str, float]]) -> None:
        job, worker.job = worker.job, None
        assert job is not None and worker.home is not None
        self._reports += [(Report("progress", job.trial, point=point), None) for point in points[job.heard :]]
        crashed = any(found.status == "crashed" for _, found in parts(job.trial, evaluation))
        if worker.home.gpus and crashed:  # CUDA may be of no use any more in that process
            self._dismiss(worker)
            self._look_around()
        else:
            self._placement.free(worker)
        if evaluation.failure == "out_of_memory":
            self._out_of_memory(job, evaluation)
        else:
            self._finish(job, evaluation)

    # --- trials

    def _add(self, job: _Job, *, first: bool = False) -> None:
        predicted = self._forecast.predict(job.trial.genome, job.work)
        memory = 0.0
        if job.alone or (self._packed and (predicted.memory is None or isinstance(job.trial, Bundle))):
            memory = ALONE
        elif self._packed and predicted.memory is not None:
            memory = predicted.memory + CONTEXT
        self._placement.add(job, math.inf if first else predicted.seconds, memory)

    def _place(self) -> None:
        while (placed := self._placement.place()) is not None:
            self._run(*placed)

    def _run(self, job: _Job, worker: _Worker) -> None:
        assert worker.home is not None
        offer = self._offer(job, worker.home)
        worker.job, job.number, job.heard, job.stopped = job, next(self._numbers), 0, False
        job.began = job.sign = monotonic()
        self._listen(worker, "ran", worker.actor.run.remote(job.number, job.trial, offer))
        self._reports.append((Report("started", job.trial, where=str(worker.home)), None))
        self._look_later(worker, job)

    def _offer(self, job: _Job, home: Home) -> Offer:
        """Alone on a device it has all; else its share, or where trials are packed what is there."""
        workers = sum(w.home is not None and w.home.node == home.node for w in self._workers)
        planned = min(self._room.get(home.node, 1), self._resources.workers or math.inf)
        whole = NODE * home.memory
        memory = whole if job.alone else self._resources.memory_per_trial or whole / max(workers, planned)
        if home.gpus:
            gpu = 1.0 if job.alone or self._packed else min(1.0, self._share)
            job.memory = gpu * GPU * home.gpu_memory
            return Offer(memory, gpu)
        job.memory = memory
        return Offer(memory)

    def _out_of_memory(self, job: _Job, evaluation: Evaluation) -> None:
        """Once more with all the memory there is, unless it had that."""
        largest = max((device.memory for device in self._devices.values()), default=math.inf)
        alone = job.alone or (self._packed and isinstance(job.trial, Bundle))
        if not alone and (self._packed or job.memory < largest):
            job.alone = True
            self._again(job, "out of memory; once more, alone on a whole device")
        elif evaluation.status == "out_of_memory":
            self._finish(job, replace(evaluation, limits=Limits(memory=job.memory)))
        else:
            self._finish(job, evaluation)

    def _again(self, job: _Job, why: str) -> None:
        self._reports.append((Report("retried", job.trial, reason=why), None))
        self._add(job, first=True)

    def _finish(self, job: _Job, evaluation: Evaluation) -> None:
        for trial, found in parts(job.trial, evaluation):
            if found.status == "completed":
                self._forecast.learn(trial.genome, found.cost.get("kimg") or job.work, found.cost)
        self._finished.append((job.trial, evaluation))

    def _tell_all(self, watch: Watch) -> None:
        while self._reports:
            self._tell(watch, *self._reports.popleft())

    def _tell(self, watch: Watch, report: Report, worker: _Worker | None) -> None:
        """A trial that is not wanted any longer ends with its next report."""
        unwanted = watch(report)
        job = worker.job if worker is not None else None
        if unwanted and worker is not None and job is not None and job.trial is report.trial and not job.stopped:
            job.stopped = True
            worker.actor.stop.remote(job.number)

    # --- limits of time

    @property
    def _time_limit(self) -> float:
        return self._resources.time_limit or math.inf

    def _end_of(self, job: _Job) -> float:
        return min(job.began + self._time_limit, job.sign + (self._resources.stall_limit or math.inf))

    def _look_later(self, worker: _Worker, job: _Job) -> None:
        end = self._end_of(job)
        if end < math.inf:
            heapq.heappush(self._ends, (end, next(self._numbers), worker, job))

    def _excuse(self, late: float) -> None:
        """This process was suspended: no trial has had that time, nor could be heard in it."""
        if late > PAUSE:
            for worker in self._workers:
                if worker.job is not None:
                    worker.job.began += late
                    worker.job.sign += late

    def _end_overdue(self) -> None:
        while self._ends and self._ends[0][0] <= monotonic():
            _, _, worker, job = heapq.heappop(self._ends)
            if worker.job is not job or worker not in self._workers:
                continue
            if self._end_of(job) > monotonic():
                self._look_later(worker, job)
                continue
            seconds = monotonic() - job.began
            reason = f"no end after {self._time_limit:g} s"
            if seconds < self._time_limit:
                reason = f"no sign of life for {self._resources.stall_limit:g} s"
            self._dismiss(worker)
            limits = Limits(seconds=self._time_limit)
            self._finish(job, Evaluation(status="timed_out", reason=reason, cost={"seconds": seconds}, limits=limits))
            self._look_around()


def _work(trial: Trial) -> float:
    """How much there is to train, in kimg where that is known."""
    done = trial.earlier.fidelity if trial.earlier is not None and trial.earlier.fidelity is not None else 0.0
    full = trial.task.kimg if isinstance(trial.task, GANTask) else 1.0
    return max(trial.fidelity - done, 0.01) * full


def _one_line(error: BaseException) -> str:
    cause = error.cause if isinstance(error, RayTaskError) else error
    lines = str(cause).strip().splitlines() or [""]
    return f"{type(cause).__name__}: {lines[0]}"
