"""A search seen from outside: the display, the log, the status file and TensorBoard harm nothing."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image
from rich.console import Console
from rich.progress import Progress

from evogan.engine import Broker, Event, Judge, LocalExecutor, Store
from evogan.errors import UserError, without_passwords
from evogan.genome import Genome
from evogan.monitor import Log, SearchProgress, StatusWriter, TensorBoard, all_of, read_status, status_table
from evogan.monitor.machine import Gpus, gpu
from evogan.monitor.preparation import Preparation
from evogan.monitor.status import SHOWN, Status
from evogan.monitor.table import span
from evogan.trial import FRESH, Evaluation, Trial
from tests import forked
from tests.conftest import TASK

FID = Judge("fid")
NAN, INF = float("nan"), float("inf")


def trial(number: int = 0, **more: Any) -> Trial:
    return Trial(Genome({"x": number, "kind": "a"}), f"key{number}", TASK, number=number, **more)


def check(number: int) -> Trial:
    return replace(trial(number, replicate=FRESH), number=None)


def done(fid: float = 1.0, id: int = 0, **more: Any) -> Evaluation:
    scores = ({"kimg": 1.0, "fidelity": 0.5, "fid": fid + 1}, {"kimg": 2.0, "fidelity": 1.0, "fid": fid})
    return Evaluation(status="completed", scores=scores, cost={"seconds": 3.0}, id=id, **more)


def failed(status: str = "crashed", id: int = 0, reason: str = "it broke") -> Evaluation:
    return Evaluation(status=status, reason=reason, id=id)  # type: ignore[arg-type]


def known(number: int, value: float | None, **more: Any) -> Event:
    return Event("told", trial(number, **more), value=value)


def every_kind() -> Iterator[Event]:
    """A search in which everything happens."""
    yield Event("cached", trial(0), done(5.0, id=1))
    yield known(0, 5.0)
    for number in range(1, 6):
        yield Event("submitted", trial(number))
    yield from (Event("awaited", trial(number)) for number in (6, 7))
    for number in (1, 2, 3):
        yield Event("started", trial(number), where=f"node a, gpu 0, process {number}")
    yield Event("progress", trial(1), point={"kimg": 1.0, "fidelity": 0.5, "fid": 4.5})
    yield Event("progress", trial(1), point={"kimg": 1.5, "fidelity": 0.75, "critic": -0.1})
    yield Event("retried", trial(2), reason="worker lost")
    yield Event("waiting", None, reason="store 'runs/evogan.db': database is locked")
    yield Event("evaluated", trial(1), done(4.0, id=2))
    yield known(1, 4.0)
    yield known(2, None)
    yield known(3, 0.5, fidelity=0.5)
    yield Event("pruned", trial(3), done(9.0, id=3, fidelity=0.5))
    yield Event("started", trial(4))
    yield Event("evaluated", trial(4), failed("out_of_memory", id=4))
    yield Event("cached", trial(6), done(7.0, id=5))
    yield Event("cached", trial(1), done(4.0, id=2))  # proposed again
    yield Event("started", trial(5))
    yield Event("stopping", None, reason="1 trials finish")


def until(condition: Any) -> None:
    while not condition():
        time.sleep(0.02)


PRELUDE = """
import sys
from pathlib import Path
from evogan.engine import Event, Judge
from evogan.genome import Genome
from evogan.monitor import Log, StatusWriter
from evogan.trial import Evaluation, Task, Trial

def crashed(i, length):
    trial = Trial(Genome({}), f"key{i}", Task(name="t"), number=i)
    return Event("evaluated", trial, Evaluation(status="crashed", reason="x" * length))
