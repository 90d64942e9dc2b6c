"""Workers on a simulated clock: what a search would have taken, without the wait."""

from __future__ import annotations

import heapq
import math
from dataclasses import replace
from itertools import count

from evogan.engine.executors.base import Evaluate, Report, Watch
from evogan.engine.executors.forecast import Forecast
from evogan.engine.executors.placement import Device, Placement
from evogan.trial import Evaluation, Limits, Trial

MACHINE = Device("machine", math.inf)


class SimulatedExecutor:
    """`workers` that take the seconds that an evaluation says it cost, on a clock that jumps from one end to the next.

    An evaluation gets the time of its end as a cost, `clock`. With a `forecast` the longest go first, as on Ray.
    `now`: the clock; `busy`: seconds of work so far, over all workers.
    """

    def __init__(self, evaluate: Evaluate, workers: int, forecast: Forecast | None = None) -> None:
        self.now = self.busy = 0.0
        self._evaluate, self._forecast = evaluate, forecast
        self._placement: Placement[Trial, int] = Placement()
        for worker in range(workers):
            self._placement.join(worker, MACHINE)
        self._running: list[tuple[float, int, int, Trial, Evaluation]] = []
        self._count = count()
        self._reached: dict[tuple[str, str, int], float] = {}

    def limits(self) -> Limits:
        return Limits()

    def submit(self, trial: Trial) -> None:
        self._placement.add(trial, self._forecast.predict(trial.genome).seconds if self._forecast else 0.0)

    def wait(self, watch: Watch, timeout: float | None = None) -> tuple[Trial, Evaluation]:
        while (placed := self._placement.place()) is not None:
            trial, worker = placed
            evaluation = self._evaluate(trial)
            seconds = evaluation.cost["seconds"] * self._left(trial)
            evaluation = replace(evaluation, cost=dict(evaluation.cost) | {"seconds": seconds})
            self.busy += seconds
            heapq.heappush(self._running, (self.now + seconds, next(self._count), worker, trial, evaluation))
            watch(Report("started", trial))
        self.now, _, worker, trial, evaluation = heapq.heappop(self._running)
        self._placement.free(worker)
        if self._forecast:
            self._forecast.learn(trial.genome, trial.fidelity, evaluation.cost)
        return trial, replace(evaluation, cost=dict(evaluation.cost) | {"clock": self.now})

    def _left(self, trial: Trial) -> float:
        """The part of a training that is to be done: one goes on from where it was at a lower fidelity."""
        training = (trial.key, trial.task.key, trial.replicate)
        before = self._reached.get(training, 0.0)
        self._reached[training] = max(before, trial.fidelity)
        return max(0.0, 1 - before / trial.fidelity)

    def withdraw(self) -> list[Trial]:
        return self._placement.withdraw()

    def close(self) -> None:
        pass
