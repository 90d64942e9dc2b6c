"""Campaigns: planned from a file, carried out once, gone on with exactly, and told of every mistake."""

from __future__ import annotations

import errno
import inspect
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

import evogan
from evogan import UserError, run_campaign
from evogan.campaigns.carry_out import campaign_status
from evogan.campaigns.plan import read_campaign
from evogan.campaigns.status import CampaignStatus, RunState
from evogan.comparison import Comparison
from evogan.comparison.comparison import FRESH
from evogan.engine import Event, Judge
from evogan.engine.history import RunHistory
from evogan.evaluation.evaluator import GANEvaluator
from evogan.files import write_whole
from evogan.genome import Genome
from evogan.monitor.status import StatusWriter
from evogan.runs.place import Place
from evogan.stable import derive_seed
from evogan.strategies import STRATEGIES
from evogan.trial import Evaluation, Identity, Trial
from tests import forked
from tests.conftest import TASK
from tests.test_cli import Result, mistake, run
from tests.test_resume import recorded

__all__ = ["run"]  # a fixture
Command = Callable[..., Result]
EXAMPLES = Path(__file__).parent.parent / "examples"

SMALL = """
name = "small"
data = ["digits"]
spaces = ["./tiny.toml"]
strategies = ["random", "ga"]
seeds = 2
evaluations = 3
kimg = 0.05
samples = 50
finalists = 1
confirm = 1
[resources]
workers = 1
"""
TINY = """
reference = ["wdcgan"]
fixed = { filters = 8, critic_filters = 8 }
[genes]
clip = { kind = "float", low = 0.001, high = 1.0, scale = "log", levels = 31 }
slope = { kind = "float", low = 0.0, high = 0.5, levels = 11 }
"""


def write(folder: Path, text: str = SMALL, *changes: tuple[str, str]) -> Path:
    """A campaign file, with its space beside it."""
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "tiny.toml").write_text(TINY)
    (folder / "small.toml").write_text(text)
    return folder / "small.toml"


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Identity]:
    """Nothing is really trained; what would have been is listed."""
    identities: list[Identity] = []

    def evaluate(self: GANEvaluator, trial: Trial) -> Evaluation:
        identities.append(trial.identity)
        fid = derive_seed(trial.key, "fid", trial.replicate) % 1000 + 1.0
        return Evaluation(status="completed", scores=({"fid": fid, "fidelity": trial.fidelity},))

    monkeypatch.setattr(GANEvaluator, "__call__", evaluate)
    return identities


def facts(runs: Path, name: str) -> list[object]:
    found = evogan.open_run(name, runs)
    return [[(t.row, t.values) for t in found.history], [(c.name, c.values) for c in found.confirmations]]


# --- the plan

NAMES = st.lists(st.sampled_from(["digits", "mnist", "kmnist", "svhn"]), min_size=1, unique=True)
SPACES = st.lists(st.sampled_from(["wdcgan", "wgan_gp", "sngan"]), min_size=1, unique=True)
SEARCHERS = st.lists(st.sampled_from(["ga", "de", "random", "tpe"]), min_size=1, unique=True)
SEEDS = st.lists(st.integers(0, 99), min_size=1, max_size=4, unique=True)


@given(NAMES, SPACES, SEARCHERS, SEEDS)
@settings(max_examples=30)
def test_every_combination_is_a_run_seed_by_seed(
    tmp_path_factory: pytest.TempPathFactory,
    data: list[str],
    spaces: list[str],
    strategies: list[str],
    seeds: list[int],
) -> None:
    path = tmp_path_factory.mktemp("plan") / "all.toml"
    path.write_text(f"data = {data}\nspaces = {spaces}\nstrategies = {strategies}\nseeds = {seeds}\n")
    runs = read_campaign(path).runs
    assert [(r.seed, r.data, r.space.name, r.strategy) for r in runs] == list(product(seeds, data, spaces, strategies))
    assert len({r.name for r in runs}) == len(runs)
    assert all(r.name == f"all-{r.data}-{r.space.name}-{r.strategy}-s{r.seed}" for r in runs)