"""


def run_python(code: str, *arguments: object) -> subprocess.Popen[bytes]:
    return forked.Popen([sys.executable, "-c", PRELUDE + code, *map(str, arguments)])


# --- the display


def shown(events: list[Event]) -> list[str]:
    said = io.StringIO()
    with SearchProgress(10, Console(file=said, width=60), "fid") as progress:
        for event in events:
            progress(event)
    return said.getvalue().splitlines()


def test_the_display_says_what_a_user_should_know() -> None:
    assert shown([Event("data", None, reason="digits: 1,442 images"), *every_kind()]) == [
        "digits: 1,442 images",
        "1/10 0 evaluated, 1 cached, 0 failed, best fid 5",
        "trial 2 is tried again: worker lost",
        "waiting: store 'runs/evogan.db': database is locked",
        "2/10 1 evaluated, 1 cached, 0 failed, best fid 4",
        "stopping: 1 trials finish, Ctrl-C again stops at once",
    ]


def test_a_store_that_stays_away_is_told_of_once() -> None:
    locked = Event("waiting", None, reason="locked")
    back = Event("started", trial(1))
    assert shown([locked, locked, back, locked]) == ["waiting: locked"] * 2


def test_the_bar_counts_what_runs_here_and_elsewhere() -> None:
    said = io.StringIO()
    with SearchProgress(10, Console(file=said, force_terminal=True, width=200), "fid") as progress:
        for event in list(every_kind())[:12]:
            progress(event)
        assert progress.under_way == ["3 running", "2 awaited"]
        progress(Event("checking", None, value=4))
        progress(Event("evaluated", check(1), done(id=9)))
    assert "3 running, 2 awaited" in said.getvalue()
    assert "1/4" in said.getvalue() and "fresh replicates" in said.getvalue()


def test_checks_are_none_of_the_searchs_evaluations() -> None:
    search = [Event("evaluated", trial(1), done(id=1)), known(1, 5.0)]
    checks = [Event("evaluated", check(1), done(0.5, id=2)), known(2, None)]
    assert shown([*search, *checks]) == ["1/10 1 evaluated, 0 cached, 0 failed, best fid 5"]


def test_how_far_the_checks_are_is_said_where_there_is_no_bar() -> None:
    checked = [Event("evaluated", check(i), done(0.5, id=i)) for i in range(4)]
    assert shown([Event("checking", None, value=4), *checked]) == [
        f"winners checked: {n} of 4 trainings" for n in (1, 2, 3, 4)
    ]


def test_what_takes_long_is_told_of_by_tenths_where_there_is_no_bar() -> None:
    said: list[str] = []
    tell = Preparation(Progress(disable=True), said.append)
    for line in ("features learn", "others learn"):
        for step in range(101):
            tell(line, step / 100)
    tell("done", None)
    tell("a reference is left out", False)
    tell("a reference is left out", True)
    tenths = [f"{10 * i}% " for i in range(1, 10)]
    lines = [f"{of}{line}" for line in ("features learn", "others learn") for of in ("", *tenths)]
    assert said == [*lines, "done", "a reference is left out"]


def test_the_best_is_that_of_the_highest_fidelity_and_of_all_replicates(tmp_path: Path) -> None:
    def best(*events: Event) -> Any:
        return told(tmp_path / "status.json", *events).status().best

    lucky = Event("evaluated", trial(2, replicate=1), done(0.1, id=7))
    early = [known(0, 3.0, fidelity=0.25), known(1, 2.0, fidelity=0.25)]
    assert best(*early, lucky) == {"value": 2.0, "key": "key1", "number": 1}
    assert best(*early, known(2, 9.0), lucky, known(3, 1.0, fidelity=0.25)) == {
        "value": 9.0,
        "key": "key2",
        "number": 2,
    }


# --- the log


def lines(path: Path) -> list[dict[str, Any]]:
    """As any JSON reader has them: one that knows no NaN, and no line without its end."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    whole = path.read_text().rpartition("\n")[0].splitlines()
    return [json.loads(line, parse_constant=refuse) for line in whole]


