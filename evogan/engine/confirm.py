"""A winner is checked: search picks a maximum of noisy numbers, so the best are retrained with fresh seeds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from evogan.engine.broker import Broker
from evogan.genome import Genome
from evogan.space import Space
from evogan.trial import Evaluation, Task, Trial

FRESH = 1000  # replicates from here on are never used by search


@dataclass(frozen=True)
class Confirmation:
    """`name`: how the genome is called in tables. `values`: fitness of each replicate that completed."""

    name: str
    genome: Genome
    key: str
    values: tuple[float, ...]
    failures: int

    @classmethod
    def of(cls, name: str, genome: Genome, key: str, values: Sequence[float | None]) -> Confirmation:
        """None stands for a replicate that failed."""
        completed = tuple(value for value in values if value is not None)
        return cls(name, genome, key, completed, len(values) - len(completed))

    @property
    def mean(self) -> float:
        """NaN if every replicate failed."""
        return statistics.fmean(self.values) if self.values else float("nan")

    @property
    def spread(self) -> float:
        """The standard deviation over replicates; NaN for fewer than two."""
        return statistics.stdev(self.values) if len(self.values) > 1 else float("nan")


def confirm(
    broker: Broker, space: Space, task: Task, genomes: Sequence[Genome], replicates: int
) -> list[list[Evaluation]]:
    """Train every genome anew with `replicates` fresh seeds, on the full budget; a list for each."""
    trials = [
        [Trial(genome, space.key(genome), task, 1.0, FRESH + i) for i in range(replicates)]
        for genome in genomes
    ]
    broker.results([trial for group in trials for trial in group])
    return [broker.results(group) for group in trials]
