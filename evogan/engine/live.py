"""What runs do now, in the store, for whoever looks on from another process or machine. No result depends on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from evogan.engine.database import Database
from evogan.engine.tables import live
from evogan.trial import Identity

RUN = ""  # in the place of a trial: the run itself


@dataclass(frozen=True)
class Now:
    """Of a run or a trial: plain data, and of a trial the last grid of samples, a PNG; b"": as it was."""

    document: Mapping[str, Any]
    grid: bytes = b""


def trial_name(identity: Identity) -> str:
    """A trial within its run."""
    key, _, fidelity, replicate = identity
    return f"{key}-{fidelity:g}-{replicate}"


class Live:
    """What is known of the moment. Writing waits for nobody: what does not come through is left out."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, run: str, changed: Mapping[str, Now], gone: Iterable[str] = ()) -> None:
        """Errors: UserError if the database does not answer at once."""

        def work(connection: sa.Connection) -> None:
            for trial in gone:
                connection.execute(live.delete().where(live.c.run == run, live.c.trial == trial))
            for trial, now in changed.items():
                values: dict[str, Any] = {"document": dict(now.document)} | ({"grid": now.grid} if now.grid else {})
                here = live.update().where(live.c.run == run, live.c.trial == trial).values(**values)
                if not connection.execute(here).rowcount:
                    connection.execute(self._database.add(live), {"run": run, "trial": trial, "grid": None, **values})

        self._database.do(work, patience=0)

    def clear(self, run: str) -> None:
        """Of an earlier driver, that may have been killed."""
        self._database.do(lambda connection: connection.execute(live.delete().where(live.c.run == run)), patience=0)

    def runs(self) -> dict[str, Mapping[str, Any]]:
        """By their names, as far as a driver told."""
        query = sa.select(live.c.run, live.c.document).where(live.c.trial == RUN)
        return {row.run: _document(row.document) for row in self._database.rows(query)}

    def of(self, run: str) -> dict[str, Mapping[str, Any]]:
        """The run itself, and the trials that train."""
        query = sa.select(live.c.trial, live.c.document).where(live.c.run == run).order_by(live.c.trial)
        return {row.trial: _document(row.document) for row in self._database.rows(query)}

    def grid(self, run: str, trial: str) -> bytes:
        """The last one of a trial that trains; b"" if there is none."""
        query = sa.select(live.c.grid).where(live.c.run == run, live.c.trial == trial)
        return self._database.read(lambda c: c.execute(query).scalar()) or b""


def _document(found: Any) -> Mapping[str, Any]:
    """Anyone may have changed it: what is no document says nothing."""
    return found if isinstance(found, dict) else {}