def logged(path: Path, level: str, *events: Event) -> list[dict[str, Any]]:
    with Log(path, "mine", FID, level) as log:
        for event in events:
            log(event)
    return lines(path)


def test_a_line_for_every_event_with_run_ordinal_and_key(tmp_path: Path) -> None:
    events = list(every_kind())
    found = logged(tmp_path / "deep" / "log.jsonl", "debug", *events)
    assert [line["event"] for line in found] == [event.kind for event in events]
    assert {line["run"] for line in found} == {"mine"}
    for line, event in zip(found, events, strict=True):
        if event.trial is not None:
            assert (line["ordinal"], line["key"], line["fidelity"], line["replicate"]) == (
                *(event.trial.number, event.trial.key),
                *(event.trial.fidelity, 0),
            )
    by_event = {line["event"]: line for line in reversed(found)}
    assert by_event["evaluated"]["scores"] == {"fid": 4.0} and by_event["evaluated"]["seconds"] == 3.0
    assert by_event["pruned"]["reached"] == 0.5
    assert by_event["told"]["value"] == 5.0
    assert by_event["progress"]["point"] == {"kimg": 1.0, "fidelity": 0.5, "fid": 4.5}
    assert by_event["started"]["where"] == "node a, gpu 0, process 1"
    assert by_event["retried"]["reason"] == "worker lost"
    assert [line["time"] for line in found] == sorted(line["time"] for line in found)
    assert all(line["time"].endswith("+00:00") for line in found)


def test_the_level_says_what_is_left_out(tmp_path: Path) -> None:
    events = list(every_kind())
    levels = {level: logged(tmp_path / level, level, *events) for level in ("debug", "info", "warning")}
    assert {line["event"] for line in levels["debug"] if line["level"] == "debug"} == {"progress", "told"}
    assert levels["info"] and all(line["level"] != "debug" for line in levels["info"])
    assert [line["event"] for line in levels["warning"]] == ["retried", "waiting", "pruned", "evaluated", "stopping"]
    assert levels["warning"][3]["status"] == "out_of_memory"
    with pytest.raises(UserError, match="unknown log level 'loud': allowed: debug, info, warning"):
        Log(tmp_path / "log", "mine", FID, "loud")
    assert not (tmp_path / "log").exists()


def test_what_is_no_number_is_null(tmp_path: Path) -> None:
    points = ({"kimg": 1.0, "fid": NAN}, {"kimg": 2.0, "fid": INF})
    broken = Evaluation(status="diverged", scores=points, cost={"seconds": NAN})
    point = {"fid": NAN, "critic": -INF, "kimg": np.float32(1.5)}
    one, two = logged(
        tmp_path / "log", "debug", Event("progress", trial(), point=point), Event("evaluated", trial(), broken)
    )
    assert one["point"] == {"fid": None, "critic": None, "kimg": 1.5}
    assert two["scores"] == {"fid": None} and two["seconds"] is None


@pytest.mark.parametrize(
    "text",
    [
        "cannot connect to postgresql://me:hunter2@db.example:5432/evogan",
        "cannot connect to postgresql+psycopg://me:p@hunter2@db/evogan?sslmode=on",
        "connection failed: host=db password=hunter2 user=me",
        "connection failed: password = 'hunter2 and more', user=me",
        'settings: {"password": "hunter2"}',
    ],
)
def test_no_password_is_ever_written(tmp_path: Path, text: str) -> None:
    events = [Event("waiting", None, reason=text), Event("evaluated", trial(), failed(reason=text))]
    logged(tmp_path / "log", "info", *events)
    status = tmp_path / "status.json"
    with StatusWriter(status, "mine", FID, 10) as writer:
        writer(events[0])
    for written in ((tmp_path / "log").read_text(), status.read_text(), "".join(shown(events))):
        assert "hunter2" not in written
        assert "and more" not in written
    assert without_passwords("a trial at http://host:8265/x, 3 of 4") == "a trial at http://host:8265/x, 3 of 4"


