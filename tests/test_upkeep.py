"""Stores travel and are looked after: what is added is there once and whole, what is pruned nobody needs, what is
wrong is said."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evogan import cli
from evogan.engine import Broker, Judge, LocalExecutor, Loop, Store, carry_out
from evogan.engine.history import RunHistory
from evogan.engine.upkeep import Added, add, check, prune
from evogan.strategies import make_strategy
from evogan.trial import IN_PLUGIN, STATE, Evaluation, Limits, Trial
from tests import forked
from tests.driver import DOCUMENT, SPACE, TASK
from tests.postgres import postgres as postgres
from tests.test_store import DONE, TRIAL, trial

GENERATOR = "generator.safetensors"
RUN = "killed"  # as the document of the driver says


def weights(text: str) -> bytes:
    """A safetensors file of these bytes."""
    header = json.dumps({"x": {"dtype": "U8", "shape": [len(text)], "data_offsets": [0, len(text)]}}).encode()
    return len(header).to_bytes(8, "little") + header + text.encode()


def evaluate(trial: Trial) -> Evaluation:
    if int(trial.genome["width"]) == 9:
        return Evaluation(status="diverged", reason="too wide", cost={"seconds": 1.0})
    value = float(trial.genome["x"]) ** 2 + trial.seed % 1000 / 1e5
    files = {name: weights(f"{name} {trial.identity}") for name in (GENERATOR, *[STATE] * (trial.fidelity < 1))}
    scores = ({"value": value, "fidelity": trial.fidelity},)
    return Evaluation(status="completed", scores=scores, cost={"seconds": 1.0}, files=files)


def never(trial: Trial) -> Evaluation:
    raise AssertionError("that was known")


def search(store: Store, evaluate: Callable[[Trial], Evaluation] = evaluate, evaluations: int = 8) -> RunHistory:
    store.add_run(RUN, DOCUMENT | {"gan": None, "evaluations": evaluations})
    broker = Broker(store, LocalExecutor(evaluate))
    strategy = make_strategy("hyperband", SPACE, 0, {"fidelities": [0.25, 1.0]})
    loop = Loop(RUN, SPACE, strategy, TASK, Judge("value"), broker, seed=0, evaluations=evaluations, window=4)
    return carry_out(loop, 2, 2)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a run that is through."""
    folder = tmp_path_factory.mktemp("made") / "runs"
    store = Store(folder)
    search(store)
    store.keep_task_file(TASK.key, "real.txt", b"what is real")
    store.close()
    return folder


@pytest.fixture
def theirs(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "theirs")
    return tmp_path / "theirs"


@pytest.fixture(params=["sqlite", "postgresql"])
def mine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = request.getfixturevalue("postgres").fresh() if request.param == "postgresql" else None
    store = Store(tmp_path / "mine", url)
    yield store
    store.close()


def contents(store: Store) -> tuple[list[Any], dict[str, bytes]]:
    """Its evaluations, and its files by their paths."""
    paths = [*store.folder.glob("evaluations/*/*/*"), *store.folder.glob("tasks/*")]
    return list(store.evaluations()), {str(path.relative_to(store.folder)): path.read_bytes() for path in paths}


def change(folder: Path, statement: str) -> None:
    with sqlite3.connect(folder / "evogan.db") as connection:
        connection.execute(statement)
    connection.close()


