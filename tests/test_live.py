"""What a run does now can be seen in its store, by others too, and no result depends on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from evogan.engine import Event, Store
from evogan.engine.live import RUN, Live, Now, trial_name
from evogan.errors import UserError
from evogan.genome import Genome
from evogan.monitor import LiveWriter, StatusWriter
from evogan.monitor.live import POINTS
from evogan.space import load_space
from evogan.trial import Evaluation, Trial
from tests.conftest import TASK
from tests.postgres import postgres as postgres
from tests.test_report import GAN_TASK, fake_gan, make_run, png

TRIAL = Trial(Genome({"x": 1.0}), "k", TASK, number=3)


@dataclass
class _Status:
    """In the place of one."""

    state: str = "searching"


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_what_trains_now_is_seen_by_others(database: str, runs: Path, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue("postgres").fresh() if database == "postgresql" else None
    store, grid = Store(runs, url), png(9)
    store.add_run("r", {})
    others = Live(Store.existing(runs, url).database)
    Live(store.database).write("r", {"left by a killed driver": Now({})})
    writer = LiveWriter(Live(store.database), "r", "fid", _Status)  # type: ignore[arg-type]
    with writer:
        assert others.of("r") == {}
        writer(Event("started", TRIAL))
        for i in range(3):
            writer(Event("progress", TRIAL, point={"kimg": float(i), "real": 0.5, "fake": float("nan"), "other": 1.0}))
        writer(Event("progress", TRIAL, point={"kimg": 3.0, "fid": 9.0}, grid=grid))
        writer._write()
        name = trial_name(TRIAL.identity)
        points = [{"kimg": float(i), "real": 0.5, "fake": None} for i in range(3)] + [{"kimg": 3.0, "fid": 9.0}]
        assert others.of("r") == {RUN: {"state": "searching"}, name: {"points": points}}
        writer(Event("progress", TRIAL, point={"kimg": 4.0, "real": 0.4}))
        writer._write()
        assert others.grid("r", name) == grid, "as it was: no newer one came"
        for i in range(3 * POINTS):
            writer(Event("progress", TRIAL, point={"kimg": 5.0 + i, "real": 0.4}))
        writer._write()
        assert len(others.of("r")[name]["points"]) <= POINTS
        writer(Event("evaluated", TRIAL, Evaluation(status="completed")))
        writer._write()
        assert others.of("r") == {RUN: {"state": "searching"}}
        assert others.grid("r", name) == b""
    assert others.runs() == {"r": {"state": "searching"}}


def test_a_store_that_cannot_be_written_stops_nothing(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(runs)
    store.add_run("r", {})
    writer = LiveWriter(Live(store.database), "r", "fid", _Status)  # type: ignore[arg-type]

    def away(*_: object, **__: object) -> None:
        raise UserError("away")

    writer(Event("progress", TRIAL, point={"kimg": 1.0, "real": 0.5}, grid=png(1)))
    with monkeypatch.context() as patch:
        patch.setattr(store.database, "do", away)
        writer._write()
    writer._write()
    name = trial_name(TRIAL.identity)
    found = Live(store.database)
    assert found.of("r")[name]["points"] and found.grid("r", name) == png(1)


def test_a_page_shows_a_run_of_another_machine(runs: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """That shares the database alone."""
    pytest.importorskip("starlette")
    from evogan.watch.store import WatchedStore

    url = request.getfixturevalue("postgres").fresh()
    store = Store(runs, url)
    run = make_run(store, load_space("wdcgan_wide"), fake_gan, evaluations=6, name="r", fresh=0)
    status = StatusWriter(runs / "r" / "status.json", "r", run.judge, 40)
    writer = LiveWriter(Live(store.database), "r", "fid", status.status)
    trial = Trial(run.history[0].row.genome, "k", GAN_TASK, number=99)
    for event in (
        Event("started", trial, where="node 10.0.0.2"),
        Event("progress", trial, point={"kimg": 1, "fid": 7.5}),
    ):
        status(event)
        writer(event)
    writer._write()
    there = Store.existing(tmp_path, url)
    watched = WatchedStore(there, "t")
    parts = watched.look("r").parts
    assert all(said in parts["now"] for said in ("#99", "node 10.0.0.2", "FID 7.5"))
    assert "searching" in parts["head"] and "<svg" in parts["best"]
    assert watched.wall("r", "best", 1).count("data-number=") == len({told.row.key for told in run.history})
    assert "searching" in watched.front()
    for one in (store, there):
        one.close()
