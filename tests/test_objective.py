"""Functions of users' own: what they may be, what they may return, and what is said where that is nothing."""

from __future__ import annotations

import functools
import os
import random
import sys
import threading
import warnings
from asyncio import CancelledError
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import evogan
from evogan.engine.executors.base import evaluate_safely
from evogan.engine.executors.sending import check_sendable
from evogan.errors import NothingCompleted, UserError
from evogan.genome import Gene, Genome
from evogan.runs.objective import ObjectiveEvaluator, check_objective, read_answer, takes
from evogan.space import Space
from evogan.trial import TRACEBACK, Evaluation, Trial
from tests.conftest import TASK

SPACE = Space("s", [Gene(name="x", kind="float", low=-1.0, high=1.0, levels=21)])


def evaluated(objective: Callable[..., Any]) -> Evaluation:
    genome = Genome({"x": 0.5})
    return evaluate_safely(ObjectiveEvaluator(objective), Trial(genome, SPACE.key(genome), TASK))


def search(objective: Callable[..., Any], **more: Any) -> evogan.Run:
    return evogan.search(SPACE, objective=objective, **({"evaluations": 5, "workers": 1} | more))


# --- what it returns


@pytest.mark.parametrize(
    "number",
    [
        *(2, 2.0, np.float32(2), np.int64(2), np.array(2.0), np.array([[2.0]]), Decimal(2), Fraction(4, 2)),
        *(torch.tensor(2), torch.tensor([2.0], requires_grad=True), np.longdouble(2)),
    ],
    ids=lambda number: type(number).__name__,
)
def test_numbers_are_numbers(number: Any) -> None:
    assert read_answer(number) == {"value": 2.0}
    assert read_answer({"a": number, "b": 1}) == {"a": 2.0, "b": 1.0}
    assert type(read_answer(number)["value"]) is float
    assert read_answer(True) == read_answer(np.bool_(True)) == {"value": 1.0}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "the objective returned None (NoneType), not a number"),
        ("2.0", "the objective returned '2.0' (str), not a number"),
        (2j, "the objective returned 2j (complex), not a number"),
        ((1.0, 2.0), "the objective returned (1.0, 2.0) (tuple), not a number"),
        (np.zeros(2), "the objective returned array([0., 0.]) (ndarray), not a number"),
        (torch.zeros(2), "the objective returned tensor([0., 0.]) (Tensor), not a number"),
        (np.datetime64("2020-01-01"), "the objective returned np.datetime64('2020-01-01') (datetime64), not a number"),
        ({"loss": None}, "the objective returned 'loss' = None (NoneType), not a number"),
        ({"loss": 1.0, 3: 1.0}, "the objective returned a metric named 3: names are texts"),
        ({}, "the objective returned no metric: an empty mapping"),
    ],
)
def test_what_is_no_number_is_named(answer: Any, reason: str) -> None:
    found = evaluated(lambda genes: answer)
    assert (found.status, found.reason) == ("crashed", reason)


@pytest.mark.parametrize("number", [float("nan"), -np.inf, 10**400, -(10**400), Decimal("Infinity")])
def test_what_is_not_finite_diverged(number: Any) -> None:
    assert evaluated(lambda genes: number).status == "diverged"


def test_a_genome_without_the_metric_failed_where_others_have_it() -> None:
    run = search(lambda genes: {"loss": 1.0} if genes["x"] < 0.9 else {"excuse": 1.0}, fitness="loss", evaluations=21)
    assert sorted(told.value is None for told in run.history) == [False] * 19 + [True] * 2
    with pytest.raises(UserError, match="unknown fitness 'lss': did you mean 'loss'"):
        search(lambda genes: {"loss": 1.0}, fitness="lss")


# --- what it raises


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def deep(genes: object) -> float:
    return deep(genes)


def raising(error: BaseException) -> Callable[[object], float]:
    def objective(genes: object) -> float:
        raise error

    return objective


