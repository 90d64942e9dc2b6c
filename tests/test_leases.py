"""Leases: two drivers that want the same evaluation train it once, and one that dies holds up nobody."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from time import sleep

import pytest
import sqlalchemy as sa

from evogan.engine import Broker, LocalExecutor, leases
from evogan.engine.database import Database
from evogan.engine.leases import Leases, this_driver
from evogan.engine.store import Store
from evogan.engine.tables import drivers
from evogan.engine.tables import leases as lease_table
from evogan.genome import Genome
from evogan.trial import Evaluation, Identity, Task, Trial
from tests import forked
from tests.postgres import Postgres
from tests.postgres import postgres as postgres

TRIAL = Trial(Genome({"x": 1}), "key", Task(name="made up"))

ONE: Identity = ("key", "task", 1 / 3, 0)
TWO: Identity = ("key", "task", 1 / 3, 1)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue("postgres").fresh() if request.param == "postgresql" else ""


@pytest.fixture
def driver(url: str, runs: Path) -> Iterator[Callable[[str], Leases]]:
    """Leases of drivers, by their names."""
    opened = []

    def open_one(name: str) -> Leases:
        opened.append(Leases(Store(runs, url or None).database, name))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


class Clock:
    """A monotonic clock that stands still until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("evogan.engine.leases.now", clock)
    return clock


@pytest.fixture
def one_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drivers whose hearts stop after the first beat."""
    monkeypatch.setattr("evogan.engine.leases.BEAT", 1e6)


def rows(database: Database, table: sa.Table) -> list[sa.Row[tuple[object, ...]]]:
    return list(database.read(lambda connection: connection.execute(sa.select(table)).all()))


def test_one_of_two_has_it(driver: Callable[[str], Leases]) -> None:
    a, b = driver("a"), driver("b")
    assert a.claim(ONE) and not b.claim(ONE)
    assert b.claim(TWO) and not a.claim(TWO)
    assert a.claim(ONE)  # it is its own already
    b.release(ONE)  # which it has not
    assert not b.claim(ONE)
    a.release(ONE)
    assert b.claim(ONE) and not a.claim(ONE)


def test_who_closes_gives_everything_back(driver: Callable[[str], Leases]) -> None:
    a, b = driver("a"), driver("b")
    assert a.claim(ONE) and a.claim(TWO) and not b.claim(ONE)
    a.close()
    assert b.claim(ONE) and b.claim(TWO)


def test_leftover_leases_of_its_own_name_are_its_own(driver: Callable[[str], Leases]) -> None:
    assert driver("a").claim(ONE)
    assert driver("a").claim(ONE)


@pytest.mark.usefixtures("one_beat")
def test_a_driver_without_a_beat_is_dead_after_a_while(driver: Callable[[str], Leases], clock: Clock) -> None:
    a, b, c = driver("a"), driver("b"), driver("c")
    assert a.claim(ONE) and a.claim(TWO)
    while not rows(a._database, drivers):  # the first beat
        sleep(0.01)
    assert not b.claim(ONE)
    clock.now += leases.LEASE - 1
    assert not b.claim(ONE) and not c.claim(ONE)
    clock.now += 1
    assert b.claim(ONE) and not c.claim(ONE)
    assert b.claim(TWO)
    assert not a.claim(ONE)  # back from the dead, it finds that others went on
    a.release(ONE)
    assert not c.claim(ONE)


@pytest.mark.usefixtures("one_beat")
def test_a_driver_that_beats_lives(driver: Callable[[str], Leases], clock: Clock) -> None:
    a, b = driver("a"), driver("b")
    assert a.claim(ONE)
    for _ in range(5):
        assert not b.claim(ONE)
        clock.now += leases.LEASE - 1
        a._database.do(a._beat)


def test_a_driver_that_comes_back_from_its_first_beat_lives(
    driver: Callable[[str], Leases], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is entered anew, with as many beats as were last seen of it."""
    monkeypatch.setattr("evogan.engine.leases.BEAT", 1e6)
    here, away = driver("here"), driver("of another machine")
    database = here._database
    assert away.claim(ONE) and here.claim(TWO)
    while len(rows(database, drivers)) < 2:  # the first beat of each
        sleep(0.01)
    database.do(here._beat)
    clock.now += leases.LEASE
    database.do(here._beat)
    assert {row.name for row in rows(database, drivers)} == {"here"}
    for _ in range(3):
        database.do(away._beat)
        assert away.claim(ONE)
        database.do(here._beat)
        assert not here.claim(ONE)


