"""How strategies are compared on tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evogan.options import check_options, declared, option
from evogan.settings.resources import Resources
from evogan.settings.search import SearchSettings


@dataclass(frozen=True, kw_only=True)
class BenchSettings:
    """What `evogan bench run` is asked to do.

    Errors: UserError for what cannot be.
    """

    seeds: int = option(20, low=1, high=10_000, group="budget", help="Searches of each strategy.")
    evaluations: int = option(
        200,
        **declared(SearchSettings)["evaluations"].bounds._asdict(),
        group="budget",
        help="Budget of each search, in full trainings.",
    )
    kind: Literal["surrogate", "table", "live"] = option(
        "surrogate",
        group="judging",
        help="surrogate asks a model of the table, table the recorded trainings themselves, live trains.",
    )
    fitness: str = option("fid", group="judging", help="Metric to minimise, a positive one.")
    target: float | None = option(None, group="judging", help="Fitness to reach; default: that of random search.")
    workers: int = option(
        1,
        **declared(Resources)["workers"].bounds._asdict(),
        group="resources",
        help="Workers that trainings would have, on a simulated clock; live: that they have.",
    )

    def __post_init__(self) -> None:
        check_options(self)
