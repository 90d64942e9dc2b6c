"""What ends a search before its budget is spent: a target that is reached, or a best that has not improved for long.

It follows from what was told, in that order, and from nothing else. Once the search has ended so, it has: what was
under way is still told, and changes nothing about it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from evogan.engine.account import Account, Prefixes
from evogan.engine.judge import Judge
from evogan.trial import Evaluation, turned


class Ending:
    """`reason`: why the search has ended; empty while it has not.

    `target`: of the metric, as it is shown. A genome reaches it by what all its `replicates` together are judged at, on
    full trainings. `patience`: full trainings since the best improved, or since the beginning, as an `Account` has them
    of what was told: a failure costs what it was asked for, what was told before nothing. The best is the run's, of the
    genomes with all replicates at the highest fidelity so far, so the first at a higher one improves it.
    """

    def __init__(
        self, judge: Judge, replicates: int = 1, target: float | None = None, patience: int | None = None
    ) -> None:
        self.reason = ""
        self._judge, self._replicates, self._target, self._patience = judge, replicates, target, patience
        self._account = Account()
        self._best = (0.0, math.inf)  # of fidelity the negative, and the value
        self._since = 0.0

    def enter(
        self,
        number: int,
        key: str,
        fidelity: float,
        evaluations: Sequence[Evaluation],
        values: Sequence[float] | None,
        prefixes: Prefixes = (),
    ) -> None:
        """The strategy was told of proposal `number`, asked at `fidelity`: its replicates, and its objectives."""
        for replicate, evaluation in enumerate(evaluations):
            self._account.ask(key, fidelity, replicate, prefixes)
            self._account.answer(key, fidelity, replicate, evaluation)
        if self.reason:
            return
        if values is not None and len(evaluations) == self._replicates:
            self._compare(number, min(evaluation.fidelity or fidelity for evaluation in evaluations), values[0])
        if self._patience is not None and not self.reason and self._waited >= self._patience - 1e-9:
            self.reason = f"no better {self._judge.metric} in {self._patience} evaluations"

    @property
    def _waited(self) -> float:
        return self._account.spent - self._since

    def _compare(self, number: int, fidelity: float, value: float) -> None:
        if (-fidelity, value) < self._best:
            self._best, self._since = (-fidelity, value), self._account.spent
        metric, target = self._judge.metric, self._target
        if target is not None and fidelity == 1.0 and value <= turned(metric, target):
            self.reason = f"target {metric} {target:g} reached: {turned(metric, value):.4g}, proposal {number}"
