"""A store that was changed by hand, or cannot be written: what is wrong is said with its row, all else can be read."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from evogan import Gene, Space, api, cli
from evogan.engine.store import Store
from evogan.errors import UserError
from evogan.genome import Value
from evogan.monitor import read_status
from evogan.report import comparison, tables
from evogan.runs.place import Place
from tests.test_store import VERSION_1

SPACE = Space("square", [Gene(name="x", kind="float", low=0, high=1), Gene(name="c", kind="choice", values=("a", "b"))])


def objective(genome: dict[str, Value]) -> float:
    return float(genome["x"]) ** 2


def search(runs: Path, name: str, evaluations: int = 3, objective: Any = objective) -> api.Run:
    return api.search(
        SPACE,
        objective=objective,
        task="square",
        strategy="random",
        seed=0 if name == "mine" else 1,
        evaluations=evaluations,
        finalists=1,
        confirm=1,
        workers=1,
        runs=runs,
        name=name,
    )


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A store with two runs, where every user may look."""
    with tempfile.TemporaryDirectory(prefix="evogan-") as folder:
        os.chmod(folder, 0o755)
        runs = Path(folder) / "made"
        for name in ("mine", "other"):
            search(runs, name).store.close()
        yield runs


@pytest.fixture
def runs(made: Path) -> Iterator[Path]:
    """A copy of it."""
    with tempfile.TemporaryDirectory(dir=made.parent) as folder:
        os.chmod(folder, 0o755)
        shutil.copytree(made, Path(folder) / "runs")
        yield Path(folder) / "runs"


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """The command line: exit code, output, errors."""

    def call(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["evogan", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), *capsys.readouterr()

    return call


Call = Callable[..., tuple[int, str, str]]


def change(runs: Path, *statements: tuple[str, tuple[Any, ...]] | str) -> None:
    """As somebody would with the shell of SQLite, where every column takes everything."""
    with closing(sqlite3.connect(runs / "evogan.db")) as connection:
        connection.execute("PRAGMA writable_schema = 1")
        connection.execute("UPDATE sqlite_master SET sql = replace(sql, 'NOT NULL', '') WHERE type = 'table'")
        connection.commit()
    with closing(sqlite3.connect(runs / "evogan.db")) as connection, connection:
        for statement in statements:
            connection.execute(*([statement] if isinstance(statement, str) else statement))


# --- rows

NO_JSON = ("", "{", "[" * 900 + "]" * 900, "9" * 5000, b"\x00", None, "null", "5", '"text"')
NO_NUMBERS = ("{", "[]", '{"a": "x"}', '{"a": null}', '{"a": [1]}', '{"a": true}')
NO_POINTS = ("{", "{}", "[1]", '[{"value": "x"}]', '[{"value": {}}]')
NO_TEXT = (None, b"\x00")
NO_SHARE = (None, "much", -0.5, 0, 1.5)
DAMAGES = {
    ("evaluations", "status"): (*NO_TEXT, "lost", 5),
    ("evaluations", "reason"): NO_TEXT,
    ("evaluations", "scores"): NO_POINTS,
    ("evaluations", "curve"): NO_POINTS,
    ("evaluations", "diagnostics"): ("{", "{}", "[1]"),
    ("evaluations", "flags"): ("{", "{}", "[1]"),
    ("evaluations", "cost"): NO_NUMBERS,
    ("evaluations", "limits"): (*NO_NUMBERS, '{"hours": 1}'),
    ("evaluations", "provenance"): ("{", "[]", '{"chosen_by": {"metrics": [], "score": "best"}}'),
    ("evaluations", "fidelity"): NO_SHARE,
    ("proposals", "vector"): ("{", "{}", '["x"]', "[NaN]", "[[]]"),
    ("proposals", "genome"): ("{", "[]", '{"x": null}', '{"x": [1]}'),
    ("proposals", "key"): NO_TEXT,
    ("proposals", "fidelity"): NO_SHARE,
    ("proposals", "pushed"): (None,),
    ("tells", "number"): (None, "x", -1, 0.5, 2**62, 99),
    ("tells", "evaluations"): ("{", "{}", "[]", '["1"]', "[1.5]", "[99]"),
    ("runs", "document"): (*NO_JSON, "[]", "{}"),
    ("extensions", "document"): ("{", "[]"),
}
ROWS = {
    "evaluations": ("id = 1", "row id 1"),
    "proposals": ("run = 'mine' AND number = 0", "row run 'mine', number 0"),
    "tells": ("run = 'mine' AND position = 0", "row run 'mine', position 0"),
    "runs": ("name = 'mine'", "row name 'mine'"),
    "extensions": ("run = 'mine'", "row id 1"),
}
CASES = [(table, column, bad) for (table, column), all_bad in DAMAGES.items() for bad in all_bad]


@pytest.mark.parametrize(("table", "column", "bad"), CASES, ids=lambda value: repr(value)[:20])
def test_a_damaged_row_is_named_and_other_runs_can_be_read(
    table: str, column: str, bad: Any, runs: Path, made: Path
) -> None:
    if table == "extensions":
        search(runs, "mine", evaluations=4).store.close()
    where, said = ROWS[table]
    change(runs, (f"UPDATE {table} SET {column} = ? WHERE {where}", (bad,)))
    with pytest.raises(UserError) as caught:
        read(runs, "mine")
    line = str(caught.value)
    if bad == "[99]":  # the row of another table is gone
        table, said = "evaluations", "row id 99 is missing"
    assert f"damaged: table {table}" in line and said in line and "\n" not in line and len(line) < 500
    assert read(runs, "other") == read(made, "other")
    if column == "scores":
        with pytest.raises(UserError, match="is damaged: table evaluations"):
            search(runs, "mine", evaluations=6, objective=lambda genome: pytest.fail("trained"))


DOCUMENTS = {
    "space": (None, {}, "square"),
    "strategy": (None, 5),
    "options": ([], "x"),
    "seed": (None, "0", 0.5),
    "fitness": ("value,value", 5),
    "score": ("worst",),
    "average": (1e300,),
    "evaluations": ("many", -1, 1.5, 2**62),
    "total_seconds": (0, "long"),
    "confirm": (-1, 10**12),
    "reference": ([1], [["a", "b"]], [["a", "b", {"x": []}]]),
    "gan": ([], {}, {"data": "digits", "kimg": "20", "samples": 5000}),
}


@pytest.mark.parametrize(("part", "bad"), [(part, bad) for part, all_bad in DOCUMENTS.items() for bad in all_bad])
def test_a_damaged_document_is_named(part: str, bad: Any, runs: Path) -> None:
    change(runs, ("UPDATE runs SET document = json_set(document, ?, json(?))", (f"$.{part}", json.dumps(bad))))
    with pytest.raises(UserError, match=f"damaged: table runs, row name 'mine': document: .*{part}") as caught:
        read(runs, "mine")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", ["space", "strategy", "seed", "fitness", "evaluations", "confirm"])
def test_a_part_that_is_missing_is_named(part: str, runs: Path) -> None:
    change(runs, ("UPDATE runs SET document = json_remove(document, ?)", (f"$.{part}",)))
    line = f"^store '[^']*' is damaged: table runs, row name 'mine': document: {part} is missing$"
    with pytest.raises(UserError, match=line):
        list_and_read(runs)


def list_and_read(runs: Path) -> None:
    tables.runs([api.open_run("mine", runs)])
    read(runs, "mine")


def test_the_list_of_runs_has_the_others(runs: Path, call: Call) -> None:
    change(runs, "UPDATE runs SET document = '[' WHERE name = 'mine'")
    code, out, err = call("runs", "--runs", runs, "--json")
    assert [run["name"] for run in json.loads(out)] == ["other"]
    assert code == 2 and err.startswith("evogan: run 'mine': store") and "row name 'mine'" in err
    assert err.count("\n") == 1


# --- the file


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def scribble(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:4096] + bytes(range(256)) * (path.stat().st_size // 256 - 16))


def replaced(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def replace(path: Path) -> None:
        path.unlink()
        make(path)

    return replace


FILES: dict[str, Callable[[Path], object]] = {
    "cut off": cut,
    "scribbled over": scribble,
    "text": lambda path: path.write_text("hello\n" * 1000),
    "empty": lambda path: path.write_bytes(b""),
    "a folder": replaced(Path.mkdir),
    "a pipe": replaced(os.mkfifo),
    "a device": replaced(lambda path: path.symlink_to("/dev/zero")),
}


@pytest.mark.parametrize("what", FILES)
def test_a_damaged_file_is_one_line(what: str, runs: Path) -> None:
    FILES[what](runs / "evogan.db")
    with pytest.raises(UserError) as caught:
        read(runs, "mine")
    assert str(runs) in str(caught.value) and "\n" not in str(caught.value)
    if what != "empty":  # which is how a store begins
        with pytest.raises(UserError):
            search(runs, "mine", objective=lambda genome: pytest.fail("trained"))


SCHEMAS = ("0", "-1", "'x'", "NULL", "1.5")


@pytest.mark.parametrize("version", SCHEMAS)
def test_a_schema_is_a_number_from_1(version: str, runs: Path) -> None:
    change(runs, f"UPDATE evogan SET schema_version = {version}")
    with pytest.raises(UserError, match="schema_version is .*, not a number from 1"):
        Store.existing(runs)


@pytest.mark.parametrize("statement", ["DROP TABLE tells", "ALTER TABLE evaluations RENAME COLUMN scores TO s"])
def test_what_is_missing_is_named(statement: str, runs: Path) -> None:
    change(runs, statement)
    with pytest.raises(UserError, match=r"evogan.db': no such (table: tells|column: evaluations.scores)$"):
        read(runs, "mine")


@pytest.mark.parametrize("part", ["evaluations", "tasks"])
def test_a_folder_of_the_stores_that_is_none_is_told_of_before_anything_is_trained(part: str, runs: Path) -> None:
    (runs / part).write_text("in the way")
    read(runs, "mine")
    with pytest.raises(UserError, match=f"runs/{part}' is no folder"):
        search(runs, "third", objective=lambda genome: pytest.fail("trained"))
    assert "third" not in api.open_run("mine", runs).store.names()


def test_an_older_store_that_is_damaged_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "evogan.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(VERSION_1)
        connection.execute("INSERT INTO runs VALUES ('old', '[]', '2025-01-01 00:00:00.000000')")
    for _ in range(2):
        with pytest.raises(UserError, match="its run 'old' is damaged"):
            Store(tmp_path)


def test_names_in_a_store_lead_nowhere_else(runs: Path) -> None:
    outside = ("../../../outside", "../outside", 1.0, 0)
    store = Store.existing(runs)
    for path in (store.files(outside), store.task_file("../../outside", "real.png")):
        assert path.resolve().is_relative_to(runs.resolve())
    store.close()


# --- read, not written


def as_nobody(work: Callable[[], object]) -> Any:
    """What `work()` gives, JSON, to somebody who owns nothing: no rights bind root."""
    if os.getuid() != 0:
        return json.loads(json.dumps(work()))
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            try:
                answer = work()
            except UserError as error:
                answer = f"evogan: {error}"
            os.write(send, json.dumps(answer).encode())
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(send)
    with os.fdopen(receive, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return json.loads(answer)


def closed(runs: Path) -> None:
    """Nobody writes: there is one file."""


def protected(runs: Path) -> None:
    """The file alone, in a folder where files can be made."""
    runs.chmod(0o777)


def killed(runs: Path) -> None:
    """A driver that died left what it wrote last in files beside the store."""
    child = os.fork()
    if child == 0:
        Store(runs).set_finalists("other", [])
        os._exit(0)
    os.waitpid(child, 0)
    assert (runs / "evogan.db-wal").stat().st_size
    for path in runs.glob("evogan.db-*"):
        path.chmod(0o444)


def read_everything(runs: Path, out: Path) -> list[Any]:
    from evogan.comparison import Comparison
    from evogan.report.export import export_table
    from evogan.runs.seeds import read_seeds

    run, other = api.open_run("mine", runs), api.open_run("other", runs)
    export_table(run, "csv", out / "mine.csv")
    page = run.report(out / "page").read_text()
    seeds = [dict(seed.genome) for seed in read_seeds("mine", SPACE, Place(runs))]
    status = read_status(Place(runs).status("mine"))
    assert status is not None
    compared = comparison.as_document(Comparison([run, other]))
    documents = [tables.as_document(one) for one in (run, other)]
    for one in (run, other):
        one.store.close()
    return [documents, (out / "mine.csv").read_text(), len(page), seeds, status.run, compared]


@pytest.mark.fault
@pytest.mark.parametrize("how", [closed, protected, killed])
def test_a_store_that_cannot_be_written_is_read(how: Callable[[Path], None], runs: Path, tmp_path: Path) -> None:
    """By whoever may: and what is there is all that is there."""
    runs.chmod(0o555)
    for path in (runs, *runs.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    how(runs)
    expected = json.loads(json.dumps(read_everything(shutil.copytree(runs, tmp_path / "copy"), tmp_path)))
    before = sorted(runs.iterdir())
    with tempfile.TemporaryDirectory() as out:
        os.chmod(out, 0o777)
        assert as_nobody(lambda: read_everything(runs, Path(out))) == expected
    assert sorted(runs.iterdir()) == before

    said = as_nobody(lambda: search(runs, "mine", 9, lambda genome: pytest.fail("trained")).name)
    assert said.startswith(f"evogan: store '{runs}/evogan.db' can be read, but not written")


@pytest.mark.fault
def test_an_older_store_that_cannot_be_written_is_read_as_what_it_would_become(made: Path) -> None:
    with tempfile.TemporaryDirectory(dir=made.parent) as folder:
        path = Path(folder) / "evogan.db"
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.executescript(VERSION_1)
            connection.execute("INSERT INTO runs VALUES ('old', '{}', '2025-01-01 00:00:00.000000')")
        path.chmod(0o444)
        os.chmod(folder, 0o555)
        before = path.read_bytes()

        def look() -> list[Any]:
            store = Store.existing(Path(folder))
            return [store.run("old"), len(store.tells("old")), store.count(), str(store.database.read_only)]

        assert as_nobody(look) == [{}, 0, 0, "True"]
        assert path.read_bytes() == before and os.listdir(folder) == ["evogan.db"]


def read(runs: Path, name: str) -> tuple[dict[str, Any], str]:
    """All of a run."""
    run = api.open_run(name, runs)
    try:
        return tables.as_document(run), run.to_dataframe().to_csv()
    finally:
        run.store.close()
