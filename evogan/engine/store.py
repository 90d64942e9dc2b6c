"""The store: a database of evaluations, runs and proposals, with files beside it. Append-only."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from evogan.errors import UserError, unknown
from evogan.files import write_whole
from evogan.genome import Genome
from evogan.trial import STATE, Evaluation, Identity, Trial

SCHEMA_VERSION = 2
LEAST_FREE_BYTES = 50_000_000

_tables = sa.MetaData()
_meta = sa.Table(
    "evogan",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True),  # there is one row, 1
    sa.Column("schema_version", sa.Integer, nullable=False),
)
_tasks = sa.Table(
    "tasks",
    _tables,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("document", sa.JSON, nullable=False),
)
_evaluations = sa.Table(
    "evaluations",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", sa.String, nullable=False),
    sa.Column("task", sa.String, sa.ForeignKey("tasks.key"), nullable=False),
    sa.Column("fidelity", sa.Float, nullable=False),
    sa.Column("replicate", sa.Integer, nullable=False),
    sa.Column("genome", sa.JSON, nullable=False),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("scores", sa.JSON, nullable=False),
    sa.Column("curve", sa.JSON, nullable=False),
    sa.Column("diagnostics", sa.JSON, nullable=False, server_default="[]"),
    sa.Column("flags", sa.JSON, nullable=False, server_default="[]"),
    sa.Column("cost", sa.JSON, nullable=False),
    sa.Column("provenance", sa.JSON, nullable=False),
    sa.Column("created", sa.DateTime(timezone=True), nullable=False),
    sa.UniqueConstraint("key", "task", "fidelity", "replicate"),
)
_runs = sa.Table(
    "runs",
    _tables,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("document", sa.JSON, nullable=False),
    sa.Column("created", sa.DateTime(timezone=True), nullable=False),
)
_extensions = sa.Table(  # of a run's budget; the last one counts
    "extensions",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("run", sa.String, sa.ForeignKey("runs.name"), nullable=False),
    sa.Column("document", sa.JSON, nullable=False),
)
_finalists = sa.Table(  # genomes that a run checked on fresh replicates
    "finalists",
    _tables,
    sa.Column("run", sa.String, sa.ForeignKey("runs.name"), primary_key=True),
    sa.Column("key", sa.String, primary_key=True),
)
_proposals = sa.Table(
    "proposals",
    _tables,
    sa.Column("run", sa.String, sa.ForeignKey("runs.name"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("vector", sa.JSON, nullable=False),
    sa.Column("genome", sa.JSON, nullable=False),
    sa.Column("key", sa.String, nullable=False),
    sa.Column("task", sa.String, sa.ForeignKey("tasks.key"), nullable=False),
    sa.Column("fidelity", sa.Float, nullable=False),
    sa.Column("pushed", sa.Boolean, nullable=False),
)


@dataclass(frozen=True)
class ProposalRow:
    """A proposal as recorded: `vector` is what the strategy was told, `pushed` if the engine moved it."""

    number: int
    vector: tuple[float, ...]
    genome: Genome
    key: str
    task: str
    fidelity: float
    pushed: bool

    def identity(self, replicate: int = 0) -> Identity:
        return (self.key, self.task, self.fidelity, replicate)


class Store:
    """`folder/evogan.db` and the files of evaluations; without a folder, in memory and gone at the end.

    Errors: UserError for a file that is no store, a store of a newer schema, a folder without room.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.in_memory = folder is None
        if folder is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="evogan-")
            self.folder = Path(self._temporary.name)
            self._engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
        else:
            self.folder = folder
            if not (folder / "evogan.db").exists():
                _make_room(folder)
            self._engine = sa.create_engine(f"sqlite:///{folder / 'evogan.db'}", connect_args={"timeout": 60})
        sa.event.listen(self._engine, "connect", _configure_sqlite)
        self._known_tasks: set[str] = set()
        with self._connection() as connection:
            self._check_schema(connection)

    @classmethod
    def existing(cls, folder: Path) -> Store:
        """Open a store that must be there: reading never makes one."""
        if not (folder / "evogan.db").is_file():
            raise UserError(f"no store in '{folder}': nothing was run there yet (--runs names the folder)")
        return cls(folder)

    @contextmanager
    def _connection(self) -> Iterator[sa.Connection]:
        """A transaction. What the database cannot do is said in one line."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except sa.exc.DBAPIError as error:
            raise UserError(f"store '{self._engine.url.database}': {error.orig}") from None

    def _check_schema(self, connection: sa.Connection) -> None:
        tables = sa.inspect(connection).get_table_names()
        if tables and _meta.name not in tables:
            raise UserError(f"'{self._engine.url.database}' is a database, but no evogan store")
        version = sa.select(_meta.c.schema_version)
        if not tables or connection.execute(version).first() is None:
            # each statement may have been done before, by a process that died here or one beside this
            for table in (_meta, *(table for table in _tables.sorted_tables if table is not _meta)):
                connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
            connection.execute(_insert_or_ignore(_meta).values(id=1, schema_version=SCHEMA_VERSION))
        found = connection.execute(version).scalar_one()
        if found > SCHEMA_VERSION:
            raise UserError(
                f"'{self._engine.url.database}' has schema {found}, this evogan knows up to {SCHEMA_VERSION}: "
                "install a newer one"
            )
        if found == SCHEMA_VERSION:
            return
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # sqlite3 begins no transaction for what changes tables
        for old in range(connection.execute(version).scalar_one(), SCHEMA_VERSION):
            _MIGRATIONS[old](connection)
            connection.execute(_meta.update().values(schema_version=old + 1))

    # --- evaluations

    def find(self, identity: Identity) -> Evaluation | None:
        with self._connection() as connection:
            row = connection.execute(sa.select(_evaluations).where(_same(identity))).first()
        return None if row is None else _evaluation(row)

    def record(self, trial: Trial, evaluation: Evaluation) -> Evaluation:
        """Keep an answer, files first. If another driver was faster, its answer stands and is returned."""
        self._add_task(trial)
        target = self.files(trial.identity)
        for name, content in evaluation.files.items():
            write_whole(target / name, content)
        key, task, fidelity, replicate = trial.identity
        with self._connection() as connection:
            connection.execute(
                _insert_or_ignore(_evaluations).values(
                    key=key,
                    task=task,
                    fidelity=fidelity,
                    replicate=replicate,
                    genome=dict(trial.genome),
                    status=evaluation.status,
                    reason=evaluation.reason,
                    scores=[dict(point) for point in evaluation.scores],
                    curve=[dict(point) for point in evaluation.curve],
                    diagnostics=[dict(found) for found in evaluation.diagnostics],
                    flags=list(evaluation.flags),
                    cost=dict(evaluation.cost),
                    provenance=dict(evaluation.provenance),
                    created=datetime.now(UTC),
                )
            )
        recorded = self.find(trial.identity)
        assert recorded is not None
        return recorded

    def earlier(self, identity: Identity) -> Evaluation | None:
        """What the same trial gave at the highest lower fidelity, with its files; None if no training can go on."""
        key, task, fidelity, replicate = identity
        c = _evaluations.c
        lower = sa.and_(c.key == key, c.task == task, c.fidelity < fidelity, c.replicate == replicate)
        with self._connection() as connection:
            rows = list(connection.execute(sa.select(_evaluations).where(lower).order_by(c.fidelity.desc())))
        for row in rows:
            folder = self.files((key, task, row.fidelity, replicate))
            if (folder / STATE).is_file():
                files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
                return replace(_evaluation(row), files=files)
        return None

    def drop_state(self, identity: Identity) -> None:
        """Forget where a training stopped: its continuation would start anew, and end the same."""
        (self.files(identity) / STATE).unlink(missing_ok=True)

    def evaluations(self) -> Iterator[tuple[Identity, Genome, Evaluation]]:
        """Everything known, in the order of recording."""
        with self._connection() as connection:
            for row in connection.execute(sa.select(_evaluations).order_by(_evaluations.c.id)):
                yield (row.key, row.task, row.fidelity, row.replicate), Genome(row.genome), _evaluation(row)

    def files(self, identity: Identity) -> Path:
        """The folder with the files of an evaluation."""
        key, task, fidelity, replicate = identity
        return self.folder / "evaluations" / key / f"{task}-f{fidelity:g}-r{replicate}"

    def task_file(self, task: str, name: str) -> Path:
        """Where a file that belongs to a task lies, if there is one."""
        return self.folder / "tasks" / f"{task}-{name}"

    def keep_task_file(self, task: str, name: str, content: bytes) -> None:
        path = self.task_file(task, name)
        if not path.exists():
            write_whole(path, content)

    def _add_task(self, trial: Trial) -> None:
        if trial.task.key not in self._known_tasks:
            with self._connection() as connection:
                connection.execute(
                    _insert_or_ignore(_tasks).values(
                        key=trial.task.key, name=trial.task.name, document=trial.task.identity
                    )
                )
            self._known_tasks.add(trial.task.key)

    # --- runs

    def add_run(self, name: str, document: Mapping[str, Any]) -> None:
        with self._engine.begin() as connection:
            connection.execute(_runs.insert().values(name=name, document=dict(document), created=datetime.now(UTC)))

    def run(self, name: str) -> dict[str, Any]:
        """What a run was started with. Errors: UserError if there is no such run."""
        documents = self.runs()
        if name not in documents:
            raise unknown("run", name, documents or ["none yet"])
        return documents[name]

    def runs(self) -> dict[str, dict[str, Any]]:
        """Name -> what it was started with and extended to, oldest first."""
        with self._connection() as connection:
            found = {row.name: row.document for row in connection.execute(sa.select(_runs).order_by(_runs.c.created))}
            for row in connection.execute(sa.select(_extensions).order_by(_extensions.c.id)):
                found[row.run] = found[row.run] | row.document
        return found

    def extend_run(self, name: str, document: Mapping[str, Any]) -> None:
        """Other values for what may change of a run: its budget."""
        with self._connection() as connection:
            connection.execute(_extensions.insert().values(run=name, document=dict(document)))

    def add_finalists(self, run: str, keys: Iterable[str]) -> None:
        with self._connection() as connection:
            for key in keys:
                connection.execute(_insert_or_ignore(_finalists).values(run=run, key=key))

    def finalists(self, run: str) -> set[str]:
        """The keys of the genomes that a run checked."""
        with self._connection() as connection:
            return set(connection.scalars(sa.select(_finalists.c.key).where(_finalists.c.run == run)))

    def add_proposal(self, run: str, trial: Trial, row: ProposalRow) -> None:
        self._add_task(trial)
        with self._connection() as connection:
            connection.execute(
                _proposals.insert().values(
                    run=run,
                    number=row.number,
                    vector=list(row.vector),
                    genome=dict(row.genome),
                    key=row.key,
                    task=row.task,
                    fidelity=row.fidelity,
                    pushed=row.pushed,
                )
            )

    def proposals(self, run: str) -> list[ProposalRow]:
        """The proposals of a run in the order of their numbers."""
        query = sa.select(_proposals).where(_proposals.c.run == run).order_by(_proposals.c.number)
        with self._connection() as connection:
            return [
                ProposalRow(
                    row.number,
                    tuple(row.vector),
                    Genome(row.genome),
                    row.key,
                    row.task,
                    row.fidelity,
                    row.pushed,
                )
                for row in connection.execute(query)
            ]

    def close(self) -> None:
        self._engine.dispose()


def _add_diagnostics(connection: sa.Connection) -> None:
    for column in (_evaluations.c.diagnostics, _evaluations.c.flags):
        definition = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
        connection.execute(sa.text(f"ALTER TABLE {_evaluations.name} ADD COLUMN {definition}"))


# version -> what brings a store from it to the next
_MIGRATIONS: dict[int, Callable[[sa.Connection], None]] = {1: _add_diagnostics}


def _insert_or_ignore(table: sa.Table) -> sqlite.Insert:
    return sqlite.insert(table).on_conflict_do_nothing()


def _same(identity: Identity) -> sa.ColumnElement[bool]:
    key, task, fidelity, replicate = identity
    c = _evaluations.c
    return sa.and_(c.key == key, c.task == task, c.fidelity == fidelity, c.replicate == replicate)


def _evaluation(row: Any) -> Evaluation:
    return Evaluation(
        status=row.status,
        scores=tuple(row.scores),
        curve=tuple(row.curve),
        diagnostics=tuple(row.diagnostics),
        flags=tuple(row.flags),
        cost=row.cost,
        provenance=row.provenance,
        reason=row.reason,
    )


def _configure_sqlite(connection: Any, _: Any) -> None:
    """Readers beside a writer; a commit survives the death of the process without a flush to disk each."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def _make_room(folder: Path) -> None:
    try:
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        free = shutil.disk_usage(there).free
        if free < LEAST_FREE_BYTES:
            raise UserError(f"no room in '{folder}': {free // 10**6} MB free, {LEAST_FREE_BYTES // 10**6} needed")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot use '{folder}' for runs: {error.strerror}") from None
