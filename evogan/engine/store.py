"""The store: a database of evaluations, runs and proposals, with files beside it. Append-only."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from evogan.errors import UserError, unknown
from evogan.genome import Genome
from evogan.trial import Evaluation, Identity, Trial

SCHEMA_VERSION = 1
LEAST_FREE_BYTES = 50_000_000

_tables = sa.MetaData()
_meta = sa.Table("evogan", _tables, sa.Column("schema_version", sa.Integer, nullable=False))
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
    sa.Column("replicate", sa.Integer, nullable=False),
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
    replicate: int
    pushed: bool

    @property
    def identity(self) -> Identity:
        return (self.key, self.task, self.fidelity, self.replicate)


class Store:
    """`folder/evogan.db` and the files of evaluations; without a folder, in memory and gone at the end.

    Errors: UserError for a file that is no store, a store of a newer schema, a folder without room.
    """

    def __init__(self, folder: Path | None = None) -> None:
        if folder is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="evogan-")
            self.folder = Path(self._temporary.name)
            engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
        else:
            self.folder = folder
            _make_room(folder)
            engine = sa.create_engine(f"sqlite:///{folder / 'evogan.db'}", connect_args={"timeout": 60})
        sa.event.listen(engine, "connect", _configure_sqlite)
        self._engine = engine
        self._known_tasks: set[str] = set()
        self._check_schema()

    @classmethod
    def existing(cls, folder: Path) -> Store:
        """Open a store that must be there: reading never makes one."""
        if not (folder / "evogan.db").is_file():
            raise UserError(f"no store in '{folder}': nothing was run there yet (--runs names the folder)")
        return cls(folder)

    def _check_schema(self) -> None:
        try:
            tables = sa.inspect(self._engine).get_table_names()
            if not tables:
                _tables.create_all(self._engine)
                with self._engine.begin() as connection:
                    connection.execute(_meta.insert().values(schema_version=SCHEMA_VERSION))
                return
            if _meta.name not in tables:
                raise UserError(f"'{self._engine.url.database}' is a database, but no evogan store")
            with self._engine.begin() as connection:
                found = connection.execute(sa.select(_meta.c.schema_version)).scalar_one()
                if found > SCHEMA_VERSION:
                    raise UserError(
                        f"'{self._engine.url.database}' has schema {found}, this evogan knows up to "
                        f"{SCHEMA_VERSION}: install a newer one"
                    )
                for version in range(found, SCHEMA_VERSION):
                    _MIGRATIONS[version](connection)
                connection.execute(_meta.update().values(schema_version=SCHEMA_VERSION))
        except sa.exc.DatabaseError as error:
            raise UserError(f"'{self._engine.url.database}' cannot be opened: {error.orig}") from None

    # --- evaluations

    def find(self, identity: Identity) -> Evaluation | None:
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(_evaluations).where(_same(identity))).first()
        return None if row is None else _evaluation(row)

    def record(self, trial: Trial, evaluation: Evaluation) -> Evaluation:
        """Keep an answer, files first. If another driver was faster, its answer stands and is returned."""
        self._add_task(trial)
        target = self.files(trial.identity)
        for name, content in evaluation.files.items():
            _write(target / name, content)
        key, task, fidelity, replicate = trial.identity
        with self._engine.begin() as connection:
            connection.execute(
                self._insert_or_ignore(_evaluations).values(
                    key=key,
                    task=task,
                    fidelity=fidelity,
                    replicate=replicate,
                    genome=dict(trial.genome),
                    status=evaluation.status,
                    reason=evaluation.reason,
                    scores=[dict(point) for point in evaluation.scores],
                    curve=[dict(point) for point in evaluation.curve],
                    cost=dict(evaluation.cost),
                    provenance=dict(evaluation.provenance),
                    created=datetime.now(UTC),
                )
            )
        recorded = self.find(trial.identity)
        assert recorded is not None
        return recorded

    def replicates(self, task: str, first: int) -> dict[str, list[Evaluation]]:
        """Key -> its evaluations on a task's full budget whose replicates are `first` or later."""
        c = _evaluations.c
        query = sa.select(_evaluations).where(c.task == task, c.fidelity == 1.0, c.replicate >= first)
        found: dict[str, list[Evaluation]] = {}
        with self._engine.connect() as connection:
            for row in connection.execute(query.order_by(c.replicate)):
                found.setdefault(row.key, []).append(_evaluation(row))
        return found

    def trainings(self, key: str, task: str) -> list[tuple[Identity, Evaluation]]:
        """All evaluations of a genome on a task's full budget, by replicate."""
        c = _evaluations.c
        query = sa.select(_evaluations).where(c.key == key, c.task == task, c.fidelity == 1.0)
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(c.replicate)).all()
        return [((key, task, 1.0, row.replicate), _evaluation(row)) for row in rows]

    def evaluations(self) -> Iterator[tuple[Identity, Genome, Evaluation]]:
        """Everything known, in the order of recording."""
        with self._engine.connect() as connection:
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
            _write(path, content)

    def _add_task(self, trial: Trial) -> None:
        if trial.task.key not in self._known_tasks:
            with self._engine.begin() as connection:
                connection.execute(
                    self._insert_or_ignore(_tasks).values(
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
        """Name -> what it was started with, oldest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(_runs).order_by(_runs.c.created)).all()
        return {row.name: row.document for row in rows}

    def add_proposal(self, run: str, trial: Trial, row: ProposalRow) -> None:
        self._add_task(trial)
        with self._engine.begin() as connection:
            connection.execute(
                _proposals.insert().values(
                    run=run,
                    number=row.number,
                    vector=list(row.vector),
                    genome=dict(row.genome),
                    key=row.key,
                    task=row.task,
                    fidelity=row.fidelity,
                    replicate=row.replicate,
                    pushed=row.pushed,
                )
            )

    def proposals(self, run: str) -> list[ProposalRow]:
        """The proposals of a run in the order of their numbers."""
        query = sa.select(_proposals).where(_proposals.c.run == run).order_by(_proposals.c.number)
        with self._engine.connect() as connection:
            return [
                ProposalRow(
                    row.number,
                    tuple(row.vector),
                    Genome(row.genome),
                    row.key,
                    row.task,
                    row.fidelity,
                    row.replicate,
                    row.pushed,
                )
                for row in connection.execute(query)
            ]

    def _insert_or_ignore(self, table: sa.Table) -> Any:
        dialect = postgresql if self._engine.dialect.name == "postgresql" else sqlite
        return dialect.insert(table).on_conflict_do_nothing()

    def close(self) -> None:
        self._engine.dispose()


_MIGRATIONS: dict[int, Any] = {}  # version -> what brings a store from it to the next


def _same(identity: Identity) -> sa.ColumnElement[bool]:
    key, task, fidelity, replicate = identity
    c = _evaluations.c
    return sa.and_(c.key == key, c.task == task, c.fidelity == fidelity, c.replicate == replicate)


def _evaluation(row: Any) -> Evaluation:
    return Evaluation(
        status=row.status,
        scores=tuple(row.scores),
        curve=tuple(row.curve),
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
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise UserError(f"cannot use '{folder}' for runs: {error.strerror}") from None
    if free < LEAST_FREE_BYTES:
        raise UserError(f"no room in '{folder}': {free // 10**6} MB free, {LEAST_FREE_BYTES // 10**6} needed")


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _beside(path) as half:
        half.write_bytes(content)
        os.replace(half, path)


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield half
    finally:
        half.unlink(missing_ok=True)
