"""A search that has reached its target, or has not improved for long, ends: the same one on any number of workers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import evogan
from evogan.engine import Judge, LocalExecutor, Store
from evogan.engine.ending import Ending
from evogan.engine.history import RunHistory
from evogan.errors import UserError
from evogan.genome import Gene
from evogan.monitor import read_status
from evogan.space import Space
from evogan.trial import Evaluation
from tests.conftest import evaluate
from tests.test_budget import noisy
from tests.test_engine import Outcome, ShuffledExecutor, facts, run

WINDOW = 8  # of the engine's tests, and the default
RANDOM: dict[str, Any] = {"strategy": "random", "evaluations": 60}  # which proposes the same whatever it is told
LINE = Space("line", [Gene(name="x", kind="int", low=0, high=999)])


def first(history: Any, reached: Any) -> int:
    return next(i for i, told in enumerate(history) if reached(i, told))


@given(workers=st.integers(1, 12), order=st.integers(0, 10**6))
@settings(max_examples=5)
def test_when_the_target_is_told_of_nothing_more_is_asked(workers: int, order: int) -> None:
    whole = run(LocalExecutor(evaluate), **RANDOM)
    target = sorted(told.value for told in whole.history if told.value is not None)[3]
    place = first(whole.history, lambda i, told: told.value is not None and told.value <= target)
    found = run(ShuffledExecutor(workers, order), target=target, **RANDOM)
    assert facts(found) == facts(whole)[: place + WINDOW], "what was under way is told"
    assert found.ended == f"target value {target:g} reached: {whole.history[place].value:.4g}, proposal {place}"


@pytest.mark.parametrize("more", [{"replicates": 2}, {"replicates": 3, "race": True}])
def test_a_target_is_reached_with_all_replicates(more: dict[str, Any]) -> None:
    whole = run(LocalExecutor(noisy), **RANDOM, **more).history
    full = [told.value for told in whole if told.value is not None and len(told.evaluations) == more["replicates"]]
    target = min(full)
    single = [Judge("value").value(evaluation) for told in whole for evaluation in told.evaluations]
    assert min(value for value in single if value is not None) < target
    store = Store()
    found = run(LocalExecutor(noisy), store=store, target=target, **RANDOM, **more).history
    assert found[: len(whole)] == whole[: len(found)]
    assert len(found) == min(len(whole), first(whole, lambda i, told: told.value == target) + WINDOW)


@pytest.mark.parametrize("patience", [3, 10])
def test_patience_counts_full_trainings_since_the_best_improved(patience: int) -> None:
    """Failures too."""
    store = Store()
    whole = run(LocalExecutor(noisy), store=store, **RANDOM).history
    spent, best, since, place = RunHistory(store, "run").spent, float("inf"), 0.0, -1
    for place, told in enumerate(whole):
        if told.value is not None and told.value < best:
            best, since = told.value, spent[place]
        if spent[place] - since >= patience:
            break
    else:
        raise AssertionError("never out of patience")
    assert any(told.value is None for told in whole[:place])
    found = run(LocalExecutor(noisy), patience=patience, **RANDOM)
    assert found.ended == f"no better value in {patience} evaluations"
    assert facts(found) == facts(Outcome(whole, ""))[: place + WINDOW]


def told(*rows: tuple[float, float | None], metric: str = "value", **asked: Any) -> list[str]:
    """Why it has ended after each of new genomes that were told: fidelity and metric."""
    judge = Judge(metric)
    ending, said = Ending(judge, **asked), []
    for number, (fidelity, value) in enumerate(rows):
        scores = () if value is None else ({metric: value},)
        evaluation = Evaluation(status="crashed" if value is None else "completed", scores=scores)
        ending.enter(number, f"key{number}", fidelity, [evaluation], judge.over([evaluation]))
        said.append(ending.reason)
    return said


def test_only_full_trainings_reach_a_target() -> None:
    assert told((0.5, 1.0), (1.0, 3.0), (1.0, 2.0), target=2.0) == ["", "", "target value 2 reached: 2, proposal 2"]


def test_more_is_better_of_a_maximised_metric() -> None:
    said = told((1.0, 2.0), (1.0, 3.5), metric="inception_score", target=3.0)
    assert said == ["", "target inception_score 3 reached: 3.5, proposal 1"]


def test_the_first_at_a_higher_fidelity_is_a_better_best_and_a_lower_one_costs_its_share() -> None:
    out = "no better value in 1 evaluations"
    assert told((0.5, 1.0), (0.5, 2.0), (1.0, 9.0), (0.5, 0.1), (0.5, 0.1), patience=1) == ["", "", "", "", out]
    assert told((1.0, None), (1.0, None), (1.0, 1.0), patience=2) == ["", *["no better value in 2 evaluations"] * 2]


# --- runs that are kept


def far(genome: Mapping[str, Any]) -> float:
    return abs(float(genome["x"]) - 700)


def search(runs: Path, name: str, **more: Any) -> evogan.Run:
    asked = {"strategy": "ga", "options": {"population": 6}, "evaluations": 80, "workers": 1} | more
    return evogan.search(LINE, objective=far, task="far", name=name, runs=runs, **asked)


def history(run: evogan.Run) -> list[Any]:
    return [(told.row, told.values) for told in run.history]


def test_a_run_that_ended_says_why_does_no_more_and_goes_on_with_another_target(tmp_path: Path) -> None:
    whole = search(tmp_path, "whole")
    assert whole.ended_early == "" and not whole.unfinished
    ended = search(tmp_path, "run", target=50)
    assert ended.ended_early.startswith("target value 50 reached: ") and ended.is_through
    assert history(ended) == history(whole)[: len(ended.history)] and len(ended.history) < 80
    status = read_status(tmp_path / "run" / "status.json")
    assert status is not None and (status.state, status.reason) == ("finished", ended.ended_early)
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["reason"] for line in log if line["event"] == "checking"] == [ended.ended_early]
    assert ended.ended_early in ended.report(tmp_path / "page").read_text()
    assert history(search(tmp_path, "run", target=50)) == history(ended)
    further = search(tmp_path, "run", target=1)
    assert len(further.history) > len(ended.history)
    assert history(further) == history(search(tmp_path, "straight", target=1))
    looser = search(tmp_path, "run", target=100)
    assert looser.ended_early.startswith("target value 100 reached") and history(looser) == history(further)
    assert history(search(tmp_path, "run")) == history(whole)


def test_a_patient_run_goes_on_as_if_it_had_been_so_from_the_beginning(tmp_path: Path) -> None:
    lengths = []
    for patience in (3, 8, 20):
        found = search(tmp_path, "run", patience=patience)
        lengths.append(len(found.history))
        assert found.ended_early == f"no better value in {patience} evaluations"
        assert history(found) == history(search(tmp_path, f"straight-{patience}", patience=patience))
    assert lengths == sorted(set(lengths)) and lengths[-1] < 80


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"target": float("nan")}, "target must be a number, not nan"),
        ({"target": float("-inf")}, "target must be a finite number, not -inf"),
        ({"target": "20"}, "target must be a number, not '20'"),
        ({"patience": 0}, "patience must be at least 1, not 0"),
        ({"patience": 2.5}, "patience must be a whole number, not 2.5"),
        ({"target": 1.0, "fitness": "a,b", "strategy": "nsga2", "options": {}}, "target is of one objective"),
        ({"patience": 1, "fitness": "a,b", "strategy": "nsga2", "options": {}}, "patience is of one objective"),
    ],
)
def test_what_ends_no_search_is_named(asked: dict[str, Any], why: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=why):
        search(tmp_path / "runs", "run", **asked)
    assert not (tmp_path / "runs").exists()