def test_what_is_not_said_is_as_in_a_search(tmp_path: Path) -> None:
    path = tmp_path / "plain.toml"
    path.write_text('data = ["digits"]\nspaces = ["wdcgan"]\nstrategies = ["ga"]\nseeds = 1\n')
    (run,) = read_campaign(path).runs
    search = {name: p.default for name, p in inspect.signature(evogan.search).parameters.items()}
    of_gans = search | {
        "fitness": "auto",
        "confirm": 3,
        "options": {},
        "seed_genomes": [],
        "references": [],
    }  # None, () there
    of_gans |= {"learn_from": [], "references": []}  # campaigns begin from nothing, unless they say so
    same = {name: value for name, value in run.search.items() if name != "strategy"}
    assert same == {name: of_gans[name] for name in same}
    assert run.gan == {"data": "digits"}


def test_tables_give_settings_and_names_of_their_own(tmp_path: Path) -> None:
    text = """
    spaces = ["wdcgan"]
    seeds = [7]
    kimg = 20
    seed_genomes = ["./mine.toml", "wgan"]
    [data.fives]
    data = "mnist"
    classes = [5]
    kimg = 5
    data_dir = "images"
    features = "../mine.safetensors"
    [data.faces]
    data = "./faces"
    pairs = "edges/"
    [data.told]
    data = "my.txt"
    domains = "other/,digits"
    conditions = "attributes:tables/faces.csv:hair+hat"
    [data.book]
    iterations = 420
    [strategies.large-ga]
    strategy = "ga"
    population = 40
    """
    path = tmp_path / "tables.toml"
    path.write_text(text)
    fives, faces, told, book = read_campaign(path).runs
    assert fives.name == "tables-fives-wdcgan-large-ga-s7"
    beside = {"data_dir": str(tmp_path / "images"), "features": str(tmp_path.parent / "mine.safetensors")}
    assert fives.gan == {"data": "mnist", "classes": [5], "kimg": 5} | beside
    assert faces.gan == {"data": str(tmp_path / "faces"), "pairs": str(tmp_path / "edges"), "kimg": 20}
    assert told.gan == {
        "data": str(tmp_path / "my.txt"),
        "domains": f"{tmp_path / 'other'},digits",
        "conditions": f"attributes:{tmp_path / 'tables' / 'faces.csv'}:hair+hat",
        "kimg": 20,
    }
    assert book.gan == {"data": "book", "iterations": 420}, "a budget in place of the file's"
    assert fives.search["strategy"] == "ga"
    assert fives.search["options"] == {"population": 40}
    assert fives.search["seed_genomes"] == [str(tmp_path / "mine.toml"), "wgan"]


# --- carried out


def test_nothing_is_trained_twice_and_a_second_time_nothing_at_all(tmp_path: Path, trained: list[Identity]) -> None:
    """The published references are checked in every run, and all runs begin with the same genome."""
    (tmp_path / "seed.toml").write_text("[genes]\nfilters = 8\nclip = 0.1\n")
    path = write(tmp_path, SMALL, ("seeds = 2", 'seeds = 2\nseed_genomes = ["./seed.toml"]'))
    ran = run_campaign(path, runs=tmp_path / "runs")
    assert [found.name for found in ran.runs] == [planned.name for planned in read_campaign(path).runs]
    assert not ran.crashed
    assert all(found.spent[-1] == 3 for found in ran.runs)
    assert all(found.confirmations[-1].name == "wdcgan" for found in ran.runs)
    seeds = {str(found.history[0].row.genome) for found in ran.runs}
    assert len(seeds) == 1
    assert max(Counter(trained).values()) == 1
    before, said = len(trained), list[str]()
    again = run_campaign(path, runs=tmp_path / "runs", say=said.append)
    assert [found.name for found in again.runs] == [found.name for found in ran.runs]
    assert len(trained) == before
    assert said == []  # no run was so much as begun


def test_a_file_that_grows_adds_only_what_is_new(tmp_path: Path, trained: list[Identity]) -> None:
    runs = tmp_path / "runs"
    first = [found.name for found in run_campaign(write(tmp_path), runs=runs).runs]
    before, said = {name: facts(runs, name) for name in first}, list[str]()
    larger = (("seeds = 2", "seeds = 3"), ('"random", "ga"', '"sobol", "random", "ga"'))
    grown = run_campaign(write(tmp_path, SMALL, *larger), runs=runs, say=said.append)
    new = [found.name for found in grown.runs if found.name not in first]
    assert len(new) == 5
    data, _, *told = [line.split()[0] for line in said]  # the second says which features judge
    assert data == "digits:" and told == new
    assert {name: facts(runs, name) for name in first} == before
    assert max(Counter(trained).values()) == 1


