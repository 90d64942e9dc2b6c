"""A user's own function in the place of GAN training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from time import perf_counter

from evogan.genome import Value
from evogan.trial import Evaluation, Trial

Objective = Callable[[dict[str, Value]], float | Mapping[str, float]]


class ObjectiveEvaluator:
    """Genome as a dict -> `value`, or several metrics; a number that is not finite counts as diverged."""

    def __init__(self, objective: Objective) -> None:
        self._objective = objective

    def __call__(self, trial: Trial) -> Evaluation:
        started = perf_counter()
        answer = self._objective(dict(trial.genome))
        metrics = dict(answer) if isinstance(answer, Mapping) else {"value": answer}
        scores = {name: float(value) for name, value in metrics.items()}
        cost = {"seconds": perf_counter() - started}
        bad = [name for name, value in scores.items() if not math.isfinite(value)]
        if bad:
            return Evaluation(status="diverged", reason=f"{bad[0]} is {scores[bad[0]]}", cost=cost)
        return Evaluation(status="completed", scores=(scores,), cost=cost)
