"""The tables of a store, and what brings an older one to them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import sqlalchemy as sa

from evogan.engine.judge import Judge, Replication
from evogan.errors import UserError
from evogan.files.documents import parse_json
from evogan.trial import Evaluation

SCHEMA_VERSION = 3


class JSON(sa.TypeDecorator[Any]):
    """Plain data as text, the same in every database. NaN and infinity are allowed, as Python writes them."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str:
        return json.dumps(value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:
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
    sa.Column("status", sa.String, nullable=False),
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
    sa.Column("key", sa.String, nullable=False),
    sa.Column("task", sa.String, sa.ForeignKey("tasks.key"), nullable=False),
    sa.Column("fidelity", sa.Float, nullable=False),
    sa.Column("pushed", sa.Boolean, nullable=False),
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


# Migrations. Only SQLite has stores older than version 3. What they make is written out: the tables above may change.


def _add_diagnostics(connection: sa.Connection) -> None:
    for column in ("diagnostics", "flags"):
        connection.exec_driver_sql(f"ALTER TABLE evaluations ADD COLUMN {column} JSON DEFAULT '[]' NOT NULL")


def _add_attempts_and_tells(connection: sa.Connection) -> None:
    for statement in _ATTEMPTS_AND_TELLS.split(";"):
        connection.exec_driver_sql(statement)
    for name, text in connection.exec_driver_sql("SELECT name, document FROM runs").all():
        try:
            _fill_tells(connection, name, parse_json(text))
        except (UserError, ValueError, TypeError, AttributeError) as error:
            raise UserError(f"this older store cannot be read, since its run '{name}' is damaged: {error}") from None


_ATTEMPTS_AND_TELLS = """
ALTER TABLE evaluations RENAME TO old_evaluations;
CREATE TABLE evaluations (
    id INTEGER NOT NULL PRIMARY KEY,
    "key" VARCHAR NOT NULL,
    task VARCHAR NOT NULL REFERENCES tasks ("key"),
    fidelity FLOAT NOT NULL,
    replicate INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    genome TEXT NOT NULL,
    status VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    scores TEXT NOT NULL,
    curve TEXT NOT NULL,
    diagnostics TEXT NOT NULL,
    flags TEXT NOT NULL,
    cost TEXT NOT NULL,
    limits TEXT NOT NULL,
    provenance TEXT NOT NULL,
    created DATETIME NOT NULL,
    UNIQUE ("key", task, fidelity, replicate, attempt)
);
INSERT INTO evaluations
    SELECT id, "key", task, fidelity, replicate, 0, genome, status, reason, scores, curve, diagnostics, flags, cost,
        '{}', provenance, created
    FROM old_evaluations ORDER BY id;
DROP TABLE old_evaluations;
CREATE INDEX evaluations_of_task ON evaluations (task, id);
CREATE TABLE tells (
    run VARCHAR NOT NULL REFERENCES runs (name),
    position INTEGER NOT NULL,
    number INTEGER NOT NULL,
    evaluations TEXT NOT NULL,
    PRIMARY KEY (run, position)
);
CREATE TABLE leases (
    "key" VARCHAR NOT NULL,
    task VARCHAR NOT NULL,
    fidelity FLOAT NOT NULL,
    replicate INTEGER NOT NULL,
    driver VARCHAR NOT NULL,
    PRIMARY KEY ("key", task, fidelity, replicate)
);
CREATE TABLE drivers (
    name VARCHAR NOT NULL PRIMARY KEY,
    beats BIGINT NOT NULL
)"""


def _fill_tells(connection: sa.Connection, run: str, document: dict[str, Any]) -> None:
    """What a run was told, as it was worked out from its proposals and evaluations before there was a log."""
    judge = Judge.of(document.get("fitness", "fid"), document.get("score", "best"), document.get("average", "mean"))
    replication = Replication(judge, document.get("replicates", 1), document.get("race", False))
    query = 'SELECT number, "key", task, fidelity FROM proposals WHERE run = ? ORDER BY number'
    for position, row in enumerate(connection.exec_driver_sql(query, (run,)).all()):
        found = replication.gather(row.fidelity, partial(_replicate, connection, row))
        if found is None:
            break
        replication.enter(row.fidelity, found)
        ids = json.dumps([evaluation.id for evaluation in found])
        connection.exec_driver_sql("INSERT INTO tells VALUES (?, ?, ?, ?)", (run, position, row.number, ids))


def _replicate(connection: sa.Connection, proposal: Any, replicate: int) -> Evaluation | None:
    query = 'SELECT id, status, scores FROM evaluations WHERE "key" = ? AND task = ? AND fidelity = ? AND replicate = ?'
    identity = (proposal.key, proposal.task, proposal.fidelity, replicate)
    row = connection.exec_driver_sql(query, identity).first()
    return None if row is None else Evaluation(status=row.status, scores=tuple(json.loads(row.scores)), id=row.id)


# version -> what brings a store from it to the next
MIGRATIONS: dict[int, Callable[[sa.Connection], None]] = {1: _add_diagnostics, 2: _add_attempts_and_tells}