def test_a_campaign_goes_on_though_the_run_that_seeded_it_has_grown(tmp_path: Path, trained: list[Identity]) -> None:
    def campaign(seeds: int) -> list[RunHistory]:
        path = write(tmp_path, SMALL, ("seeds = 2", f'seeds = {seeds}\nseed_genomes = ["first"]'))
        return run_campaign(path, runs=runs).runs

    def first(evaluations: int) -> None:
        evogan.search(tmp_path / "tiny.toml", "digits", name="first", evaluations=evaluations, **how)

    runs = tmp_path / "runs"
    how: dict[str, Any] = {"runs": runs, "kimg": 0.05, "samples": 50, "confirm": 0, "strategy": "random", "workers": 1}
    write(tmp_path)
    first(2)
    before = [[told.row for told in run.history] for run in campaign(1)]
    first(9)
    after = {run.name: [told.row for told in run.history] for run in campaign(2)}
    assert len(after) == 4 and all(history in after.values() for history in before)


@pytest.mark.parametrize("strategy", ["ga", "l-shade", "auto"])  # l-shade plans over its budget, auto chooses by it
def test_a_budget_that_grows_goes_on(tmp_path: Path, trained: list[Identity], strategy: str) -> None:
    changes = [('"random", "ga"', f'"{strategy}"'), ("seeds = 2", "seeds = 1")]
    runs = tmp_path / "runs"
    (short,) = run_campaign(write(tmp_path, SMALL, *changes), runs=runs).runs
    more = [*changes, ("evaluations = 3", "evaluations = 6"), ("confirm = 1", "confirm = 2")]
    (long,) = run_campaign(write(tmp_path, SMALL, *more), runs=runs).runs
    assert [t.row for t in long.history][: len(short.history)] == [t.row for t in short.history]
    assert long.spent[-1] == 6
    checked = [len(c.values) for c in long.confirmations]  # a winner of before may have been left behind
    assert checked.count(2) >= 2
    assert Comparison([long]).basis("digits/tiny") == FRESH
    assert max(Counter(trained).values()) == 1


def test_a_plan_over_the_budget_counts_replicates(tmp_path: Path, trained: list[Identity]) -> None:
    changes = [('"random", "ga"', '"l-shade"'), ("seeds = 2", "seeds = 1"), ("evaluations = 3", "evaluations = 12")]
    changes.append(("confirm = 1", "confirm = 1\nreplicates = 3\nwindow = 1"))
    (run,) = run_campaign(write(tmp_path, SMALL, *changes), runs=tmp_path / "runs").runs
    assert run.settings.options["evaluations"] == 4 and len(run.history) >= 4


def test_a_run_that_reached_its_target_is_done_until_there_is_another(tmp_path: Path, trained: list[Identity]) -> None:
    one = ('"random", "ga"]\nseeds = 2\nevaluations = 3', '"random"]\nseeds = 1')
    path = write(tmp_path, SMALL, one, ("finalists = 1", "finalists = 1\nwindow = 1\ntarget = 100"))
    (done,) = evogan.run_campaign(path, runs=tmp_path / "runs").runs
    assert done.ended_early.startswith("target fid 100 reached: ") and len(done.history) == 1
    assert done.confirmations, "its winner is checked"
    before = len(trained)
    again = [run.ended_early for run in evogan.run_campaign(path, runs=tmp_path / "runs").runs]
    assert again == [done.ended_early] and len(trained) == before
    path.write_text(path.read_text().replace("target = 100", "target = 10\npatience = 5"))
    (further,) = evogan.run_campaign(path, runs=tmp_path / "runs").runs
    assert len(further.history) > len(done.history) and further.is_through
    assert further.ended_early != done.ended_early


def test_a_budget_in_kimg_is_as_many_trainings_as_it_has_room_for(tmp_path: Path, trained: list[Identity]) -> None:
    path = write(tmp_path, SMALL, ("evaluations = 3", "total_kimg = 0.22"))
    assert [planned.evaluations for planned in read_campaign(path).runs] == [4] * 4  # of 0.05 kimg
    assert all(found.spent[-1] == 4 for found in run_campaign(path, runs=tmp_path / "runs").runs)