def test_several_processes_share_a_log_line_by_line(tmp_path: Path) -> None:
    code = """
for i in range(500):
    with Log(Path(sys.argv[1]), sys.argv[2], Judge("fid")) as log:
        log(crashed(i, 20 * i))
"""
    path = tmp_path / "log"
    writers = [run_python(code, path, name) for name in "abc"]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    found = lines(path)
    assert {name: [line["ordinal"] for line in found if line["run"] == name] for name in "abc"} == {
        name: list(range(500)) for name in "abc"
    }


@pytest.mark.fault
def test_a_killed_writer_leaves_whole_lines(tmp_path: Path) -> None:
    code = """
with Log(Path(sys.argv[1]), "mine", Judge("fid")) as log:
    for i in range(10**9):
        log(crashed(i, i % 300))
"""
    for path in (tmp_path / "one", tmp_path / "two"):
        writer = run_python(code, path)
        until(lambda path=path: path.exists() and path.stat().st_size > 50_000)
        writer.kill()
        assert writer.wait() == -signal.SIGKILL
        ordinals = [line["ordinal"] for line in lines(path)]
        assert ordinals == list(range(len(ordinals))) and len(ordinals) > 50


def test_half_a_line_of_an_earlier_process_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text('{"time": "2020')
    with Log(path, "mine", FID) as log:
        log(Event("submitted", trial(3)))
    half, whole = path.read_text().splitlines()
    assert half == '{"time": "2020' and json.loads(whole)["ordinal"] == 3


@pytest.mark.fault
def test_a_full_disk_stops_no_search_and_the_log_says_what_it_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with Log(tmp_path / "log", "mine", FID) as log:
        with monkeypatch.context() as patch:
            patch.setattr("os.write", lambda file, content: write(file, content[:20]))
            log(Event("submitted", trial(1)))
            patch.setattr("os.write", full)
            log(Event("submitted", trial(2)))
        assert (tmp_path / "log").read_bytes() == b""
        log(Event("submitted", trial(3)))
    assert [(line["event"], line.get("lines"), line.get("ordinal")) for line in lines(tmp_path / "log")] == [
        ("lost", 2, None),
        ("submitted", None, 3),
    ]
    with pytest.raises(UserError, match="^log '/dev/null': no regular file$"):
        Log(Path("/dev/null"), "mine", FID)


def test_where_files_cannot_be_locked_a_log_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unable(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", unable)
    assert [line["ordinal"] for line in logged(tmp_path / "log", "info", Event("submitted", trial(1)))] == [1]


def test_a_log_that_cannot_be_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"log '{tmp_path}': Is a directory"):
        Log(tmp_path, "mine", FID)


# --- the status


def told(path: Path, *events: Event, budget: float = 10, checks: int = 2) -> StatusWriter:
    """A writer that has heard these; nothing writes yet."""
    writer = StatusWriter(path, "mine", FID, budget, checks)
    for event in events:
        writer(event)
    return writer


def text(status: Status, width: int = 160) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(status_table(status))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_the_status_adds_up(tmp_path: Path) -> None:
    status = told(tmp_path / "status.json", *every_kind()).status()
    assert status.state == "stopping" and status.reason == "1 trials finish"
    assert status.counts == {
        "evaluated": 3,
        "cached": 2,
        "failed": 1,
        "retried": 1,
        "pruned": 1,
        "running": 1,
        "queued": 0,
        "awaited": 0,
    }
    assert status.failed == {"out_of_memory": 1}
    assert status.spent == 4.5, "a pruned trial costs what it used, and a repeated one nothing"
    assert status.best == {"value": 4.0, "key": "key1", "number": 1}
    assert [one["number"] for one in status.running] == [5]
    assert status.eta == pytest.approx((10 - 4.5 + 2) / status.rate)
    assert status.driver["pid"] == os.getpid() and status.alive
    assert status.use["cpu"] >= 0 and 0 < status.use["memory"]["used"] < status.use["memory"]["total"]