@pytest.mark.parametrize(
    ("objective", "status", "reason"),
    [
        (raising(ZeroDivisionError("division by zero")), "crashed", "ZeroDivisionError: division by zero"),
        (raising(ValueError("one\n\x1b[31mtwo")), "crashed", r"ValueError: one \x1b[31mtwo"),
        (raising(SystemExit(3)), "crashed", "SystemExit: 3"),
        (raising(CancelledError()), "crashed", "CancelledError"),  # no Exception; on Ray it crashes a trial, too
        (raising(AssertionError()), "crashed", "AssertionError"),
        (raising(Unspeakable()), "crashed", "Unspeakable: its message cannot be read"),
        (raising(ValueError("x" * 9999)), "crashed", f"ValueError: {'x' * 500}..."),
        (raising(MemoryError()), "out_of_memory", "out of memory"),
        (deep, "crashed", "RecursionError: maximum recursion depth exceeded"),
    ],
)
def test_whatever_it_raises_is_a_result(objective: Callable[..., Any], status: str, reason: str) -> None:
    found = evaluated(objective)
    assert (found.status, found.reason) == (status, reason)
    assert found.cost["seconds"] > 0  # which a budget in seconds counts
    if status == "crashed":
        assert reason.partition(":")[0].encode() in found.files[TRACEBACK]


def test_what_an_objective_forks_is_no_second_driver(tmp_path: Path) -> None:
    def forking(genes: object) -> float:
        child = os.fork()
        if child == 0:
            (tmp_path / f"{os.getpid()}").touch()
            sys.exit(3)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
        return 1.0

    driver = os.getpid()
    found = search(forking, runs=tmp_path / "runs", task="t", name="r").history
    assert os.getpid() == driver
    assert [told.evaluation.status for told in found] == ["completed"] * 5
    assert len([*tmp_path.iterdir()]) == 1 + len({told.row.key for told in found})


def test_ctrl_c_within_an_objective_stops_the_search(runs: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        search(raising(KeyboardInterrupt()), runs=runs, task="t", name="r")
    assert len(search(lambda genes: 1.0, runs=runs, task="t", name="r").history) == 5


@pytest.mark.parametrize("kept", [True, False])
def test_a_search_in_which_nothing_completed_says_so(runs: Path, kept: bool) -> None:
    place = {"runs": runs, "task": "t"} if kept else {}
    said = r"run 'r': Nothing completed: all 5 evaluations failed \(crashed 5\). The first: ZeroDivisionError: no way"
    with pytest.warns(NothingCompleted, match=said) as heard:
        run = search(raising(ZeroDivisionError("no way")), name="r", **place)
    assert [warning.filename for warning in heard if warning.category is NothingCompleted] == [__file__]
    assert run.best is None and "in objective" in run.traceback and "no way" in run.traceback
    with pytest.raises(UserError, match="run 'r' has no genome that completed: Nothing completed: .* no way"):
        run.load_best()


def test_metrics_called_as_a_column_leave_it() -> None:
    names = ("status", "fitness", "number", "gene_x")
    frame = search(lambda genes: {"value": genes["x"], **dict.fromkeys(names, 7.0)}).to_dataframe()
    assert list(frame["number"]) == [0, 1, 2, 3, 4] and set(frame["status"]) == {"completed"}
    assert (frame["fitness"] == frame["gene_x"]).all() and (frame["value"] == frame["gene_x"]).all()
    assert (frame[[f"metric_{name}" for name in names]] == 7).all(axis=None)


def test_nothing_is_loaded_of_a_run_that_trained_no_gan() -> None:
    with pytest.raises(UserError, match="run 'r' has an objective of its own: no GAN was trained"):
        search(lambda genes: 1.0, name="r").load_best()


def test_a_search_in_which_something_completed_says_nothing() -> None:
    with warnings.catch_warnings(action="error", category=NothingCompleted):
        assert search(lambda genes: 1.0 / (genes["x"] > 0), evaluations=21).traceback.endswith("by zero\n")


# --- what it is


def bowl(genes: dict[str, Any], *rest: object, **more: object) -> float:
    return float(genes["x"]) ** 2


class Bowl:
    def __call__(self, genes: dict[str, Any], fidelity: float) -> float:
        return bowl(genes)

    def method(self, genes: dict[str, Any]) -> float:
        return bowl(genes)

    def __len__(self) -> int:  # so that it counts as false
        return 0


@pytest.mark.parametrize(
    ("objective", "fidelity"),
    [
        (bowl, False),
        (Bowl(), True),
        (Bowl().method, False),
        (functools.partial(Bowl(), fidelity=0.5), False),
        (functools.partial(bowl, more=1), False),
        (lambda genes, fidelity=1.0: 0.0, True),
        (max, False),
    ],
)
def test_whatever_can_be_called_with_a_genome_is_an_objective(objective: Any, fidelity: bool) -> None:
    check_objective(objective)
    assert takes(objective, "fidelity") == fidelity


def test_data_beside_an_objective_are_refused(runs: Path) -> None:
    with pytest.raises(UserError, match="data are of GANs: an objective trains none"):
        evogan.search(SPACE, "mnist", objective=lambda genes: 1.0, workers=1)


def test_an_objective_that_counts_as_false_is_one() -> None:
    assert search(Bowl(), evaluations=3).document["gan"] is None


async def waiting(genes: object) -> float:
    return 1.0


def yielding(genes: object) -> Any:
    yield 1.0


class Waiting:
    async def __call__(self, genes: object) -> float:
        return 1.0


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (3, "^objective must be a function, not 3$"),
        (waiting, "^objective 'waiting' is async: give a function that returns a number, as with asyncio.run$"),
        (functools.partial(waiting), "^objective 'partial' is async"),
        (Waiting(), "^objective 'Waiting' is async"),
        (yielding, "^objective 'yielding' yields: give a function that returns a number$"),
        (lambda: 1.0, r"^objective '<lambda>\(\)' must take one argument, the genome$"),
        (lambda a, b: 1.0, r"^objective '<lambda>\(a, b\)' must take one argument, the genome$"),
    ],
)
def test_what_is_no_objective_is_refused_before_anything_is_written(objective: Any, message: str, runs: Path) -> None:
    with pytest.raises(UserError, match=message):
        search(objective, runs=runs, task="t")
    assert not runs.exists()


