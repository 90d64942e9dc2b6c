"""A budget in seconds: as many iterations as are found to fit, and from there on a training like any other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load

from evogan.errors import UserError
from evogan.evaluation import pace
from evogan.evaluation.pace import iterations_within
from evogan.genes import GENES
from evogan.runs.gans import GANProblem
from evogan.settings import GANSettings
from evogan.training import Diverged, Trainer
from evogan.trial import GANTask, Trial, budget_in_words
from tests.test_iterations import FACTS, Seeded


def timed(
    monkeypatch: pytest.MonkeyPatch, cost: Callable[[float], float], setup: float = 0.0, fails: int = 10**9
) -> Any:
    """Trainers whose iteration, at this share of the budget, takes as long on a clock of their own; `fails`: diverges
    in the iteration after so many. `clock`: seconds that passed."""
    clock = SimpleNamespace(now=0.0, first=True, trained=0)
    monkeypatch.setattr(pace, "perf_counter", lambda: clock.now)

    class Made:
        device = torch.device("cpu")

        def __init__(self, iterations: int) -> None:
            self.iteration, self.budget = 0, iterations

        def run_to(self, iteration: int) -> None:
            clock.now += setup * clock.first
            clock.first = False
            for i in range(iteration):
                if i >= fails:
                    raise Diverged("critic loss is nan")
                clock.now += cost(i / self.budget)
                self.iteration += 1

    clock.build = Made
    return clock


@given(st.floats(1e-4, 3), st.floats(1, 1e4), st.floats(0, 10))
def test_what_fits_is_the_budget_over_the_time_of_an_iteration(each: float, seconds: float, setup: float) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        clock = timed(monkeypatch, lambda _: each, setup)
        found = iterations_within(seconds, clock.build)
        assert found == max(1, round(seconds / each)) or abs(found * each - seconds) <= 1e-6 * seconds + each
        rehearsed = clock.now - setup
        assert rehearsed <= 0.3 * seconds + 3 * each, "the rehearsal is short beside the training"


def test_a_training_that_grows_is_timed_in_all_its_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its second half takes four times as long."""
    clock = timed(monkeypatch, lambda share: 0.01 if share < 0.5 else 0.04)
    assert iterations_within(100.0, clock.build) == pytest.approx(100 / 0.025, rel=0.05)


def test_what_diverges_meanwhile_is_timed_until_then(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = timed(monkeypatch, lambda _: 0.5, fails=3)
    assert iterations_within(100.0, clock.build) == 200
    with pytest.raises(Diverged):
        iterations_within(100.0, timed(monkeypatch, lambda _: 0.5, fails=0).build)


def test_a_task_in_seconds_is_another_and_is_said_so() -> None:
    task = GANTask(seconds=30.0, **FACTS)
    assert "kimg" not in task.identity and task.identity["seconds"] == 30.0
    assert "seconds" not in GANTask(kimg=20.0, **FACTS).identity, "keys of before stay valid"
    assert budget_in_words(vars(task)) == GANSettings(seconds=30.0).budget == "30 seconds"
    with pytest.raises(UserError, match="kimg and seconds are both given"):
        GANSettings(kimg=20.0, seconds=5.0)
    with pytest.raises(UserError, match="iterations and seconds are both given"):
        GANSettings(iterations=20, seconds=5.0)


def test_it_is_a_training_of_the_kimg_that_were_found() -> None:
    """Bit for bit; gone on with, too, from where what was found is known; and it is never trained in a stack."""
    task, evaluate = GANProblem(GANSettings(seconds=0.4, samples=100)).prepare()
    task = replace(task, checkpoints=(1.0,))
    genome = GENES.read({"filters": 4, "batch_size": 16, "learning_rate": 1e-3, "critic_pretraining": 8})

    def trial(of: GANTask, **more: Any) -> Trial:
        return Seeded(genome, GENES.key(genome), of, **more)

    assert evaluate.alike(trial(task)) is None
    part = evaluate(trial(task, fidelity=0.5))
    (kimg,) = part.provenance["paced_kimg"]
    ours = evaluate(trial(task, earlier=part))
    assert ours.provenance["paced_kimg"] == [kimg] and ours.provenance["continued_from"] == 0.5
    known = GANTask(**asdict(task) | {"seconds": None, "kimg": kimg})
    theirs = evaluate(trial(known))
    assert ours.curve == theirs.curve
    one, other = (load(evaluation.files["generator.safetensors"]) for evaluation in (ours, theirs))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert theirs.cost["kimg"] == pytest.approx(kimg), "a whole number of iterations"


def test_nobody_rests_in_what_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """First steps of the critic alone would say that an iteration is cheap."""
    seen: list[Trainer] = []

    def found(seconds: float, build: Callable[[int], Trainer]) -> int:
        seen.append(build(5))
        return 2

    monkeypatch.setattr("evogan.evaluation.course.iterations_within", found)
    task, evaluate = GANProblem(GANSettings(seconds=9.0, samples=100)).prepare()
    genome = GENES.read({"filters": 4, "batch_size": 16, "critic_pretraining": 100, "critic_long_steps": 100})
    ended = evaluate(Trial(genome, GENES.key(genome), task))
    assert {player for i in range(5) for player in seen[0].rounds.program(i)} == {"critic", "generator"}
    assert ended.provenance["paced_kimg"] == [ended.cost["kimg"]]