def test_checks_that_never_were_are_not_waited_for(tmp_path: Path) -> None:
    """Of twelve that were planned there were four to make, for want of finalists."""
    writer = told(tmp_path / "s", Event("submitted", trial(1)), Event("evaluated", trial(1), done(id=1)), checks=12)
    assert "; 0 of 12 checks" in text(writer.status())
    with writer:
        writer(Event("checking", None, value=4))
        for i in range(4):
            writer(Event("evaluated", check(i), done(id=2 + i)))
        status = writer.status()
        assert status.rate is not None and status.eta == pytest.approx(9 / status.rate), "nine of ten to search"
    assert "; 4 checks" in text(writer.status())


def test_what_runs_where_and_how_far_it_is(tmp_path: Path) -> None:
    one, two, three = told(tmp_path / "s", *list(every_kind())[:14]).status().running
    assert (one["number"], one["key"], one["where"]) == (1, "key1", "node a, gpu 0, process 1")
    assert one["point"] == {"kimg": 1.5, "fidelity": 0.75, "fid": 4.5}, "the last of each that was heard"
    assert one["seconds"] >= two["seconds"] >= three["seconds"] >= 0
    assert two["point"] == {}


def test_states_follow_each_other(tmp_path: Path) -> None:
    writer = told(tmp_path / "s")

    def state(event: Event) -> str:
        writer(event)
        return writer.status().state

    assert state(Event("data", None, reason="digits: 1,442 images")) == "searching"
    assert state(Event("started", trial(1))) == "searching"
    assert state(Event("waiting", None, reason="locked")) == "waiting"
    assert state(Event("evaluated", trial(1), done(id=1))) == "searching"
    assert state(Event("started", check(1))) == "checking"
    assert state(Event("evaluated", check(1), done(id=2))) == "checking"
    assert writer.status().checked == 1 and writer.status().spent == 1
    assert state(Event("stopping", None, reason="0 trials finish")) == "stopping"
    assert state(Event("waiting", None, reason="locked")) == "waiting"
    assert state(Event("evaluated", check(2), done(id=3))) == "stopping"


def test_known_answers_do_not_make_a_run_look_fast(tmp_path: Path) -> None:
    writer = told(tmp_path / "s", *(Event("cached", trial(i), done(id=i)) for i in range(5)))
    assert writer.status().rate is None and writer.status().eta is None
    writer(Event("submitted", trial(5)))
    writer(Event("evaluated", trial(5), done(id=5)))
    first = writer.status().rate
    assert first is not None
    time.sleep(0.05)
    assert 0 < writer.status().rate < first, "as long as nothing ends it gets slower"


def test_the_file_stays_small_whatever_runs(tmp_path: Path) -> None:
    writer = told(tmp_path / "s", *(Event("started", trial(i)) for i in range(5000)))
    status = writer.status()
    assert status.counts["running"] == 5000
    assert [one["number"] for one in status.running] == list(range(SHOWN)), "the longest running first"
    assert f"and {5000 - SHOWN} more" in text(status)


