"""A winner is checked: search picks a maximum of noisy numbers, so the best are retrained with fresh seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

from evogan.engine.broker import Broker
from evogan.engine.judge import Judge
from evogan.extremes import deviation, mean
from evogan.genome import Genome
from evogan.space import Space
from evogan.trial import FRESH, VALIDATION, Evaluation, Task, Trial, turned


@dataclass(frozen=True)
class Confirmation:
    """`name`: how the genome is called in tables. `evaluations`: its fresh replicates."""

    name: str
    genome: Genome
    key: str
    judge: Judge
    evaluations: tuple[Evaluation, ...]

    @cached_property
    def values(self) -> tuple[float, ...]:
        """The fitness of each replicate that completed."""
        values = (self.judge.value(evaluation) for evaluation in self.evaluations)
        return tuple(value for value in values if value is not None)

    @property
    def in_search(self) -> Confirmation:
        """As a search would have judged it: where it is judged on held-out data, by its values in validation."""
        metric = VALIDATION + self.judge.metric
        known = any(evaluation.measured([metric]) for evaluation in self.evaluations)
        return replace(self, judge=replace(self.judge, metric=metric)) if known else self

    @property
    def failures(self) -> int:
        return len(self.evaluations) - len(self.values)

    @property
    def mean(self) -> float:
        """NaN if every replicate failed."""
        return mean(self.values) if self.values else float("nan")

    @property
    def shown(self) -> float:
        """The mean, with the sign that the metric has."""
        return turned(self.judge.metric, self.mean)

    @property
    def order(self) -> tuple[int, float]:
        """Fewest failures first, then the best mean."""
        return (self.failures, self.mean if self.values else float("inf"))

    @property
    def spread(self) -> float:
        """The standard deviation over replicates; NaN for fewer than two."""
        return deviation(self.values)


def confirm(
    broker: Broker, space: Space, task: Task, genomes: Sequence[Genome], replicates: int
) -> list[list[Evaluation]]:
    """Train every genome anew with `replicates` fresh seeds, on the full budget; a list for each."""
    trials = [[Trial(genome, space.key(genome), task, 1.0, FRESH + i) for i in range(replicates)] for genome in genomes]
    answers = iter(broker.results([trial for group in trials for trial in group]))
    return [list(islice(answers, replicates)) for _ in genomes]
