"""A run as the store tells it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from evogan.engine.confirm import FRESH, Confirmation
from evogan.engine.loop import Judge, Told
from evogan.engine.store import Store
from evogan.genome import Genome
from evogan.space import Space
from evogan.trial import Identity

if TYPE_CHECKING:
    import pandas as pd


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
        """The genomes that were retrained with fresh seeds, best of the search first, and the references."""
        finalists: dict[str, tuple[str, Genome]] = {
            told.row.key: (f"evolved #{told.row.number}", told.row.genome) for told in self.ranking
        }
        named = finalists | {key: (name, Genome(genome)) for name, key, genome in self.document["reference"]}
        fresh = self.store.replicates(self.document["task"], FRESH)
        return [
            Confirmation(name, genome, key, self.judge, tuple(fresh[key]))
            for key, (name, genome) in named.items()
            if key in fresh
        ]

    @property
    def best(self) -> Told | None:
        """The best genome: by its fresh replicates (fewest failures, then mean), else by its one evaluation."""
        evolved = {c.key: c.order for c in self.confirmations if c.values}
        confirmed = [told for told in self.ranking if told.row.key in evolved]
        if confirmed:
            return min(confirmed, key=lambda told: evolved[told.row.key])
        return self.ranking[0] if self.ranking else None

    def best_training(self, key: str) -> tuple[Identity, float] | None:
        """Of a genome's trainings on the full budget, fresh replicates too, the best one and its fitness."""
        trainings = self.store.trainings(key, self.document["task"])
        judged = ((identity, self.judge.value(evaluation)) for identity, evaluation in trainings)
        completed = [(identity, value) for identity, value in judged if value is not None]
        return min(completed, key=lambda training: training[1], default=None)

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