def test_the_file_is_fresh_while_a_trial_runs_in_this_process(tmp_path: Path) -> None:
    """And it can be read from elsewhere at any moment: it comes whole."""
    path, seen = tmp_path / "status.json", []

    def evaluate(one: Trial) -> Evaluation:
        one.report({"kimg": 0.5, "fidelity": 0.25})
        until(lambda: (status := read_status(path)) is not None and status.running and status.running[0]["point"])
        seen.append(read_status(path))
        until(lambda: read_status(path).running[0]["seconds"] > seen[-1].running[0]["seconds"])
        return done()

    with StatusWriter(path, "mine", FID, 1) as writer:
        Broker(Store(), LocalExecutor(evaluate), writer).results([trial(7)])
    assert seen[0].state == "searching"
    assert seen[0].running[0]["number"] == 7
    assert seen[0].running[0]["point"] == {"kimg": 0.5, "fidelity": 0.25}
    status = read_status(path)
    assert status.state == "finished" and status.running == [] and status.spent == 1 and not status.alive
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_leaving_with_an_error_is_stopped(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "status.json"
    with pytest.raises(error), StatusWriter(path, "mine", FID, 10):
        raise error
    assert read_status(path).state == "stopped"
    assert "`evogan resume mine` goes on" in text(read_status(path))


def test_a_killed_driver_is_said_to_be_gone(tmp_path: Path) -> None:
    code = """
with StatusWriter(Path(sys.argv[1]), "mine", Judge("fid"), 10) as writer:
    writer(crashed(1, 5))
    for i in range(10**9):
        writer._write(writer.status())
"""
    path = tmp_path / "status.json"
    writer = run_python(code, path)
    until(lambda: (status := read_status(path)) is not None and status.failed)
    assert read_status(path).alive
    for _ in range(300):
        assert read_status(path).counts["evaluated"] == 1, "a reader never finds half of it"
    writer.kill()
    until(lambda: not read_status(path).alive)  # it is a zombie as yet
    writer.wait()
    status = read_status(path)
    assert status.alive is False and status.state == "searching"
    assert "its driver is gone: `evogan resume mine` goes on" in text(status)
    assert "1 evaluated, 0 cached, 1 failed (1 crashed)" in text(status)


def test_a_driver_is_known_by_pid_and_birth_on_its_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status = told(tmp_path / "s", Event("started", trial(1))).status()
    assert status.alive
    assert f"on {socket.gethostname()}, process {os.getpid()}" in text(status)
    another = replace(status, driver=status.driver | {"born": status.driver["born"] - 5})
    assert another.alive is False, "its pid was given to another process"
    elsewhere = replace(status, driver=status.driver | {"host": "node7"}, updated="2020-01-01T00:00:00+00:00")
    assert elsewhere.alive is None
    assert "on node7" in text(elsewhere) and "last heard of" in text(elsewhere)
    assert elsewhere.age > 86400 and not elsewhere.going, "nobody heard of it for years"
    assert replace(elsewhere, updated=status.updated).going
    container = replace(status, driver=status.driver | {"namespace": "pid:[1]", "born": 1.0})
    assert container.alive is None and container.going, "of the same name: its pid is none of ours"
    silent = replace(status, updated=elsewhere.updated)
    assert silent.alive and "last heard of" in text(silent), "it is suspended, or its disk is full"
    assert "last heard of" not in text(status)

    # the clock is set forward by an hour: what the kernel tells as the time of boot moves with it
    boot = psutil.boot_time()
    monkeypatch.setattr("psutil.boot_time", lambda: boot + 3600)
    monkeypatch.setattr("psutil._psplatform.boot_time", lambda: boot + 3600)
    assert status.alive


def test_no_status_and_what_is_none(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    assert read_status(path) is None
    for content in ("", "[]", '{"run": "mine"}', "null"):
        path.write_text(content)
        with pytest.raises(UserError, match="is no status of a run"):
            read_status(path)


def test_a_status_that_cannot_be_written_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "status.json"

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("evogan.monitor.status.write_whole", full)
        with StatusWriter(path, "mine", FID, 10) as writer:
            writer(Event("started", trial(1)))
    assert not path.exists()


def test_a_status_is_json_for_machines_and_a_table_for_people(tmp_path: Path) -> None:
    writer = told(tmp_path / "s", *list(every_kind())[:20])
    writer(Event("progress", trial(5), point={"kimg": NAN, "fid": NAN}))
    status = writer.status()
    document = json.loads(json.dumps(status.as_document(), allow_nan=False))
    assert document["alive"] is True and document["counts"]["queued"] == 3
    said = text(status)
    assert "mine  searching for" in said
    assert "2 of 10 evaluations: 1 evaluated, 1 cached, 0 failed, 1 retried, 2 running, 3 queued, 2 awaited" in said
    assert "best fid 4 (proposal 1, key1)" in said
    assert "cpu " in said and "memory " in said
    assert "node a, gpu 0, process 3" in said


def test_names_of_users_are_no_markup(tmp_path: Path) -> None:
    one = Event("started", trial(1), where="[bold]node[/bold] [red]")
    assert "[bold]node[/bold] [red]" in text(told(tmp_path / "s", one).status())


def test_gpus_are_looked_at_where_there_are_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert gpu("0, 87, 31250, 81559") == {"index": 0, "load": 87, "used": 31250 * 2**20, "total": 81559 * 2**20}
    assert gpu("1, [N/A], 10, 81559")["load"] is None
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho x >> calls\necho 0, 87, 31250, 81559\necho '1, [N/A], 10, 81559'\n")
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    gpus = Gpus()
    assert gpus.look() == gpus.look() and len(gpus.look()) == 2
    assert (tmp_path / "calls").read_text() == "x\n", "not at every look"
    assert "gpu 0 87 %, 32.8 of 85.5 GB, gpu 1 0.0 of 85.5 GB" in text(told(tmp_path / "s").status())
    for trouble in ("exit 9", "echo No devices were found"):
        program.write_text(f"#!/bin/sh\n{trouble}\n")
        assert Gpus().look() == []
    monkeypatch.setenv("PATH", "")
    assert Gpus().look() == []


def test_spans_of_time_are_said_as_people_do() -> None:
    said = [span(seconds) for seconds in (0, 59.6, 61, 3600, 3 * 3600 + 12 * 60 + 5, 90_000)]
    assert said == ["0 s", "1 min", "1 min 1 s", "1 h", "3 h 12 min", "1 d 1 h"]


# --- TensorBoard


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder))
    found.Reload()
    return [(scalar.step, scalar.value) for scalar in found.Scalars(tag)]


