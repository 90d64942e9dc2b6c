"""Promise 2: `kill -9` at any moment, then resume: the history is that of an uninterrupted run, bit for bit."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evogan import open_run, resume
from evogan.errors import UserError
from tests import forked
from tests.conftest import NARROW

SEARCH = (
    f"search {NARROW} --kimg 0.3 --samples 200 --finalists 1 --confirm 2 --name killed --window 4 --workers 1"
).split()
STRATEGIES = {
    "ga": "--strategy ga --evaluations 10 --option population=4".split(),
    "promotions": (
        "--strategy assisted --evaluations 5 --option fidelities=0.25,1 --option initial=4 --option eta=2"
    ).split(),
}


def evogan(*arguments: str, runs: Path) -> subprocess.Popen[str]:
    on_ray = arguments[arguments.index("--workers") + 1] != "1"
    return (subprocess.Popen if on_ray else forked.Popen)(
        [sys.executable, "-m", "evogan", *arguments, "--runs", str(runs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def recorded(runs: Path) -> int:
    try:
        with sqlite3.connect(f"file:{runs / 'evogan.db'}?mode=ro", uri=True) as connection:
            return int(connection.execute("SELECT COUNT(*) FROM evaluations").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def facts(runs: Path, name: str = "killed", store: str | None = None) -> list[object]:
    run = open_run(name, runs, store)
    history = [(t.row, t.evaluation.status, t.evaluation.curve, t.value) for t in run.history]
    best = run.best
    assert best is not None
    return [history, [(c.name, c.values) for c in run.confirmations], best.row.genome]


@pytest.mark.fault
@pytest.mark.timeout(300)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_killed_and_resumed_the_history_is_that_of_an_undisturbed_run(strategy: str, tmp_path: Path) -> None:
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    search = [*SEARCH, *STRATEGIES[strategy]]
    undisturbed = evogan(*search, runs=calm)
    rng, kills, process = random.Random(7), 0, evogan(*search, runs=killed)
    for goal in (1, 4, 8, 11):  # the last one is among the replicates that check the winner
        while recorded(killed) < goal and process.poll() is None:
            time.sleep(0.01)
        time.sleep(rng.random() * 0.2)  # somewhere inside the next trial
        if process.poll() is None:  # with two workers Ray's processes die with their driver
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
        on_ray = strategy == "promotions" and kills == 2  # once: it takes longer than all the rest
        process = evogan("resume", "killed", "--workers", "2" if on_ray else "1", runs=killed)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert undisturbed.wait() == 0
    assert kills >= 3
    assert facts(killed) == facts(calm)
    with sqlite3.connect(killed / "evogan.db") as connection:
        identities = connection.execute("SELECT key, task, fidelity, replicate FROM evaluations").fetchall()
    assert len(identities) == len(set(identities)) == recorded(calm)


def test_a_run_that_is_finished_trains_nothing_again(tmp_path: Path) -> None:
    options = "--strategy ga --evaluations 3 --option population=3 --kimg 0.1 --samples 100 --confirm 1 --workers 1"
    for _ in range(2):
        process = evogan("search", NARROW, *options.split(), "--name", "small", runs=tmp_path)
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    assert "0 evaluated, 3 cached" in errors
    grown = resume("small", runs=tmp_path, evaluations=5, workers=1)
    assert len({told.row.key for told in grown.history}) == 5


def test_resuming_what_does_not_exist_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no store in"):
        resume("nothing", runs=tmp_path)
