"""How many iterations fit a budget of seconds: a training in miniature is timed before the real one begins.

A miniature has all stages of a training in their proportions (levels that grow, first steps on likelihood), so an
iteration of it takes what one of the training takes on average. It is a measurement: elsewhere, or beside something
else, it is another number.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import torch

from evogan.training import Diverged, Trainer

SHARE = 0.02  # of the budget, that the miniature which counts takes at least
FEWEST = 16  # iterations of it, for the proportions; but where they are dear
DEAR = 5 * SHARE
GROWTH = 10  # at most, from one miniature to the next: the first iterations are slower than others


def iterations_within(seconds: float, build: Callable[[int], Trainer]) -> int:
    """At least one. `build`: a fresh training of so many. Errors: Diverged, if it does in its first iteration."""
    _timed(build(1), 1)  # what is set up once is no matter of pace
    iterations = 1
    while True:
        made, took = _timed(build(iterations), iterations)
        enough = took >= SHARE * seconds and (iterations >= FEWEST or took >= DEAR * seconds)
        if enough or made < iterations:
            return max(1, round(seconds * made / took))
        all_of_it = seconds * iterations / took
        wanted = max(1.5 * SHARE * all_of_it, min(FEWEST - 1, DEAR * all_of_it))
        iterations = int(min(GROWTH * iterations, wanted)) + 1


def _timed(trainer: Trainer, iterations: int) -> tuple[int, float]:
    """How many were made, fewer where it diverged, and the seconds."""
    started = perf_counter()
    try:
        trainer.run_to(iterations)
    except Diverged:
        if not trainer.iteration:
            raise
    if trainer.device.type == "cuda":
        torch.cuda.synchronize(trainer.device)
    return trainer.iteration, perf_counter() - started
