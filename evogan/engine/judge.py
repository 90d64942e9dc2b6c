"""From evaluations to a fitness: which metric, at which checkpoint, over how many replicates."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

from evogan.errors import UserError
from evogan.extremes import mean, median
from evogan.trial import Choice, Evaluation, turned

Average = Literal["mean", "median"]


@dataclass(frozen=True)
class Judge:
    """Which recorded metric is the fitness: at its best checkpoint, or at the last (costs always).

    `others` are further objectives; they are read at the checkpoint that the first one chooses. `average` is what
    counts of several replicates; a failure is an infinite one, so the mean forgives none and the median fewer
    than half.
    """

    metric: str
    score: Literal["best", "last"] = "best"
    others: tuple[str, ...] = ()
    average: Average = "mean"

    @classmethod
    def of(cls, fitness: str, score: Literal["best", "last"] = "best", average: Average = "mean") -> Self:
        """`fitness`: a metric, or several with commas between. Errors: UserError for one empty or named twice."""
        first, *others = names = [name.strip() for name in fitness.split(",")]
        if not all(names):
            raise UserError(f"fitness '{fitness}': a metric is empty")
        if len(set(names)) < len(names):
            raise UserError(f"fitness '{fitness}' names a metric twice")
        return cls(first, score, tuple(others), average)

    @property
    def metrics(self) -> tuple[str, ...]:
        return (self.metric, *self.others)

    @property
    def choice(self) -> Choice:
        """Where the fitness is taken, and of which checkpoint weights are kept."""
        return Choice(self.metrics, self.score)

    def point(self, evaluation: Evaluation) -> Mapping[str, float]:
        """The scores at the checkpoint where the fitness is taken; empty if it was measured nowhere."""
        place = self.choice.place(evaluation.scores)
        return {} if place is None else evaluation.scores[place]

    def values(self, evaluation: Evaluation) -> tuple[float, ...] | None:
        """Every objective, less being better; None for a failure, or where one was not measured."""
        point = {} if evaluation.failed else self.point(evaluation)
        return tuple(turned(name, point[name]) for name in self.metrics) if point else None

    def value(self, evaluation: Evaluation) -> float | None:
        """The fitness; None for a failure."""
        values = self.values(evaluation)
        return None if values is None else values[0]

    def shown(self, values: Sequence[float]) -> tuple[float, ...]:
        """Objectives with the signs that their metrics have."""
        return tuple(map(turned, self.metrics, values))

    def over(self, evaluations: Sequence[Evaluation]) -> tuple[float, ...] | None:
        """Every objective over the replicates of one genome; None if it counts as failed."""
        found = [self.values(evaluation) or (math.inf,) * len(self.metrics) for evaluation in evaluations]
        average = mean if self.average == "mean" else median
        values = tuple(average(column) for column in zip(*found, strict=True))
        return values if all(map(math.isfinite, values)) else None


class Replication:
    """How often a genome is trained before its strategy is told.

    Always `most` times; or, as a race, once, and again only while it competes for the lead: as long as its average
    is no worse than that of the best genome that has all `most` replicates. (Maron and Moore, The Racing Algorithm,
    1997; the intensification of SMAC, Hutter et al. 2011.) Genomes race within their fidelity.
    """

    def __init__(self, judge: Judge, most: int = 1, race: bool = False) -> None:
        self._judge, self._most, self._race = judge, most, race
        self._lead: dict[float, float] = {}

    @property
    def least(self) -> int:
        """As many replicates as every genome gets."""
        return 1 if self._race else self._most

    def gather(self, fidelity: float, replicate: Callable[[int], Evaluation | None]) -> list[Evaluation] | None:
        """The replicates of a genome, from number 0; None if one of them is not known yet."""
        found: list[Evaluation] = []
        while len(found) < self.least or (len(found) < self._most and self._competes(found, fidelity)):
            evaluation = replicate(len(found))
            if evaluation is None:
                return None
            found.append(evaluation)
        return found

    def enter(self, fidelity: float, told: Sequence[Evaluation]) -> None:
        """A genome is told of: it may lead from now on."""
        values = self._judge.over(told)
        if values is not None and len(told) == self._most:
            self._lead[fidelity] = min(values[0], self._lead.get(fidelity, math.inf))

    def _competes(self, known: Sequence[Evaluation], fidelity: float) -> bool:
        values = self._judge.over(known)
        return values is not None and values[0] <= self._lead.get(fidelity, math.inf)
