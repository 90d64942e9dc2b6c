"""What brings an older store to today's tables, a version at a time.

Only SQLite has stores older than version 3. What a migration makes, and what it judges by, is written out here: tables,
judges and whatever else the rest of the engine has may change, and what a migration does may not.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from evogan.errors import UserError
from evogan.extremes import mean, median
from evogan.files.documents import parse_json

LARGEST = sys.float_info.max

# --- 1 -> 2


def _add_diagnostics(connection: sa.Connection) -> None:
    for column in ("diagnostics", "flags"):
        connection.exec_driver_sql(f"ALTER TABLE evaluations ADD COLUMN {column} JSON DEFAULT '[]' NOT NULL")


# --- 2 -> 3


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
    """What a run was told, as it was worked out from its proposals and evaluations before there was a log.

    A genome was told with all its replicates; in a race with one, and with more only while its average was no worse
    than that of the best genome that had them all.
    """
    most, race = document.get("replicates", 1), document.get("race", False)
    least, lead = 1 if race else most, dict[float, float]()
    proposed = 'SELECT number, "key", task, fidelity FROM proposals WHERE run = ? ORDER BY number'
    this = '"key" = ? AND task = ? AND fidelity = ? AND replicate = ?'
    evaluated = f"SELECT id, status, scores FROM evaluations WHERE {this}"
    for position, (number, key, task, fidelity) in enumerate(connection.exec_driver_sql(proposed, (run,)).all()):
        ids: list[int] = []
        values: list[float] = []
        while len(ids) < least or (len(ids) < most and _average(values, document) <= lead.get(fidelity, LARGEST)):
            row = connection.exec_driver_sql(evaluated, (key, task, fidelity, len(ids))).first()
            if row is None:
                return
            ids.append(row.id)
            values.append(_value(row.status, json.loads(row.scores), document))
        if len(ids) == most:
            lead[fidelity] = min(_average(values, document), lead.get(fidelity, LARGEST))
        told = (run, position, number, json.dumps(ids))
        connection.exec_driver_sql("INSERT INTO tells VALUES (?, ?, ?, ?)", told)


def _value(status: str, scores: Sequence[dict[str, float]], document: dict[str, Any]) -> float:
    """The fitness, infinite for a failure."""
    metrics = [name.strip() for name in document.get("fitness", "fid").split(",")]
    points = [point for point in scores if all(math.isfinite(point.get(name, math.nan)) for name in metrics)]
    if status != "completed" or not points:
        return math.inf
    if document.get("score", "best") == "last" or metrics[0] in ("parameters", "seconds"):
        return points[-1][metrics[0]]
    return min(point[metrics[0]] for point in points)


def _average(values: Sequence[float], document: dict[str, Any]) -> float:
    """Infinite where a replicate failed that counts."""
    return mean(values) if document.get("average", "mean") == "mean" else median(values)


# --- 3 -> 4


def _add_cut_short(connection: sa.Connection) -> None:
    """Before, only the words of the reason said it."""
    connection.execute(sa.text("ALTER TABLE evaluations ADD COLUMN cut_short VARCHAR"))
    where = "status = 'completed' AND substr(reason, 1, :n) = :prefix"
    set_it = f"UPDATE evaluations SET cut_short = :failure WHERE {where}"
    for failure in ("diverged", "out_of_memory", "timed_out", "crashed"):
        prefix = f"{failure.replace('_', ' ')}: "
        connection.execute(sa.text(set_it), {"failure": failure, "n": len(prefix), "prefix": prefix})


# --- 4 -> 5


def _add_origins(connection: sa.Connection) -> None:
    """Of older proposals they are unknown: NULL."""
    for column in ("generation INTEGER", "parents TEXT", "operator VARCHAR"):
        connection.execute(sa.text(f"ALTER TABLE proposals ADD COLUMN {column}"))


# --- 5 -> 6


def _add_schedules(connection: sa.Connection) -> None:
    """There were none: NULL."""
    for table in ("evaluations", "proposals"):
        connection.execute(sa.text(f"ALTER TABLE {table} ADD COLUMN schedule TEXT"))


# --- 6 -> 7


def _add_live(connection: sa.Connection) -> None:
    """Nobody looked on."""
    binary = "BYTEA" if connection.dialect.name == "postgresql" else "BLOB"
    connection.execute(
        sa.text(
            "CREATE TABLE live (run VARCHAR NOT NULL REFERENCES runs (name), trial VARCHAR NOT NULL, "
            f"document TEXT NOT NULL, grid {binary}, PRIMARY KEY (run, trial))"
        )
    )


# version -> what brings a store from it to the next
MIGRATIONS: dict[int, Callable[[sa.Connection], None]] = {
    1: _add_diagnostics,
    2: _add_attempts_and_tells,
    3: _add_cut_short,
    4: _add_origins,
    5: _add_schedules,
    6: _add_live,
}
