"""The store: what is recorded is there, once and whole, in whatever database and whatever happens to it."""

from __future__ import annotations

import errno
import gc
import json
import logging
import math
import os
import shutil
import sqlite3
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Thread
from time import sleep
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evogan import search
from evogan.engine import Event
from evogan.engine.database import Database
from evogan.engine.migrations import MIGRATIONS
from evogan.engine.store import ProposalRow, Store, TellRow
from evogan.engine.tables import SCHEMA_VERSION
from evogan.errors import UserError
from evogan.genome import Genome
from evogan.trial import STATE, Evaluation, Limits, Task, Trial
from tests import forked
from tests.conftest import TASK, mixed_space
from tests.postgres import PASSWORD, QUOTED, Postgres
from tests.postgres import postgres as postgres

TRIAL = Trial(Genome({"x": 1}), "key", TASK)
DONE = Evaluation(status="completed", scores=({"value": 0.1 + 0.2},), cost={"seconds": 2.0})
SLOW = Evaluation(status="timed_out", limits=Limits(seconds=10.0))
ROW = ProposalRow(0, (0.5, 0.1 + 0.2), TRIAL.genome, "key", TASK.key, 1.0, False)


def trial(number: int, **changes: Any) -> Trial:
    return replace(TRIAL, genome=Genome({"x": number}), key=f"key {number}", **changes)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def driver(request: pytest.FixtureRequest, runs: Path) -> Iterator[Callable[[], Store]]:
    """Opens the same store again and again, as every driver does for itself; one in memory has one driver."""
    url = request.getfixturevalue("postgres").fresh() if request.param == "postgresql" else None
    opened = [Store() if request.param == "memory" else Store(runs, url)]

    def again() -> Store:
        if request.param != "memory":
            opened.append(Store(runs, url))
        return opened[-1]

    yield again
    for store in opened:
        store.close()


