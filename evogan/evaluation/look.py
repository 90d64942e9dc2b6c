"""Looks at a training that goes on, which leave it as it is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from evogan.errors import UserError
from evogan.evaluation.clock import Clock
from evogan.evaluation.scoring import Scoring
from evogan.training import Trainer

LOOKS = 40  # at a whole training, if nothing else is said


@dataclass(frozen=True)
class Look:
    """`show` is given a grid of samples, a PNG, every so many thousands of real images; by default 40 times in all.

    What it cannot write stops nothing.
    """

    show: Callable[[bytes], None]
    every: float | None = None

    def at(self, trainer: Trainer, iterations: int, scoring: Scoring, clock: Clock) -> None:
        """From now on, at a training of as many iterations; the time is that of scoring.

        Samples are those of score checkpoints: from noise of the task's, by networks in evaluation mode.
        """
        step = iterations / LOOKS if self.every is None else 1000 * self.every / trainer.images_per_iteration
        apart = max(1, round(step))

        def watched() -> None:
            if trainer.iteration % apart == 0 or trainer.iteration == iterations:
                with clock.scored(), suppress(OSError, UserError):
                    self.show(scoring.grid(trainer.gan))

        trainer.watched = watched
