"""MLflow as a listener, read back with its own client from a database in a file."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient
from PIL import Image

from evogan import UserError
from evogan.engine import Event
from evogan.monitor import MLflow
from tests import test_cli
from tests.test_cli import mistake
from tests.test_monitor import FID, check, done, failed, known, trial

shell = test_cli.run
LOSSES = ({"kimg": 0.5, "critic": -1.0}, {"kimg": 1.0, "critic": -2.0})


def search(uri: str, store: Path, *events: Event, identity: str = "one") -> None:
    with MLflow(
        uri, "mine", identity, FID, lambda identity, _: store / identity[0], {"strategy": "de", "data": "digits"}, print
    ) as heard:
        for event in events:
            heard(event)


def runs_of(uri: str) -> tuple[MlflowClient, dict[str, Any]]:
    client = MlflowClient(tracking_uri=uri)
    (experiment,) = [found for found in client.search_experiments() if found.name == "evogan"]
    return client, {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}


def test_a_search_is_a_run_with_a_run_in_it_for_every_training(tmp_path: Path) -> None:
    """And one that goes on doubles nothing there."""
    uri, store = f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "store"
    (store / "key1").mkdir(parents=True)
    Image.new("RGB", (30, 20), (255, 0, 0)).save(store / "key1" / "samples.png")
    first = Event("evaluated", trial(1), done(4.0, id=1, curve=LOSSES))
    progress = Event("progress", trial(2), point={"fid": 0.1})
    search(uri, store, first, known(1, 4.0), progress, Event("evaluated", trial(2), failed(id=2)), known(2, None))
    again = [replace(first, kind="cached"), known(1, 4.0), Event("cached", trial(2), failed(id=2)), known(2, None)]
    later = [
        Event("evaluated", trial(3), done(3.0, id=3)),
        known(3, 3.0),
        Event("evaluated", check(0), done(2.0, id=5)),
    ]
    search(uri, store, *again, *later)

    client, found = runs_of(uri)
    assert sorted(found) == ["000001-key1", "000002-key2", "000003-key3", "check-key0-r0", "mine"]
    whole = found["mine"]
    assert whole.data.params == {"strategy": "de", "data": "digits"} and whole.info.status == "FINISHED"
    best = client.get_metric_history(whole.info.run_id, "best_fid")
    assert [(point.step, point.value) for point in best] == [(1, 4.0), (2, 4.0), (3, 3.0)], "checks are no search"
    nested = {name: run for name, run in found.items() if name != "mine"}
    assert {run.data.tags["mlflow.parentRunId"] for run in nested.values()} == {whole.info.run_id}
    assert [nested[name].info.status for name in sorted(nested)] == ["FINISHED", "FAILED", "FINISHED", "FINISHED"]
    one = nested["000001-key1"]
    assert one.data.params["x"] == "1" and one.data.params["kind"] == "a"
    for name, expected in (("fid", [(1000, 5.0), (2000, 4.0)]), ("losses/critic", [(500, -1.0), (1000, -2.0)])):
        history = client.get_metric_history(one.info.run_id, name)
        assert [(point.step, point.value) for point in history] == expected
    assert [file.path for file in client.list_artifacts(one.info.run_id)] == ["samples.png"]
    kept = Path(client.download_artifacts(one.info.run_id, "samples.png", str(tmp_path)))
    assert kept.read_bytes() == (store / "key1" / "samples.png").read_bytes()
    assert (tmp_path / "mlartifacts").is_dir()


def test_a_run_of_the_same_name_in_another_store_is_another(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    for identity, value in (("one", 1.0), ("two", 5.0)):
        found = Event("evaluated", trial(1), done(value, id=1))
        search(uri, tmp_path, found, known(1, value), identity=identity)
    client = MlflowClient(tracking_uri=uri)
    (experiment,) = [found for found in client.search_experiments() if found.name == "evogan"]
    runs = client.search_runs([experiment.experiment_id])
    best = [run.data.metrics["best_fid"] for run in runs if run.info.run_name == "mine"]
    assert sorted(best) == [1.0, 5.0] and len(runs) == 4


@pytest.fixture(autouse=True)
def _pauses_of_a_client_are_random() -> Iterator[None]:
    before = random.getstate()
    yield
    random.setstate(before)


def test_a_server_that_breaks_down_stops_nothing_and_gets_the_rest_later(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    events = [Event("evaluated", trial(1), done(4.0, id=1)), Event("evaluated", trial(2), done(3.0, id=2))]
    said: list[str] = []
    with MLflow(uri, "mine", "one", FID, lambda *_: tmp_path / "none", {}, said.append) as heard:
        heard._client = Broken(heard._client)
        for event in events:
            heard(event)
    assert said == ["mlflow is written no more (broken pipe): what is missing comes when the run goes on"]
    search(uri, tmp_path, *events)
    found = runs_of(uri)[1]
    assert sorted(found) == ["000001-key1", "000002-key2", "mine"]
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    assert found["000001-key1"].data.metrics["fid"] == 4.0


class Broken:
    """A client that takes a new run, but none of its numbers."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        if name == "log_batch":
            raise OSError("broken pipe")
        return getattr(self._client, name)


def test_mistakes_are_one_line(shell: test_cli.Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for uri in (f"sqlite:///{tmp_path}/file/x.db", "http://me:secret@127.0.0.1:1"):
        with pytest.raises(UserError, match="mlflow '.*' cannot be written: ") as caught:
            search(uri, tmp_path)
        assert "\n" not in str(caught.value) and "secret" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "mlflow.tracking", None)
    mistake(shell("search wdcgan --mlflow sqlite:///x.db"), "mlflow is not installed: pip install 'evogan[track]'")
    assert not list(tmp_path.rglob("*.db"))