class TestEveryDatabase:
    def test_the_first_answer_stands(self, driver: Callable[[], Store]) -> None:
        one, two = driver(), driver()
        first = one.record(TRIAL, DONE)
        second = two.record(TRIAL, Evaluation(status="crashed"))
        assert first == second == one.find(TRIAL.identity) == DONE
        assert first.id == second.id and first.fidelity == 1.0
        assert one.count() == 1

    def test_what_is_recorded_is_read_back_as_it_was(self, driver: Callable[[], Store]) -> None:
        given = Evaluation(
            status="diverged",
            scores=({"kimg": 1.0, "fid": math.pi}, {"kimg": 2.0, "fid": math.inf}),
            curve=tuple({"kimg": i / 7, "real": -math.inf} for i in range(2000)),
            diagnostics=({"critic": {"head": {"gradient": 5e-324, "\0 ü \ud800": [1, None, True]}}},),
            flags=("mode_collapse",),
            cost={"seconds": 0.1 + 0.2, "memory": 2**53 - 1},
            provenance={"torch": "2", "threads": 1},
            reason="no 'ü' in \"it\"; 100 %",
            limits=Limits(memory=1e9),
        )
        for fidelity in (1.0, 1 / 3, 0.1):
            recorded = driver().record(replace(TRIAL, fidelity=fidelity), given)
            assert recorded == given and recorded.fidelity == fidelity
            assert driver().find((TRIAL.key, TASK.key, fidelity, 0)) == given

    def test_nan_is_a_number_too(self, driver: Callable[[], Store]) -> None:
        driver().record(TRIAL, replace(DONE, scores=({"value": math.nan},)))
        found = driver().find(TRIAL.identity)
        assert found is not None and math.isnan(found.scores[0]["value"])

    def test_a_reason_is_text(self, driver: Callable[[], Store]) -> None:
        recorded = driver().record(TRIAL, Evaluation(status="crashed", reason="bad\0 byte \udcff"))
        assert recorded.reason == "bad byte ?"

    def test_a_limit_bound_failure_is_followed_by_an_attempt_with_more(self, driver: Callable[[], Store]) -> None:
        store = driver()
        assert store.find(TRIAL.identity) is None and store.answers(TRIAL.identity) == []
        slow = store.record(TRIAL, SLOW, Limits(seconds=10))
        assert store.record(TRIAL, DONE, Limits(seconds=5)) == slow  # which tells how this one ends
        done = store.record(TRIAL, DONE, Limits(seconds=20))
        assert driver().answers(TRIAL.identity) == [slow, done] == [SLOW, DONE]
        assert store.find(TRIAL.identity) == DONE
        assert store.find(TRIAL.identity, Limits(seconds=10)) == SLOW
        assert store.find(TRIAL.identity, Limits(seconds=11)) == DONE
        assert store.evaluations_of([done.id or 0, slow.id or 0]) == [DONE, SLOW]

    def test_recorded_again_it_is_the_same(self, driver: Callable[[], Store]) -> None:
        """As after a commit whose confirmation was lost; here of a failure that does not answer its own offer."""
        first = driver().record(TRIAL, SLOW, Limits(seconds=60))
        assert driver().record(TRIAL, SLOW, Limits(seconds=60)).id == first.id
        assert driver().count() == 1

    def test_task_fidelity_and_replicate_tell_evaluations_apart(self, driver: Callable[[], Store]) -> None:
        store = driver()
        others = [replace(TRIAL, **{name: value}) for name, value in DIFFERENT.items()]
        for other in others:
            store.record(other, DONE)
        assert store.find(TRIAL.identity) is None
        assert [identity for identity, _, _ in store.evaluations()] == [other.identity for other in others]

    def test_runs(self, driver: Callable[[], Store]) -> None:
        store = driver()
        document = {"budget": 1, "shape": (1, 2), "none": None}
        store.add_run("one", document)
        driver().add_run("one", document)
        with pytest.raises(UserError, match="run 'one' exists"):
            driver().add_run("one", {"budget": 2})
        store.add_run("two", {})
        store.extend_run("one", {"budget": 5})
        store.extend_run("one", {"budget": 3})
        assert driver().runs() == {"one": {"budget": 3, "shape": [1, 2], "none": None}, "two": {}}
        with pytest.raises(UserError, match="did you mean 'two'"):
            store.run("tow")

    def test_proposals(self, driver: Callable[[], Store]) -> None:
        store = driver()
        store.add_run("run", {})
        rows = [replace(ROW, number=i, vector=(i / 7,), pushed=i == 3) for i in range(6)]
        for row in [*rows, *rows]:
            store.add_proposal("run", TRIAL, row)
        assert driver().proposals("run") == rows
        assert driver().proposals("run", 2, 3) == rows[2:5]
        assert driver().proposals("another") == []
        with pytest.raises(UserError, match="run 'run' is carried on by another process"):
            driver().add_proposal("run", TRIAL, replace(rows[1], key="another"))
        assert driver().proposals("run") == rows

    def test_where_a_proposal_came_from_is_recorded_and_not_compared(self, driver: Callable[[], Store]) -> None:
        store, known = driver(), [(3, (0, 7), "crossover"), (None, (), "uniform"), (None, None, None)]
        store.add_run("run", {})
        for number, (generation, parents, operator) in enumerate(known):
            row = replace(ROW, number=number, generation=generation, parents=parents, operator=operator)
            store.add_proposal("run", TRIAL, row)
            driver().add_proposal("run", TRIAL, replace(row, generation=5, parents=(1,), operator="another"))
        assert [(row.generation, row.parents, row.operator) for row in driver().proposals("run")] == known

    def test_what_a_strategy_was_told_is_known_in_order(self, driver: Callable[[], Store]) -> None:
        store = driver()
        store.add_run("run", {})
        rows = [TellRow(0, 3, (7, 8)), TellRow(1, 0, (5,)), TellRow(2, 1, ())]
        for row in [*rows, *rows]:
            store.add_tell("run", row.position, row.number, row.evaluations)
        assert driver().tells("run") == rows
        assert driver().tells("run", 1, 1) == rows[1:2]
        assert driver().told_numbers("run") == {0, 1, 3}
        with pytest.raises(UserError, match="carried on by another process"):
            driver().add_tell("run", 1, 2, [5])
        assert driver().tells("run") == rows

    def test_finalists(self, driver: Callable[[], Store]) -> None:
        store = driver()
        store.add_run("run", {})
        store.set_finalists("run", ["a", "b"])
        store.set_finalists("run", ["b", "c"])
        assert driver().finalists("run") == {"b", "c"}
        store.set_finalists("run", [])
        assert driver().finalists("run") == set()

    def test_everything_is_read_page_by_page(
        self, driver: Callable[[], Store], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("evogan.engine.store.PAGE", 3)
        store = driver()
        given = [replace(DONE, cost={"seconds": float(i)} if i % 2 else {}) for i in range(9)]
        given[8] = replace(DONE, cost={"seconds": 8.0}, cut_short="diverged")
        given[7] = replace(given[7], provenance={"continued_from": 0.25})
        recorded = [store.record(trial(i), one) for i, one in enumerate(given)]
        ids = [one.id or 0 for one in recorded]
        assert list(store.evaluations()) == [(trial(i).identity, trial(i).genome, given[i]) for i in range(9)]
        assert store.evaluations_of(ids[::-1] * 2) == given[::-1] * 2
        assert store.evaluation(ids[4]) == given[4]
        assert store.count() == 9
        known = [(trial(i).genome, 0.75 if i == 7 else 1.0, {"seconds": float(i)}) for i in (7, 5, 3, 1)]
        assert store.costs(TASK.key) == known
        assert store.costs(TASK.key, 2) == known[:2]
        assert store.costs("another") == []

    def test_a_training_goes_on_from_the_highest_fidelity_that_left_its_state(
        self, driver: Callable[[], Store]
    ) -> None:
        store = driver()
        for fidelity, name in ((0.1, STATE), (0.3, STATE), (0.5, "samples.png"), (1.0, STATE)):
            files = {name: str(fidelity).encode()}
            store.record(replace(TRIAL, fidelity=fidelity), replace(DONE, files=files, cost={"seconds": fidelity}))
        found = store.earlier(TRIAL, TRIAL.choice)
        assert found is not None and found.cost == {"seconds": 0.3} and found.files == {STATE: b"0.3"}
        store.drop_state((TRIAL.key, TASK.key, 0.3, 0), found)
        found = store.earlier(TRIAL, TRIAL.choice)
        assert found is not None and found.fidelity == 0.1

        def read(path: Path) -> bytes:
            path.unlink(missing_ok=True)  # another driver drops it between two looks
            return path.open("rb").read()

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Path, "read_bytes", read)
            assert store.earlier(TRIAL, TRIAL.choice) is None
        assert store.earlier(replace(TRIAL, fidelity=0.1), TRIAL.choice) is None

    def test_an_answer_that_stands_keeps_its_files(self, driver: Callable[[], Store]) -> None:
        driver().record(TRIAL, replace(DONE, files={"a": b"first"}))
        store = driver()
        store.record(TRIAL, replace(DONE, files={"a": b"second"}))
        assert (store.files(TRIAL.identity) / "a").read_bytes() == b"first"

    def test_threads_may_share_it(self, driver: Callable[[], Store]) -> None:
        store = driver()
        store.add_run("run", {})
        recorded: list[tuple[int | None, ...]] = []

        def work() -> None:
            recorded.append(tuple(store.record(trial(i), DONE).id for i in range(30)))
            for i in range(30):
                store.add_proposal("run", TRIAL, replace(ROW, number=i))

        threads = [Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(recorded) == 6 and len(set(recorded)) == 1
        assert store.count() == len(store.proposals("run")) == 30

    def test_a_store_of_a_newer_schema_is_refused(self, runs: Path, request: pytest.FixtureRequest) -> None:
        url = request.getfixturevalue("postgres").fresh()
        for where in ((runs, None), (None, url)):
            store = Store(*where)
            store.database.do(lambda connection: connection.exec_driver_sql("UPDATE evogan SET schema_version = 99"))
            with pytest.raises(UserError, match=f"has schema 99, this evogan knows up to {SCHEMA_VERSION}"):
                Store(*where)


DIFFERENT: dict[str, Any] = {"key": "another", "task": Task(name="another"), "fidelity": 0.5, "replicate": 1}


@given(
    offers=st.lists(st.sampled_from([5.0, 10.0, 20.0, math.inf]), max_size=6),
    of=st.sampled_from([("timed_out", "seconds"), ("timed_out", "stall"), ("out_of_memory", "memory")]),
)
@settings(max_examples=60)
def test_attempts_are_only_added_for_more_than_was_offered_before(offers: list[float], of: tuple[str, str]) -> None:
    store, (kind, name) = Store(), of
    for offer in offers:
        limits = Limits(**{name: offer})
        store.record(TRIAL, Evaluation(status=kind, limits=limits), limits)  # type: ignore[arg-type]
    known = [getattr(one.limits, name) for one in store.answers(TRIAL.identity)]
    assert known == sorted(set(known)) and max(known, default=None) == max(offers, default=None)


def test_a_stall_that_was_recorded_without_its_limit_is_tried_again() -> None:
    stalled = Evaluation(status="timed_out", reason="no sign of life for 60 s")
    assert not stalled.answers(Limits()) and not stalled.answers(Limits(stall=10.0))
    assert replace(stalled, limits=Limits(stall=60.0)).answers(Limits(stall=60.0))


# --- opening


def test_what_is_no_store_is_refused_and_left_as_it_was(runs: Path) -> None:
    runs.mkdir()
    path = runs / "evogan.db"
    path.write_bytes(b"not a database at all, " * 100)
    with pytest.raises(UserError, match="file is not a database"):
        Store(runs)
    assert path.read_bytes() == b"not a database at all, " * 100
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    with pytest.raises(UserError, match="is a database, but no evogan store"):
        Store(runs)


def test_reading_never_makes_a_store(runs: Path, postgres: Postgres) -> None:
    with pytest.raises(UserError, match="no store in"):
        Store.existing(runs)
    assert not runs.exists()
    url = postgres.fresh()
    for _ in range(2):
        with pytest.raises(UserError, match="no store in 'evogan@127.0.0.1"):
            Store.existing(runs, url)
    assert not runs.exists()
    Store(runs, url).add_run("run", {})
    assert list(Store.existing(runs, url).runs()) == ["run"]


@pytest.mark.fault
@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_store_that_goes_while_a_search_runs_ends_it_and_is_not_made_again(runs: Path, how: str) -> None:
    def listen(event: Event) -> None:
        if event.kind == "evaluated" and event.trial is not None and event.trial.number == 3:
            shutil.rmtree(runs)
            if how == "replaced":
                Store(runs).close()

    with pytest.raises(UserError, match="evogan.db' was deleted or replaced while it was in use"):
        search(
            mixed_space(), objective=lambda genes: 1.0, task="t", evaluations=20, runs=runs, workers=1, listener=listen
        )
    left = list(runs.rglob("*"))
    assert left == [] if how == "deleted" else "evogan.db" in {path.name for path in left}


def test_no_room_is_said_before_anything_is_written(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    with pytest.raises(UserError, match="no room in"):
        Store(runs)
    assert not runs.exists()


def test_a_store_that_was_hardly_begun_is_finished(runs: Path) -> None:
    """As `kill -9` between two statements leaves it."""
    runs.mkdir()
    with sqlite3.connect(runs / "evogan.db") as connection:
        connection.execute("CREATE TABLE evogan (id INTEGER PRIMARY KEY, schema_version INTEGER NOT NULL)")
    Store(runs)
    assert Store(runs).runs() == {}


PROCESS = """
import sys
from pathlib import Path
from evogan.engine.store import Store
from evogan.genome import Genome
from evogan.trial import Evaluation, Task, Trial

store = Store(Path(sys.argv[1]), sys.argv[2] or None)
for i in range(int(sys.argv[3])):
    trial = Trial(Genome({"x": i}), f"key {i}", Task(name="made up"))
    print(i, store.record(trial, Evaluation(status="completed", cost={"seconds": float(sys.argv[4])})).cost)
"""


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_many_processes_make_one_store_and_fill_it(database: str, runs: Path, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue("postgres").fresh() if database == "postgresql" else ""
    processes = [
        forked.Popen(
            [sys.executable, "-c", PROCESS, str(runs), url, "50", str(number)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    outputs = [process.communicate() for process in processes]
    assert [errors for _, errors in outputs] == [""] * 4
    assert len({answers for answers, _ in outputs}) == 1
    store = Store(runs, url or None)
    assert store.count() == 50
    assert [genome["x"] for _, genome, _ in store.evaluations()] == list(range(50))


# --- older stores

VERSION_1 = """
CREATE TABLE evogan (id INTEGER NOT NULL, schema_version INTEGER NOT NULL, PRIMARY KEY (id));
CREATE TABLE runs (name VARCHAR NOT NULL, document JSON NOT NULL, created DATETIME NOT NULL, PRIMARY KEY (name));
CREATE TABLE tasks ("key" VARCHAR NOT NULL, name VARCHAR NOT NULL, document JSON NOT NULL, PRIMARY KEY ("key"));
CREATE TABLE evaluations (
    id INTEGER NOT NULL, "key" VARCHAR NOT NULL, task VARCHAR NOT NULL, fidelity FLOAT NOT NULL,
    replicate INTEGER NOT NULL, genome JSON NOT NULL, status VARCHAR NOT NULL, reason VARCHAR NOT NULL,
    scores JSON NOT NULL, curve JSON NOT NULL, cost JSON NOT NULL, provenance JSON NOT NULL, created DATETIME NOT NULL,
    PRIMARY KEY (id), UNIQUE ("key", task, fidelity, replicate), FOREIGN KEY(task) REFERENCES tasks ("key")
);
CREATE TABLE extensions (
    id INTEGER NOT NULL, run VARCHAR NOT NULL, document JSON NOT NULL, PRIMARY KEY (id),
    FOREIGN KEY(run) REFERENCES runs (name)
);
CREATE TABLE finalists (
    run VARCHAR NOT NULL, "key" VARCHAR NOT NULL, PRIMARY KEY (run, "key"), FOREIGN KEY(run) REFERENCES runs (name)
);
CREATE TABLE proposals (
    run VARCHAR NOT NULL, number INTEGER NOT NULL, vector JSON NOT NULL, genome JSON NOT NULL, "key" VARCHAR NOT NULL,
    task VARCHAR NOT NULL, fidelity FLOAT NOT NULL, pushed BOOLEAN NOT NULL, PRIMARY KEY (run, number),
    FOREIGN KEY(run) REFERENCES runs (name), FOREIGN KEY(task) REFERENCES tasks ("key")
);
INSERT INTO evogan VALUES (1, 1);
INSERT INTO tasks VALUES ('t', 'digits', '{}');
"""
VERSION_2 = VERSION_1.replace(
    "cost JSON NOT NULL, prov",
    "diagnostics JSON DEFAULT '[]' NOT NULL, flags JSON DEFAULT '[]' NOT NULL,\n    cost JSON NOT NULL, prov",
).replace("evogan VALUES (1, 1)", "evogan VALUES (1, 2)")
VERSIONS = {1: VERSION_1, 2: VERSION_2}

# key, replicate, status, fid
RECORDED = [
    *(("a", 0, "completed", 3.5), ("b", 0, "completed", 4.5), ("c", 0, "diverged", None), ("a", 1, "completed", 3.0)),
    *(("b", 1, "completed", 5.0), ("c", 1, "completed", 6.0), ("a", 2, "completed", 3.25), ("e", 0, "completed", 1.0)),
]
DOCUMENTS = {
    "plain": {"fitness": "fid", "score": "best", "average": "mean", "replicates": 1, "race": False},
    "twice": {"fitness": "fid", "score": "best", "average": "mean", "replicates": 2, "race": False},
    "race": {"fitness": "fid", "score": "best", "average": "mean", "replicates": 2, "race": True},
    "bare": {},
}
# of the proposals a, b, c, d (never answered), e; in the race only a is worth a second replicate
TOLD = {
    "plain": [[1], [2], [3]],
    "twice": [[1, 4], [2, 5], [3, 6]],
    "race": [[1, 4], [2], [3]],
    "bare": [[1], [2], [3]],
}


@pytest.fixture(params=[1, 2])
def old(request: pytest.FixtureRequest, runs: Path) -> Path:
    """A store as an older version made it."""
    runs.mkdir()
    connection = sqlite3.connect(runs / "evogan.db")
    connection.executescript(VERSIONS[request.param])
    names = 'id, "key", task, fidelity, replicate, genome, status, reason, scores, curve, cost, provenance, created'
    for id, (key, replicate, status, fid) in enumerate(RECORDED, start=1):
        scores = "[]" if fid is None else json.dumps([{"fid": fid}])
        values = (id, key, "t", 1.0, replicate, '{"filters": 8}', status, "", scores, '[{"kimg": NaN}]')
        rest = ('{"seconds": 2.0}', '{"torch": "2"}', "2025-01-01 00:00:00.000000")
        connection.execute(f"INSERT INTO evaluations ({names}) VALUES ({','.join('?' * 13)})", values + rest)
    for run, document in DOCUMENTS.items():
        connection.execute("INSERT INTO runs VALUES (?, ?, '2025-01-01 00:00:00.000000')", (run, json.dumps(document)))
        for number, key in enumerate("abcde"):
            row = (run, number, "[0.5]", '{"filters": 8}', key, "t", 1.0, 0)
            connection.execute("INSERT INTO proposals VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    connection.execute("UPDATE evaluations SET reason = 'out of memory: 3 GB' WHERE id IN (3, 5)")
    if request.param == 2:
        connection.execute("UPDATE evaluations SET flags = '[\"noise\"]', diagnostics = '[{\"n\": 1}]' WHERE id = 1")
    connection.commit()
    connection.close()
    return runs


def version(folder: Path) -> int:
    with sqlite3.connect(folder / "evogan.db") as connection:
        return int(connection.execute("SELECT schema_version FROM evogan").fetchone()[0])


def test_an_older_store_opens_and_answers(old: Path) -> None:
    before = version(old)
    store = Store(old)
    assert version(old) == SCHEMA_VERSION == 7
    known = store.find(("a", "t", 1.0, 0))
    assert known is not None
    assert (known.id, known.scores, known.cost, known.limits) == (1, ({"fid": 3.5},), {"seconds": 2.0}, Limits())
    assert (known.flags, known.diagnostics) == ((), ()) if before == 1 else (("noise",), ({"n": 1},))
    assert math.isnan(known.curve[0]["kimg"])
    assert [identity[0] for identity, _, _ in store.evaluations()] == [key for key, *_ in RECORDED]
    assert [e.id for *_, e in store.evaluations() if e.cut_short == "out_of_memory"] == [5], "3 has no scores"
    given = replace(DONE, diagnostics=({"critic": {"head": {"gradient": 1.5}}},), flags=("mode_collapse",))
    assert store.record(TRIAL, given) == given
    assert Store(old).find(TRIAL.identity) == given


NEWER = {  # than version
    3: {"evaluations": ["cut_short"]},
    4: {"proposals": ["generation", "parents", "operator"]},
    5: {"evaluations": ["schedule"], "proposals": ["schedule"]},
}


def make_older(store: Store, version: int) -> None:
    """Takes from it what later versions added, and closes it."""
    added = [tables for older, tables in NEWER.items() if older >= version]
    changes = [
        f"ALTER TABLE {table} DROP COLUMN {column}"
        for tables in added
        for table, columns in tables.items()
        for column in columns
    ]
    for change in (*changes, "DROP TABLE live", f"UPDATE evogan SET schema_version = {version}"):
        store.database.do(lambda connection, change=change: connection.exec_driver_sql(change))  # type: ignore[misc]
    store.close()


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_what_cut_a_training_short_was_words_before_version_4(
    database: str, runs: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres").fresh() if database == "postgresql" else None
    late = replace(DONE, cut_short="diverged", reason="diverged: real loss is nan")
    store = Store(runs, url)
    store.record(TRIAL, late)
    store.record(trial(1), replace(DONE, reason="diverging roads"))
    make_older(store, 3)
    store = Store(runs, url)
    assert store.find(TRIAL.identity) == late
    assert store.find(trial(1).identity) == replace(DONE, reason="diverging roads")
    store.close()


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_where_proposals_came_from_is_unknown_before_version_5(
    database: str, runs: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres").fresh() if database == "postgresql" else None
    store = Store(runs, url)
    store.add_run("run", {})
    store.add_proposal("run", TRIAL, replace(ROW, generation=0, parents=(), operator="uniform"))
    make_older(store, 4)
    store = Store(runs, url)
    store.add_proposal("run", TRIAL, replace(ROW, number=1, generation=1, parents=(0,), operator="mutation"))
    found = store.proposals("run")
    assert found == [ROW, replace(ROW, number=1)]
    assert [(row.generation, row.parents, row.operator) for row in found] == [
        (None, None, None),
        (1, (0,), "mutation"),
    ]
    store.close()


def test_an_older_store_knows_what_its_runs_were_told(old: Path) -> None:
    store = Store(old)
    for run, told in TOLD.items():
        assert store.tells(run) == [TellRow(i, i, tuple(ids)) for i, ids in enumerate(told)], run


def shape(folder: Path) -> dict[str, list[set[Any]]]:
    """Table -> its columns, what they refer to, and its indices."""
    with sqlite3.connect(folder / "evogan.db") as connection:

        def pragma(what: str, name: str) -> list[Any]:
            return connection.execute(f"PRAGMA {what}('{name}')").fetchall()

        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            name: [
                {(column[1], bool(column[3] or column[5]), column[5]) for column in pragma("table_info", name)},
                {(key[2], key[3]) for key in pragma("foreign_key_list", name)},
                {tuple(part[2] for part in pragma("index_info", index[1])) for index in pragma("index_list", name)},
            ]
            for name in names
        }


def test_an_older_store_becomes_what_a_new_one_is(old: Path, tmp_path: Path) -> None:
    assert shape(old).keys() < {"tells", "leases", "drivers", "live", *shape(old)}
    Store(old).close()
    Store(tmp_path / "new").close()
    assert shape(old) == shape(tmp_path / "new")


@pytest.mark.fault
def test_a_migration_that_dies_leaves_the_store_as_it_was(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, columns = version(old), shape(old)

    def die(migrate: Callable[[Any], None], connection: Any) -> None:
        migrate(connection)
        raise KeyboardInterrupt

    for step in range(before, SCHEMA_VERSION):
        with monkeypatch.context() as patch:
            patch.setitem(MIGRATIONS, step, partial(die, MIGRATIONS[step]))
            with pytest.raises(KeyboardInterrupt):
                Store(old)
        assert (version(old), shape(old)) == (before, columns)
    assert Store(old).find(("a", "t", 1.0, 0)) is not None


def test_many_processes_may_open_an_old_store(old: Path) -> None:
    command = [sys.executable, "-c", PROCESS, str(old), "", "1", "1"]
    started = [forked.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    assert [process.communicate()[1].decode() for process in started] == [""] * 4
    assert Store(old).count() == len(RECORDED) + 1


# --- faults


@pytest.mark.fault
def test_files_come_whole_or_not_at_all(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, reasons = Store(runs), list[str]()
    store.database.on_wait = reasons.append
    monkeypatch.setattr("evogan.engine.database.PATIENCE", 0.2)
    given = replace(DONE, files={"a.bin": b"content"})

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", full)
        with pytest.raises(
            UserError, match=r"cannot write '.*a\.bin': No space left on device \(waited 0\.2 seconds\)"
        ):
            store.record(TRIAL, given)
    assert len(reasons) == 1
    assert store.find(TRIAL.identity) is None
    assert list(store.files(TRIAL.identity).iterdir()) == []
    store.record(TRIAL, given)
    assert (store.files(TRIAL.identity) / "a.bin").read_bytes() == b"content"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 64 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mounting is not permitted here")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.mark.fault
@pytest.mark.parametrize("what", ["artifact", "database"])
def test_a_full_disk_is_waited_for(what: str, small_disk: Path) -> None:
    store, reasons, ballast = Store(small_disk / "runs"), [], small_disk / "ballast"
    store.record(trial(0), DONE)

    def make_room(reason: str) -> None:
        reasons.append(reason)
        assert [path for path in small_disk.rglob(".*") if path.is_file()] == []  # nothing half-written
        ballast.unlink()

    free = shutil.disk_usage(small_disk).free
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free)
    assert shutil.disk_usage(small_disk).free == 0
    store.database.on_wait = make_room
    big = {"files": {"a.bin": bytes(10**7)}} if what == "artifact" else {"reason": "x" * 10**7}
    recorded = store.record(TRIAL, replace(DONE, **big))
    assert len(reasons) == 1 and ("No space left" in reasons[0] if what == "artifact" else "disk" in reasons[0])
    assert store.answers(TRIAL.identity) == [recorded]
    assert [path.name for path in store.folder.rglob("*.bin")] == (["a.bin"] if what == "artifact" else [])
    store.close()


LIMITED = """
import resource, signal, sys
from pathlib import Path
from evogan.engine import database
from evogan.engine.store import Store
from evogan.errors import UserError
from evogan.genome import Genome
from evogan.trial import Evaluation, Task, Trial

trial = Trial(Genome({"x": 1}), "key", Task(name="made up"))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = Store(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, resource.RLIM_INFINITY))
given = Evaluation(status="completed", files={"a.bin": bytes(2 * 10**6)})
database.PATIENCE = 0.1
try:
    store.record(trial, given)
except UserError as error:
    print(error)
print(store.count(), [path.name for path in store.files(trial.identity).iterdir()])
database.PATIENCE = 600
unlimited = (resource.RLIM_INFINITY,) * 2
store.database.on_wait = lambda reason: resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
store.record(trial, given)
print(store.count(), [path.stat().st_size for path in store.files(trial.identity).iterdir()])
"""


@pytest.mark.fault
def test_a_file_that_is_cut_off_is_never_taken_for_whole(runs: Path) -> None:
    found = forked.run([sys.executable, "-c", LIMITED, str(runs)], text=True)
    lines = found.stdout.splitlines()
    assert found.stderr == ""
    assert lines[0].endswith("a.bin': File too large (waited 0.1 seconds)")
    assert lines[1:] == ["0 []", "1 [2000000]"]


LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.readline()
connection.execute("COMMIT")
print("free", flush=True)
"""


@pytest.fixture
def lock(runs: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Another process that locks the store until it reads a line."""
    monkeypatch.setattr("evogan.engine.database.BUSY", 0.05)
    processes = []

    def begin() -> subprocess.Popen[str]:
        command = [sys.executable, "-c", LOCK, str(runs / "evogan.db")]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout is not None and process.stdout.readline() == "locked\n"
        return process

    yield begin
    for process in processes:
        process.communicate("\n")


def unlock(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "free\n"


@pytest.mark.fault
def test_a_locked_database_is_waited_for(runs: Path, lock: Callable[[], subprocess.Popen[str]]) -> None:
    store, reasons = Store(runs), list[str]()
    process = lock()
    assert store.count() == 0  # readers are not hindered

    def on_wait(reason: str) -> None:
        reasons.append(reason)
        unlock(process)

    store.database.on_wait = on_wait
    assert store.record(TRIAL, DONE) == DONE
    assert reasons == [f"store '{runs / 'evogan.db'}': database is locked"]


@pytest.mark.fault
def test_patience_ends_in_one_line(
    runs: Path, lock: Callable[[], subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(runs)
    lock()
    monkeypatch.setattr("evogan.engine.database.PATIENCE", 0.2)
    with pytest.raises(UserError, match=r"^store '.*evogan\.db': database is locked \(waited 0\.2 seconds\)$"):
        store.record(TRIAL, DONE)


@pytest.mark.fault
def test_a_clock_that_jumps_changes_nothing(
    runs: Path, lock: Callable[[], subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither what is recorded, nor its order, nor how long a locked database is waited for."""
    years = iter([2026, 1971, 2150, 1999] * 20)

    class Jumping(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime(next(years), 1, 1, tzinfo=tz)

    store = Store(runs)
    monkeypatch.setattr("evogan.engine.store.datetime", Jumping)
    monkeypatch.setattr("time.time", lambda: Jumping.now(UTC).timestamp())
    for i in range(8):
        if i == 5:
            process = lock()
            store.database.on_wait = lambda reason, process=process: unlock(process)  # type: ignore[misc]
        store.add_run(f"run {i}", {})
        store.record(trial(i), DONE)
    assert [genome["x"] for _, genome, _ in store.evaluations()] == list(range(8))
    assert set(store.runs()) == {f"run {i}" for i in range(8)}


def test_stores_on_one_server_share_its_connections(postgres: Postgres, runs: Path) -> None:
    """Each run that is kept has its store: a server that lets in a hundred would refuse the next search."""
    url = postgres.fresh()
    with postgres._connect() as connection:
        count = "SELECT count(*) FROM pg_stat_activity"
        before = connection.execute(count).fetchone()[0]
        stores = [Store(runs, url) for _ in range(20)]
        for i, store in enumerate(stores):
            store.record(trial(i), DONE)
        assert stores[0].count() == 20
        assert connection.execute(count).fetchone()[0] <= before + 2


@pytest.mark.fault
def test_postgresql_may_restart_in_the_middle(postgres: Postgres, runs: Path) -> None:
    url = postgres.fresh()
    store, reasons = Store(runs, url), list[str]()
    store.database.on_wait = reasons.append
    store.add_run("run", {})
    answers: list[Evaluation] = []

    def work() -> None:
        for i in range(400):
            answers.append(store.record(trial(i), replace(DONE, cost={"seconds": float(i)})))
            store.add_proposal("run", TRIAL, replace(ROW, number=i))

    thread = Thread(target=work)
    thread.start()
    for reached in (50, 150, 250):
        while len(answers) < reached and thread.is_alive():
            sleep(0.01)
        postgres.restart()
    thread.join()
    assert reasons
    assert store.count() == len(answers) == len({answer.id for answer in answers}) == 400
    assert [genome["x"] for _, genome, _ in store.evaluations()] == list(range(400))
    assert [row.number for row in store.proposals("run")] == list(range(400))
    assert not any(PASSWORD in reason or QUOTED in reason for reason in reasons)


@pytest.mark.fault
def test_postgresql_may_be_away_for_a_while(postgres: Postgres, runs: Path) -> None:
    store = Store(runs, postgres.fresh())
    store.record(trial(0), DONE)
    store.database.on_wait = lambda reason: postgres.start()
    postgres.stop()
    assert store.record(TRIAL, DONE) == DONE
    postgres.stop()
    assert store.find(TRIAL.identity) == DONE


def test_a_server_that_is_away_at_the_beginning_is_not_waited_for(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.fresh()
    postgres.stop()
    monkeypatch.setattr("evogan.engine.database.sleep", lambda seconds: pytest.fail("it waits"))
    try:
        with pytest.raises(UserError, match="Connection refused"):
            Store(None, url)
    finally:
        postgres.start()


BAD_URLS = {
    "another password": ("postgresql://evogan:hunter2-%25@127.0.0.1:{port}/postgres", "password authentication failed"),
    "no such user": ("postgresql://nobody:hunter2-%25@127.0.0.1:{port}/postgres", "'nobody@127.0.0.1:"),
    "no such database": ("postgresql://evogan:{password}@127.0.0.1:{port}/hunter3", "hunter3"),
    "no such host": ("postgresql://evogan:hunter2-%25@nowhere.invalid/postgres", "nowhere.invalid"),
    "no such port": ("postgresql://evogan:hunter2-%25@127.0.0.1:1/postgres", "127.0.0.1:1/postgres"),
    "in the options": ("postgresql://evogan@127.0.0.1:{port}/postgres?password=hunter2-%25", "authentication failed"),
    "no such option": (
        "postgresql://evogan:{password}@127.0.0.1:{port}/postgres?hunter=2",
        "invalid connection option",
    ),
    "another scheme": ("mysql://evogan:hunter2-%25@127.0.0.1/evogan", "begins with 'mysql://'"),
    "a folder": ("runs/hunter2-%25", "looks like postgresql://"),
    "not quoted": ("postgresql://evogan:hunter2-%@hunter2-%@127.0.0.1/evogan", "written as %XX"),
    "not a port": ("postgresql://evogan@127.0.0.1:hunter2-%/evogan", "looks like postgresql://"),
}


@pytest.mark.parametrize("what", BAD_URLS)
def test_a_wrong_url_is_said_at_once_and_never_with_the_password(
    what: str, postgres: Postgres, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, runs: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("evogan.engine.database.sleep", lambda seconds: pytest.fail("it waits"))
    url, message = BAD_URLS[what]
    with pytest.raises(UserError, match=message) as caught:
        Store(runs, url.format(port=postgres.port, password=QUOTED))
    assert not runs.exists()
    error = caught.value
    assert error.__cause__ is None and error.__context__ is None and "\n" not in str(error)
    shown = "".join([caplog.text, repr(error), *traceback.format_exception(error)])
    for secret in ("hunter2", QUOTED, PASSWORD):
        assert secret not in shown


def test_no_repr_and_no_log_has_the_password(postgres: Postgres, caplog: pytest.LogCaptureFixture, runs: Path) -> None:
    caplog.set_level(logging.DEBUG)
    database = Database(None, postgres.fresh())
    postgres.restart()
    database.do(lambda connection: connection.exec_driver_sql("SELECT 1").all())
    shown = f"{caplog.text} {database.name} {database!r} {vars(database)!r}"
    assert PASSWORD not in shown and QUOTED not in shown


def test_a_store_in_memory_leaves_nothing() -> None:
    store = Store()
    folder = store.folder
    (folder / "a file").touch()
    del store
    gc.collect()
    assert not folder.exists()
