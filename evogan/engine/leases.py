"""Leases: of several drivers that want the same evaluation at the same time, one trains it.

A lease holds as long as its holder lives. Every driver counts beats in the database; who finds an evaluation leased
watches the count of its holder by its own monotonic clock, since wall clocks jump and differ between machines. A count
that stands still for `LEASE` seconds is that of a dead driver, and its lease is taken over. On the same machine it is
enough that the process is gone. Whoever lives clears away what the dead have left in the tables.

A driver that was only suspended (a stopped process, a laptop that was closed) can tell so by its own clock, and asks
the store before it goes on with what it had taken on.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from functools import partial
from itertools import count
from threading import Event, Thread

import sqlalchemy as sa

from evogan.engine.database import Database
from evogan.engine.tables import drivers, leases
from evogan.errors import UserError
from evogan.files.processes import born, machine
from evogan.trial import Identity

_numbers = count()

BEAT = 5.0  # seconds
LEASE = 30.0  # seconds without a beat until a driver counts as dead

_NAMES = ("key", "task", "fidelity", "replicate")
_THIS = sa.and_(*(leases.c[name] == sa.bindparam(f"this_{name}") for name in _NAMES))
_HOLDER = (
    sa.select(leases.c.driver, drivers.c.beats)
    .outerjoin_from(leases, drivers, drivers.c.name == leases.c.driver)
    .where(_THIS)
)
_TAKE_OVER = leases.update().where(_THIS, leases.c.driver == sa.bindparam("before"))
_GIVE_BACK = leases.delete().where(_THIS, leases.c.driver == sa.bindparam("mine"))
_BEAT = drivers.update().where(drivers.c.name == sa.bindparam("mine")).values(beats=drivers.c.beats + 1)


class Leases:
    """What `driver` has taken on, in a store that other drivers may use. One in memory has no others.

    `driver` is its name: leases that an earlier one of this name left behind are its own.
    """

    def __init__(self, database: Database, driver: str) -> None:
        self._database, self._driver = database, driver
        self._held: set[Identity] = set()
        self._seen: dict[str, tuple[int | None, float]] = {}  # driver -> its count, and since when
        self._beaten, self._lapsed = now(), Event()
        self._closed = Event()
        self._heart: Thread | None = None

    def claim(self, identity: Identity) -> bool:
        """True: it is ours to train, unless the store has the answer by now. False: another driver is at it."""
        if self._database.in_memory:
            return True
        if self._heart is None:
            self._beaten = now()
            self._heart = Thread(target=self._live, name="evogan heartbeat", daemon=True)
            self._heart.start()
        claimed = self._database.do(partial(self._claim, identity))
        if claimed:
            self._held.add(identity)
        return claimed

    def release(self, identity: Identity) -> None:
        if identity in self._held:
            self._database.do(partial(self._give_back, [identity]))
            self._held.discard(identity)

    def all(self) -> list[Identity]:
        """What any driver has taken on."""
        query = sa.select(*(leases.c[name] for name in _NAMES))
        return [(row.key, row.task, row.fidelity, row.replicate) for row in self._database.rows(query)]

    def lapsed(self) -> bool:
        """Whether others may have taken this driver for dead since this was last asked."""
        if self._heart is None:
            return False
        lapsed = self._lapsed.is_set() or self._late
        self._lapsed.clear()
        return lapsed

    @property
    def _late(self) -> bool:
        return now() - self._beaten >= 0.9 * LEASE

    def close(self) -> None:
        """Give everything back. If the database does not answer, the others will notice soon enough."""
        if self._heart is None:
            return
        self._closed.set()
        self._heart.join()
        with suppress(UserError):
            self._database.do(self._leave, patience=0)
        self._held.clear()

    def _claim(self, identity: Identity, connection: sa.Connection) -> bool:
        lease = dict(zip(_NAMES, identity, strict=True)) | {"driver": self._driver}
        if connection.execute(self._database.add(leases), lease).first() is not None:
            return True
        holder = connection.execute(_HOLDER, _this(identity)).first()
        if holder is None:  # it was given back, or cleared away, this very moment
            return self._claim(identity, connection)
        if holder.driver == self._driver:
            return True
        if not self._is_dead(holder.driver, holder.beats):
            return False
        taken = connection.execute(_TAKE_OVER, _this(identity) | {"before": holder.driver, "driver": self._driver})
        return taken.rowcount == 1 or self._claim(identity, connection)  # somebody was faster

    def _is_dead(self, driver: str, beats: int | None) -> bool:
        if _is_gone(driver):
            return True
        before, since = self._seen.get(driver, (None, None))
        if since is None or beats != before:
            self._seen[driver] = (beats, now())
            return False
        return now() - since >= LEASE

    def _give_back(self, identities: list[Identity], connection: sa.Connection) -> None:
        for identity in identities:
            connection.execute(_GIVE_BACK, _this(identity) | {"mine": self._driver})

    def _leave(self, connection: sa.Connection) -> None:
        self._give_back(list(self._held), connection)
        connection.execute(drivers.delete().where(drivers.c.name == self._driver))

    def _live(self) -> None:
        """A database that does not answer is tried again at the next beat."""
        while True:
            with suppress(UserError):
                self._database.do(self._beat, patience=0)
                if self._late:
                    self._lapsed.set()
                self._beaten = now()
            if self._closed.wait(BEAT):
                return

    def _beat(self, connection: sa.Connection) -> None:
        if not connection.execute(_BEAT, {"mine": self._driver}).rowcount:
            connection.execute(self._database.add(drivers), {"name": self._driver, "beats": 0})
        known: dict[str, int | None] = dict.fromkeys(
            connection.execute(sa.select(leases.c.driver).distinct()).scalars()
        )
        known |= {row.name: row.beats for row in connection.execute(sa.select(drivers))}
        for driver in sorted(known.keys() - {self._driver}):
            if self._is_dead(driver, known[driver]):
                connection.execute(leases.delete().where(leases.c.driver == driver))
                connection.execute(drivers.delete().where(drivers.c.name == driver))
                self._seen.pop(driver, None)  # should it come back, it counts from the beginning


def now() -> float:
    """Seconds on a clock that nobody sets; where it can be told, those too in which the machine slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def this_driver() -> str:
    """A name of its own for every driver: this process, told from every other that there is or was, and a number."""
    return f"{machine()}/{os.getpid()}/{born(os.getpid()):.2f}/{next(_numbers)}"


def _this(identity: Identity) -> dict[str, object]:
    return {f"this_{name}": value for name, value in zip(_NAMES, identity, strict=True)}


def _is_gone(driver: str) -> bool:
    """Whether it is certain that this driver ended: it ran on this machine, and no such process lives."""
    if not driver.startswith(f"{machine()}/"):
        return False
    _, pid, started, _ = driver.rsplit("/", 3)
    since = born(int(pid))
    return since is None or f"{since:.2f}" != started
