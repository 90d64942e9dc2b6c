"""What a run has asked for so far, and what of its budget that has cost."""

from __future__ import annotations

from evogan.trial import Trial


class Ledger:
    """The budget counts full trainings.

    What was asked before costs nothing. A training that goes on from a lower fidelity costs the difference, and a
    lower fidelity than one already trained nothing.
    """

    def __init__(self) -> None:
        self.spent = 0.0
        self._reached: dict[tuple[str, int], float] = {}
        self._at: dict[float, set[str]] = {}

    def known(self, key: str, fidelity: float) -> bool:
        return key in self._at.get(fidelity, ())

    def genomes(self, fidelity: float | None = None) -> int:
        """How many different genomes, at this fidelity or at any."""
        if fidelity is None:
            return len({key for key, _ in self._reached})
        return len(self._at.get(fidelity, ()))

    def seen(self, key: str) -> bool:
        """Whether it was asked at any fidelity."""
        return (key, 0) in self._reached

    def add(self, trial: Trial) -> None:
        self._at.setdefault(trial.fidelity, set()).add(trial.key)
        before = self._reached.get((trial.key, trial.replicate), 0.0)
        if trial.fidelity > before:
            self._reached[trial.key, trial.replicate] = trial.fidelity
            self.spent = round(self.spent + trial.fidelity - before, 9)

    def stopped(self, trial: Trial, reached: float) -> None:
        """A trial that was added ended early: what it did not use is there again."""
        if self._reached[trial.key, trial.replicate] == trial.fidelity:
            self._reached[trial.key, trial.replicate] = reached
            self.spent = round(self.spent + reached - trial.fidelity, 9)
