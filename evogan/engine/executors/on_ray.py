"""Trials on Ray: worker processes on one machine or many, packed, watched, and replaced when they are lost."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from time import monotonic

from ray.exceptions import OutOfMemoryError, RayTaskError

from evogan.engine.executors.base import Evaluate, Report, Watch
from evogan.engine.executors.forecast import Forecast
from evogan.engine.executors.fused import Bundle, parts
from evogan.engine.executors.placement import ALONE, Placement
from evogan.engine.executors.ray_workers import GPU, NODE, PAUSE, Event, Job, RayWorker, RayWorkers, in_a_line
from evogan.engine.executors.worker import Location, News, Offer
from evogan.genome import Genome
from evogan.settings.resources import Resources
from evogan.trial import STALLED, Evaluation, Limits, Trial, share_of

CONTEXT = 0.6e9  # bytes of a GPU that a process takes before it has allocated anything


class RayExecutor:
    """Trials on the workers of a Ray cluster, which is joined or started by the first of them."""

    def __init__(self, evaluate: Evaluate, resources: Resources) -> None:
        self._resources = resources
        self._packed = resources.gpus_per_trial == "auto"
        self._forecast = Forecast("gpu_memory" if resources.gpus_per_trial else "memory")
        self._workers = RayWorkers(evaluate, resources)
        self._placement: Placement[Job, RayWorker] = Placement()
        self._numbers = count()
        self._reports: deque[tuple[Report, RayWorker | None]] = deque()
        self._finished: deque[tuple[Trial, Evaluation]] = deque()
        self._deadlines: list[tuple[float, int, RayWorker, Job]] = []  # when a trial may have had its time

    def learn(self, history: Sequence[tuple[Genome, float, Mapping[str, float]]]) -> None:
        """Genomes, the share of the budget that was trained, and what that cost: for predictions."""
        for genome, share, cost in history:
            self._forecast.learn(genome, share, cost)

    # --- the protocol

    def start(self) -> None:
        """Before a trial is there; does not wait until workers are ready."""
        self._workers.start()

    def limits(self) -> Limits:
        """Waits for the first workers: only they know the memory of their devices."""
        self._workers.start()
        while not self._workers.settled:
            self._advance(1.0)
        memory = max(device.memory for device in self._workers.devices.values())
        return Limits(self._time_limit, memory, self._stall_limit)

    def submit(self, trial: Trial) -> None:
        self._workers.start()
        self._queue(Job(trial, _share(trial)))
        self._place()

    def wait(self, watch: Watch, timeout: float | None = None) -> tuple[Trial, Evaluation] | None:
        end = math.inf if timeout is None else monotonic() + timeout
        while True:
            self._report(watch)
            if self._finished:  # whoever waits may have a reason to take back what would start now
                return self._finished.popleft()
            self._place()
            self._report(watch)
            if monotonic() >= end:
                return None
            self._advance(end - monotonic())

    def withdraw(self) -> list[Trial]:
        return [job.trial for job in self._placement.withdraw()]

    def close(self) -> None:
        """Stops what runs at once."""
        self._workers.close()

    # --- events

    def _advance(self, seconds: float) -> None:
        """Handle the next event, if there is one by then, all that came while this process was busy, and what is due:
        nothing is overdue whose end, or sign of life, has only not been heard."""
        due = min(self._workers.next_refresh, self._deadlines[0][0] if self._deadlines else math.inf)
        seconds = max(0.0, min(seconds, due - monotonic()))
        began = monotonic()
        event = self._workers.next_event(seconds)
        self._extend_deadlines(monotonic() - began - seconds)
        while event is not None:
            self._handle(event)
            event = self._workers.next_event(0.0)
        self._end_overdue()
        if monotonic() >= self._workers.next_refresh:
            self._workers.refresh()

    def _handle(self, event: Event) -> None:
        worker, kind, answer = event
        error = answer.exception()
        if kind == "ready" and error is None:
            self._placement.join(worker, self._workers.ready(worker, answer.result()))
        elif kind == "ready" and error is not None:
            self._workers.not_ready(worker, error)
        elif error is not None and not (kind == "ran" and isinstance(error, RayTaskError)):
            self._on_lost(worker, error)
        elif kind == "news":
            self._on_news(worker, answer.result())
        elif error is not None:  # of what it made: it cannot be sent
            self._on_ran(worker, Evaluation(status="crashed", reason=in_a_line(error)), [])
        else:
            self._on_ran(worker, *answer.result())

    def _on_lost(self, worker: RayWorker, error: BaseException) -> None:
        job = worker.job
        self._remove(worker)
        if job is not None and isinstance(error, MemoryError | OutOfMemoryError):
            had = f"more than the {job.memory / 1e9:.1f} GB that it had"
            self._out_of_memory(job, Evaluation(status="out_of_memory", reason=had))
        elif job is not None:
            job.losses += 1
            times = f"{job.losses} times" if job.losses > 1 else "once"
            if job.losses <= self._resources.retries:
                self._retry(job, "its worker was lost")
            else:
                self._finish(job, Evaluation(status="crashed", reason=f"worker lost {times}"))
        self._workers.refresh()

    def _on_news(self, worker: RayWorker, news: News) -> None:
        self._workers.ask_for_news(worker)
        job = worker.job
        of_this = job is not None and news.number == job.number
        if job is not None and of_this:
            job.sign = monotonic()
            job.heard += len(news.points)
            self._reports += [
                (Report("progress", job.trial, point=point, grid=news.grids.get(place, b"")), worker)
                for place, point in enumerate(news.points)
            ]
        if news.exceeded is not None:
            self._on_lost(worker, MemoryError() if of_this else ChildProcessError())  # it was the one before

    def _on_ran(self, worker: RayWorker, evaluation: Evaluation, points: list[Mapping[str, float]]) -> None:
        job, worker.job = worker.job, None
        assert job is not None and worker.location is not None
        self._reports += [(Report("progress", job.trial, point=point), None) for point in points[job.heard :]]
        failures = {found.failure for _, found in parts(job.trial, evaluation)}
        # oneDNN may be of no use any more in that process, or CUDA
        if "out_of_memory" in failures or (worker.location.gpus and "crashed" in failures):
            self._remove(worker)
            self._workers.refresh()
        else:
            self._placement.free(worker)
        if evaluation.failure == "out_of_memory":
            self._out_of_memory(job, evaluation)
        else:
            self._finish(job, evaluation)

    def _remove(self, worker: RayWorker) -> None:
        if worker.location is not None:
            self._placement.lost(worker)
        self._workers.remove(worker)

    # --- trials

    def _queue(self, job: Job, *, first: bool = False) -> None:
        predicted = self._forecast.predict(job.trial.genome, job.share)
        memory = 0.0
        if job.alone or (self._packed and (predicted.memory is None or isinstance(job.trial, Bundle))):
            memory = ALONE
        elif self._packed and predicted.memory is not None:
            memory = predicted.memory + CONTEXT
        self._placement.add(job, math.inf if first else predicted.seconds, memory)

    def _place(self) -> None:
        while (placed := self._placement.place()) is not None:
            self._run(*placed)

    def _run(self, job: Job, worker: RayWorker) -> None:
        assert worker.location is not None
        offer = self._offer(job, worker.location)
        worker.job, job.number, job.heard, job.stopped = job, next(self._numbers), 0, False
        job.began = job.sign = monotonic()
        self._workers.listen(worker, "ran", worker.actor.run.remote(job.number, job.trial, offer))
        self._reports.append((Report("started", job.trial, where=str(worker.location)), None))
        self._set_deadline(worker, job)

    def _offer(self, job: Job, location: Location) -> Offer:
        """Alone on a device it has all; else its share, or where trials are packed what is there."""
        whole = NODE * location.memory
        memory = whole if job.alone else self._resources.memory or whole / self._workers.beside(location)
        if location.gpus:
            gpu = 1.0 if job.alone or self._packed else min(1.0, self._workers.share)
            job.memory = gpu * GPU * location.gpu_memory
            return Offer(memory, gpu)
        job.memory = memory
        return Offer(memory)

    def _out_of_memory(self, job: Job, evaluation: Evaluation) -> None:
        """Once more with all the memory there is, unless it had that."""
        largest = max((device.memory for device in self._workers.devices.values()), default=math.inf)
        alone = job.alone or (self._packed and isinstance(job.trial, Bundle))
        if not alone and (self._packed or job.memory < largest):
            job.alone = True
            self._retry(job, "out of memory; once more, alone on a whole device")
        elif evaluation.status == "out_of_memory":
            self._finish(job, replace(evaluation, limits=Limits(memory=job.memory)))
        else:
            self._finish(job, evaluation)

    def _retry(self, job: Job, why: str) -> None:
        self._reports.append((Report("retried", job.trial, reason=why), None))
        self._queue(job, first=True)

    def _finish(self, job: Job, evaluation: Evaluation) -> None:
        for trial, found in parts(job.trial, evaluation):
            if found.failure is None:
                share = share_of(found.fidelity or trial.fidelity, found.provenance)
                self._forecast.learn(trial.genome, share, found.cost)
        self._finished.append((job.trial, evaluation))

    def _report(self, watch: Watch) -> None:
        """What was heard of trials. One that is not wanted any longer ends with its next report."""
        while self._reports:
            report, worker = self._reports.popleft()
            unwanted = watch(report)
            job = worker.job if worker is not None else None
            if unwanted and worker is not None and job is not None and job.trial is report.trial and not job.stopped:
                job.stopped = True
                worker.actor.stop.remote(job.number)

    # --- limits of time

    @property
    def _time_limit(self) -> float:
        return self._resources.time_limit or math.inf

    @property
    def _stall_limit(self) -> float:
        return self._resources.stall_limit or math.inf

    def _deadline(self, job: Job) -> float:
        return min(job.began + self._time_limit, job.sign + self._stall_limit)

    def _set_deadline(self, worker: RayWorker, job: Job) -> None:
        deadline = self._deadline(job)
        if deadline < math.inf:
            heapq.heappush(self._deadlines, (deadline, next(self._numbers), worker, job))

    def _extend_deadlines(self, late: float) -> None:
        """This process was suspended: no trial has had that time, nor could be heard in it."""
        if late > PAUSE:
            for worker in self._workers.all:
                if worker.job is not None:
                    worker.job.began += late
                    worker.job.sign += late

    def _end_overdue(self) -> None:
        while self._deadlines and self._deadlines[0][0] <= monotonic():
            _, _, worker, job = heapq.heappop(self._deadlines)
            if worker.job is not job or worker not in self._workers.all:
                continue
            if self._deadline(job) > monotonic():
                self._set_deadline(worker, job)
                continue
            seconds = monotonic() - job.began
            reason, limits = f"no end after {self._time_limit:g} s", Limits(seconds=self._time_limit)
            if seconds < self._time_limit:
                reason, limits = f"{STALLED} for {self._stall_limit:g} s", Limits(stall=self._stall_limit)
            self._remove(worker)
            self._finish(job, Evaluation(status="timed_out", reason=reason, cost={"seconds": seconds}, limits=limits))
            self._workers.refresh()


def _share(trial: Trial) -> float:
    """Of the task's budget, what is to be trained."""
    done = trial.earlier.fidelity if trial.earlier is not None and trial.earlier.fidelity is not None else 0.0
    return max(trial.fidelity - done, 0.01)
