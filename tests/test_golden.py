"""What an earlier version wrote, in `tests/golden/`, this one reads, finds again and goes on with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from evogan import open_run, resume
from tests.golden import make

RUNS = (*make.OBJECTIVES, "digits")
STATES = ("finished", "stopped")
TABLES = (
    "digits-modern",
    "digits-wdcgan_wide",
    "digits-wgan_gp",
    "fashion_mnist_8-wdcgan_wide",
    "mnist-wdcgan",
    "mnist_8-wdcgan_wide",
)
ANOTHER = "ValueError: the state of another training"  # made where numbers are rounded otherwise


@cache
def golden(what: str) -> Any:
    return json.loads((make.GOLDEN / f"{what}.json").read_text())


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a store of then."""
    return Path(shutil.copytree(make.GOLDEN / "runs" / request.param, tmp_path / "runs"))


finished = pytest.mark.parametrize("store", ["finished"], indirect=True)
stopped = pytest.mark.parametrize("store", ["stopped"], indirect=True)
either = pytest.mark.parametrize(("store", "state"), [(state, state) for state in STATES], indirect=["store"])


# --- keys: nothing that was trained before is trained again


def test_every_published_genome_has_the_key_that_it_had() -> None:
    found = make.genome_keys()
    assert {name: found.get(name) for name in golden("keys")["genomes"]} == golden("keys")["genomes"]


@pytest.fixture(scope="module")
def spaces() -> dict[str, Any]:
    return make.spaces()


@pytest.mark.parametrize("what", ["keys", "genomes", "points"])
def test_every_point_of_a_shipped_space_is_the_genome_that_it_was(what: str, spaces: dict[str, Any]) -> None:
    then = {name: space[what] for name, space in golden("keys")["spaces"].items()}
    assert {name: spaces[name][what] for name in then} == then


def test_every_task_has_the_key_that_it_had() -> None:
    found = golden("keys")["tasks"]
    assert make.tasks() == found
    same = {"defaults", "name"}  # what a data set is called is no fact
    assert len(set(found.values())) == len(found) - len(same) + 1


def test_every_training_has_the_identity_and_the_seed_that_it_had() -> None:
    assert make.trials() == golden("keys")["trials"]


def test_the_shipped_feature_networks_are_those_that_were_scored_with() -> None:
    assert make.feature_networks() == golden("keys")["features"]


@pytest.fixture(scope="module")
def tables() -> dict[str, Any]:
    return make.tables()


@pytest.mark.parametrize("what", ["rows", "digest", "facts", "genomes", "fingerprint"])
@pytest.mark.parametrize("name", TABLES)
def test_a_shipped_table_says_what_it_said(name: str, what: str, tables: dict[str, Any]) -> None:
    assert tables[name][what] == golden("tables")[name][what]


# --- stores: what was recorded is read


@either
@pytest.mark.parametrize("name", RUNS)
def test_a_run_of_then_is_read_as_it_was_recorded(name: str, state: str, store: Path) -> None:
    """Every number of it, its ranking, its winners and how they were checked."""
    assert make.told(open_run(name, store)) == golden("runs")[state][name]


@either
def test_a_table_of_a_run_of_then_has_its_fitness_and_what_it_spent(state: str, store: Path) -> None:
    for name in RUNS:
        then, frame = golden("runs")[state][name], open_run(name, store).to_dataframe()
        assert frame["key"].tolist() == [told["proposal"]["key"] for told in then["history"]]
        assert frame["spent"].tolist() == then["spent"]
        values = [told["values"] and told["values"][0] for told in then["history"]]
        assert [None if value != value else value for value in frame["fitness"]] == values


@either
def test_a_report_of_a_run_of_then_is_written(state: str, store: Path) -> None:
    for name in ("nsga2", "digits"):
        run = open_run(name, store)
        page = run.report()
        assert run.best is not None and page.is_relative_to(store)
        assert f"{run.best.value:.4g}" in page.read_text()


@either
def test_a_generator_of_then_makes_the_images_that_it_made(state: str, store: Path) -> None:
    assert make.samples(open_run("digits", store)) == pytest.approx(golden("runs")[state]["samples"], abs=1e-3)