def beats_of(store: Store) -> bool:
    """Waits for the first beat."""
    while not rows(store.database, drivers):
        sleep(0.01)
    return True


def beats(store: Store) -> int:
    """Of the only driver; before its first one 0."""
    return max((int(str(row.beats)) for row in rows(store.database, drivers)), default=0)


@pytest.mark.fault
def test_the_heart_beats_by_itself_and_goes_on_after_an_interruption(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evogan.engine.leases.BEAT", 0.01)
    store = Store(None, postgres.fresh())
    assert store.leases.claim(ONE)
    for _ in range(2):
        before = beats(store)
        while beats(store) < before + 3:
            sleep(0.01)
        postgres.restart()
    store.close()


@pytest.mark.fault
def test_a_clock_that_jumps_kills_nobody(
    driver: Callable[[str], Leases], monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """Neither do the beats count by it, nor is a process told from others by it."""
    here, b = driver(this_driver()), driver("b")
    assert here.claim(ONE)
    for jump in (1e9, -1e9):
        monkeypatch.setattr("time.time", lambda jump=jump: 1.8e9 + jump)
        monkeypatch.setattr("psutil._pslinux.boot_time", lambda jump=jump: 1.7e9 + jump)
        assert not b.claim(ONE)
    clock.now += leases.LEASE - 1
    assert not b.claim(ONE)


@pytest.mark.fault
@pytest.mark.usefixtures("one_beat")
def test_a_process_that_is_gone_is_dead_at_once(driver: Callable[[str], Leases]) -> None:
    machine, pid, started, _ = this_driver().rsplit("/", 3)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for dead in (f"{machine}/{gone.pid}/{started}/0", f"{machine}/{pid}/0.01/0"):
        assert driver(dead).claim(ONE)
        living = driver(f"after {dead}")
        assert living.claim(ONE)
        living.release(ONE)
    assert driver(f"another {machine}/{gone.pid}/{started}/0").claim(ONE)
    assert not driver("b").claim(ONE)  # of another machine nothing is known so soon


@pytest.mark.fault
@pytest.mark.usefixtures("one_beat")
def test_who_was_suspended_trains_nothing_that_others_have_trained_meanwhile(runs: Path, clock: Clock) -> None:
    trained = []

    def train(trial: Trial) -> Evaluation:
        trained.append(trial.key)
        return Evaluation(status="completed")

    trials = [Trial(Genome({"x": i}), f"key {i}", Task(name="made up")) for i in range(4)]
    store, other = Store(runs), Store(runs)
    one, two = Broker(store, LocalExecutor(train)), Broker(other, LocalExecutor(train))
    for trial in trials:
        one.request(trial)
    for trial in trials[:2]:
        two.request(trial)
    assert beats_of(store) and not store.leases.lapsed()
    clock.now += leases.LEASE
    assert len(two.results(trials[:2])) == 2
    assert store.leases.lapsed()
    assert len(one.results(trials)) == 4
    assert sorted(trained) == [trial.key for trial in trials]
    for each in (store, other):
        each.close()


@pytest.mark.fault
def test_what_dead_drivers_left_is_cleared_away_by_whoever_lives(
    driver: Callable[[str], Leases], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evogan.engine.leases.BEAT", 1e6)
    machine, pid, *_ = this_driver().rsplit("/", 3)
    killed, away = driver(f"{machine}/{pid}/0.01/0"), driver("of another machine")
    database = killed._database
    for dead, identity in ((killed, ONE), (away, TWO)):
        dead._database.do(dead._beat)
        assert dead._database.do(partial(dead._claim, identity))
    here = driver(this_driver())
    database.do(here._beat)
    assert {row.name for row in rows(database, drivers)} == {away._driver, here._driver}
    clock.now += leases.LEASE
    database.do(here._beat)
    assert {row.name for row in rows(database, drivers)} == {here._driver}
    assert rows(database, lease_table) == []


def test_in_memory_there_is_nobody_else() -> None:
    before, store = threading.active_count(), Store()
    assert store.leases.claim(ONE) and store.leases.claim(ONE)
    store.leases.release(ONE)
    assert threading.active_count() == before
    store.close()


def test_a_store_that_is_closed_leaves_no_thread_and_no_lease(runs: Path) -> None:
    before, store = threading.active_count(), Store(runs)
    assert store.leases.claim(ONE)
    assert threading.active_count() == before + 1
    store.close()
    assert threading.active_count() == before
    again = Store(runs)
    assert rows(again.database, drivers) == rows(again.database, lease_table) == []


# --- processes

RACE = """
import random, sys, time
from pathlib import Path
from evogan.engine.store import Store
from evogan.genome import Genome
from evogan.trial import Evaluation, Task, Trial

runs, url, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
store, rng = Store(runs, url or None), random.Random(number)
trials = [Trial(Genome({"x": i}), f"key {i}", Task(name="made up")) for i in range(40)]
rng.shuffle(trials)
while trials:
    for trial in list(trials):
        if store.find(trial.identity) is None:
            if not store.leases.claim(trial.identity):
                continue
            if store.find(trial.identity) is None:
                print(trial.key)
                time.sleep(rng.random() / 50)
                store.record(trial, Evaluation(status="completed", cost={"driver": number}))
            store.leases.release(trial.identity)
        trials.remove(trial)
    time.sleep(0.01)
store.close()
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return forked.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_drivers_that_race_train_everything_once(url: str, runs: Path) -> None:
    racing = [start(RACE, runs, url, number) for number in range(3)]
    outputs = [process.communicate() for process in racing]
    assert [errors for _, errors in outputs] == [""] * 3
    trained = Counter(line for output, _ in outputs for line in output.splitlines())
    assert trained == {f"key {i}": 1 for i in range(40)}
    store = Store(runs, url or None)
    assert store.count() == 40
    assert rows(store.database, lease_table) == []


HOLD = """
import sys
from pathlib import Path
from evogan.engine import Broker, LocalExecutor, leases
from evogan.engine.store import Store
from evogan.genome import Genome
from evogan.trial import Evaluation, Task, Trial

leases.BEAT = 0.3
store = Store(Path(sys.argv[1]), sys.argv[2] or None)
trial = Trial(Genome({"x": 1}), "key", Task(name="made up"))
print(store.leases.claim(trial.identity), flush=True)
sys.stdin.readline()
print(store.record(trial, Evaluation(status="completed", cost={"driver": 1})).cost)
store.close()
"""


@pytest.fixture
def holder(url: str, runs: Path) -> Iterator[subprocess.Popen[str]]:
    """A driver that has claimed a trial, and records it when it reads a line."""
    process = start(HOLD, runs, url)
    assert process.stdout is not None and process.stdout.readline() == "True\n"
    yield process
    process.kill()
    process.communicate()


@pytest.mark.fault
def test_the_lease_of_a_killed_driver_is_taken_over_at_once(
    holder: subprocess.Popen[str], url: str, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evogan.engine.leases.LEASE", 1e6)
    store = Store(runs, url or None)
    assert not store.leases.claim(TRIAL.identity)
    holder.send_signal(signal.SIGKILL)
    while not store.leases.claim(TRIAL.identity):  # and never, if it were not noticed
        sleep(0.01)
    store.close()


@pytest.mark.fault
def test_a_driver_that_hangs_is_taken_over_and_what_it_says_later_changes_nothing(
    holder: subprocess.Popen[str], url: str, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evogan.engine.leases.LEASE", 1.0)
    store = Store(runs, url or None)
    assert not store.leases.claim(TRIAL.identity)
    beats = [row.beats for row in rows(store.database, drivers)]
    while [row.beats for row in rows(store.database, drivers)] == beats:
        sleep(0.01)
    holder.send_signal(signal.SIGSTOP)  # just after a beat, or it might hold the whole database with it
    while not store.leases.claim(TRIAL.identity):
        sleep(0.01)
    store.record(TRIAL, Evaluation(status="completed", cost={"driver": 2}))
    holder.send_signal(signal.SIGCONT)
    assert holder.communicate("\n") == ("{'driver': 2}\n", "")
    assert store.count() == 1
    (lease,) = rows(store.database, lease_table)  # nor is it given back
    assert lease.driver.rsplit("/", 1)[0] == this_driver().rsplit("/", 1)[0]
    store.close()
