"""The loop: ask, look up, submit, record, tell.

Ask number k happens when exactly the results 0 .. k - window have been told, in the order of their numbers; a
strategy that answers "wait" is told the next results, again in order, until it asks. The outcome so depends on
(seed, window) and never on how many workers there are, nor on which is fast. A stopped run goes on by
replay: the strategy is built anew from its seed and walks the recorded path, every answer coming from the
store, until there is something new to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from evogan.engine.broker import Broker
from evogan.engine.judge import Judge, Replication
from evogan.engine.ledger import Ledger
from evogan.engine.store import ProposalRow
from evogan.errors import UserError, unknown
from evogan.genome import Genome
from evogan.space import Space
from evogan.stable import derive_seed
from evogan.strategies import Fitness, Proposal, Strategy
from evogan.trial import Evaluation, Task, Trial

REPEATS = 10  # known genomes proposed in a row before the engine moves one to a new neighbour


@dataclass(frozen=True)
class Told:
    """One step of a run's history: the replicates of a proposal, and every objective over them (None: it failed)."""

    row: ProposalRow
    evaluations: tuple[Evaluation, ...]
    values: tuple[float, ...] | None

    @property
    def value(self) -> float | None:
        """The fitness; None for a failure."""
        return None if self.values is None else self.values[0]

    @property
    def evaluation(self) -> Evaluation:
        """One that stands for all: of a failure the first that failed."""
        if self.values is None:
            return next((e for e in self.evaluations if e.failed), self.evaluations[0])
        return self.evaluations[0]


@dataclass(frozen=True)
class Outcome:
    """`history` in the order of numbers; `ended` says why the run stopped asking."""

    history: list[Told]
    ended: str


class Loop:
    """One strategy on one task until it has spent `evaluations` full trainings.

    `seeds` take the place of the first new genomes that the strategy proposes, and it is told so.
    """

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
        replicates: int = 1,
        race: bool = False,
        seeds: Sequence[Genome] = (),
    ) -> None:
        self._run, self._space, self._strategy, self._task = run, space, strategy, task
        self._judge, self._broker, self._seed = judge, broker, seed
        self._budget, self._window = evaluations, window
        self._replication = Replication(judge, replicates, race)
        self._seeds = list(seeds)
        self._recorded = broker.store.proposals(run)
        self._ledger = Ledger()
        self._repeats = 0
        self._pending: list[tuple[Proposal, ProposalRow, Trial]] = []
        self._history: list[Told] = []
        self._worst: tuple[float, ...] = ()

    def go(self) -> Outcome:
        size, asked = self._space.size, 0
        ended = f"{self._budget} evaluations"
        while self._ledger.spent < self._budget:
            if self._ledger.genomes(1.0) >= size:
                ended = f"the space has only {size} genomes, all evaluated"
                break
            while len(self._history) < asked - self._window + 1:
                self._tell_next()
            proposal = self._strategy.ask()
            if proposal is None:
                self._tell_next()
            elif self._repeats >= REPEATS and self._ledger.genomes(proposal.fidelity) >= size:
                ended = f"the space has only {size} genomes, and nothing new was proposed"
                break
            else:
                self._submit(proposal)
                asked += 1
        while self._pending:
            self._tell_next()
        return Outcome(self._history, ended)

    def _submit(self, proposal: Proposal) -> None:
        genome = self._space.decode(proposal.vector)
        key, pushed = self._space.key(genome), False
        if self._ledger.known(key, proposal.fidelity):
            self._repeats += 1
            if self._repeats > REPEATS:
                genome, pushed = self._new_neighbour(genome, proposal), True
        elif not self._ledger.seen(key):
            genome = self._next_seed(genome)
        if pushed or self._space.key(genome) != key:
            key = self._space.key(genome)
            proposal = Proposal(proposal.number, self._space.encode(genome), proposal.fidelity)
        if not self._ledger.known(key, proposal.fidelity):
            self._repeats = 0
        row = ProposalRow(proposal.number, proposal.vector, genome, key, self._task.key, proposal.fidelity, pushed)
        trial = Trial(genome, key, self._task, proposal.fidelity)
        self._remember(trial, row)
        for replicate in range(self._replication.least):
            self._request(replace(trial, replicate=replicate))
        self._pending.append((proposal, row, trial))

    def _request(self, trial: Trial) -> None:
        self._ledger.add(trial)
        self._broker.request(trial)

    def _next_seed(self, genome: Genome) -> Genome:
        """The next seed that was not asked yet, in the place of `genome`."""
        while self._seeds:
            seed = self._seeds.pop(0)
            if not self._ledger.seen(self._space.key(seed)):
                return seed
        return genome

    def _new_neighbour(self, genome: Genome, proposal: Proposal) -> Genome:
        """A random walk from `genome` to one that is new at this fidelity; the caller knows that there is one."""
        rng = Random(derive_seed(self._seed, "neighbour", proposal.number))
        while self._ledger.known(self._space.key(genome), proposal.fidelity):
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

        def replicate(number: int) -> Evaluation:
            one = replace(trial, replicate=number)
            self._ledger.add(one)
            return self._broker.result(one)

        evaluations = self._replication.gather(row.fidelity, replicate)
        assert evaluations is not None
        for evaluation in evaluations:
            self._check_metrics(evaluation)
        told = Told(row, tuple(evaluations), self._judge.over(evaluations))
        self._strategy.tell(proposal, self._fitness(told))
        self._history.append(told)

    def _check_metrics(self, evaluation: Evaluation) -> None:
        if not evaluation.failed and self._judge.values(evaluation) is None:
            measured = evaluation.scores[0] if evaluation.scores else {}
            missing = next((name for name in self._judge.metrics if name not in measured), self._judge.metric)
            raise unknown("fitness", missing, measured or ["none was measured"])

    def _fitness(self, told: Told) -> Fitness:
        """What the strategy hears: of a failure, more than the worst so far."""
        if told.values is None:
            values = tuple(worst + 1.0 for worst in self._worst) or (1.0,) * len(self._judge.metrics)
        else:
            values = told.values
            self._worst = tuple(map(max, values, self._worst or values))
        metric = self._judge.metric
        curve = tuple(
            (point["fidelity"], point[metric])
            for point in told.evaluation.scores
            if "fidelity" in point and metric in point
        )
        return Fitness(told.values is None, values[0], curve, values[1:])
