"""A run as the store tells it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from evogan.engine.confirm import FRESH, Confirmation
from evogan.engine.loop import Judge, Told
from evogan.engine.store import Store
from evogan.genome import Genome
from evogan.space import Space
from evogan.trial import Evaluation, Identity

if TYPE_CHECKING:
    import pandas as pd


class Training(NamedTuple):
    identity: Identity
    evaluation: Evaluation
    value: float


class RunHistory:
    """Reads run `name` from `store`; nothing is trained. Errors: UserError if there is no such run."""

    def __init__(self, store: Store, name: str) -> None:
        self.store, self.name = store, name
        self.document: dict[str, Any] = store.run(name)
        self.judge = Judge(self.document["fitness"], self.document["score"])

    @cached_property
    def space(self) -> Space:
        """The space it searched, as recorded: for bounds and names, not for keys."""
        return Space.from_document(self.document["space"])

    @cached_property
    def history(self) -> list[Told]:
        """What was told so far, in the order of numbers."""
        history = []
        for row in self.store.proposals(self.name):
            evaluation = self.store.find(row.identity)
            if evaluation is None:
                break
            history.append(Told(row, evaluation, self.judge.value(evaluation)))
        return history

    @cached_property
    def ranking(self) -> list[Told]:
        """The different genomes that completed, best first."""
        first: dict[str, Told] = {}
        for told in self.history:
            if told.value is not None:
                first.setdefault(told.row.key, told)
        return sorted(first.values(), key=lambda told: told.value or 0.0)

    @cached_property
    def confirmations(self) -> list[Confirmation]:
        """The finalists, best of the search first, and the references, on this run's fresh replicates."""
        finalists = self.store.finalists(self.name)
        named = [
            (f"evolved #{told.row.number}", told.row.genome, told.row.key)
            for told in self.ranking
            if told.row.key in finalists
        ]
        named += [
            (name, Genome(genome), key) for name, key, genome in self.document["reference"] if key not in finalists
        ]
        judged = [Confirmation(*one, self.judge, tuple(self._fresh(one[2]).values())) for one in named]
        return [confirmation for confirmation in judged if confirmation.evaluations]

    def _fresh(self, key: str) -> dict[Identity, Evaluation]:
        """This run's fresh replicates of a genome, as far as they are done."""
        identities = [(key, self.document["task"], 1.0, FRESH + i) for i in range(self.document["replicates"])]
        found = {identity: self.store.find(identity) for identity in identities}
        return {identity: evaluation for identity, evaluation in found.items() if evaluation is not None}

    @property
    def best(self) -> Told | None:
        """The best genome: by its fresh replicates (fewest failures, then mean), else by its one evaluation."""
        evolved = {c.key: c.order for c in self.confirmations if c.values}
        confirmed = [told for told in self.ranking if told.row.key in evolved]
        if confirmed:
            return min(confirmed, key=lambda told: evolved[told.row.key])
        return self.ranking[0] if self.ranking else None

    def best_training(self, key: str) -> Training | None:
        """Of this run's trainings of a genome, fresh replicates too, the one with the best fitness."""
        searched = {told.row.identity: told.evaluation for told in self.history if told.row.key == key}
        completed = [
            Training(identity, evaluation, value)
            for identity, evaluation in (searched | self._fresh(key)).items()
            if (value := self.judge.value(evaluation)) is not None
        ]
        return min(completed, key=lambda training: training.value, default=None)

    def to_dataframe(self) -> pd.DataFrame:
        """One row a proposal: number, key, status, fitness, cost, all scores where the fitness was taken, genes."""
        import pandas as pd

        rows = []
        for told in self.history:
            rows.append(
                {
                    "number": told.row.number,
                    "key": told.row.key,
                    "status": told.evaluation.status,
                    "fitness": told.value,
                    "pushed": told.row.pushed,
                    "training_seconds": told.evaluation.cost.get("seconds"),
                    **self.judge.point(told.evaluation),
                    **{f"gene_{name}": value for name, value in told.row.genome.items()},
                }
            )
        return pd.DataFrame(rows)
