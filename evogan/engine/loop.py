"""The loop: ask, look up, submit, record, tell.

Ask number k happens when exactly the results 0 .. k - window have been told, in the order of their numbers; a
strategy that answers "wait" is told the next results, again in order, until it asks. The outcome so depends on
(seed, window) and never on how many workers there are, nor on which is fast. In completion order the next told is
whichever is there first, so that no worker waits for a slow trial.

Whatever a strategy is told is recorded before. A stopped run goes on by replay: the strategy is built anew from its
seed and walks the recorded path, until there is something new to do.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from random import Random
from typing import TypeVar

from evogan.engine.account import Account
from evogan.engine.broker import Broker, Event
from evogan.engine.ending import Ending
from evogan.engine.judge import Judge, Replication
from evogan.engine.store import ProposalRow, TellRow
from evogan.errors import UserError, unknown
from evogan.extremes import tamed
from evogan.genome import Genome
from evogan.settings import Order
from evogan.space import Space
from evogan.stable import derive_seed
from evogan.strategies import Fitness, Proposal, Strategy
from evogan.trial import Evaluation, Identity, Task, Trial, turned

REPEATS = 10  # known genomes proposed in a row before the engine moves one to a new neighbour
GIVE_UP = 100  # the same where there is none
WALK = 100_000  # steps to a new neighbour, before it is drawn
PAGE = 500  # recorded rows that are read at a time

Row = TypeVar("Row")


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
    def fidelity(self) -> float:
        """What it was judged at: less than was asked for, if it was pruned."""
        return min((self.identity(i)[2] for i in range(len(self.evaluations))), default=self.row.fidelity)

    @property
    def pruned(self) -> bool:
        return self.fidelity < self.row.fidelity

    def identity(self, replicate: int) -> Identity:
        """Of a replicate, as it was recorded."""
        fidelity = self.evaluations[replicate].fidelity or self.row.fidelity
        return (self.row.key, self.row.task, fidelity, replicate)

    @property
    def standing(self) -> int:
        """The replicate that stands for all: of a failure the first that failed, else the first that completed."""
        return next((i for i, e in enumerate(self.evaluations) if e.failed == (self.values is None)), 0)

    @property
    def evaluation(self) -> Evaluation:
        """Of the replicate that stands for all."""
        return self.evaluations[self.standing]


@dataclass(frozen=True)
class _Pending:
    """Asked, and not told yet."""

    proposal: Proposal
    row: ProposalRow
    trial: Trial


class Loop:
    """One strategy on one task until it has spent `evaluations` full trainings, or was told of `total_seconds`' worth.

    `target` and `patience` as in `Ending`: from then on nothing new is asked. What is recorded is walked to its end
    first, so they may change when a run goes on. `window`: results an ask may be ahead of. `seeds` take the place of
    the first new genomes that the strategy proposes, and it is told so; after them those of a `portfolio`, which
    others' results suggest.
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
        total_seconds: float | None = None,
        target: float | None = None,
        patience: int | None = None,
        window: int,
        order: Order = "number",
        replicates: int = 1,
        race: bool = False,
        seeds: Sequence[Genome] = (),
        portfolio: Sequence[Genome] = (),
    ) -> None:
        self.run, self.space, self.strategy, self.task = run, space, strategy, task
        self.broker, self._judge, self._seed = broker, judge, seed
        self._budget, self._window, self._in_order = evaluations, window, order == "number"
        self._total_seconds = total_seconds
        self._replication = Replication(judge, replicates, race)
        self._seeds = deque([(genome, "seed") for genome in seeds] + [(genome, "portfolio") for genome in portfolio])
        self._account = Account()
        self._ending = Ending(judge, replicates, target, patience)
        self._repeats = self._told = 0
        self._pending: dict[int, _Pending] = {}
        self._going_on: dict[int, list[Told]] = {}  # by generation, where trainings of one may go on in the next
        self._ready: deque[int] = deque()  # may be complete
        self._wanting: dict[Identity, list[int]] = {}  # what is answered -> proposals that wait for it
        self._worst: tuple[float, ...] = ()
        store = broker.store
        self._proposals: Iterator[ProposalRow] = _pages(lambda start: store.proposals(run, start, PAGE))
        self._tells: Iterator[TellRow] = _pages(lambda start: store.tells(run, start, PAGE))
        self._recorded = next(self._proposals, None)
        self._told_before = store.told_numbers(run)
        self._position = len(self._told_before)  # of the next tell that is new

    def go(self) -> str:
        """Search; why it ended."""
        ended = ""
        while self._pending or not ended:
            ended = self._ended()
            if ended or len(self._pending) >= self._window:
                if self._pending:
                    self._tell_next()  # what was pruned may leave some of the budget
                continue
            proposal = self.strategy.ask()
            if proposal is None and not self._pending:
                raise UserError(f"{type(self.strategy).__name__} waits for results, and none are out")
            if proposal is None:
                self._tell_next()
            else:
                stuck = self._stuck(proposal)
                while stuck and self._pending:  # what is out may be gone on with
                    self._tell_next()
                if stuck and self._repeats >= GIVE_UP:
                    return f"the space has only {self.space.size} genomes, and nothing new was proposed"
                self._submit(proposal)
        return ended

    def _ended(self) -> str:
        """Why nothing more is asked; empty if something is."""
        if self._ending.reason and self._recorded is None:
            return self._ending.reason
        if self._account.genomes(1.0) >= self.space.size:
            return f"the space has only {self.space.size} genomes, all evaluated"
        if self._total_seconds is not None and self._account.seconds >= self._total_seconds:
            return f"{self._total_seconds:g} seconds of training"
        return f"{self._budget} evaluations" if self._account.spent >= self._budget else ""

    def _stuck(self, proposal: Proposal) -> bool:
        """Whether the strategy repeats itself, and there is no new genome to move it to."""
        repeats = proposal.continues is None and self._repeats >= REPEATS
        return repeats and self._account.genomes(proposal.fidelity) >= self.space.size

    def _submit(self, proposal: Proposal) -> None:
        if proposal.continues is None:
            proposal, genome, pushed = self._placed(proposal)
        else:
            before = self.broker.store.proposals(self.run, proposal.continues, 1)[0]
            genome, pushed = self.space.changed(before.genome, before.fidelity, proposal.vector), False
            self._drop_states(before.generation)
        key = self.space.key(genome)
        row = ProposalRow(
            proposal.number,
            proposal.vector,
            genome,
            key,
            self.task.key,
            proposal.fidelity,
            pushed,
            proposal.generation,
            proposal.parents,
            proposal.operator,
        )
        trial = Trial(genome, key, self.task, proposal.fidelity, number=proposal.number)
        self._remember(trial, row)
        for replicate in range(self._replication.least):
            one = replace(trial, replicate=replicate)
            self._account.ask(one.key, one.fidelity, one.replicate, one.prefixes)
            if row.number not in self._told_before:
                self.broker.request(one)
        self._pending[row.number] = _Pending(proposal, row, trial)
        if not self._in_order:
            self._ready.append(row.number)

    def _drop_states(self, still_needed: int | None) -> None:
        """Of generations before one that is gone on from: nothing goes on from them any more."""
        for generation in [old for old in self._going_on if still_needed is not None and old < still_needed]:
            for told in self._going_on.pop(generation):
                for replicate, evaluation in enumerate(told.evaluations):
                    self.broker.store.drop_state(told.identity(replicate), evaluation)

    def _placed(self, proposal: Proposal) -> tuple[Proposal, Genome, bool]:
        """The genome of a new training, and the proposal with its vector. It is pushed where proposals keep repeating;
        the place of the first new ones is the seeds'.
        """
        genome = self.space.decode(proposal.vector)
        key, pushed = self.space.key(genome), False
        if self._account.known(key, proposal.fidelity):
            self._repeats += 1
            if self._repeats > REPEATS and self._account.genomes(proposal.fidelity) < self.space.size:
                genome, pushed = self._new_neighbour(genome, proposal), True
        elif not self._account.seen(key):
            genome, operator = self._next_seed(genome)
            if self.space.key(genome) != key:
                proposal = replace(proposal, operator=operator, parents=())
        if pushed or self.space.key(genome) != key:
            key = self.space.key(genome)
            proposal = replace(proposal, vector=self.space.encode(genome))
        elif self.space.conflicts:
            proposal = replace(proposal, vector=self.space.repaired(proposal.vector))
        if not self._account.known(key, proposal.fidelity):
            self._repeats = 0
        return proposal, genome, pushed

    def _next_seed(self, genome: Genome) -> tuple[Genome, str]:
        """The next seed that was not asked yet, in the place of `genome`, and what it is."""
        while self._seeds:
            seed, operator = self._seeds.popleft()
            if not self._account.seen(self.space.key(seed)):
                return seed, operator
        return genome, ""

    def _new_neighbour(self, genome: Genome, proposal: Proposal) -> Genome:
        """A random walk from `genome` to one that is new at this fidelity; the caller knows that there is one."""
        rng = Random(derive_seed(self._seed, "neighbour", proposal.number))
        steps = 0
        while self._account.known(self.space.key(genome), proposal.fidelity):
            steps += 1
            far = steps > WALK  # repairs of conflicts may lead back
            genome = (
                self.space.decode([rng.random() for _ in self.space.genes])
                if far
                else self.space.neighbour(genome, rng)
            )
        return genome

    def _remember(self, trial: Trial, row: ProposalRow) -> None:
        if self._recorded is None:
            self.broker.store.add_proposal(self.run, trial, row)
        elif self._recorded.repeats(row):
            self._recorded = next(self._proposals, None)
        else:
            raise UserError(
                f"run '{self.run}' cannot go on: proposal {row.number} differs from the recorded one "
                "(another version made it); start a run under a new name, its evaluations are still known"
            )

    def _tell_next(self) -> None:
        recorded = next((tell for tell in self._tells if tell.number in self._pending), None)
        if recorded is not None:
            asked = self._pending.pop(recorded.number)
            evaluations = self._recall(asked, self.broker.store.evaluations_of(recorded.evaluations))
        else:
            asked = self._pending.pop(self._next_told())
            evaluations = self._gather(asked)
            ids = [evaluation.id for evaluation in evaluations if evaluation.id is not None]
            self.broker.store.add_tell(self.run, self._position, asked.row.number, ids)
            self._position += 1
        self._told += 1
        self._tell(asked, evaluations)

    def _next_told(self) -> int:
        """The number of the next proposal to tell of; in completion order waits until one is complete."""
        if self._in_order:
            return self._told
        while True:
            while self._ready:
                number = self._ready.popleft()
                if number in self._pending and self._is_complete(number):
                    return number
            for identity in self.broker.wait():
                self._ready.extend(self._wanting.pop(identity, ()))

    def _is_complete(self, number: int) -> bool:
        """Whether all its replicates are there; a race may ask for another one."""
        asked = self._pending[number]

        def replicate(i: int) -> Evaluation | None:
            one = replace(asked.trial, replicate=i)
            self.broker.request(one)  # paid for when it is told of: a replay knows no earlier moment
            answer = self.broker.peek(one)
            if answer is None:
                self._wanting.setdefault(one.identity, []).append(number)
            return answer

        return self._replication.gather(asked.row.fidelity, replicate) is not None

    def _recall(self, asked: _Pending, evaluations: list[Evaluation]) -> list[Evaluation]:
        """The same answers as were told before; replicates that a race added are entered again."""
        recorded = iter(evaluations)

        def replicate(number: int) -> Evaluation:
            one, evaluation = replace(asked.trial, replicate=number), next(recorded)
            self._account.ask(one.key, one.fidelity, one.replicate, one.prefixes)
            self.broker.recall(one, evaluation)
            return evaluation

        gathered = self._replication.gather(asked.row.fidelity, replicate)
        assert gathered is not None
        return gathered

    def _gather(self, asked: _Pending) -> list[Evaluation]:
        def replicate(number: int) -> Evaluation:
            one = replace(asked.trial, replicate=number)
            self._account.ask(one.key, one.fidelity, one.replicate, one.prefixes)
            return self.broker.result(one)

        gathered = self._replication.gather(asked.row.fidelity, replicate)
        assert gathered is not None
        return gathered

    def _tell(self, asked: _Pending, evaluations: list[Evaluation]) -> None:
        for number, evaluation in enumerate(evaluations):
            self._check_metrics(evaluation)
            one = replace(asked.trial, replicate=number)
            self._account.answer(one.key, one.fidelity, one.replicate, evaluation)
            self.broker.learn(one, evaluation)
        self._replication.enter(asked.row.fidelity, evaluations)
        told = Told(asked.row, tuple(evaluations), self._judge.over(evaluations))
        row = asked.row
        if self.strategy.schedules and row.generation is not None and row.fidelity < 1:
            self._going_on.setdefault(row.generation, []).append(told)
        self._ending.enter(row.number, row.key, row.fidelity, evaluations, told.values, row.genome.prefixes)
        self.strategy.tell(asked.proposal, self._fitness(told))
        judged = replace(asked.trial, fidelity=told.fidelity)
        self.broker.listener(Event("told", judged, value=told.value, generation=asked.row.generation))

    def _check_metrics(self, evaluation: Evaluation) -> None:
        """What was measured, but never as a finite number, counts as a failure; what never was is a mistake."""
        if self._worst or evaluation.failed or self._judge.values(evaluation) is not None:
            return
        measured = dict.fromkeys(name for point in evaluation.scores for name in point)
        for name in self._judge.metrics:
            if name not in measured:
                raise unknown("fitness", name, measured or ["none was measured"])

    def _fitness(self, told: Told) -> Fitness:
        """What the strategy hears: of a failure, more than the worst so far."""
        if told.values is None:
            values = tuple(worst + 1.0 for worst in self._worst) or (1.0,) * len(self._judge.metrics)
        else:
            values = tuple(map(tamed, told.values))
            self._worst = tuple(map(max, values, self._worst or values))
        metric = self._judge.metric
        curve = tuple(
            (point["fidelity"], tamed(turned(metric, point[metric])))
            for point in told.evaluation.scores
            if "fidelity" in point and math.isfinite(point.get(metric, math.nan))
        )
        ended_early = any(evaluation.failure is not None for evaluation in told.evaluations)
        return Fitness(told.values is None, values[0], curve, values[1:], ended_early)


def _pages(read: Callable[[int], list[Row]]) -> Iterator[Row]:
    """Recorded rows, a page at a time: a run may have a million."""
    for page in (read(start) for start in count(0, PAGE)):
        yield from page
        if len(page) < PAGE:
            return
