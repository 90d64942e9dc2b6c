"""A user's own function in the place of GAN training."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from time import perf_counter

from evogan.trial import Evaluation, Trial

Objective = Callable[..., float | Mapping[str, float]]


def takes_fidelity(objective: Objective) -> bool:
    """Whether it has a parameter of that name."""
    try:
        return "fidelity" in inspect.signature(objective).parameters
    except ValueError:  # of some built-in functions
        return False


class ObjectiveEvaluator:
    """Genome as a dict -> `value`, or several metrics; a number that is not finite counts as diverged.

    An objective with a parameter `fidelity` is told which share of its full effort is asked for.
    """

    def __init__(self, objective: Objective) -> None:
        self._objective, self._takes_fidelity = objective, takes_fidelity(objective)

    def __call__(self, trial: Trial) -> Evaluation:
        started = perf_counter()
        more = {"fidelity": trial.fidelity} if self._takes_fidelity else {}
        answer = self._objective(dict(trial.genome), **more)
        metrics = dict(answer) if isinstance(answer, Mapping) else {"value": answer}
        scores = {name: float(value) for name, value in metrics.items()}
        cost = {"seconds": perf_counter() - started}
        bad = [name for name, value in scores.items() if not math.isfinite(value)]
        if bad:
            return Evaluation(status="diverged", reason=f"{bad[0]} is {scores[bad[0]]}", cost=cost)
        return Evaluation(status="completed", scores=(scores,), cost=cost)
