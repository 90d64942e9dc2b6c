"""An Optuna study goes with a run: what trains is running in it, and a real dashboard shows it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import optuna
import pytest
from optuna.trial import TrialState

from evogan.engine import Broker, LocalExecutor, Loop, Store
from evogan.engine.live import Live, Now, trial_name
from evogan.errors import UserError
from evogan.report.export import export_study
from evogan.space import load_space
from evogan.strategies import make_strategy
from evogan.watch.run import Moment, WatchedRun
from evogan.watch.study import FollowedStudy, follow
from tests import test_cli
from tests.postgres import _free_port
from tests.test_cli import mistake
from tests.test_report import GAN_TASK, fake_gan, make_run

shell = test_cli.run


def go_on(run: WatchedRun, evaluations: int) -> None:
    strategy = make_strategy("random", run.space, 3)
    broker = Broker(run.store, LocalExecutor(fake_gan))
    space = load_space("wdcgan_wide")
    Loop(run.name, space, strategy, GAN_TASK, run.judge, broker, seed=3, evaluations=evaluations, window=8).go()


def test_a_study_goes_with_the_run(tmp_path: Path) -> None:
    store, storage = Store(tmp_path / "runs"), f"sqlite:///{tmp_path / 'study.db'}"
    make_run(store, load_space("wdcgan_wide"), fake_gan, evaluations=6, name="r", fresh=0)
    run, grids = WatchedRun(store, "r"), tmp_path / "grids"
    kept = optuna.storages.RDBStorage(storage)
    run.refresh()
    told = [one.row.number for one in run.history]
    row = run.rows.pop(told[-1])  # as if it still trained
    last = run._told.pop()
    followed = FollowedStudy(run, kept, grids)
    followed.update(Moment(None, {}))
    run.rows[row.number] = row
    points: list[dict[str, float]] = [{"kimg": 5.0, "fidelity": 0.25, "fid": 50.0}, {"kimg": 6.0, "real": 0.5}]
    Live(store.database).write("r", {trial_name(row.identity()): Now({"points": points})})
    followed.update(Moment.of(store, "r"))
    study = optuna.load_study(study_name="r", storage=storage)
    assert [trial.number for trial in study.trials] == told
    running = study.trials[-1]
    assert (running.state, running.intermediate_values) == (TrialState.RUNNING, {25: 50.0})
    assert running.user_attrs["key"] == row.key
    assert running.params == {name: row.genome[name] for name in running.params} and running.params

    run._told.append(last)
    FollowedStudy(run, kept, grids).update(Moment(None, {}))  # another process goes on with it
    go_on(run, 9)
    assert follow(store, "r", storage, grids) == follow(store, "r", storage, grids) == len(store.proposals("r"))
    run.refresh()
    study = optuna.load_study(study_name="r", storage=storage)
    assert [trial.user_attrs["number"] for trial in study.trials] == [trial.number for trial in study.trials]
    by_number = {one.row.number: one for one in run.history}
    for trial in study.trials:
        one = by_number[trial.number]
        assert trial.state == (TrialState.FAIL if one.value is None else TrialState.COMPLETE)
        assert trial.value == one.value
        fids = {round(100 * point["fidelity"]): point["fid"] for point in one.evaluation.scores}
        assert trial.intermediate_values == fids, "what was measured while it trained is measured anew"
        assert (trial.user_attrs["status"], trial.user_attrs["reason"]) == (
            one.evaluation.status,
            one.evaluation.reason,
        )
    assert {trial.state for trial in study.trials} == {TrialState.FAIL, TrialState.COMPLETE}
    dashboard(storage, grids, {n: one.value for n, one in by_number.items()})


def dashboard(storage: str, grids: Path, values: dict[int, float | None]) -> None:
    """What optuna-dashboard says of the study is what there is, images too."""
    script = Path(sys.executable).with_name("optuna-dashboard")
    if not script.is_file():
        pytest.skip("optuna-dashboard is not installed")
    site = f"http://127.0.0.1:{(port := _free_port())}"
    command = [str(script), storage, "--host", "127.0.0.1", "--port", str(port), "--artifact-dir", str(grids)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        studies = ask(f"{site}/api/studies", process)
        (study,) = studies["study_summaries"]
        found = ask(f"{site}/api/studies/{study['study_id']}?after=0", process)
        assert {trial["number"]: trial["state"] for trial in found["trials"]} == {
            number: "Fail" if value is None else "Complete" for number, value in values.items()
        }
        pictured = [trial for trial in found["trials"] if trial["artifacts"]]
        assert len(pictured) == sum(value is not None for value in values.values())
        one, (artifact, *_) = pictured[0], pictured[0]["artifacts"]
        assert one["intermediate_values"] and artifact["mimetype"] == "image/png"
        address = f"{site}/artifacts/{study['study_id']}/{one['trial_id']}/{artifact['artifact_id']}"
        with urlopen(address) as answer:
            assert answer.read().startswith(b"\x89PNG")
    finally:
        process.kill()
        process.communicate()


def ask(address: str, process: subprocess.Popen[bytes]) -> Any:
    while process.poll() is None:
        try:
            with urlopen(address) as answer:
                return json.load(answer)
        except URLError:
            time.sleep(0.1)
    raise AssertionError(process.communicate()[0].decode())


def test_a_study_of_its_own_is_left_alone(tmp_path: Path, shell: Any) -> None:
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    store = Store(tmp_path / "runs")
    run = make_run(store, load_space("wdcgan_wide"), fake_gan, evaluations=3, name="r", fresh=0)
    export_study(run, storage)
    with pytest.raises(UserError, match="study 'r' exists and follows no such run"):
        follow(store, "r", storage)
    mistake(shell(f"export csv r --to r.csv --follow --runs {tmp_path / 'runs'}"), "No such option: --follow")
    done = shell(f"export optuna r --to sqlite:///{tmp_path / 'other.db'} --follow --runs {tmp_path / 'runs'}")
    assert done.code == 0 and f"with {len(store.proposals('r'))} trials" in done.out
