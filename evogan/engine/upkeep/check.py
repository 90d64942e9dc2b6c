"""Rows and files of a store that do not fit: each in a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from evogan.engine import rows
from evogan.engine.history import RunHistory
from evogan.engine.store import Store
from evogan.engine.tables import all_tables, evaluations, extensions, finalists, proposals, runs, tasks, tells
from evogan.engine.upkeep.files import fault
from evogan.errors import UserError
from evogan.files import file_name

SHAPES: dict[sa.Table, type[rows.Row]] = {
    tasks: rows.TaskRow,
    evaluations: rows.IdentifiedRow,
    runs: rows.DocumentRow,
    extensions: rows.DocumentRow,
    finalists: rows.FinalistRow,
    proposals: rows.ProposalRow,
    tells: rows.TellRow,
}
PAGE = 500  # rows that are read at a time


def check(store: Store) -> Iterator[str]:
    """What is wrong with the store, a line each; nothing is changed. While drivers are at it, they may be ahead."""
    said: set[str] = set()
    for line in _all(store):
        if line not in said:
            said.add(line)
            yield line


def _all(store: Store) -> Iterator[str]:
    for part in (_rows, _references, _told, _runs, _files):
        try:
            yield from part(store)
        except UserError as error:  # of the database itself: the other parts may be readable
            yield _short(store, error)


def _short(store: Store, error: UserError) -> str:
    """Without the words that every line would begin with."""
    return str(error).removeprefix(str(store.damaged("")))


def _rows(store: Store) -> Iterator[str]:
    """Rows that cannot be read, and what SQLite says of its file."""
    yield from store.database.faults()
    for table, shape in SHAPES.items():
        wanted = {*shape.model_fields} | {column.name for column in table.primary_key}
        query = sa.select(*(column for column in table.columns if column.name in wanted)).order_by(*table.primary_key)

        def damaged(connection: sa.Connection, table: sa.Table = table, shape: Any = shape, query: Any = query) -> Any:
            found = []
            for page in connection.execution_options(yield_per=PAGE).execute(query).partitions():
                for row in page:
                    try:
                        rows.check(shape, table, row)
                    except UserError as error:
                        found.append(str(error))
            return found

        yield from store.database.read(damaged)


def _references(store: Store) -> Iterator[str]:
    """Rows that name others that are not there. SQLite does not mind by itself."""
    for table in all_tables.sorted_tables:
        for key in table.foreign_keys:
            there = sa.exists().where(key.column == key.parent)
            query = sa.select(*table.primary_key, key.parent.label("named")).where(~there)
            for row in store.database.rows(query):
                *place, named = tuple(row)
                where = ", ".join(f"{c.name} {v!r}" for c, v in zip(table.primary_key, place, strict=True))
                yield f"table {table.name}, row {where}: there is no {key.column.table.name[:-1]} '{named}'"


def _told(store: Store) -> Iterator[str]:
    """Tells of evaluations that are not there, or of another genome than was proposed."""
    of_runs = {run: (store.tells(run), store.finalists(run)) for run in store.names()}  # first: a driver may go on
    known = {id: identity[:2] for id, identity in store.identities().items()}
    for run, (told, checked) in of_runs.items():
        asked = {row.number: (row.key, row.task) for row in store.proposals(run)}
        for tell in told:
            where = f"table tells, row run '{run}', position {tell.position}"
            if tell.number not in asked:
                yield f"{where}: there is no proposal {tell.number}"
                continue
            for id in tell.evaluations:
                if id not in known:
                    yield f"{where}: there is no evaluation {id}"
                elif known[id] != asked[tell.number]:
                    yield f"{where}: evaluation {id} is of another genome or task than proposal {tell.number}"
        for key in sorted(checked - {key for key, _ in asked.values()}):
            yield f"table finalists, row run '{run}', key '{key}': it was never proposed"


def _runs(store: Store) -> Iterator[str]:
    """Runs that cannot be opened, and those whose best genome has lost its weights."""
    for name in store.names():
        try:
            run = RunHistory(store, name)
            through, best = run.is_through, run.best
        except UserError as error:
            yield _short(store, error)
            continue
        training = run.best_training(best.row.key) if through and best else None
        if training is not None and run.settings.gan and not run.facts.table:
            folder = store.files(training.identity, training.evaluation)
            if not store.has_weights(training.identity, training.evaluation):
                yield f"run '{name}': '{folder}' has no weights of its best training"


def _files(store: Store) -> Iterator[str]:
    """Files of no evaluation or task, halves of files, and files that are not whole."""
    folders = sorted((store.folder / "evaluations").glob("*/*"))  # first: a driver may add some
    busy = {folder for identity in store.leases.all() for folder in store.folders(identity)}
    known = {folder for identity in store.identities().values() for folder in store.folders(identity)}
    for folder in folders:
        if folder not in known and folder not in busy:
            yield f"'{folder}' belongs to no evaluation"
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            if path.name.startswith(".") and folder not in busy:
                yield f"'{path}' is half of a file that was never finished"
            elif why := fault(path):
                yield f"'{path}': {why}"
    tasks_known = tuple(f"{file_name(task)}-" for task in store.tasks())
    for path in sorted((store.folder / "tasks").glob("*")):
        if path.name.startswith("."):
            yield f"'{path}' is half of a file that was never finished"
        elif not path.name.startswith(tasks_known):
            yield f"'{path}' belongs to no task"
        elif why := fault(path):
            yield f"'{path}': {why}"
