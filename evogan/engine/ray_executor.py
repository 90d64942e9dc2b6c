"""Trials on Ray: one worker process per trial at a time, the evaluator and its data shared by all."""

from __future__ import annotations

import logging
from collections import deque
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError

from evogan.engine.executor import Evaluate, evaluate_safely
from evogan.trial import Evaluation, Trial

RETRIES = 2  # of a trial whose worker was lost


class _Worker:
    def __init__(self, evaluate: Evaluate) -> None:
        self._evaluate = evaluate

    def run(self, trial: Trial) -> Evaluation:
        return evaluate_safely(self._evaluate, trial)


class RayExecutor:
    """`workers` actors on a Ray cluster: a local one is started by the first trial, and stopped by `close`.

    `evaluate` goes into the object store once, and with it the data set it holds. A lost worker is replaced
    and its trial tried again, then recorded as crashed.
    """

    def __init__(self, evaluate: Evaluate, workers: int) -> None:
        self._evaluate, self._workers = evaluate, workers
        self._own = self._started = False
        self._idle: list[Any] = []
        self._queue: deque[tuple[Trial, int]] = deque()
        self._out: dict[Any, tuple[Any, Trial, int]] = {}

    def _start(self) -> None:
        """Takes seconds: a run that finds everything in the store never gets here."""
        self._started, self._own = True, not ray.is_initialized()
        if self._own:
            ray.init(num_cpus=self._workers, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        self._shared = ray.put(self._evaluate)
        cores = int(ray.cluster_resources().get("CPU", 1))  # an actor without one would wait for ever
        self._idle = [self._new_worker() for _ in range(min(self._workers, cores))]

    def _new_worker(self) -> Any:
        return ray.remote(num_cpus=1)(_Worker).remote(self._shared)

    def submit(self, trial: Trial) -> None:
        if not self._started:
            self._start()
        self._queue.append((trial, 0))
        self._place()

    def _place(self) -> None:
        while self._idle and self._queue:
            worker, (trial, tries) = self._idle.pop(), self._queue.popleft()
            self._out[worker.run.remote(trial)] = (worker, trial, tries)

    def wait(self) -> tuple[Trial, Evaluation]:
        while True:
            (done, *_), _ = ray.wait(list(self._out))
            worker, trial, tries = self._out.pop(done)
            try:
                evaluation: Evaluation | None = ray.get(done)
            except RayActorError:
                worker, evaluation = self._new_worker(), None
            except RayError as error:
                evaluation = Evaluation(status="crashed", reason=f"{type(error).__name__}: {error}")
            self._idle.append(worker)
            if evaluation is None and tries < RETRIES:
                self._queue.appendleft((trial, tries + 1))
            self._place()
            if evaluation is not None:
                return trial, evaluation
            if tries >= RETRIES:
                return trial, Evaluation(status="crashed", reason=f"worker lost {tries + 1} times")

    def close(self) -> None:
        for worker in (*self._idle, *(worker for worker, *_ in self._out.values())):
            ray.kill(worker)
        if self._own:
            ray.shutdown()
