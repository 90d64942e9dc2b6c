"""A run as the store tells it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from evogan.engine.account import Account
from evogan.engine.confirm import Confirmation
from evogan.engine.ending import Ending
from evogan.engine.judge import Judge
from evogan.engine.loop import GIVE_UP, Told
from evogan.engine.pareto import ranks, spread_out
from evogan.engine.rows import RunDocument
from evogan.engine.store import Store
from evogan.errors import UserError
from evogan.files.shapes import fit
from evogan.genes import GENES
from evogan.genes.twins import twin_of
from evogan.genome import GeneTable, Genome
from evogan.genome.schedule import in_words
from evogan.plugins import imported
from evogan.settings import SearchSettings
from evogan.space import Space
from evogan.strategies.knowledge import Knowledge
from evogan.trial import FRESH, PLAYERS, VALIDATION, Evaluation, Identity

if TYPE_CHECKING:
    import pandas as pd


Belief = Callable[[Sequence[Sequence[float]]], Sequence[float] | None]


class Training(NamedTuple):
    identity: Identity
    evaluation: Evaluation
    value: float


class Cost(NamedTuple):
    """As `Account` has it: full trainings, seconds, evaluations that failed."""

    spent: float
    seconds: float
    failed: int


@dataclass(frozen=True)
class RunFacts:
    """What a run found when it began, beside what it was asked to do.

    `task`: its key. `data`: what the task is called. `contents`: a line about the data. `reference`: name, key and
    genes of the published genomes that winners are compared with. `features`: the id of the network that judges, and
    `judged_by` a line about it. `plugins`: what it imports first. Of a replay:
    `table`, how it answers, and its fingerprint.
    """

    task: str
    data: str
    contents: str = ""
    features: str = ""
    judged_by: str = ""
    reference: tuple[tuple[str, str, Genome], ...] = ()
    plugins: tuple[str, ...] = ()
    table: str = ""
    kind: str = ""
    fingerprint: str = ""

    @classmethod
    def recorded(cls, document: Mapping[str, Any]) -> RunFacts:
        known = {fact.name: document[fact.name] for fact in fields(cls) if document.get(fact.name) is not None}
        reference = tuple((name, key, Genome(genes)) for name, key, genes in known.get("reference", ()))
        return cls(**known | {"reference": reference, "plugins": tuple(known.get("plugins", ()))})


class RunHistory:
    """Reads run `name` from `store`; nothing is trained.

    Errors: UserError if there is no such run, and, here and in every property, for what is damaged of it.
    """

    def __init__(self, store: Store, name: str) -> None:
        self.store, self.name = store, name
        self._take(store.run(name))

    def _take(self, document: dict[str, Any]) -> None:
        with self._naming_the_run():
            fit(RunDocument, document)
            self.settings, self.facts = SearchSettings.recorded(document), RunFacts.recorded(document)
            self.judge = Judge.of(self.settings.fitness, self.settings.score, self.settings.average)
        self.document = document

    @contextmanager
    def _naming_the_run(self) -> Iterator[None]:
        try:
            yield
        except UserError as error:
            raise self._wrong(str(error)) from None

    def _wrong(self, why: str) -> UserError:
        return self.store.damaged(f"table runs, row name '{self.name}': document: {why}")

    @cached_property
    def space(self) -> Space:
        """The space it searched, as recorded: for bounds and names, not for keys."""
        with self._naming_the_run():
            return Space.from_document(self.settings.space)

    @cached_property
    def genes(self) -> GeneTable | None:
        """The table that its genomes are of; None of an objective, and of plugins that nobody imported.

        Reading runs no code that a store names.
        """
        return None if self.settings.gan is None or not imported(self.facts.plugins) else GENES

    @cached_property
    def history(self) -> list[Told]:
        """What was told so far, in the order of telling: that of the numbers, or of completion."""
        tells = self.store.tells(self.name)  # first: what was told was proposed before
        rows = {row.number: row for row in self.store.proposals(self.name)}
        found = iter(self.store.evaluations_of([id for tell in tells for id in tell.evaluations]))
        history = []
        for tell in tells:
            evaluations = tuple(islice(found, len(tell.evaluations)))
            if tell.number not in rows or not evaluations:
                what = "evaluations is empty" if tell.number in rows else f"there is no proposal {tell.number}"
                raise self.store.damaged(f"table tells, row run '{self.name}', position {tell.position}: {what}")
            history.append(Told(rows[tell.number], evaluations, self.judge.over(evaluations)))
        return history

    @cached_property
    def knowledge(self) -> Knowledge:
        """Of other tasks, that it began from."""
        return Knowledge.recorded(self.document["knowledge"]) if "knowledge" in self.document else Knowledge()

    @cached_property
    def costs(self) -> list[Cost]:
        """What the run had cost by the end of each step of the history."""
        account, costs = Account(), []
        for told in self.history:
            for replicate, evaluation in enumerate(told.evaluations):
                account.ask(told.row.key, told.row.fidelity, replicate, told.row.genome.prefixes)
                account.answer(told.row.key, told.row.fidelity, replicate, evaluation)
            costs.append(Cost(account.spent, account.seconds, account.failed.total()))
        return costs

    @cached_property
    def spent(self) -> list[float]:
        """What of the budget was spent by the end of each step, in full trainings."""
        return [cost.spent for cost in self.costs]

    @cached_property
    def seconds(self) -> list[float]:
        """What all evaluations took by the end of each step, one after the other, each once, found or trained."""
        return [cost.seconds for cost in self.costs]

    @cached_property
    def ended_early(self) -> str:
        """Why the search ended before its budget was spent, at its target or out of patience; empty if it did not."""
        settings = self.settings
        if settings.target is None and settings.patience is None:
            return ""
        ending = Ending(self.judge, settings.replicates, settings.target, settings.patience)
        for told in self.history:
            row = told.row
            ending.enter(row.number, row.key, row.fidelity, told.evaluations, told.values, row.genome.prefixes)
        told_all = bool(ending.reason) and len(self.store.proposals(self.name)) == len(self.history)
        return ending.reason if told_all else ""

    @cached_property
    def unfinished(self) -> str:
        """How far the search is; empty if it is over. One that exhausted its space is over early."""
        if self.ended_early:
            return ""
        spent, budget = (self.spent[-1] if self.spent else 0.0), self.settings.evaluations
        limit = self.settings.total_seconds
        if spent >= budget - 1e-9 or (limit is not None and self.seconds and self.seconds[-1] >= limit):
            return ""
        return "" if self._exhausted else f"not finished: {spent:g} of {budget} evaluations"

    @property
    def _exhausted(self) -> bool:
        """Whether the loop ended since all of the space was evaluated, or nothing new of it was proposed."""
        try:
            size = Space.from_document(self.settings.space, self.genes).size
        except UserError:  # it had genomes that there are none of by now
            return False
        asked: dict[float, set[str]] = {}
        repeats, rows = 0, self.store.proposals(self.name)
        for row in (row for row in rows if not row.genome.changes):
            known = asked.setdefault(row.fidelity, set())
            repeats = repeats + 1 if row.key in known else 0
            known.add(row.key)
        whole = len(asked.get(1.0, ())) >= size
        stuck = repeats >= GIVE_UP and any(len(known) >= size for known in asked.values())
        return (whole or stuck) and len(rows) == len(self.history)

    @property
    def is_through(self) -> bool:
        """Whether the search is over, and its finalists are named, if there are to be any."""
        wanted = self.settings.finalists and self.settings.confirm and self.ranking
        return not self.unfinished and (not wanted or bool(self.store.finalists(self.name)))

    @cached_property
    def top_fidelity(self) -> float:
        """The highest at which a genome completed."""
        return max((told.fidelity for told in self.history if told.values is not None), default=1.0)

    @cached_property
    def ranking(self) -> list[Told]:
        """The different genomes that completed at the highest fidelity reached, best first.

        With several objectives: front after front, each by its first objective.
        """
        first: dict[str, Told] = {}
        for told in self.history:
            if told.values is not None and told.fidelity == self.top_fidelity:
                first.setdefault(told.row.key, told)
        values = [told.values or () for told in first.values()]
        order = ranks(values) if self.judge.others else [0] * len(values)
        ranked = sorted(zip(order, first.values(), strict=True), key=lambda pair: (pair[0], pair[1].values))
        return [told for _, told in ranked]

    @cached_property
    def front(self) -> list[Told]:
        """The genomes of the ranking that no other dominates; of one objective the best."""
        values = [told.values or () for told in self.ranking]
        return [told for told, rank in zip(self.ranking, ranks(values), strict=True) if rank == 0]

    def leaders(self, n: int, believe: Belief = lambda vectors: None) -> list[Told]:
        """The `n` genomes to check: the best, or with several objectives a spread over the front.

        `believe` is what the strategy estimates points at, where it knows better than single trainings.
        """
        if not self.judge.others:
            believed = believe([told.row.vector for told in self.ranking])
            if believed is None:
                return self.ranking[:n]
            order = sorted(range(len(self.ranking)), key=lambda i: believed[i])
            return [self.ranking[i] for i in order[:n]]
        return [self.front[i] for i in spread_out([told.values or () for told in self.front], n)]

    @cached_property
    def confirmations(self) -> list[Confirmation]:
        """The finalists, best of the search first, and the references, on this run's fresh replicates."""
        finalists = self.store.finalists(self.name)
        named = [
            (f"evolved #{told.row.number}", told.row.genome, told.row.key)
            for told in self.ranking
            if told.row.key in finalists
        ]
        named += [(name, genome, key) for name, key, genome in self.facts.reference if key not in finalists]
        judged = [Confirmation(*one, self.judge, tuple(self._fresh(one[2]).values())) for one in named]
        return [confirmation for confirmation in judged if confirmation.evaluations]

    @cached_property
    def twins(self) -> dict[str, Confirmation]:
        """By the key of what was confirmed its twin, on the same fresh replicates, where it has one."""
        found = {}
        for one in self.confirmations if self.genes is GENES else ():
            if (twin := twin_of(one.genome)) is not None:
                key, name = GENES.key(twin), f"twin of {one.name}"
                found[one.key] = Confirmation(name, twin, key, self.judge, tuple(self._fresh(key).values()))
        return found

    def _fresh(self, key: str) -> dict[Identity, Evaluation]:
        """This run's fresh replicates of a genome, as far as they are done."""
        fresh = range(FRESH, FRESH + self.settings.confirm)
        return self.store.replicates(key, self.facts.task, fresh, self.judge.choice)

    @property
    def best(self) -> Told | None:
        """The best genome: by its fresh replicates (fewest failures, then mean), else by its one evaluation."""
        evolved = {c.key: c.order for c in self.confirmations if c.values}
        confirmed = [told for told in self.ranking if told.row.key in evolved]
        if confirmed:
            return min(confirmed, key=lambda told: evolved[told.row.key])
        return self.ranking[0] if self.ranking else None

    def trainings(self, key: str) -> dict[Identity, Evaluation]:
        """This run's trainings of a genome, fresh replicates too."""
        mine = [told for told in self.history if told.row.key == key]
        searched = {told.identity(i): e for told in mine for i, e in enumerate(told.evaluations)}
        return searched | self._fresh(key)

    def best_training(self, key: str, *, whole: bool = False) -> Training | None:
        """Of these, at the highest fidelity, the one with the best fitness; of those that were judged on held-out data,
        if any were, the one with the best in validation. One whose weights are there comes before those that were
        pruned before the run went on. `whole`: of those that left all players, if any did.
        """
        completed = [
            Training(identity, evaluation, value)
            for identity, evaluation in self.trainings(key).items()
            if (value := self.judge.value(evaluation)) is not None
        ]
        chosen = replace(self.judge, metric=VALIDATION + self.judge.metric)
        tested = [one._replace(value=v) for one in completed if (v := chosen.value(one.evaluation)) is not None]
        there = [one for one in tested or completed if self.store.has_weights(one.identity, one.evaluation)]
        if whole:
            left = [one for one in there if (self.store.files(one.identity, one.evaluation) / PLAYERS).is_file()]
            there = left or there
        pool = there or tested or completed
        return min(pool, key=lambda training: (-training.identity[2], training.value), default=None)

    def to_dataframe(self) -> pd.DataFrame:
        """One row a proposal: number, key, status, fitness, cost, all scores where the fitness was taken, genes.

        `fitness` is over all `replicates` and less is better; scores and status are those of the first, or of one that
        failed. `fidelity` is what it was judged on, `spent` what the run had cost by then, in full trainings.
        `changes`, where there are any: of a schedule, whose genes are those that it begins with, what changes when.
        `generation`, `parents` (numbers, with spaces between) and `operator` say how it came about, as far as recorded.
        An objective's metric that is called as one of these columns is `metric_NAME`.
        """
        import pandas as pd

        rows = []
        for told, spent in zip(self.history, self.spent, strict=True):
            row = {
                "number": told.row.number,
                "key": told.row.key,
                "status": told.evaluation.status,
                "fitness": told.value,
                "fidelity": told.fidelity,
                "pruned": told.pruned,
                "replicates": len(told.evaluations),
                "spent": spent,
                "pushed": told.row.pushed,
                "generation": told.row.generation,
                "parents": " ".join(map(str, told.row.parents or ())) or math.nan,
                "operator": told.row.operator,
                "training_seconds": sum(e.cost.get("seconds", 0.0) for e in told.evaluations),
            }
            point = {name: value for name, value in self.judge.point(told.evaluation).items() if name != "fidelity"}
            genes: dict[str, object] = {"changes": in_words(told.row.genome)} if told.row.genome.changes else {}
            genes |= {f"gene_{name}": value for name, value in told.row.genome.items()}
            row |= {f"metric_{name}" if name in row | genes else name: value for name, value in point.items()}
            rows.append(row | genes)
        return pd.DataFrame(rows).astype({"generation": "Int64"} if rows else {})