def command(*words: object, code: int, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> str:
    """What a command says: to stdout, or the one line of a mistake."""
    patch.setattr(sys, "argv", ["evogan", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out, err = capsys.readouterr()
    assert (ended.value.code or 0) == code, out + err
    if code != 2:
        return out
    assert len(err.splitlines()) == 1, err
    return err


# --- add


def test_what_another_store_evaluated_is_known_here_with_its_files(theirs: Path, mine: Store) -> None:
    other = Store.existing(theirs)
    assert add(lambda: mine, other) == Added(other.count(), 0)
    assert contents(mine) == contents(other)
    assert mine.tasks() == other.tasks()
    assert mine.names() == [], "runs stay where they were made"
    found = search(mine, never)
    assert [t.values for t in found.history] == [t.values for t in RunHistory(other, RUN).history]


def test_nothing_is_there_twice(theirs: Path, mine: Store) -> None:
    other = Store.existing(theirs)
    search(mine, evaluations=3)
    known, before = mine.count(), contents(mine)[0]
    added = add(lambda: mine, other)
    assert added.known > 0 and added.new == mine.count() - known == other.count() - added.known
    assert contents(mine)[0][:known] == before
    assert add(lambda: mine, other) == Added(0, other.count())
    identities = list(mine.identities().values())
    assert len(identities) == len(set(identities))
    assert not list(check(mine))


def test_an_attempt_is_taken_in_where_it_says_more(mine: Store, tmp_path: Path) -> None:
    def taken(*theirs: Evaluation) -> list[Evaluation]:
        other = Store(tmp_path / f"other{next(numbers)}")
        for evaluation in theirs:
            other.attempt(TRIAL.identity, TRIAL.genome, evaluation, lambda known: False) if other.count() else (
                other.record(TRIAL, evaluation)
            )
        add(lambda: mine, other)
        other.close()
        return mine.answers(TRIAL.identity)

    def slow(seconds: float) -> Evaluation:
        return Evaluation(status="timed_out", limits=Limits(seconds=seconds))

    numbers = iter(range(9))
    more = replace(DONE, scores=({"value": 9.0, "size": 2.0},))
    assert taken(slow(10)) == [slow(10)]
    assert taken(slow(5)) == [slow(10)], "with less time it says nothing new"
    assert taken(slow(5), slow(20)) == [slow(10), slow(20)]
    assert taken(DONE) == [slow(10), slow(20), DONE]
    assert taken(replace(DONE, scores=({"value": 9.0},)), Evaluation(status="crashed")) == [slow(10), slow(20), DONE]
    assert taken(slow(30), more) == [slow(10), slow(20), DONE, more], "it has another measure"


def test_what_was_trained_elsewhere_is_taken_in_where_only_a_plugin_crashed_here(mine: Store, tmp_path: Path) -> None:
    crashed = Evaluation(status="crashed", provenance={IN_PLUGIN: True})
    mine.record(TRIAL, crashed)
    for theirs, new in ((crashed, 0), (DONE, 1)):
        other = Store(tmp_path / theirs.status)
        other.record(TRIAL, theirs)
        assert add(lambda: mine, other) == Added(new, 1 - new)
    assert mine.answers(TRIAL.identity)[-1] == DONE


def test_a_store_by_url_is_added_too(theirs: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    other, mine = Store(tmp_path / "files", request.getfixturevalue("postgres").fresh()), Store(tmp_path / "mine")
    add(lambda: other, Store.existing(theirs))
    add(lambda: mine, other)
    assert contents(mine) == contents(Store.existing(theirs))
    other.close()


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("UPDATE evogan SET schema_version = 99", "has schema 99, this evogan knows up to"),
        ("UPDATE evaluations SET scores = '[{\"value\": 1' WHERE id = 7", "is damaged: table evaluations, row id 7"),
        ("DELETE FROM tasks", "is damaged: table evaluations: there is no task"),
        ("half a file", "no whole safetensors file"),
        ("DROP TABLE evaluations", "no such table"),
    ],
)
def test_of_a_newer_or_damaged_store_nothing_is_added(
    harm: str, said: str, theirs: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if harm == "half a file":
        path = sorted(theirs.glob(f"evaluations/*/*/{GENERATOR}"))[-1]
        path.write_bytes(path.read_bytes()[:-1])
    else:
        change(theirs, harm)
    here = tmp_path / "here"
    assert said in command("store", "add", theirs, "--runs", here, code=2, capsys=capsys, patch=monkeypatch)
    assert not here.exists()


def test_a_store_is_not_added_to_itself_nor_one_that_is_not_there(
    theirs: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistake(*words: object) -> str:
        return command("store", "add", *words, "--runs", theirs, code=2, capsys=capsys, patch=monkeypatch)

    assert "cannot be added to itself" in mistake(theirs)
    assert "no store in" in mistake(tmp_path / "none")
    assert "--files must name the folder" in mistake("postgresql://host/name")
    assert "--files is for a store by URL" in mistake(theirs, "--files", tmp_path)
    assert "none': no such folder" in mistake("postgresql://host/name", "--files", tmp_path / "none")
    assert "begins with 'mysql://'" in mistake("mysql://host/name", "--files", tmp_path)


KILLED = """
import os, sys
from pathlib import Path
import sqlalchemy as sa
from evogan.engine import Store
from evogan.engine.upkeep import add

store, left = Store(Path(sys.argv[1])), int(sys.argv[3])

def die(connection):
    global left
    left -= 1
    if not left:
        os._exit(9)

sa.event.listen(sa.Engine, "commit", die)
add(lambda: store, Store.existing(Path(sys.argv[2])))
"""


@pytest.mark.fault
def test_killed_anywhere_it_is_done_again(theirs: Path, tmp_path: Path) -> None:
    here, count = tmp_path / "here", 0
    for commits in (2, 5, 9, 1000):
        process = forked.Popen([sys.executable, "-c", KILLED, str(here), str(theirs), str(commits)])
        process.communicate()
        assert process.returncode == (0 if commits == 1000 else 9)
        store = Store.existing(here)
        assert store.count() >= count
        for identity in store.identities().values():
            whole = sorted(path.name for path in Store.existing(theirs).files(identity).glob("*"))
            assert sorted(path.name for path in store.files(identity).glob("[!.]*")) == whole
        count = store.count()
        store.close()
    assert contents(Store.existing(here)) == contents(Store.existing(theirs))


# --- prune


def test_what_a_run_needs_stays_and_the_rest_is_freed(theirs: Path, capsys: Any, monkeypatch: Any) -> None:
    store = Store.existing(theirs)
    run, before = RunHistory(store, RUN), contents(store)
    store.record(trial(1), replace(DONE, files={GENERATOR: weights("of no run"), "seen.txt": b"what it made"}))
    assert run.best is not None
    training = run.best_training(run.best.row.key)
    assert training is not None
    said = prune(store, dry_run=True)
    assert before[1].items() <= contents(store)[1].items()
    words = command("store", "prune", "--runs", theirs, "--json", code=0, capsys=capsys, patch=monkeypatch)
    assert json.loads(words) == vars(said) and said.files > 0 and said.bytes > 0
    left = {store.folder / path for path in contents(store)[1]}
    needed = {
        store.files(identity) / GENERATOR
        for key in store.finalists(RUN) | {run.best.row.key}
        for identity, evaluation in run.trainings(key).items()
        if not evaluation.failed
    }
    assert {path for path in left if path.name == GENERATOR} == needed and len(needed) == said.kept
    assert store.files(training.identity) / GENERATOR in needed
    assert store.files(trial(1).identity) / "seen.txt" in left
    assert prune(store).files == 0
    assert not list(check(store))
    assert len(contents(store)[0]) == len(before[0]) + 1, "what was evaluated is known"


def test_a_run_that_goes_on_keeps_all_that_it_was_told(theirs: Path) -> None:
    store = Store.existing(theirs)
    change(theirs, "DELETE FROM finalists")
    before = contents(store)[1]
    store.record(trial(1), replace(DONE, files={GENERATOR: weights("of no run")}))
    assert prune(store).files == 1
    assert contents(store)[1] == before


def test_what_ended_before_it_was_told_is_kept(theirs: Path) -> None:
    """With several workers a later proposal may end while an earlier one trains."""
    store = Store.existing(theirs)
    change(theirs, "DELETE FROM finalists")
    change(theirs, "DELETE FROM tells")
    before = contents(store)[1]
    assert prune(store).kept > 0 and contents(store)[1] == before


def test_a_run_is_read_while_a_driver_goes_on(theirs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between one table and the next it may propose, and tell of it."""
    store, driver = Store.existing(theirs), Store.existing(theirs)
    last = driver.proposals(RUN)[-1]
    steps = iter(range(last.number + 1, 100))

    def driven(read: Any) -> Any:
        def reading(*asked: Any) -> Any:
            found, number = read(*asked), next(steps)
            driver.add_proposal(RUN, trial(number), replace(last, number=number))
            position = len(driver.tells(RUN))
            driver.add_tell(RUN, position, number, driver.tells(RUN)[0].evaluations)
            return found

        return reading

    for table in ("proposals", "tells"):
        monkeypatch.setattr(store, table, driven(getattr(store, table)))
    assert len(RunHistory(store, RUN).history) <= len(driver.tells(RUN))


def test_a_best_whose_weights_were_freed_in_part_has_the_best_of_the_others(theirs: Path) -> None:
    """A run that went on after a pruning may find best what was not needed before."""
    store = Store.existing(theirs)
    run = RunHistory(store, RUN)
    assert run.best is not None
    trainings = sorted((run.judge.value(e), i) for i, e in run.trainings(run.best.row.key).items())
    for value, identity in trainings:
        found = run.best_training(run.best.row.key)
        assert found is not None and (found.value, found.identity) == (value, identity)
        (store.files(identity) / GENERATOR).unlink()
    found = run.best_training(run.best.row.key)
    assert found is not None and found.value == trainings[0][0], "where none has any it is the best"


def test_what_is_trained_just_now_is_left_alone(tmp_path: Path) -> None:
    store = Store(tmp_path)
    early = trial(1, fidelity=0.5)
    store.record(early, replace(DONE, files={STATE: weights("where it stopped")}))
    assert store.leases.claim(trial(1).identity)
    assert prune(store).files == 0
    store.leases.release(trial(1).identity)
    assert prune(store).files == 1
    store.close()


# --- check


FAULTS: dict[str, tuple[str, str]] = {
    "a row": (
        "UPDATE evaluations SET fidelity = 2.0 WHERE id = 3",
        "table evaluations, row id 3: fidelity: input should be less than or equal to 1, not 2.0",
    ),
    "no JSON": ("UPDATE proposals SET genome = '{' WHERE number = 1", "table proposals, row run 'killed', number 1"),
    "no task": ("UPDATE evaluations SET task = 'gone' WHERE id = 3", "row id 3: there is no task 'gone'"),
    "no run": ("INSERT INTO finalists VALUES ('nobody', 'k')", "there is no run 'nobody'"),
    "no evaluation": ("UPDATE tells SET evaluations = '[999]' WHERE position = 1", "there is no evaluation 999"),
    "another's": ("UPDATE tells SET evaluations = '[2]' WHERE position = 0", "is of another genome or task"),
    "no proposal": ("DELETE FROM proposals WHERE number = 2", "position 2: there is no proposal 2"),
    "no finalist": ("INSERT INTO finalists VALUES ('killed', 'k')", "key 'k': it was never proposed"),
    "a run": ("UPDATE runs SET document = '{\"score\": 3}'", "table runs, row name 'killed': document: "),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_rows_that_do_not_fit_are_said_in_a_line_each(fault: str, theirs: Path) -> None:
    statement, said = FAULTS[fault]
    change(theirs, statement)
    found = list(check(Store.existing(theirs)))
    assert any(said in line for line in found), found
    assert all(len(line.splitlines()) == 1 for line in found) and len(found) == len(set(found))


def test_files_that_do_not_fit_are_said_in_a_line_each(
    theirs: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(code: int) -> list[str]:
        out = command("store", "check", "--runs", theirs, code=code, capsys=capsys, patch=monkeypatch)
        return out.splitlines()

    assert said(0) == [f"store '{theirs / 'evogan.db'}': no faults"]
    first, second = sorted(theirs.glob(f"evaluations/*/*/{GENERATOR}"))[:2]
    first.write_bytes(first.read_bytes()[:-1])
    second.write_bytes(b"")
    (first.parent / "samples.png").write_bytes(b"\x89PNG\r\n\x1a\n and no end")
    (second.parent / ".half.1").write_bytes(b"")
    (theirs / "evaluations" / "nobodys" / "x").mkdir(parents=True)
    (theirs / "tasks" / "nobodys-real.png").write_bytes(b"")
    assert said(1) == [
        *(f"'{path}'{why}" for path, why in sorted([
            (first.parent / GENERATOR, ": no whole safetensors file"),
            (first.parent / "samples.png", ": no whole PNG"),
            (second.parent / ".half.1", " is half of a file that was never finished"),
            (second.parent / GENERATOR, ": no whole safetensors file"),
            (theirs / "evaluations" / "nobodys" / "x", " belongs to no evaluation"),
        ])),
        f"'{theirs / 'tasks' / 'nobodys-real.png'}' belongs to no task",
        f"store '{theirs / 'evogan.db'}': 6 faults",
    ]  # fmt: skip


def test_weights_that_are_missing_are_said(theirs: Path) -> None:
    change(theirs, "UPDATE runs SET document = json_set(document, '$.gan', json('{}'))")
    gan = {"data": "digits", "kimg": 1.0, "samples": 10}
    change(theirs, f"UPDATE runs SET document = json_set(document, '$.gan', json('{json.dumps(gan)}'))")
    store = Store.existing(theirs)
    assert not list(check(store))
    for path in theirs.glob(f"evaluations/*/*/{GENERATOR}"):
        path.unlink()
    (line,) = check(store)
    assert line.startswith("run 'killed': ") and line.endswith("has no weights of its best training")


def test_a_database_that_is_no_whole_file_is_said(theirs: Path) -> None:
    path = theirs / "evogan.db"
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 4096] = b"\xff" * 4096
    path.write_bytes(content)
    assert list(check(Store.existing(theirs)))


def test_postgresql_is_checked_too(theirs: Path, mine: Store) -> None:
    search(mine)
    assert not list(check(mine))
    mine.database.do(
        lambda connection: connection.exec_driver_sql("UPDATE tells SET evaluations = '[999]' WHERE position = 1")
    )
    assert any("there is no evaluation 999" in line for line in check(mine))
