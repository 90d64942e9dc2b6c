"""The loop: ask, look up, submit, record, tell.

Ask number k happens when exactly the results 0 .. k - window have been told, in the order of their numbers; a
strategy that answers "wait" is told the next results, again in order, until it asks. The outcome so depends on
(seed, window) and never on how many workers there are, nor on which is fast. A stopped run goes on by
replay: the strategy is built anew from its seed and walks the recorded path, every answer coming from the
store, until there is something new to do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Literal

from evogan.engine.broker import Broker
from evogan.engine.store import ProposalRow
from evogan.errors import UserError, unknown
from evogan.genome import Genome
from evogan.space import Space
from evogan.stable import derive_seed
from evogan.strategies import Fitness, Proposal, Strategy
from evogan.trial import COSTS, Evaluation, Task, Trial

REPEATS = 10  # known genomes proposed in a row before the engine moves one to a new neighbour


@dataclass(frozen=True)
class Judge:
    """Which recorded metric is the fitness: at its best checkpoint, or at the last (costs always)."""

    metric: str
    score: Literal["best", "last"] = "best"

    def point(self, evaluation: Evaluation) -> Mapping[str, float]:
        """The scores at the checkpoint where the fitness is taken; empty if it was measured nowhere."""
        points = [p for p in evaluation.scores if math.isfinite(p.get(self.metric, math.nan))]
        if not points:
            return {}
        return points[-1] if self.score == "last" or self.metric in COSTS else min(points, key=lambda p: p[self.metric])

    def value(self, evaluation: Evaluation) -> float | None:
        """The fitness; None for a failure."""
        return None if evaluation.failed else self.point(evaluation).get(self.metric)


@dataclass(frozen=True)
class Told:
    """One step of a run's history. `value` is None for a failure."""

    row: ProposalRow
    evaluation: Evaluation
    value: float | None


@dataclass(frozen=True)
class Outcome:
    """`history` in the order of numbers; `ended` says why the run stopped asking."""

    history: list[Told]
    ended: str


class Loop:
    """One strategy on one task until `evaluations` different genomes have been judged."""

    def __init__(
        self,
        run: str,
        space: Space,
        strategy: Strategy,
        task: Task,
        judge: Judge,
        broker: Broker,
        *,
        seed: int,
        evaluations: int,
        window: int,
    ) -> None:
        self._run, self._space, self._strategy, self._task = run, space, strategy, task
        self._judge, self._broker, self._seed = judge, broker, seed
        self._budget, self._window = evaluations, window
        self._recorded = broker.store.proposals(run)
        self._seen: set[str] = set()
        self._repeats = 0
        self._pending: list[tuple[Proposal, ProposalRow, Trial]] = []
        self._history: list[Told] = []
        self._worst: float | None = None

    def go(self) -> Outcome:
        size, asked = self._space.size, 0
        ended = f"{self._budget} evaluations"
        while len(self._seen) < self._budget:
            if len(self._seen) >= size:
                ended = f"the space has only {size} genomes, all evaluated"
                break
            while len(self._history) < asked - self._window + 1:
                self._tell_next()
            proposal = self._strategy.ask()
            if proposal is None:
                self._tell_next()
                continue
            self._submit(proposal)
            asked += 1
        while self._pending:
            self._tell_next()
        return Outcome(self._history, ended)

    def _submit(self, proposal: Proposal) -> None:
        genome = self._space.decode(proposal.vector)
        key, pushed = self._space.key(genome), False
        if key in self._seen:
            self._repeats += 1
            if self._repeats > REPEATS:
                genome, pushed = self._new_neighbour(genome, proposal.number), True
                key = self._space.key(genome)
                proposal = Proposal(proposal.number, self._space.encode(genome), proposal.fidelity)
        if key not in self._seen:
            self._repeats = 0
            self._seen.add(key)
        trial = Trial(genome, key, self._task, proposal.fidelity)
        row = ProposalRow(
            proposal.number,
            proposal.vector,
            genome,
            key,
            self._task.key,
            proposal.fidelity,
            trial.replicate,
            pushed,
        )
        self._remember(trial, row)
        self._broker.request(trial)
        self._pending.append((proposal, row, trial))

    def _new_neighbour(self, genome: Genome, number: int) -> Genome:
        """A random walk from `genome` to one this run has not seen; the caller knows that there is one."""
        rng = Random(derive_seed(self._seed, "neighbour", number))
        while self._space.key(genome) in self._seen:
            genome = self._space.neighbour(genome, rng)
        return genome

    def _remember(self, trial: Trial, row: ProposalRow) -> None:
        if row.number >= len(self._recorded):
            self._broker.store.add_proposal(self._run, trial, row)
        elif self._recorded[row.number] != row:
            raise UserError(
                f"run '{self._run}' cannot go on: proposal {row.number} differs from the recorded one "
                "(another version made it); start a run under a new name, its evaluations are still known"
            )

    def _tell_next(self) -> None:
        proposal, row, trial = self._pending.pop(0)
        evaluation = self._broker.result(trial)
        value = self._judge.value(evaluation)
        if value is None and not evaluation.failed:
            measured = evaluation.scores[0] if evaluation.scores else {}
            raise unknown("fitness", self._judge.metric, measured or ["none was measured"])
        if value is not None:
            self._worst = value if self._worst is None else max(self._worst, value)
        curve = tuple(
            (point["fidelity"], point[self._judge.metric])
            for point in evaluation.scores
            if "fidelity" in point and self._judge.metric in point
        )
        failed = value is None
        told = ((self._worst or 0.0) + 1.0) if value is None else value
        self._strategy.tell(proposal, Fitness(failed, told, curve))
        self._history.append(Told(row, evaluation, value))
