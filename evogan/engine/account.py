"""What a run has asked for so far, and what of its budgets that has cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from evogan.trial import Evaluation

Prefixes = Sequence[tuple[str, float]]


class Account:
    """The one account of a run: the loop keeps it by what is asked, others by what was answered; it ends the same.

    `spent`: full trainings. What was asked before costs nothing; a training that goes on from a lower fidelity costs
    the difference, and a lower fidelity than one already trained nothing. `prefixes`, as a trial has them: a schedule
    goes on from those that it begins as. `seconds`: what all evaluations took, each
    once, found or trained. `failed`: evaluations by how they failed, each once.
    """

    def __init__(self) -> None:
        self.spent = self.seconds = 0.0
        self.failed: Counter[str] = Counter()
        self._reached: dict[tuple[str, int], float] = {}
        self._at: dict[float, set[str]] = {}
        self._answered: set[tuple[str, float, int]] = set()

    def known(self, key: str, fidelity: float) -> bool:
        return key in self._at.get(fidelity, ())

    def genomes(self, fidelity: float) -> int:
        """How many different genomes were asked at this fidelity, schedules left out."""
        return len(self._at.get(fidelity, ()))

    def seen(self, key: str) -> bool:
        """Whether it was asked at any fidelity."""
        return (key, 0) in self._reached

    def ask(self, key: str, fidelity: float, replicate: int, prefixes: Prefixes = ()) -> None:
        """Its training is to be paid for; what is asked again costs nothing."""
        if not prefixes:
            self._at.setdefault(fidelity, set()).add(key)
        reached = self._reached.get((key, replicate), 0.0)
        if fidelity > reached:
            parts = (min(self._reached.get((part, replicate), 0.0), up_to) for part, up_to in prefixes)
            self._reached[key, replicate] = fidelity
            self.spent = round(self.spent + fidelity - max(reached, *parts, 0.0), 9)

    def answer(self, key: str, fidelity: float, replicate: int, evaluation: Evaluation) -> None:
        """What was asked is known. Of one that ended early, what it did not use is there again."""
        reached = evaluation.fidelity or fidelity
        if reached < fidelity and self._reached[key, replicate] == fidelity:
            self._reached[key, replicate] = reached
            self.spent = round(self.spent + reached - fidelity, 9)
        if (key, reached, replicate) not in self._answered:
            self._answered.add((key, reached, replicate))
            self.seconds += evaluation.cost.get("seconds", 0.0)
            if evaluation.failed:
                self.failed[evaluation.status] += 1