def test_a_budget_in_seconds_ends_a_run_earlier_and_may_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def evaluate(self: GANEvaluator, trial: Trial) -> Evaluation:
        return Evaluation(status="completed", scores=({"fid": 2.0, "fidelity": 1.0},), cost={"seconds": 10.0})

    monkeypatch.setattr(GANEvaluator, "__call__", evaluate)
    only = [('"random", "ga"', '"random"'), ("seeds = 2", "seeds = 1"), ("confirm = 1", "confirm = 0")]
    for seconds, trainings in ((35, 4), (35, 4), (75, 8)):
        change = ("evaluations = 3", f"evaluations = 30\ntotal_seconds = {seconds}\nwindow = 1")
        path = write(tmp_path, SMALL, *only, change)
        (found,) = run_campaign(path, runs=tmp_path / "runs").runs
        assert found.spent[-1] == trainings
        assert not Comparison([found]).left_out
        assert campaign_status(read_campaign(path), Place.of(tmp_path / "runs", None)).runs[0].is_done


def test_a_strategy_may_have_a_budget_of_its_own(tmp_path: Path) -> None:
    text = "evaluations = 9\n[strategies.random]\n[strategies.ga]\nevaluations = 4\nreplicates = 2\npopulation = 6\n"
    path = write(tmp_path, SMALL, ('strategies = ["random", "ga"]\n', ""), ("evaluations = 3\n", ""))
    path.write_text(path.read_text().replace("[resources]", text + "[resources]"))
    random, ga = read_campaign(path).runs[:2]
    assert (random.evaluations, random.search["replicates"], random.search["options"]) == (9, 1, {})
    assert (ga.evaluations, ga.search["replicates"], ga.search["options"]) == (4, 2, {"population": 6})


def test_a_budget_that_was_spent_cannot_be_taken_back(tmp_path: Path, trained: list[Identity]) -> None:
    run_campaign(write(tmp_path), runs=tmp_path / "runs")
    with pytest.raises(UserError, match="has spent 3 evaluations already: no budget of 2"):
        run_campaign(write(tmp_path, SMALL, ("evaluations = 3", "evaluations = 2")), runs=tmp_path / "runs")


def test_a_file_of_windows_is_read(tmp_path: Path) -> None:
    plain = read_campaign(write(tmp_path))
    plain.path.write_bytes(b"\xef\xbb\xbf" + plain.path.read_bytes().replace(b"\n", b"\r\n"))
    assert [run.name for run in read_campaign(plain.path).runs] == [run.name for run in plain.runs]


def test_names_keep_all_their_parts(tmp_path: Path) -> None:
    campaign = read_campaign(write(tmp_path, SMALL, ('name = "small"', 'name = "a/b"')))
    assert campaign.runs[0].name.startswith("a_b-digits-tiny-")


def test_a_changed_campaign_is_told_before_anything_is_trained(tmp_path: Path, trained: list[Identity]) -> None:
    run_campaign(write(tmp_path), runs=tmp_path / "runs")
    before = len(trained)
    changed = write(tmp_path, SMALL, ("seeds = 2", "seeds = 3"), ("kimg = 0.05", "kimg = 0.1"))
    with pytest.raises(UserError, match=r"small.toml: run 'small-digits-tiny-random-s0' .* gan.kimg: 0.05, not 0.1"):
        run_campaign(changed, runs=tmp_path / "runs")
    assert len(trained) == before


def test_images_that_changed_are_said_before_anything_learns_from_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for i in range(120):
        Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(tmp_path / "photos" / f"{i}.png")
    file, said = tmp_path / "photos.toml", list[str]()

    def carry_out(evaluations: int) -> None:
        file.write_text(
            'name = "photos"\ndata = ["./photos"]\nspaces = ["wdcgan"]\nstrategies = ["random"]\nseeds = 1\n'
            f"evaluations = {evaluations}\n"
            "kimg = 0.1\nsamples = 50\nconfirm = 0\n[resources]\nworkers = 1\n"
        )
        evogan.run_campaign(file, runs=tmp_path / "runs", say=said.append)

    carry_out(1)
    Image.new("L", (8, 8), 255).save(tmp_path / "photos" / "7.png")
    said.clear()
    with pytest.raises(UserError, match="the images of '.*photos' are others"):
        carry_out(2)
    assert not said and len([*(tmp_path / "runs" / "features").iterdir()]) == 1