def test_what_an_objective_does_to_its_surroundings_changes_no_search(capsys: pytest.CaptureFixture[str]) -> None:
    def careless(genes: dict[str, Any]) -> float:
        value = bowl(genes)
        genes.clear()
        random.seed(int(100 * value))
        np.random.seed(5)
        torch.manual_seed(5)
        print("here I am")
        warnings.warn("look out", stacklevel=1)
        return value

    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        with warnings.catch_warnings(action="ignore"):
            histories = [[told.row for told in search(one, strategy="ga").history] for one in (careless, bowl)]
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])
    assert histories[0] == histories[1]
    assert "here I am" in capsys.readouterr().out


# --- how it is sent to workers

LOCK = threading.Lock()


class Model:
    def __init__(self, part: object) -> None:
        self.parts = {"first": [1, part]}

    def score(self, genes: object) -> float:
        return 1.0


def closure() -> Callable[[object], Any]:
    model = Model(threading.Lock())
    return lambda genes: model


@pytest.mark.parametrize(
    ("objective", "part"),
    [
        (closure(), r"'model.parts\['first'\]\[1\]' in it, a lock"),
        (Model(threading.Lock()).score, r"'__self__.parts\['first'\]\[1\]' in it, a lock"),
        (functools.partial(lambda at, genes: at, (x for x in "ab")), r"'args\[0\]' in it, a generator"),
        (lambda genes, connection=LOCK: connection, "'connection' in it, a lock"),
    ],
)
def test_what_cannot_be_sent_is_named(objective: Callable[..., Any], part: str, runs: Path) -> None:
    line = f"^the objective cannot be sent to worker processes because of {part} .*: make that within the objective, or"
    with pytest.raises(UserError, match=line):
        search(objective, workers=2, runs=runs, task="t")
    assert not runs.exists()


def test_what_can_be_sent_is() -> None:
    class Local:
        large = np.zeros(10**6)

        def __call__(self, genes: object) -> float:
            return float(self.large.sum())

    for objective in (Local(), lambda genes: Local().large, Model(1).score, sys.intern):
        check_sendable(objective)
