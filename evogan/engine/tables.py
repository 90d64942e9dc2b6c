"""The tables of a store. What brings an older one to them: `migrations`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from evogan.errors import UserError
from evogan.files.documents import parse_json

SCHEMA_VERSION = 7


class JSON(sa.TypeDecorator[Any]):
    """Plain data as text, the same in every database. NaN and infinity are allowed, as Python writes them."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        return None if value is None else json.dumps(value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:
        if value is None:
            return None
        try:
            return parse_json(value)
        except (UserError, TypeError) as error:
            return Unread(str(error))


@dataclass(frozen=True)
class Unread:
    """Stands for what cannot be read until it is known in which row it is: no row is believed that has it."""

    why: str

    def __repr__(self) -> str:
        return f"<{self.why}>"


def _counted() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True)


all_tables = sa.MetaData()
meta = sa.Table(
    "evogan",
    all_tables,
    sa.Column("id", sa.Integer, primary_key=True),  # there is one row, 1
    sa.Column("schema_version", sa.Integer, nullable=False),
)
tasks = sa.Table(
    "tasks",
    all_tables,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("document", JSON, nullable=False),
)
evaluations = sa.Table(  # `attempt`: limit-bound failures may be followed by another, with more
    "evaluations",
    all_tables,
    _counted(),
    sa.Column("key", sa.String, nullable=False),
    sa.Column("task", sa.String, sa.ForeignKey("tasks.key"), nullable=False),
    sa.Column("fidelity", sa.Float, nullable=False),
    sa.Column("replicate", sa.Integer, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("genome", JSON, nullable=False),
    sa.Column("schedule", JSON),  # of one, what it has beside the genome that it begins with
    sa.Column("status", sa.String, nullable=False),
    sa.Column("cut_short", sa.String),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("scores", JSON, nullable=False),
    sa.Column("curve", JSON, nullable=False),
    sa.Column("diagnostics", JSON, nullable=False),
    sa.Column("flags", JSON, nullable=False),
    sa.Column("cost", JSON, nullable=False),
    sa.Column("limits", JSON, nullable=False),
    sa.Column("provenance", JSON, nullable=False),
    sa.Column("created", sa.DateTime(timezone=True), nullable=False),
    sa.UniqueConstraint("key", "task", "fidelity", "replicate", "attempt"),
    sa.Index("evaluations_of_task", "task", "id"),
)
runs = sa.Table(
    "runs",
    all_tables,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("document", JSON, nullable=False),
    sa.Column("created", sa.DateTime(timezone=True), nullable=False),
)
extensions = sa.Table(  # of a run's budget; the last one counts
    "extensions",
    all_tables,
    _counted(),
    sa.Column("run", sa.String, sa.ForeignKey("runs.name"), nullable=False),
    sa.Column("document", JSON, nullable=False),
)
finalists = sa.Table(  # genomes that a run checked on fresh replicates
    "finalists",
    all_tables,
    sa.Column("run", sa.String, sa.ForeignKey("runs.name"), primary_key=True),
    sa.Column("key", sa.String, primary_key=True),
)
proposals = sa.Table(
    "proposals",
    all_tables,
    sa.Column("run", sa.String, sa.ForeignKey("runs.name"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("vector", JSON, nullable=False),
    sa.Column("genome", JSON, nullable=False),
    sa.Column("schedule", JSON),
    sa.Column("key", sa.String, nullable=False),
    sa.Column("task", sa.String, sa.ForeignKey("tasks.key"), nullable=False),
    sa.Column("fidelity", sa.Float, nullable=False),
    sa.Column("pushed", sa.Boolean, nullable=False),
    sa.Column("generation", sa.Integer),
    sa.Column("parents", JSON),
    sa.Column("operator", sa.String),
)
tells = sa.Table(  # what a run's strategy was told, in that order
    "tells",
    all_tables,
    sa.Column("run", sa.String, sa.ForeignKey("runs.name"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("evaluations", JSON, nullable=False),  # their ids, one a replicate
)
leases = sa.Table(  # who trains what just now
    "leases",
    all_tables,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("task", sa.String, primary_key=True),
    sa.Column("fidelity", sa.Float, primary_key=True),
    sa.Column("replicate", sa.Integer, primary_key=True),
    sa.Column("driver", sa.String, nullable=False),
)
drivers = sa.Table(
    "drivers",
    all_tables,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("beats", sa.BigInteger, nullable=False),
)
live = sa.Table(  # what runs do now, for whoever looks on; no result depends on it
    "live",
    all_tables,
    sa.Column("run", sa.String, sa.ForeignKey("runs.name"), primary_key=True),
    sa.Column("trial", sa.String, primary_key=True),  # that trains; "": the run itself
    sa.Column("document", JSON, nullable=False),
    sa.Column("grid", sa.LargeBinary),  # a PNG of samples
)