def test_a_strategy_that_crashes_stops_no_other(
    tmp_path: Path, trained: list[Identity], run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = STRATEGIES["random"].make
    path = write(tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr(random, "tell", lambda *told: 1 / 0)
        result = run(f"campaign run {path}")
    assert result.code == 1
    assert "small-digits-tiny-random-s0  crashed: ZeroDivisionError: division by zero" in result.out
    assert "small-digits-tiny-ga-s1 is done" in result.err
    document = json.loads(run(f"campaign status {path} --json").out)
    assert Counter(one["state"] for one in document["runs"]) == {"crashed": 2, "done": 2}
    assert "Traceback" in (tmp_path / "runs" / "small-digits-tiny-random-s0" / "crashed.txt").read_text()
    mended = run(f"campaign run {path}")
    assert mended.code == 0
    assert "4 of 4 runs done, 12 of 12 evaluations" in mended.out


def test_a_full_disk_is_told_of(
    tmp_path: Path, trained: list[Identity], run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status of the run cannot be written then, either."""
    full = [OSError(errno.ENOSPC, "No space left on device")]

    def once(path: Path, content: bytes) -> None:
        if full:
            raise full.pop()
        write_whole(path, content)

    monkeypatch.setattr("evogan.engine.store.write_whole", once)
    result = run(f"campaign run {write(tmp_path)}")
    assert result.code == 0
    assert "small-digits-tiny-random-s0 is waiting: cannot write " in result.err


def test_a_run_that_crashed_and_was_finished_by_hand_is_done(tmp_path: Path, trained: list[Identity]) -> None:
    (ran, *_) = run_campaign(write(tmp_path), runs=tmp_path / "runs").runs
    (tmp_path / "runs" / ran.name / "crashed.txt").write_text("ValueError: boom")
    again = run_campaign(write(tmp_path), runs=tmp_path / "runs")
    assert not again.crashed and ran.name in {found.name for found in again.runs}
    status = campaign_status(read_campaign(write(tmp_path)), Place.of(tmp_path / "runs", None))
    assert "crashed" not in status.line(ran.name)
    assert max(Counter(trained).values()) == 1


@pytest.mark.fault
@pytest.mark.timeout(300)
def test_killed_in_the_middle_the_histories_are_those_of_an_undisturbed_campaign(tmp_path: Path) -> None:
    path = write(tmp_path)
    command = [sys.executable, "-m", "evogan", "campaign", "run", str(path), "--runs"]

    def start(runs: Path) -> subprocess.Popen[str]:
        return forked.Popen(
            [*command, str(runs)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    calm, killed = start(tmp_path / "calm"), start(tmp_path / "killed")
    for goal in (2, 8):  # in the first run, and after it
        while recorded(tmp_path / "killed") < goal and killed.poll() is None:
            time.sleep(0.01)
        assert killed.poll() is None
        os.killpg(killed.pid, signal.SIGKILL)
        killed.communicate()
        killed = start(tmp_path / "killed")
    for process in (calm, killed):
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    for planned in read_campaign(path).runs:
        assert facts(tmp_path / "killed", planned.name) == facts(tmp_path / "calm", planned.name)
    assert recorded(tmp_path / "killed") == recorded(tmp_path / "calm")


# --- seen from outside


def status_of(tmp_path: Path, name: str, trials: int, seconds: float, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Of a run whose trials took so long each."""
    clock = [0.0]
    monkeypatch.setattr("evogan.monitor.status.monotonic", lambda: clock[0])
    writer = StatusWriter(tmp_path / "status.json", name, Judge("fid"), 10, 2)
    for number in range(trials):
        trial = Trial(Genome({"x": number}), f"key{number}", TASK, 1.0, number=number)
        writer(Event("submitted", trial))
        clock[0] += seconds
        evaluation = Evaluation(status="completed", scores=({"fid": 9.0 - number, "fidelity": 1.0},), id=number)
        writer(Event("evaluated", trial, evaluation))
        writer(Event("told", trial, value=9.0 - number))
    return writer.status()


def state(name: str, data: str, status: Any = None, crashed: str = "") -> RunState:
    return RunState(
        name=name, data=data, space="s", strategy="ga", evaluations=10, checks=2, status=status, crashed=crashed
    )


def test_time_left_is_that_of_runs_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings on one data set take 2 s, on the other 30 s."""
    done = replace(status_of(tmp_path, "a0", 10, 2.0, monkeypatch), state="finished", checked=2)
    going = status_of(tmp_path, "b0", 4, 30.0, monkeypatch)
    runs = [state("a0", "a", done), state("b0", "b", going), state("a1", "a"), state("b1", "b")]
    found = CampaignStatus("both", runs)
    assert [one.state for one in runs] == ["done", "going", "waiting", "waiting"]
    assert found.eta == pytest.approx((10 - 4 + 2) * 30 + 12 * 2 + 12 * 30)
    assert CampaignStatus("both", runs[2:]).eta is None
    assert CampaignStatus("both", [runs[1], state("c0", "c")]).eta == pytest.approx(8 * 30 + 12 * 30)
    assert CampaignStatus("both", [runs[0], state("a1", "a", crashed="so")]).eta is None
    assert "both: 1 of 4 runs done, 14 of 40 evaluations, about 10 min 24 s left" in found.headline


def test_a_finished_run_with_an_earlier_budget_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = replace(status_of(tmp_path, "a0", 10, 2.0, monkeypatch), state="finished", checked=2)
    assert state("a0", "a", done).state == "done"
    assert state("a0", "a", replace(done, budget=5)).state == "waiting"
    assert state("a0", "a", replace(done, checks=1)).state == "waiting"
    assert state("a0", "a", replace(done, checks=3)).state == "done"
    assert state("a0", "a", replace(done, state="stopped", spent=10, checked=5)).left == 0


def test_the_table_has_a_row_for_each_strategy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    going = status_of(tmp_path, "b0", 4, 30.0, monkeypatch)
    console = Console(width=140, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(CampaignStatus("c", [state("b0", "[b]", going), state("b1", "[b]", crashed="so it was")]).table())
    text = console.export_text()
    cells = [cell.strip() for cell in next(line for line in text.splitlines() if "[b]" in line).split("│")]
    assert cells == ["", "[b]", "s", "ga", "", "1", "", "1", "4 of 20", "0", "fid 6", ""]
    assert "b0  searching: 4 of 10 evaluations, 0 of 2 checks" in text
    assert "b1  crashed: so it was" in text


def test_each_row_of_the_table_is_judged_by_its_own_metric(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = status_of(tmp_path, "a0", 4, 30.0, monkeypatch)
    found = {"fid": (6.0, 5.0), "psnr": (20.0, 21.0)}  # of psnr more is better
    runs = [
        state(f"{metric}{seed}", metric, replace(done, metric=metric, best={**done.best, "value": value}))
        for metric, values in found.items()
        for seed, value in enumerate(values)
    ]
    console = Console(width=140, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(CampaignStatus("c", runs).table())
    text = console.export_text()
    assert "fid 5" in text and "psnr 21" in text


# --- mistakes


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("seeds = 2", "seds = 2", ("unknown key 'seds'", "did you mean 'seeds'")),
        ("seeds = 2", "", ("key 'seeds' is missing",)),
        ("evaluations = 3", "evaluations = 3\ntotal_kimg = 9", ("total_kimg: evaluations are given, too",)),
        ("evaluations = 3\nkimg = 0.05", "total_kimg = 9\nkimg = 0.0", ("kimg must be above 0, not 0",)),
        ("evaluations = 3", "total_kimg = inf", ("total_kimg must be above 0, not inf",)),
        ("evaluations = 3", "total_kimg = 1e300", ("evaluations must be at most 10000000",)),
        ("kimg = 0.05", "kimg = 1e300", ("kimg must be at most 10000000, not 1e+300",)),
        ("samples = 50", f"samples = {10**12}", ("samples must be at most 1000000",)),
        ("seeds = 2", f"seeds = [{'9' * 400}]", ("a whole number of more than 64 bits",)),
        ("seeds = 2", f"seeds = 2\nfeatures = '{chr(0x1B)}[2J'", ("invalid character",)),
        ("evaluations = 3", "total_kimg = 0.01", ("total_kimg: 0.01 is less than one training of 0.05",)),
        ("kimg = 0.05", "total_seconds = 0", ("total_seconds must be above 0, not 0",)),
        ("seeds = 2", "seeds = 0", ("seeds: must be from 1 to 10000, not 0",)),
        ("seeds = 2", "seeds = -3", ("seeds: must be from 1 to 10000, not -3",)),
        ("seeds = 2", "seeds = 1000000000000", ("seeds: must be from 1 to 10000, not 1000000000000",)),
        ("seeds = 2", "seeds = [1, 1]", ("seeds: '1' is there twice",)),
        ("seeds = 2", 'seeds = ["a"]', ("seeds.0: ", "valid integer, not 'a'")),
        ("seeds = 2", "seeds = []", ("seeds: must be a list with at least one",)),
        ("seeds = 2", "seeds = 2\nrace = true", ("a race needs at least 2 replicates",)),
        ("seeds = 2", "seeds = 2\nwindow = 0", ("window must be at least 1, not 0",)),
        ("seeds = 2", 'seeds = 2\norder = "finish"', ("unknown order 'finish'", "completion")),
        ("seeds = 2", 'seeds = 2\nfitness = "fdi"', ("unknown fitness 'fdi'", "did you mean 'fid'")),
        ("seeds = 2", 'seeds = 2\nfitness = "fid,parameters"', ("strategy 'ga' takes one objective",)),
        ("seeds = 2", 'seeds = 2\nseed_genomes = ["wdgcan"]', ("unknown seed genome 'wdgcan'", "mean 'wdcgan'")),
        ("seeds = 2", 'seeds = 2\ndevice = "cuda:99"', ("device 'cuda:99' is not there",)),
        ("seeds = 2", 'seeds = 2\nfeatures = "mnits"', ("unknown features 'mnits'", "did you mean 'mnist'")),
        ('["digits"]', '["digts"]', ("unknown data set 'digts'", "did you mean 'digits'")),
        ('["digits"]', '["./nowhere/at_all"]', ("no such file or folder",)),
        ('["digits"]', '["digits", "digits"]', ("data: 'digits' is there twice", "two runs of one name")),
        ('["digits"]', '["./a/digits", "digits"]', ("data: './a/digits' and 'digits' give two runs of one name",)),
        ('["digits"]', '"digits"', ("data: must be a list",)),
        ('["digits"]', "[]", ("data: must be a list with at least one",)),
        ("seeds = 2", "seeds = true", ("seeds: must be how many, or a list of them",)),
        ("seeds = 2", "seeds = 2\nimage_size = 1000000", ("image_size must be at most 1024, not 1000000",)),
        ('["digits"]', '[{data = "digits"}]', ("data: must be a list of names, or a table for each",)),
        ('"./tiny.toml"', '"wdgan"', ("unknown space 'wdgan'", "did you mean 'wdcgan'")),
        ('"./tiny.toml"', '"./tny.toml"', ("no file", "tny.toml")),
        ('"random", "ga"', '"random", "gaa"', ("unknown strategy 'gaa'", "did you mean 'ga'")),
        ('"random", "ga"', '"ga", "ga"', ("strategies: 'ga' is there twice",)),
        ("evaluations = 3", "evaluations = 0", ("evaluations must be at least 1, not 0",)),
        ("evaluations = 3", "evaluations = 2.5", ("evaluations: ", "not 2.5")),
        ("kimg = 0.05", "kimg = 0", ("kimg must be above 0, not 0",)),
        ("kimg = 0.05", "target = nan", ("target must be a number, not nan",)),
        ("kimg = 0.05", "patience = 0", ("patience must be at least 1, not 0",)),
        ("kimg = 0.05", "kimg = 1\niterations = 9", ("kimg and iterations are both given",)),
        ("evaluations = 3\nkimg = 0.05", "total_kimg = 9\niterations = 9", ("say what a training has, in kimg",)),
        ("kimg = 0.05", "kimg = nan", ("kimg must be a number, not nan",)),
        ("kimg = 0.05", 'kimg = "much"', ("kimg: ", "valid number, not 'much'")),
        ('name = "small"', 'name = ".."', ("name: must begin with a letter, a digit or '_', not '..'",)),
        ("workers = 1", "workers = 0", ("workers must be at least 1, not 0",)),
        ("workers = 1", 'ray = "nonsense"', ("host:port", "not 'nonsense'")),
        ("workers = 1", "wrkers = 1", ("resources: unknown key 'wrkers'", "did you mean 'workers'")),
        ("workers = 1", "gpus_per_trial = 1.0", ("gpus_per_trial needs device cuda",)),
        ("[resources]", "[strategies.x]\n[resources]", ("Cannot",)),
        ("[resources]", "[resources", ("line 12",)),
    ],
)
def test_a_mistake_is_one_line_that_names_the_file(
    run: Command, tmp_path: Path, old: str, new: str, parts: tuple[str, ...]
) -> None:
    path = write(tmp_path, SMALL, (old, new))
    mistake(run(f"campaign run {path}"), f"{path}: ", *parts)
    assert {one.name for one in tmp_path.iterdir()} == {"small.toml", "tiny.toml"}


@pytest.mark.parametrize(
    ("table", "parts"),
    [
        ("[data.digits]\nkmig = 2\n[strategies.ga]", ("data.digits: unknown key 'kmig'", "did you mean 'kimg'")),
        ("[data.x]\ndata = 3\n[strategies.ga]", ("data.x.data: ", "not 3")),
        ("[data.x]\n[strategies.ga]", ("unknown data set 'x'",)),
        ("[data.digits]\n[[strategies]]\nname = 'ga'", ("strategies: must be a list of names, or a table for each",)),
        ("[data.digits]\n[strategies.x]\nstrategy = 'gaa'", ("unknown strategy 'gaa'",)),
        ("[data.digits]\n[strategies.x]\nstrategy = 3", ("strategies.x.strategy: ", "not 3")),
        ("[data.digits]\n[strategies.ga]\npopulaton = 9", ("option of strategy 'ga' 'populaton'", "'population'")),
        ("[data.digits]\n[strategies.ga]\npopulation = 1", ("population must be at least 2",)),
    ],
)
def test_a_mistake_in_a_table(run: Command, tmp_path: Path, table: str, parts: tuple[str, ...]) -> None:
    path = tmp_path / "tables.toml"
    path.write_text(f'spaces = ["wdcgan"]\nseeds = 1\n{table}\n')
    mistake(run(f"campaign run {path}"), "tables.toml: ", *parts)
    assert list(tmp_path.iterdir()) == [path]


def test_a_campaign_that_is_not_there(run: Command, tmp_path: Path) -> None:
    for command in ("run", "status", "status --watch"):
        mistake(run(f"campaign {command} nothing.toml"), "nothing.toml")
    assert list(tmp_path.iterdir()) == []


# --- the examples


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_an_example_names_what_there_is(path: Path) -> None:
    campaign = read_campaign(path)
    assert all(run.search["strategy"] in {*STRATEGIES, "auto"} for run in campaign.runs)
    assert len(campaign.runs) >= 3


def test_the_example_of_the_docs_is_one(tmp_path: Path) -> None:
    page = (EXAMPLES.parent / "docs" / "campaigns.md").read_text()
    text = page.split("```toml\n")[1].split("```")[0]
    path = tmp_path / "docs.toml"
    path.write_text(text)
    assert read_campaign(path).name == tomllib.loads(text)["name"]


def test_the_digits_example_runs(tmp_path: Path, trained: list[Identity]) -> None:
    text = (EXAMPLES / "digits_campaign.toml").read_text().replace("evaluations = 16", "evaluations = 2")
    (tmp_path / "digits.toml").write_text(text)
    ran = run_campaign(tmp_path / "digits.toml", runs=tmp_path / "runs", workers=1)
    assert len(ran.runs) == 12
    assert max(Counter(trained).values()) == 1


def test_who_watches_stays_between_two_runs(tmp_path: Path, run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def seen(campaign: object, place: object) -> CampaignStatus:
        going = replace(status_of(tmp_path, "a0", 1, 1.0, monkeypatch), state="searching")
        ended = replace(going, state="finished", budget=10, checks=2)
        states = [[ended, going], [ended, None], [ended, going], [ended, ended]]
        looks.append(states[min(len(looks), 3)])
        return CampaignStatus("c", [state(f"a{i}", "a", status) for i, status in enumerate(looks[-1])])

    looks: list[Any] = []
    monkeypatch.setattr("evogan.campaigns.carry_out.campaign_status", seen)
    monkeypatch.setattr("evogan.cli.campaigns.EVERY", 0.01)
    assert run(f"campaign status {write(tmp_path)} --watch").code == 0
    assert len(looks) == 4


def test_who_looks_on_goes_without_a_word_that_anything_was_stopped(
    tmp_path: Path, run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By Ctrl-C: what is looked at goes on."""
    status = replace(status_of(tmp_path, "a0", 1, 1.0, monkeypatch), run="a0", state="searching")
    monkeypatch.setattr(
        "evogan.campaigns.carry_out.campaign_status", lambda *_: CampaignStatus("c", [state("a0", "a", status)])
    )
    monkeypatch.setattr("evogan.monitor.read_status", lambda path: status)

    def pressed(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", pressed)
    for command in (f"campaign status {write(tmp_path)}", "status a0"):
        looked = run(f"{command} --watch")
        assert (looked.code, looked.err) == (0, "")


def test_looking_at_a_campaign_that_never_began_makes_nothing(tmp_path: Path) -> None:
    found = campaign_status(read_campaign(write(tmp_path)), Place(tmp_path / "none"))
    assert [one.state for one in found.runs] == ["waiting"] * 4
    assert not (tmp_path / "none").exists()
