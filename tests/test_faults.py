"""Whatever kills, stops or disturbs a driver: nothing is lost or recorded twice, and the run goes on as if unhurt.

Here are faults of whole runs. Those of a part are with the tests of that part, and `pytest -m fault` runs all: workers
and trials (test_ray), nodes (test_cluster), disk and database (test_store), drivers that hang or die (test_leases), and
the same kills on real trainings (test_resume).
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from evogan.engine.history import RunHistory
from evogan.engine.store import Store
from evogan.errors import UserError
from evogan.trial import STATE
from tests import forked
from tests.conftest import NARROW
from tests.driver import is_whole
from tests.postgres import PASSWORD, QUOTED, Postgres
from tests.postgres import postgres as postgres
from tests.test_resume import evogan, facts

pytestmark = pytest.mark.fault

STOPPED = "evogan: stopped; the same command goes on with a search or a campaign (`evogan resume` with a run, too)"

# --- kill -9

KILLS = 20
LATEST = {"trial": 5, "write": 6, "kept": 6, "commit": 40}  # of the moments in a driver's life at which it is killed


def driver(runs: Path, *moment: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.driver", str(runs), *map(str, moment)]
    here = Path(__file__).parents[1]
    return forked.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=here)


def records(runs: Path) -> dict[str, list[Any]]:
    """All that is known of the run, in the order in which it was recorded; nothing where it was hardly begun."""
    try:
        store = Store.existing(runs)
    except UserError:
        return {"proposals": [], "tells": [], "evaluations": []}
    try:
        tells = [(tell.position, tell.number, store.evaluations_of(tell.evaluations)) for tell in store.tells("killed")]
        return {"proposals": store.proposals("killed"), "tells": tells, "evaluations": list(store.evaluations())}
    finally:
        store.close()


def check(runs: Path) -> dict[str, list[Any]]:
    """The records, if nothing is there twice and every file is whole; of a run that is through, states are gone."""
    found = records(runs)
    identities = [identity for identity, _, _ in found["evaluations"]]
    assert len(identities) == len(set(identities))
    for (key, task, fidelity, replicate), _, evaluation in found["evaluations"]:
        folder = runs / "evaluations" / key / f"{task}-f{fidelity:g}-r{replicate}"
        for name, digest in evaluation.provenance.items():
            if name == STATE and checks_began(runs) and not (folder / name).exists():
                continue
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    for path in runs.glob("evaluations/*/*/[!.]*"):  # those of no evaluation yet, too
        assert is_whole(path.read_bytes()), path
    return found


def checks_began(runs: Path) -> bool:
    store = Store.existing(runs)
    begun = bool(store.finalists("killed"))
    store.close()
    return begun


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, list[Any]], list[Any], float]:
    """What a driver records that nobody disturbs, what it found, and the seconds of its life."""
    forked.run([sys.executable, "-c", ""])  # the first waits for the imports
    runs, began = tmp_path_factory.mktemp("calm") / "runs", time.monotonic()
    undisturbed = driver(runs)
    _, errors = undisturbed.communicate()
    assert undisturbed.returncode == 0, errors
    seconds = time.monotonic() - began
    return check(runs), confirmations(runs), seconds


def confirmations(runs: Path) -> list[Any]:
    store = Store.existing(runs)
    found = [(one.name, one.values) for one in RunHistory(store, "killed").confirmations]
    store.close()
    return found


def test_a_run_with_a_target_ends_where_it_would_have_however_often_it_was_killed(tmp_path: Path) -> None:
    calm, killed, target = tmp_path / "calm", tmp_path / "killed", 0.15
    for runs, moments in ((calm, ()), (killed, (("commit", 30), ("trial", 4)))):
        for moment in moments:
            process = driver(runs, *moment, target)
            assert process.stdout is not None and process.stdout.readline() == "here\n"
            process.kill()
            process.communicate()
        assert driver(runs, "never", 0, target).wait() == 0
        store = Store.existing(runs)
        run = RunHistory(store, "killed")
        assert run.ended_early.startswith(f"target value {target} reached: ") and not run.unfinished
        assert 5 < run.spent[-1] < 20 and run.confirmations
        store.close()
    assert check(killed) == check(calm)
    assert confirmations(killed) == confirmations(calm)


def test_killed_at_twenty_moments_the_run_is_an_undisturbed_one(
    calm: tuple[dict[str, list[Any]], list[Any], float], tmp_path: Path
) -> None:
    """Some at any moment of their life, starting up too; some where it hurts most: see `tests.driver`."""
    whole, confirmed, seconds = calm
    rng, kills, number = random.Random(11), 0, 0
    moments = ["any", *LATEST] * (KILLS // 5)
    rng.shuffle(moments)
    runs, before = tmp_path / "0", records(tmp_path)

    def finish() -> None:
        process = driver(runs)
        _, errors = process.communicate()
        assert process.returncode == 0, errors
        assert check(runs) == whole
        assert confirmations(runs) == confirmed

    while kills < KILLS:
        moment = moments[kills]
        process = driver(runs, *([] if moment == "any" else [moment, rng.randint(1, LATEST[moment])]))
        if moment == "any":
            time.sleep(rng.random() * seconds)
        else:
            assert process.stdout is not None
            process.stdout.readline()  # "here", or it is through
        process.kill()
        process.communicate()
        now = check(runs)
        for what, rows in now.items():
            assert rows[: len(before[what])] == before[what]
        before = now
        if len(now["evaluations"]) < len(whole["evaluations"]):
            kills += 1
            continue
        finish()  # there was nothing left to disturb: another run
        if moment == "any":
            seconds /= 2  # a life is shorter now than the calm one was, which had less of the machine
        number += 1
        assert number < KILLS
        runs, before = tmp_path / str(number), records(tmp_path)
    finish()
    assert [path for path in tmp_path.rglob(".*") if path.is_file()] == []  # nor is anything left half-written


# --- Ctrl-C, and several drivers: the command line as people use it

SEARCH = (
    f"search {NARROW} --strategy ga --option population=4 --evaluations 6 --window 4 "
    "--kimg 1.5 --samples 200 --finalists 1 --confirm 1"
).split()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """What that search finds."""
    runs = tmp_path_factory.mktemp("undisturbed")
    process = evogan(*SEARCH, "--workers", "1", "--name", "calm", runs=runs)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return facts(runs, "calm")


def events(runs: Path, name: str) -> list[dict[str, Any]]:
    """What the log of a run has."""
    log = runs / name / "log.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def trials_of(events: list[dict[str, Any]], kind: str) -> list[tuple[object, ...]]:
    return [(one["key"], one["fidelity"], one["replicate"]) for one in events if one["event"] == kind]


def press(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """A terminal sends Ctrl-C to the whole process group; SIGTERM is for the driver."""
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("workers", "once", "twice"),
    [(1, signal.SIGTERM, signal.SIGINT), (2, signal.SIGINT, signal.SIGTERM)],
    ids=["in this process", "on Ray"],
)
def test_ctrl_c_once_finishes_what_runs_twice_stops_at_once_and_either_way_it_can_go_on(
    workers: int, once: signal.Signals, twice: signal.Signals, undisturbed: list[object], tmp_path: Path
) -> None:
    go_on = ("resume", "stopped", "--workers", str(workers))
    process = evogan(*SEARCH, "--workers", str(workers), "--name", "stopped", runs=tmp_path)
    before = 0

    def heard() -> list[dict[str, Any]]:
        """Since the driver began."""
        return events(tmp_path, "stopped")[before:]

    def until(kind: str) -> None:
        while not any(one["event"] == kind for one in heard()):
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)

    def is_stopped() -> None:
        out, errors = process.communicate()
        assert (process.returncode, out) == (130, ""), errors
        assert errors.splitlines()[-1] == STOPPED
        assert "Traceback" not in errors and "SIGTERM" not in errors
        status = json.loads((tmp_path / "stopped" / "status.json").read_text())
        assert status["state"] == "stopped"

    until("started")
    press(process, once)
    is_stopped()
    started = trials_of(heard(), "started")
    assert sorted(started) == sorted(trials_of(heard(), "evaluated"))
    assert 1 <= len(started) <= workers  # of the four that were wanted

    before = len(events(tmp_path, "stopped"))
    process = evogan(*go_on, runs=tmp_path)
    until("started")
    press(process, twice)
    until("stopping")
    press(process, twice)
    is_stopped()
    assert len(trials_of(heard(), "started")) > len(trials_of(heard(), "evaluated"))

    process = evogan("resume", "stopped", "--workers", "1", runs=tmp_path)  # wherever it was stopped
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert facts(tmp_path, "stopped") == undisturbed
    trained = trials_of(events(tmp_path, "stopped"), "evaluated")
    assert len(trained) == len(set(trained))


@pytest.mark.timeout(600)
def test_a_search_whose_cluster_is_killed_ends_with_one_line_and_goes_on(
    undisturbed: list[object], tmp_path: Path
) -> None:
    """First a part of Ray, then, by a signal to the whole group, all of it."""

    def started(*arguments: str) -> subprocess.Popen[str]:
        before = len(events(tmp_path, "hurt"))
        process = evogan(*arguments, "--workers", "2", runs=tmp_path)
        while not any(one["event"] == "started" for one in events(tmp_path, "hurt")[before:]):
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        return process

    process = started(*SEARCH, "--name", "hurt")
    next(child for child in psutil.Process(process.pid).children() if child.name() == "raylet").kill()
    _, errors = process.communicate()
    lost = "evogan: the Ray cluster is lost: raylet has ended; what was recorded is kept, a resume goes on"
    assert (process.returncode, errors.splitlines()[-1]) == (2, lost), errors
    assert "Traceback" not in errors and "raylet)" not in errors

    process = started("resume", "hurt")
    os.killpg(process.pid, signal.SIGTERM)
    _, errors = process.communicate()
    assert (process.returncode, errors.splitlines()[-1]) == (130, STOPPED), errors
    assert "Traceback" not in errors

    process = evogan("resume", "hurt", "--workers", "1", runs=tmp_path)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert facts(tmp_path, "hurt") == undisturbed


@pytest.mark.timeout(600)
def test_two_searches_on_one_postgresql_train_everything_once(
    postgres: Postgres, undisturbed: list[object], tmp_path: Path
) -> None:
    url = postgres.fresh()
    searches = [
        evogan(*SEARCH, "--workers", "1", "--name", name, "--store", url, "--log-level", "debug", runs=tmp_path)
        for name in ("one", "two")
    ]
    said = [process.communicate() for process in searches]
    assert [process.returncode for process in searches] == [0, 0], said
    store = Store.existing(tmp_path, url)
    known = [(key, fidelity, replicate) for (key, _, fidelity, replicate), _, _ in store.evaluations()]
    store.close()
    trained = [one for name in ("one", "two") for one in trials_of(events(tmp_path, name), "evaluated")]
    assert sorted(trained) == sorted(known) and len(known) == len(set(known))
    assert facts(tmp_path, "one", url) == facts(tmp_path, "two", url) == undisturbed
    written = "".join(path.read_text() for path in tmp_path.glob("*/*.*") if path.suffix != ".png")
    for secret in (PASSWORD, QUOTED):
        assert secret not in f"{said}{written}"