def test_tensorboard_has_curves_grids_genes_and_the_best_so_far(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.metadata import SESSION_START_INFO_TAG, parse_session_start_info_plugin_data

    store, board = tmp_path / "store", tmp_path / "board"
    (store / "key1").mkdir(parents=True)
    Image.new("RGB", (30, 20), (255, 0, 0)).save(store / "key1" / "samples.png")
    losses = ({"kimg": 0.5, "critic": -1.0}, {"kimg": 1.0, "critic": -2.0})
    with TensorBoard(board, FID, lambda identity, _: store / identity[0]) as listener:
        listener(Event("evaluated", trial(1), done(4.0, id=1, curve=losses)))
        listener(known(1, 4.0))
        listener(Event("progress", trial(2), point={"fid": 0.1}))
        listener(Event("evaluated", trial(2), failed(id=2)))
        listener(Event("pruned", trial(3), replace(done(NAN, id=3), fidelity=0.5)))
        listener(known(2, None))
        listener(Event("cached", trial(0), done(3.0, id=4)))
        listener(known(0, 3.0))
        listener(Event("evaluated", check(0), done(2.0, id=5)))
    assert sorted(path.name for path in board.iterdir()) == [
        *("000000-key0", "000001-key1", "000002-key2", "000003-key3", "best", "check-key0-r0"),
    ]
    assert scalars(board / "000001-key1", "fid") == [(1000, 5.0), (2000, 4.0)]
    assert scalars(board / "000001-key1", "losses/critic") == [(500, -1.0), (1000, -2.0)]
    assert scalars(board / "best", "best_fid") == [(1, 4.0), (2, 4.0), (3, 3.0)], "checks are no search"
    found = EventAccumulator(str(board / "000001-key1"))
    found.Reload()
    (image,) = found.Images("samples")
    assert (image.width, image.height, image.step) == (30, 20, 2000)
    assert image.encoded_image_string == (store / "key1" / "samples.png").read_bytes()
    plugin = found.SummaryMetadata(SESSION_START_INFO_TAG).plugin_data.content
    genes = parse_session_start_info_plugin_data(plugin).hparams
    assert genes["x"].number_value == 1 and genes["kind"].string_value == "a"


def test_a_run_that_goes_on_doubles_nothing_on_the_board(tmp_path: Path) -> None:
    def judged(event: Event) -> float | None:
        assert event.evaluation is not None
        return FID.value(event.evaluation)

    events = [Event("evaluated", trial(i), done(9.0 - i, id=i)) for i in range(3)]
    with TensorBoard(tmp_path, FID, lambda *_: tmp_path / "none") as listener:
        for number, event in enumerate(events[:2]):
            listener(event)
            listener(known(number, judged(event)))
    (best,), trial_file = (tmp_path / "best").iterdir(), next((tmp_path / "000000-key0").iterdir())
    best.rename(best.with_name("events.out.tfevents.1.1"))  # of another time, by another process
    before = trial_file.read_bytes()
    with TensorBoard(tmp_path, FID, lambda *_: tmp_path / "none") as listener:
        for number, event in enumerate(events[:2]):
            listener(replace(event, kind="cached"))
            listener(known(number, judged(event)))
        listener(events[2])
        listener(known(2, judged(events[2])))
        listener(replace(events[0], kind="cached"))
    assert scalars(tmp_path / "best", "best_fid") == [(1, 9.0), (2, 8.0), (3, 7.0)]
    assert scalars(tmp_path / "000000-key0", "fid") == [(1000, 10.0), (2000, 9.0)]
    assert trial_file.read_bytes() == before


def test_an_objective_has_no_images_seen(tmp_path: Path) -> None:
    points = ({"value": 2.0}, {"value": 1.0})
    with TensorBoard(tmp_path, Judge("value"), lambda *_: tmp_path / "none") as listener:
        listener(Event("evaluated", trial(1), Evaluation(status="completed", scores=points, id=1)))
    assert scalars(tmp_path / "000001-key1", "value") == [(0, 2.0), (1, 1.0)]


def test_a_full_disk_stops_no_search_and_the_board_is_completed_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("evogan.monitor.tensorboard.write_whole", full)
        with TensorBoard(tmp_path, FID, lambda *_: tmp_path / "none") as listener:
            listener(Event("evaluated", trial(1), done(4.0, id=1)))
    with TensorBoard(tmp_path, FID, lambda *_: tmp_path / "none") as listener:
        listener(Event("cached", trial(1), done(4.0, id=1)))
        listener(known(1, 4.0))
    assert scalars(tmp_path / "000001-key1", "fid") == [(1000, 5.0), (2000, 4.0)]
    assert scalars(tmp_path / "best", "best_fid") == [(1, 4.0)]


def test_without_tensorboard_one_line_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.record_writer", None)
    with pytest.raises(UserError, match=r"tensorboard is not installed: pip install 'evogan\[tensorboard\]'"):
        TensorBoard(tmp_path / "board", FID, lambda *_: tmp_path)
    assert not (tmp_path / "board").exists()


# --- together


def test_all_of_them_hear_everything_in_their_order() -> None:
    heard: list[tuple[str, str]] = []
    listen = all_of(lambda e: heard.append(("one", e.kind)), lambda e: heard.append(("two", e.kind)))
    listen(Event("submitted", trial(1)))
    listen(Event("stopping", None))
    assert heard == [(name, kind) for kind in ("submitted", "stopping") for name in ("one", "two")]


def test_the_room_needs_neither_torch_nor_ray() -> None:
    code = "import sys, evogan.monitor; sys.exit(bool({'torch', 'ray', 'tensorboard'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
