"""Trials on Ray: the same results as in this process, and none lost with a worker."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from evogan.api import GANSettings, search
from evogan.engine.ray_executor import RETRIES, RayExecutor
from evogan.genome import Genome
from evogan.trial import Evaluation, Task, Trial
from tests.conftest import mixed_space, score

pytestmark = pytest.mark.xdist_group("ray")


@pytest.fixture(scope="module", autouse=True)
def _cluster() -> Iterator[None]:
    """One local cluster for all; executors find it running and leave it so."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()


def trials(n: int, **genes: object) -> list[Trial]:
    return [Trial(Genome({"x": i, **genes}), f"key{i}", Task(name="ray")) for i in range(n)]  # type: ignore[dict-item]


def answers(executor: RayExecutor, trials: list[Trial]) -> dict[str, Evaluation]:
    for trial in trials:
        executor.submit(trial)
    found = {}
    for _ in trials:
        trial, evaluation = executor.wait()
        assert trial.key not in found
        found[trial.key] = evaluation
    executor.close()
    return found


def test_a_search_has_the_same_history_on_one_and_two_workers(runs: Path) -> None:
    """Promise 3, on real trainings."""
    histories = []
    for workers in (1, 2):
        run = search(
            "wdcgan",
            evaluations=6,
            strategy="ga",
            options={"population": 4},
            kimg=0.3,
            samples=200,
            finalists=1,
            confirm=1,
            workers=workers,
            runs=runs / str(workers),
            window=4,
        )
        history = [(t.row.number, t.row.genome, t.evaluation.status, t.value) for t in run.history]
        histories.append((history, [(c.name, c.values) for c in run.confirmations]))
    assert histories[0] == histories[1]


def test_an_objective_of_the_users_own_runs_on_ray() -> None:
    one, two = (
        search(mixed_space(), objective=lambda genes: score(Genome(genes)), evaluations=20, workers=n) for n in (1, 2)
    )
    assert [t.value for t in one.history] == [t.value for t in two.history]


def test_the_evaluator_and_its_data_are_put_into_the_object_store_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    puts: list[object] = []
    put = ray.put
    monkeypatch.setattr(ray, "put", lambda value: (puts.append(value), put(value))[1])
    task, evaluate = GANSettings(kimg=0.1, samples=100).prepare()
    executor = RayExecutor(evaluate, 2)
    found = answers(executor, [Trial(Genome({"filters": 8, "critic_steps": i}), f"k{i}", task) for i in range(1, 5)])
    assert puts == [evaluate]
    assert {evaluation.status for evaluation in found.values()} == {"completed"}


def test_a_trial_whose_worker_is_killed_is_tried_again(tmp_path: Path) -> None:
    def once_deadly(trial: Trial) -> Evaluation:
        mark = tmp_path / trial.key
        if trial.genome["x"] == 2 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return Evaluation(status="completed", scores=({"value": float(trial.genome["x"])},))

    found = answers(RayExecutor(once_deadly, 2), trials(6))
    assert [found[f"key{i}"].metric("value") for i in range(6)] == [0, 1, 2, 3, 4, 5]


def test_a_trial_that_always_kills_its_worker_is_recorded_as_crashed() -> None:
    def deadly(trial: Trial) -> Evaluation:
        if trial.genome["x"] == 1:
            os._exit(1)
        return Evaluation(status="completed")

    found = answers(RayExecutor(deadly, 2), trials(4))
    assert found["key1"].status == "crashed"
    assert found["key1"].reason == f"worker lost {RETRIES + 1} times"
    assert [found[f"key{i}"].status for i in (0, 2, 3)] == ["completed"] * 3


def test_an_exception_is_a_crashed_trial_and_the_worker_lives() -> None:
    def failing(trial: Trial) -> Evaluation:
        if trial.genome["x"] == 1:
            raise ValueError("no such thing")
        if trial.genome["x"] == 2:
            raise MemoryError
        return Evaluation(status="completed", provenance={"pid": os.getpid()})

    found = answers(RayExecutor(failing, 1), trials(4))
    assert found["key1"] == Evaluation(status="crashed", reason="ValueError: no such thing")
    assert found["key2"].status == "out_of_memory"
    assert found["key0"].provenance == found["key3"].provenance
