"""Looks at a training that goes on, which leave it as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from evogan.errors import UserError
from evogan.evaluation.clock import Clock
from evogan.evaluation.scoring import Scoring
from evogan.fitness import NonFiniteSamples
from evogan.training import Trainer
from evogan.trial import EARLY_FID

LOOKS = 40  # at a whole training, if nothing else is said
EARLY = 8.0  # seconds of training, after which a search is told how far its first trial is
EARLY_SAMPLES = 300


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


def look_early(trainer: Trainer, scoring: Scoring, clock: Clock, tell: Callable[[Mapping[str, float]], None]) -> None:
    """From now on: after some seconds an FID is told, which is recorded nowhere. The first checkpoint may be far."""

    def watched() -> None:
        if clock.training < EARLY:
            return
        trainer.watched = lambda: None
        with clock.scored(), suppress(NonFiniteSamples):
            tell({"kimg": trainer.images_seen / 1000, EARLY_FID: scoring.early_fid(trainer.gan, EARLY_SAMPLES)})

    trainer.watched = watched