# --- resumes: a run that was stopped then ends as if it had never stopped


def course(run: dict[str, Any]) -> dict[str, Any]:
    """A run but for what differs from one carrying-out to the next: seconds, and where the numbers come from."""
    history = [
        told
        | {
            "evaluations": [
                {k: v for k, v in e.items() if k not in ("cost", "provenance")} for e in told["evaluations"]
            ]
        }
        for told in run["history"]
    ]
    return run | {"history": history}


@stopped
@pytest.mark.parametrize("name", make.OBJECTIVES)
def test_a_run_with_an_objective_that_was_stopped_then_ends_as_the_finished_one(name: str, store: Path) -> None:
    """Proposals, genomes, fitness, what was spent, winners; points but for how this processor rounds powers."""
    assert make.told(open_run(name, store)) == golden("runs")["stopped"][name]
    found, then = course(make.told(make.find(name, store))), course(golden("runs")["finished"][name])
    assert points(found) == pytest.approx(points(then), rel=0, abs=1e-9)
    assert without_points(found) == without_points(then)


def points(run: dict[str, Any]) -> list[float]:
    return [u for told in run["history"] for u in told["proposal"]["vector"]]


def without_points(run: dict[str, Any]) -> dict[str, Any]:
    history = [told | {"proposal": told["proposal"] | {"vector": None}} for told in run["history"]]
    return run | {"history": history}


def numbers(found: Any) -> Iterator[float]:
    """All that are in plain data, in order."""
    if isinstance(found, dict | list):
        for one in found.values() if isinstance(found, dict) else found:
            yield from numbers(one)
    elif isinstance(found, int | float):
        yield found


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The search for GANs that was stopped then, at its end."""
    runs = shutil.copytree(make.GOLDEN / "runs" / "stopped", tmp_path_factory.mktemp("golden") / "runs")
    return make.told(resume("digits", runs=runs, workers=1))


def test_a_search_for_gans_that_was_stopped_then_ends_as_the_finished_one(resumed: dict[str, Any]) -> None:
    """The same proposals and winners, and the same numbers but for how this processor rounds."""
    then = golden("runs")["finished"]["digits"]
    for part in ("document", "spent", "ranking", "front", "finalists", "best"):
        assert resumed[part] == then[part]
    assert [name for name, _, _ in resumed["confirmations"]] == [name for name, _, _ in then["confirmations"]]
    assert list(numbers(resumed["confirmations"])) == pytest.approx(list(numbers(then["confirmations"])), rel=0.001)
    for told, before in zip(resumed["history"], then["history"], strict=True):
        assert told["proposal"] == before["proposal"]
        assert told["values"] == pytest.approx(before["values"], rel=0.001)
        for evaluation, recorded in zip(told["evaluations"], before["evaluations"], strict=True):
            assert evaluation["status"] == recorded["status"]
            for point, known in zip(evaluation["curve"], recorded["curve"], strict=True):  # by now it has more numbers
                assert {name: point[name] for name in known} == pytest.approx(known, rel=0.001, abs=0.001)


def test_a_training_that_was_stopped_then_goes_on_from_its_state(resumed: dict[str, Any]) -> None:
    """Where it was made; on another processor it begins anew, since it would round otherwise."""
    then = golden("runs")["finished"]["digits"]
    went_on = [
        evaluation["provenance"]
        for told, before in zip(resumed["history"], then["history"], strict=True)
        for evaluation, recorded in zip(told["evaluations"], before["evaluations"], strict=True)
        if "continued_from" in recorded["provenance"]
    ]
    assert len(went_on) == 2
    for provenance in went_on:
        assert provenance.get("continued_from") == 0.5 or provenance["not_continued"] == ANOTHER


@finished
def test_a_run_that_was_finished_then_trains_nothing_again(store: Path) -> None:
    count = open_run("digits", store).store.count()
    for name in make.OBJECTIVES:
        assert make.told(make.find(name, store)) == golden("runs")["finished"][name]
    assert make.told(resume("digits", runs=store, workers=1)) == golden("runs")["finished"]["digits"]
    assert open_run("digits", store).store.count() == count
