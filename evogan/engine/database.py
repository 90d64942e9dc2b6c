"""The database under a store: SQLite or PostgreSQL, and patience with one that does not answer for a while."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial
from pathlib import Path
from threading import RLock
from time import monotonic, sleep
from typing import Any, NamedTuple, TypeVar, cast
from weakref import WeakValueDictionary

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from evogan.engine.migrations import MIGRATIONS
from evogan.engine.tables import SCHEMA_VERSION, all_tables, meta
from evogan.errors import UserError
from evogan.files import STORE

PATIENCE = 600.0  # seconds that a database or a disk may take to come back
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5.0  # between tries
BUSY = 2.0  # seconds that SQLite itself waits for a lock
CONNECT_TIMEOUT = 10  # seconds
LEAST_FREE_BYTES = 50_000_000

_SCHEMA_LOCK = 0x65766F67616E  # any number, the same in every driver
_PASSING = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)

T = TypeVar("T")


class Trouble(NamedTuple):
    """Why something failed, in one line. `passes`: it may go well later."""

    reason: str
    passes: bool


def with_retries(
    work: Callable[[], T],
    explain: Callable[[Exception], Trouble | None],
    on_wait: Callable[[str], None],
    patience: float | None = None,
) -> T:
    """`work()`, again and again until what hinders it has passed. `on_wait` is told once what that is.

    Errors: what `explain` does not know; UserError for what does not pass, or not within `patience` seconds.
    """
    patience = PATIENCE if patience is None else patience
    started, pause, waiting = monotonic(), FIRST_PAUSE, False
    while True:
        try:
            return work()
        except Exception as error:
            trouble = explain(error)
            if trouble is None:
                raise
        if not trouble.passes or patience == 0:
            raise UserError(trouble.reason)
        if monotonic() - started > patience:
            raise UserError(f"{trouble.reason} (waited {patience:g} seconds)")
        if not waiting:
            waiting = True
            on_wait(trouble.reason)
        sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


class Database:
    """`folder/evogan.db`, PostgreSQL by URL, or one in memory. Threads may share it.

    `on_wait` hears when it does not answer. With `make` it is to be written, and tables are made where there are none;
    without, a file that cannot be written is read as it is.
    Errors: UserError for what is no store, a store of a newer schema, a folder without room, a file that cannot be
    written, a URL that is wrong, a server that refuses. None of them shows a password.
    """

    def __init__(self, folder: Path | None, url: str | None = None, *, make: bool = True) -> None:
        self.in_memory = folder is None and url is None
        self.read_only = False
        self.on_wait: Callable[[str], None] = lambda reason: None
        self._turn: AbstractContextManager[Any] = nullcontext()
        if url is not None:
            self._engine, self.name = _postgresql(url)
        elif folder is not None:
            path = folder / STORE
            self.name = str(path)
            if path.exists():
                self.read_only = _only_readable(path)
            elif make:
                make_room(folder)
            if make and self.read_only:
                raise self._not_written()
            self._engine = _as_it_lies(path) if self.read_only else _sqlite(path)
        else:
            self._turn = RLock()  # there is one connection
            self._engine, self.name = _sqlite(None, poolclass=sa.StaticPool), "in memory"
        self._insert = postgresql.insert if url is not None else sqlite.insert
        self.add = cache(self._add)
        self._path = None if url or folder is None else folder / STORE
        self._opened: tuple[int, int] | None = None
        self._open(make, patience=None if url is None else 0)
        self._opened = self._file()

    def do(self, work: Callable[[sa.Connection], T], *, patience: float | None = None) -> T:
        """`work` in one transaction, from the beginning again after what passes: a lock, a restart, a lost connection.

        It may then have been done already, so it must be safe to repeat.
        Errors: UserError for what does not pass, or not within `patience` seconds.
        """
        if self.read_only:
            raise self._not_written()
        return self._try(work, patience, writes=True)

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """The same for `work` that writes nothing: it waits for no writer."""
        return self._try(work, None, writes=False)

    def rows(self, query: sa.Select[Any], values: Mapping[str, Any] | None = None) -> Sequence[sa.Row[Any]]:
        """All that it finds, with these values of its parameters."""
        return self.read(lambda connection: connection.execute(query, values).all())

    def _add(self, table: sa.Table, *returned: sa.Column[Any]) -> sa.Insert:
        """The statement that inserts a row unless it is there; of a new one it returns columns, or the primary key."""
        statement: Any = self._insert(table).on_conflict_do_nothing()
        return statement.returning(*(returned or table.primary_key.columns))  # type: ignore[no-any-return]

    def _not_written(self) -> UserError:
        return UserError(f"store '{self.name}' can be read, but not written: its file or its folder is protected")

    def same_as(self, other: Database) -> bool:
        """Whether it is the same file."""
        return self._opened is not None and self._opened == other._opened

    def faults(self) -> list[str]:
        """What SQLite finds wrong with its file, a line each."""
        if self._engine.dialect.name != "sqlite":
            return []
        found = self.read(lambda connection: connection.exec_driver_sql("PRAGMA integrity_check").scalars().all())
        return [" ".join(line.split()) for line in found if line != "ok"]

    def close(self) -> None:
        self._engine.dispose()

    def _try(self, work: Callable[[sa.Connection], T], patience: float | None, *, writes: bool) -> T:
        return with_retries(partial(self._once, work, writes), self._explain, lambda why: self.on_wait(why), patience)

    def _file(self) -> tuple[int, int] | None:
        """Which file there is; None if there is none."""
        if self._path is None:
            return None
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        except OSError:  # it cannot be told just now
            return self._opened
        return found.st_dev, found.st_ino

    def _once(self, work: Callable[[sa.Connection], T], writes: bool) -> T:
        if self._opened is not None and self._file() != self._opened:  # whatever goes on in it is lost
            raise UserError(f"store '{self.name}' was deleted or replaced while it was in use")
        with self._turn, self._engine.begin() as connection:
            if writes and self._engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")  # a lock that is waited for, unlike one taken midway
            return work(connection)

    def _explain(self, error: Exception) -> Trouble | None:
        if not isinstance(error, sa.exc.DBAPIError):
            return None
        if isinstance(error.orig, sqlite3.Error):
            passes = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in _PASSING
        else:
            passes = isinstance(error, sa.exc.OperationalError) or error.connection_invalidated
        return Trouble(f"store '{self.name}': {' '.join(str(error.orig).split())}", passes)

    def _open(self, make: bool, patience: float | None) -> None:
        found = self._try(self._version, patience, writes=False)
        if found is None and not make:
            raise UserError(f"no store in '{self.name}': nothing was run there yet")
        if found is None or found < SCHEMA_VERSION:
            if self.read_only:  # an older one: a copy becomes what it would
                self._engine, self._turn = _copied(self._engine), RLock()
            self._try(self._renew, patience, writes=True)
        elif found > SCHEMA_VERSION:
            raise UserError(
                f"'{self.name}' has schema {found}, this evogan knows up to {SCHEMA_VERSION}: install a newer one"
            )

    def _version(self, connection: sa.Connection) -> int | None:
        """The schema's; None where there is none yet."""
        tables = sa.inspect(connection).get_table_names()
        if tables and meta.name not in tables:
            raise UserError(f"'{self.name}' is a database, but no evogan store")
        row = connection.execute(sa.select(meta.c.schema_version)).first() if tables else None
        if row is None:
            return None
        found = row.schema_version
        if not (isinstance(found, int) and found >= 1):
            raise UserError(f"store '{self.name}' is damaged: schema_version is {found!r}, not a number from 1")
        return found

    def _renew(self, connection: sa.Connection) -> None:
        """One driver at a time makes the tables, or brings older ones up to date."""
        if self._engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_SCHEMA_LOCK)))
        found = self._version(connection)
        if found is None:
            all_tables.create_all(connection)
            connection.execute(meta.insert().values(id=1, schema_version=SCHEMA_VERSION))
            return
        for old in range(found, SCHEMA_VERSION):
            MIGRATIONS[old](connection)
            connection.execute(meta.update().values(schema_version=old + 1))


