"""How a search goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, Literal, Self

from evogan.errors import UserError
from evogan.genome import Value
from evogan.options import LARGEST_SEED, check_options, option
from evogan.settings.gan import GANSettings
from evogan.settings.reading import read_pairs
from evogan.settings.resources import Resources
from evogan.trial import FRESH

Order = Literal["number", "completion"]
Rule = Literal["median", "halving"]
MAY_CHANGE = ("evaluations", "total_seconds", "target", "patience", "confirm", "resources")  # of a run that goes on


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """How a search goes, as its run records it. `gan` is None for a user's own objective.

    `space`: as a document. `strategy`: never "auto", which is settled before. `seed_genomes`: their genes; `seeded_by`:
    how they were asked for, if all by a name.
    Errors: UserError for a budget of nothing, and for what is not among the allowed.
    """

    space: Mapping[str, Any]
    strategy: str = option(
        asked="auto", group="strategy", help="See `evogan strategies`; auto takes the best known on recorded GANs."
    )
    options: Mapping[str, Any] = option(
        factory=dict,
        group="strategy",
        help="Option of the strategy, name=value.",
        flag="--option",
        read=partial(read_pairs, "option"),
        many=True,
    )
    seed: int = option(0, low=0, high=LARGEST_SEED, group="strategy", help="Of all that a strategy draws.")
    window: int = option(
        8, low=1, high=100_000, group="strategy", help="Results an ask may be ahead of; part of the outcome."
    )
    order: Order = option("number", group="strategy", help="Tell results by number, or (not repeatable) by completion.")
    pruner: Rule | None = option(None, group="strategy", help="Stop hopeless trials early: median or halving.")
    fitness: str = option(
        "fid",
        asked="auto",
        group="judging",
        help="Metric to minimise; several with commas between; auto: that of the family and the data, such as FID.",
    )
    score: Literal["best", "last"] = option("best", group="judging", help="Judge the best checkpoint or the last.")
    evaluations: int = option(100, low=1, high=10_000_000, group="budget", help="Budget, in full trainings.")
    total_seconds: float | None = option(
        None, above=0, high=1e10, group="budget", help="End earlier: when trainings, one after the other, took so long."
    )
    target: float | None = option(
        None, group="budget", help="End earlier: when a genome's fitness, over all its replicates, is no worse."
    )
    patience: int | None = option(
        None,
        low=1,
        high=10_000_000,
        group="budget",
        help="End earlier: when so many evaluations made no better best.",
    )
    replicates: int = option(
        1, low=1, high=FRESH, group="judging", help="Trainings of each genome, whose average counts."
    )
    average: Literal["mean", "median"] = option("mean", group="judging", help="Of replicates: mean or median.")
    race: bool = option(False, group="judging", help="Replicates only for genomes that compete for the lead.")
    seed_genomes: tuple[Mapping[str, Value], ...] = option(
        (),
        group="strategy",
        help="Begin with: published, a genome's name or file, an earlier run (its best five).",
        many=True,
        written=list[str],
    )
    learn_from: tuple[str, ...] = option(
        (),
        asked="auto",
        group="strategy",
        help="Begin from what other tasks found: a run, a table (name or file), tables (all shipped), store, "
        "none; auto: tables, with strategy auto and FID.",
        many=True,
        written=list[str],
    )
    finalists: int = option(3, low=0, high=10_000, group="judging", help="Best genomes that are checked.")
    confirm: int = option(
        3, low=0, high=10_000, group="judging", help="Fresh trainings of each finalist and reference."
    )
    references: tuple[str, ...] = option(
        (),
        group="judging",
        help="Genomes, names or files, that the best are checked beside, in place of the space's; or none.",
        many=True,
        written=list[str],
    )
    seeded_by: tuple[str, ...] = ()
    gan: GANSettings | None = None
    resources: Resources = field(default_factory=Resources)

    def __post_init__(self) -> None:
        check_options(self)
        if self.race and self.replicates < 2:
            raise UserError("a race needs at least 2 replicates")
        if "," in self.fitness and (self.target is not None or self.patience is not None):
            given = "patience" if self.target is None else "target"
            raise UserError(f"{given} is of one objective, and fitness names several")
        if "," in self.fitness and self.race:
            raise UserError("a race is of one objective, and fitness names several: replicates without race")

    @classmethod
    def recorded(cls, document: Mapping[str, Any]) -> Self:
        """Read back what a run recorded; what it lacks has its default. Errors: UserError for what cannot be."""
        known = {field.name: document[field.name] for field in fields(cls) if field.name in document}
        known |= {
            name: tuple(known.get(name, ())) for name in ("seed_genomes", "seeded_by", "learn_from", "references")
        }
        if known.get("gan") is not None:
            known["gan"] = GANSettings.recorded(known["gan"])
        try:
            return cls(**known | {"resources": Resources.recorded(known.get("resources", {}))})
        except TypeError as error:
            raise UserError(str(error)) from None

    def checks(self, references: int) -> int:
        """Full trainings that check the winners, and `references` published genomes beside them."""
        return checks(self.finalists, references, self.confirm)


def checks(finalists: int, references: int, confirm: int) -> int:
    """Full trainings on fresh seeds."""
    return (finalists + references) * confirm