def make_room(folder: Path) -> None:
    """The folder, if there is room for what comes into it."""
    try:
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        free = shutil.disk_usage(there).free
        if free < LEAST_FREE_BYTES:
            raise UserError(f"no room in '{folder}': {free // 10**6} MB free, {LEAST_FREE_BYTES // 10**6} needed")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot use '{folder}' for runs: {error.strerror}") from None


def _only_readable(path: Path) -> bool:
    """Whether nothing can be written to this store of SQLite's, which needs files beside it for that."""
    if not path.is_file():
        raise UserError(f"'{path}' is no file, and no store")
    return not (os.access(path, os.W_OK) and os.access(path.resolve().parent, os.W_OK))


def _sqlite(path: Path | None, **options: Any) -> sa.Engine:
    engine = _connecting(sa.URL.create("sqlite", database=None if path is None else str(path)), **options)
    sa.event.listen(engine, "connect", _configure_sqlite)
    return engine


def _connecting(url: sa.URL, **options: Any) -> sa.Engine:
    return sa.create_engine(url, connect_args={"timeout": BUSY, "check_same_thread": False}, **options)


def _configure_sqlite(connection: Any, _: Any) -> None:
    """Readers beside a writer; a commit survives the death of the process without a flush to disk each."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def _as_it_lies(path: Path) -> sa.Engine:
    """For reading alone. Without files beside it nobody writes, and none need be made: it counts as immutable."""
    path = path.resolve()
    wal, shm = (path.with_name(f"{path.name}-{part}") for part in ("wal", "shm"))
    if wal.exists() and wal.stat().st_size and not shm.exists():
        raise UserError(f"'{wal}' cannot be read where nothing can be written: copy it and '{path}' to another folder")
    mode = {"mode": "ro"} if shm.exists() else {"immutable": "1"}
    return _connecting(sa.URL.create("sqlite", database=path.as_uri(), query={"uri": "true"} | mode))


def _copied(engine: sa.Engine) -> sa.Engine:
    """The same in memory."""
    copy = sqlite3.connect(":memory:", check_same_thread=False)
    with engine.connect() as connection:
        cast(sqlite3.Connection, connection.connection.driver_connection).backup(copy)
    engine.dispose()
    return sa.create_engine("sqlite://", creator=lambda: copy, poolclass=sa.StaticPool)


def _postgresql(url: str) -> tuple[sa.Engine, str]:
    """And what it may be called: the URL without its password, and without options, which may have one too."""
    parts = _parse(url)
    if parts is None or "@" in (parts.host or ""):
        raise UserError(
            "the database URL cannot be read; it looks like postgresql://USER:PASSWORD@HOST:PORT/DATABASE, "
            "with special characters of the user and the password written as %XX"
        )
    if parts.drivername not in ("postgresql", "postgresql+psycopg"):
        raise UserError(f"the database URL begins with '{parts.drivername}://': allowed: postgresql://")
    user, port = f"{parts.username}@" if parts.username else "", f":{parts.port}" if parts.port else ""
    engine = _connections(parts.set(drivername="postgresql+psycopg"))
    return engine, f"{user}{parts.host or 'localhost'}{port}/{parts.database or ''}"


_servers: WeakValueDictionary[tuple[sa.URL, int], sa.Engine] = WeakValueDictionary()


def _connections(url: sa.URL) -> sa.Engine:
    """All stores of a process that lie there share them: a server lets in a hundred or so."""
    here = url, os.getpid()
    engine = _servers.get(here)
    if engine is None:
        engine = _servers[here] = sa.create_engine(
            url,
            isolation_level="READ COMMITTED",
            connect_args={  # a server that vanished is noticed within minutes
                "connect_timeout": CONNECT_TIMEOUT,
                "keepalives_idle": 30,
                "tcp_user_timeout": 60_000,
            },
        )
    return engine


def _parse(url: str) -> sa.URL | None:
    """The error would tell what it could not read, and be part of the next one's story."""
    try:
        return sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        return None
