"""Trials on Ray: the same results as in this process, and none lost with a worker."""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from queue import Empty
from tempfile import TemporaryDirectory
from threading import Thread
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
import ray

from evogan.engine import Event, LocalExecutor, Store
from evogan.engine.executors import Executor, Report, cluster, on_ray, ray_workers
from evogan.engine.executors.fused import EvaluateBundles, FusingExecutor
from evogan.engine.executors.local_cluster import Folder
from evogan.engine.executors.on_ray import RayExecutor
from evogan.errors import UserError
from evogan.genome import Genome
from evogan.settings.resources import Resources
from evogan.trial import Evaluation, Limits, Stopped, Task, Trial
from tests.conftest import NARROW, mixed_space, score
from tests.test_engine import facts, run

TWO = Resources(workers=2)


@pytest.fixture(scope="module", autouse=True)
def _cluster() -> Iterator[None]:
    """One local cluster for all; executors find it running and leave it so. Workers need not import this module."""
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    here = sys.modules[__name__]
    ray.cloudpickle.register_pickle_by_value(here)
    yield
    ray.cloudpickle.unregister_pickle_by_value(here)
    ray.shutdown()


def trials(n: int, **genes: object) -> list[Trial]:
    return [Trial(Genome({"x": i, **genes}), f"key{i}", Task(name="ray")) for i in range(n)]  # type: ignore[dict-item]


class Heard(list[Report]):
    """All reports; `unwanted` says which of them stop their trial."""

    def __init__(self, unwanted: Callable[[Report], bool] = lambda report: False) -> None:
        self.unwanted = unwanted

    def __call__(self, report: Report) -> bool:
        self.append(report)
        return self.unwanted(report)

    def of(self, kind: str, key: str) -> list[Report]:
        return [report for report in self if report.kind == kind and report.trial.key == key]


def answers(executor: Executor, trials: list[Trial], heard: Heard | None = None) -> dict[str, Evaluation]:
    heard = Heard() if heard is None else heard
    for trial in trials:
        executor.submit(trial)
    found = {}
    for _ in trials:
        finished = executor.wait(heard)
        assert finished is not None
        trial, evaluation = finished
        assert trial.key not in found
        found[trial.key] = evaluation
    executor.close()
    return found


def completed(trial: Trial) -> Evaluation:
    where = {"pid": os.getpid()}
    return Evaluation(status="completed", scores=({"value": float(trial.genome["x"])},), provenance=where)


def gone(pid: int) -> bool:
    """Ray gives a process that does not listen some seconds."""
    for _ in range(300):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.1)
    return False


# --- whole searches


def test_a_search_has_the_same_history_on_one_and_two_workers(runs: Path) -> None:
    """Promise 3, on real trainings."""
    from evogan.api import search

    histories = []
    for workers in (1, 2):
        run = search(
            NARROW,
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
    from evogan.api import search

    one, two = (
        search(mixed_space(), objective=lambda genes: score(Genome(genes)), evaluations=20, workers=n) for n in (1, 2)
    )
    assert [t.value for t in one.history] == [t.value for t in two.history]


def test_the_evaluator_and_its_data_are_put_into_the_object_store_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from evogan.runs.gans import GANProblem
    from evogan.settings import GANSettings

    puts: list[object] = []
    put = ray.put
    monkeypatch.setattr(ray, "put", lambda value: (puts.append(value), put(value))[1])
    task, evaluate = GANProblem(GANSettings(kimg=0.1, samples=100)).prepare()
    executor = RayExecutor(evaluate, TWO)
    found = answers(executor, [Trial(Genome({"filters": 8, "critic_steps": i}), f"k{i}", task) for i in range(1, 5)])
    assert puts == [evaluate]
    assert {evaluation.status for evaluation in found.values()} == {"completed"}
    assert all(evaluation.cost["memory"] > 1e8 for evaluation in found.values())  # torch alone has more


# --- workers that are lost


@pytest.mark.fault
def test_a_worker_that_is_asked_to_end_does_so_and_its_trial_is_tried_again() -> None:
    """Ray's own handler would let it take the next trial, and never begin it."""

    def asked(report: Report) -> bool:
        if report.kind == "started" and report.trial.key == "key0" and not sent:
            sent.append(int(report.where.split()[-1]))
            Thread(target=lambda: (time.sleep(0.5), os.kill(sent[0], signal.SIGTERM))).start()
        return False

    def slow(trial: Trial) -> Evaluation:
        time.sleep(1.0)
        return completed(trial)

    sent: list[int] = []
    heard = Heard(asked)
    found = answers(RayExecutor(slow, TWO), trials(4), heard)
    assert {one.status for one in found.values()} == {"completed"} and len(heard.of("retried", "key0")) == 1
    assert sent[0] not in {one.provenance["pid"] for one in found.values()}


@pytest.mark.fault
def test_a_trial_whose_worker_is_killed_is_tried_again(tmp_path: Path) -> None:
    def once_deadly(trial: Trial) -> Evaluation:
        mark = tmp_path / trial.key
        if trial.genome["x"] == 2 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return completed(trial)

    heard = Heard()
    found = answers(RayExecutor(once_deadly, TWO), trials(6), heard)
    assert [found[f"key{i}"].metric("value") for i in range(6)] == [0, 1, 2, 3, 4, 5]
    assert [report.reason for report in heard if report.kind == "retried"] == ["its worker was lost"]
    assert len(heard.of("started", "key2")) == 2 and "process" in heard.of("started", "key2")[0].where


@pytest.mark.fault
@pytest.mark.parametrize("retries", [2, 0])
def test_a_trial_that_always_crashes_the_interpreter_is_recorded_as_crashed(retries: int) -> None:
    def deadly(trial: Trial) -> Evaluation:
        if trial.genome["x"] == 1:
            ctypes.string_at(0)
        return completed(trial)

    found = answers(RayExecutor(deadly, Resources(workers=2, retries=retries)), trials(4))
    assert (found["key1"].status, found["key1"].reason) == (
        "crashed",
        "worker lost 3 times" if retries else "worker lost once",
    )
    assert [found[f"key{i}"].status for i in (0, 2, 3)] == ["completed"] * 3


class Together:
    """Trains all at once; number 1 kills whoever does."""

    def __call__(self, trial: Trial) -> Evaluation:
        if trial.genome["x"] == 1:
            ctypes.string_at(0)
        return completed(trial)

    def alike(self, trial: Trial) -> str:
        return "all"

    def together(self, trials: list[Trial]) -> Iterator[tuple[Trial, Evaluation]]:
        for trial in trials:
            trial.report({"fidelity": 0.5})
            yield trial, replace(self(trial), provenance={"together": len(trials)})


@pytest.mark.fault
def test_of_a_bundle_that_crashes_the_interpreter_only_the_one_to_blame_is_lost() -> None:
    fusing, heard = Together(), Heard()
    inner = RayExecutor(EvaluateBundles(fusing), Resources(workers=2, retries=0))
    found = answers(FusingExecutor(inner, fusing, 8), trials(6), heard)
    assert (found["key1"].status, found["key1"].reason) == ("crashed", "worker lost once")
    assert {found[f"key{i}"].provenance["together"] for i in (3, 4, 5)} == {3}
    assert [found[f"key{i}"].metric("value") for i in (0, 2, 3, 4, 5)] == [0, 2, 3, 4, 5]
    assert "worker lost once, of 6 together" in {report.reason for report in heard if report.kind == "retried"}
    assert any(report.point == {"fidelity": 0.5} for report in heard.of("progress", "key5"))


@pytest.mark.fault
def test_an_idle_worker_that_is_killed_is_replaced() -> None:
    executor = RayExecutor(completed, Resources(workers=1))
    first, second = trials(2)
    executor.submit(first)
    _, evaluation = executor.wait(Heard()) or (None, None)
    assert evaluation is not None
    os.kill(evaluation.provenance["pid"], signal.SIGKILL)
    assert gone(evaluation.provenance["pid"])
    heard = Heard()
    found = answers(executor, [second], heard)
    assert found["key1"].status == "completed"


def test_an_exception_is_a_crashed_trial_and_the_worker_lives() -> None:
    def failing(trial: Trial) -> Evaluation:
        if trial.genome["x"] == 1:
            raise ValueError("no such thing")
        if trial.genome["x"] == 2:
            sys.exit(3)
        if trial.genome["x"] == 3:
            return Evaluation(status="completed", provenance={"cannot be sent": Thread()})
        return completed(trial)

    found = answers(RayExecutor(failing, Resources(workers=1)), trials(5))
    assert (found["key1"].status, found["key1"].reason) == ("crashed", "ValueError: no such thing")
    assert (found["key2"].status, found["key2"].reason) == ("crashed", "SystemExit: 3")
    assert found["key3"].status == "crashed" and "pickle" in found["key3"].reason
    assert found["key0"].provenance == found["key4"].provenance


@pytest.mark.fault
def test_nan_comes_back_as_it_is() -> None:
    def nan(trial: Trial) -> Evaluation:
        return Evaluation(status="completed", scores=({"value": float("nan")},))

    (evaluation,) = answers(RayExecutor(nan, TWO), trials(1)).values()
    assert str(evaluation.metric("value")) == "nan"


def test_an_evaluator_that_cannot_be_loaded_is_one_clear_line() -> None:
    class Unloadable:
        def __reduce__(self) -> Any:
            return exec, ("raise ImportError('no module called that')",)

    executor = RayExecutor(Unloadable(), TWO)  # type: ignore[arg-type]
    executor.submit(trials(1)[0])
    with pytest.raises(UserError, match="cannot load what it is to evaluate: .*no module called that"):
        executor.wait(Heard())
    executor.close()


def test_an_evaluator_that_kills_whoever_loads_it_is_one_clear_line() -> None:
    class Deadly:
        def __reduce__(self) -> Any:
            return exec, ("import os; os._exit(1)",)

    executor = RayExecutor(Deadly(), TWO)  # type: ignore[arg-type]
    executor.submit(trials(1)[0])
    with pytest.raises(UserError, match="workers die before they are ready"):
        executor.wait(Heard())
    executor.close()


# --- memory


@pytest.mark.fault
def test_one_that_allocates_without_end_is_tried_once_alone_and_recorded_with_what_it_had() -> None:
    def greedy(trial: Trial) -> Evaluation:
        if trial.genome["x"] == 1:
            hoard = []
            while True:
                hoard.append(np.empty(2**28, np.uint8))  # never touched: it costs the machine nothing
        return completed(trial)

    heard = Heard()
    executor = RayExecutor(greedy, TWO)
    whole = executor.limits()
    found = answers(executor, trials(4), heard)
    assert found["key1"].status == "out_of_memory"
    assert found["key1"].limits == Limits(memory=whole.memory) and found["key1"].answers(whole)
    assert [report.trial.key for report in heard if report.kind == "retried"] == ["key1"]
    assert [found[f"key{i}"].status for i in (0, 2, 3)] == ["completed"] * 3


def test_a_cap_is_lifted_where_a_trial_is_alone(tmp_path: Path) -> None:
    def large(trial: Trial) -> Evaluation:
        running = tmp_path / f"running {trial.key}"
        running.touch()
        try:
            if trial.genome["x"] == 0:
                size = len(np.empty(10**9, np.uint8))
                alone = len(list(tmp_path.glob("running *"))) == 1
                return Evaluation(status="completed", scores=({"value": float(size), "alone": alone},))
            time.sleep(0.2)
            return completed(trial)
        finally:
            running.unlink()

    resources = Resources(workers=2, memory_per_trial=0.6)
    heard = Heard()
    found = answers(RayExecutor(large, resources), trials(8), heard)
    assert found["key0"].metric("value") == 1e9 and found["key0"].metric("alone") == 1
    assert "out of memory" in heard.of("retried", "key0")[0].reason


def test_a_process_in_which_memory_ran_out_is_used_no_more() -> None:
    """What oneDNN could not create once it never creates again, for whatever genome."""

    def spoiled(trial: Trial) -> Evaluation:
        if trial.genome["x"] == 0:
            return Evaluation(status="out_of_memory", reason="RuntimeError: could not create a primitive")
        return Evaluation(status="completed", scores=({"value": float(os.getpid())},))

    executor, heard = RayExecutor(spoiled, Resources(workers=1, stall_limit=100.0)), Heard()
    found = answers(executor, trials(3), heard)
    (first, *_) = heard.of("started", "key0")
    others = {found[f"key{i}"].metric("value") for i in (1, 2)}
    assert found["key0"].status == "out_of_memory" and len(others) == 1
    assert str(int(others.pop())) not in first.where


@pytest.mark.fault
def test_memory_of_another_kind_ends_the_worker_before_the_machine(tmp_path: Path) -> None:
    """Shared pages are under no cap; the guard sees them."""

    def sharing(trial: Trial) -> Evaluation:
        if trial.genome["x"] == 0 and not (tmp_path / "mark").exists():
            (tmp_path / "mark").touch()
            pages = mmap.mmap(-1, 10**9)
            for start in range(0, 10**9, 2**20):
                pages[start : start + 2**20] = bytes([1]) * 2**20
                time.sleep(0.002)
            return Evaluation(status="crashed", reason="nobody minded")
        return completed(trial)

    heard = Heard()
    found = answers(RayExecutor(sharing, Resources(workers=1, memory_per_trial=0.5)), trials(2), heard)
    assert found["key0"].status == "completed"
    assert "out of memory" in heard.of("retried", "key0")[0].reason


def test_what_a_trial_used_is_recorded_not_what_one_before_it_did() -> None:
    def using(trial: Trial) -> Evaluation:
        size = 4 * 10**8 if trial.genome["x"] == 1 else 10
        bytes(bytearray(b"\1") * size)
        return completed(trial)

    found = answers(RayExecutor(using, Resources(workers=1)), trials(3))
    small, large, after = (found[f"key{i}"].cost["memory"] for i in range(3))
    assert large > small + 3e8
    assert after < large - 3e8


# --- time


@pytest.mark.fault
@pytest.mark.parametrize(
    ("limits", "reason", "had"),
    [
        ({"time_limit": 1.5}, "no end after 1.5 s", Limits(seconds=1.5)),
        ({"stall_limit": 1.5}, "no sign of life for 1.5 s", Limits(stall=1.5)),
    ],
)
@pytest.mark.parametrize("how", ["sleeps", "holds the interpreter", "is stopped"])
def test_one_that_never_returns_is_ended_and_its_process_is_gone(
    tmp_path: Path, limits: dict[str, float], reason: str, had: Limits, how: str
) -> None:
    def endless(trial: Trial) -> Evaluation:
        if trial.genome["x"] == 1:
            (tmp_path / "pid").write_text(str(os.getpid()))
            if how == "is stopped":
                os.kill(os.getpid(), signal.SIGSTOP)
            elif how == "holds the interpreter":
                ctypes.PyDLL(None).sleep(1000)
            time.sleep(1000)
        return completed(trial)

    resources = Resources(workers=2, **limits)  # type: ignore[arg-type]
    executor = RayExecutor(endless, resources)
    for trial in trials(4):
        executor.submit(trial)
    found = {trial.key: evaluation for trial, evaluation in (executor.wait(Heard()) or ((), ()) for _ in range(4))}
    assert gone(int((tmp_path / "pid").read_text()))
    executor.submit(trials(5)[4])  # another worker has taken its place
    executor.submit(replace(trials(1)[0], key="more"))
    assert {executor.wait(Heard())[0].key for _ in range(2)} == {"key4", "more"}  # type: ignore[index]
    executor.close()
    assert (found["key1"].status, found["key1"].reason, found["key1"].limits) == ("timed_out", reason, had)
    assert found["key1"].cost["seconds"] >= 1.5
    assert [found[f"key{i}"].status for i in (0, 2, 3)] == ["completed"] * 3


def test_signs_of_life_keep_a_slow_trial_from_being_taken_for_stalled() -> None:
    def slow(trial: Trial) -> Evaluation:
        for i in range(30):
            time.sleep(0.1)
            trial.report({"kimg": float(i)})
        return completed(trial)

    heard = Heard()
    found = answers(RayExecutor(slow, Resources(workers=1, stall_limit=1.5)), trials(1), heard)
    assert found["key0"].status == "completed"
    assert [report.point["kimg"] for report in heard.of("progress", "key0")] == list(range(30))  # none is lost


@pytest.mark.fault
def test_no_trial_is_blamed_for_the_time_in_which_its_driver_was_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    executor = RayExecutor(completed, Resources(workers=1, time_limit=20, stall_limit=10))
    (trial,) = trials(1)
    worker = ray_workers.RayWorker(None, job=ray_workers.Job(trial, 1.0, began=clock[0], sign=clock[0]))
    assert worker.job is not None
    executor._workers.all = {worker}

    def suspended(timeout: float | None = None) -> None:
        clock[0] += (timeout or 0.0) + 60.0
        raise Empty

    monkeypatch.setattr(on_ray, "monotonic", lambda: clock[0])
    monkeypatch.setattr(executor._workers, "events", SimpleNamespace(get=suspended))
    executor._set_deadline(worker, worker.job)
    executor._advance(5.0)
    assert (worker.job.began, worker.job.sign) == pytest.approx((1060.0, 1060.0), abs=0.1) and not executor._finished


def test_no_trial_is_blamed_for_the_time_in_which_its_driver_was_busy() -> None:
    """What had ended long before, and what had given signs of life, is heard first: here of a slow listener."""

    def talking(trial: Trial) -> Evaluation:
        for _ in range(int(trial.genome["x"])):
            time.sleep(0.1)
            trial.report({"kimg": 1.0})
        return completed(trial)

    def busy(report: Report) -> bool:
        if report.kind == "started" and report.trial.key == "key2":
            time.sleep(3)
        return False

    for limits in ({"time_limit": 2.0}, {"stall_limit": 1.0}):
        executor = RayExecutor(talking, Resources(workers=2, **limits))  # type: ignore[arg-type]
        executor.limits()
        longer = [Trial(Genome({"x": 15}), f"key{i}", Task(name="ray")) for i in (2, 3)]
        each = [*trials(2), *longer]
        assert {one.status for one in answers(executor, each, Heard(busy)).values()} == {"completed"}, limits


def test_an_unwanted_trial_ends_with_its_next_report() -> None:
    def patient(trial: Trial) -> Evaluation:
        for i in range(600):
            time.sleep(0.1)
            try:
                trial.report({"fidelity": i / 600})
            except Stopped:
                return Evaluation(status="completed", scores=({"value": float(i)},))
        return completed(trial)

    heard = Heard(lambda report: report.kind == "progress" and report.trial.key == "key0")
    executor = RayExecutor(patient, Resources(workers=1))
    found = answers(executor, trials(1), heard)
    assert 0 < (found["key0"].metric("value") or 0) < 300


def test_what_has_not_begun_can_be_taken_back() -> None:
    def slow(trial: Trial) -> Evaluation:
        time.sleep(1.0)
        return completed(trial)

    executor = RayExecutor(slow, Resources(workers=1))
    executor.limits()  # the worker is ready
    for trial in trials(4):
        executor.submit(trial)
    assert {trial.key for trial in executor.withdraw()} == {"key1", "key2", "key3"}
    assert executor.wait(Heard(), timeout=0.01) is None
    finished = executor.wait(Heard())
    assert finished is not None and finished[0].key == "key0"
    executor.close()


# --- all at once


@pytest.mark.fault
def test_when_everything_goes_wrong_the_history_is_that_of_a_calm_run(tmp_path: Path) -> None:
    """In number order; here only by what they are do trials fail, there by what they do."""
    killed = tmp_path / "killed"
    fates = {2: "crashed", 5: "timed_out", 8: "out_of_memory"}

    def calm(trial: Trial) -> Evaluation:
        if trial.number in fates:
            return Evaluation(status=fates[trial.number])  # type: ignore[arg-type]
        value = abs(np.log10(float(trial.genome["rate"])) + 2) + int(trial.genome["width"]) / 10
        return Evaluation(status="completed", scores=({"value": float("nan" if trial.number == 6 else value)},))

    def rough(trial: Trial) -> Evaluation:
        if trial.number == 2:
            ctypes.string_at(0)
        elif trial.number == 5:
            time.sleep(1000)
        elif trial.number == 8:
            hoard = []
            while True:
                hoard.append(np.empty(2**28, np.uint8))
        elif trial.number == 11:
            while not killed.exists():
                time.sleep(0.01)
        return calm(trial)

    def listen(event: Event) -> None:
        if event.kind == "started" and event.trial is not None and event.trial.number == 11 and not killed.exists():
            os.kill(int(event.where.split()[-1]), signal.SIGKILL)
            killed.touch()

    store, executor = Store(), RayExecutor(rough, Resources(workers=2, retries=1, time_limit=10))
    outcome = run(executor, store=store, listener=listen, evaluations=24)
    executor.close()
    assert facts(outcome) == facts(run(LocalExecutor(calm), evaluations=24))
    assert {told.row.number: told.evaluation.status for told in outcome.history if told.row.number in fates} == fates
    assert store.count() == len({told.row.key for told in outcome.history})
    assert killed.exists()


# --- clusters of one's own, and joining others


SCRIPT = """
import os, signal, sys, time
from evogan.engine.executors.local_cluster import Folder
from evogan.engine.executors.on_ray import RayExecutor
from evogan.settings.resources import Resources
from evogan.genome import Genome
from evogan.trial import Evaluation, Task, Trial

def slow(trial):
    time.sleep(float(trial.genome["seconds"]))
    return Evaluation(status="completed", provenance={"pid": os.getpid()})

signal.signal(signal.SIGINT, lambda *_: print("heard", flush=True))
executor = RayExecutor(slow, Resources(workers=2))
for i, seconds in enumerate(SECONDS):
    executor.submit(Trial(Genome({"seconds": seconds}), f"key{i}", Task(name="x")))
executor.limits()
print("running", flush=True)
try:
    for _ in SECONDS:
        trial, evaluation = executor.wait(lambda report: False)
        print(trial.key, evaluation.status, evaluation.provenance["pid"], flush=True)
finally:
    executor.close()
"""


def script(seconds: list[float], **more: Any) -> subprocess.Popen[str]:
    text = SCRIPT.replace("SECONDS", repr(seconds))
    return subprocess.Popen(
        [sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more
    )


@pytest.fixture
def short(tmp_path: Path) -> Iterator[Path]:
    """A folder with a path so short that Ray's sockets may lie in it."""
    with TemporaryDirectory(prefix="t", dir="/tmp") as folder:
        yield Path(folder)


def processes(driver: subprocess.Popen[str]) -> list[psutil.Process]:
    me = psutil.Process(driver.pid)
    return [me, *me.children(recursive=True)]


@pytest.mark.fault
def test_ctrl_c_reaches_the_driver_alone_and_its_cluster_is_private_and_leaves_nothing(short: Path) -> None:
    """A terminal sends it to the whole process group. No user id and no home is needed."""
    nobody = {**os.environ, "TMPDIR": str(short), "HOME": "/nowhere"}
    driver = script([3.0, 3.0, 0.0], start_new_session=True, env=nobody)
    assert driver.stdout is not None
    lines = iter(driver.stdout.readline, "")
    assert next(lines).strip() == "running"
    os.killpg(driver.pid, signal.SIGINT)
    running = [(p.name(), c) for p in processes(driver) for c in p.net_connections() if c.status == psutil.CONN_LISTEN]
    assert {"gcs_server", "raylet"} <= {name for name, _ in running} and len(running) >= 6
    listens = {connection.laddr.ip.removeprefix("::ffff:") for _, connection in running}
    assert listens <= {"127.0.0.1", "::1"}
    (folder,) = short.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    heard, *rest = (line.strip() for line in lines)
    assert heard == "heard"
    assert sorted(line.split()[:2] for line in rest) == [
        ["key0", "completed"],
        ["key1", "completed"],
        ["key2", "completed"],
    ]
    assert all(gone(int(line.split()[2])) for line in rest)
    assert driver.wait() == 0
    assert list(short.iterdir()) == []


AT_ONCE = """
import threading, time
import ray
import evogan
from evogan.errors import UserError

SPACE = evogan.Space("s", [evogan.Gene(name="x", kind="float", low=0, high=1)])

def slow(genes):
    time.sleep(0.2)
    return genes["x"]

def nested(genes):
    return evogan.search(SPACE, objective=slow, evaluations=2, workers=2).best.value

def unable(genes):
    return genes["x"]

class Unable:
    def __call__(self, genes):
        return 1.0
    def __reduce__(self):
        return eval, ("1 / 0",)

def go(n):
    run = evogan.search(SPACE, objective=slow, evaluations=n, seed=n, strategy="random", workers=2)
    print(n, {told.evaluation.status for told in run.history}, len({told.row.key for told in run.history}), flush=True)

both = [threading.Thread(target=go, args=(n,)) for n in (6, 12)]
for thread in both:
    thread.start()
for thread in both:
    thread.join()
print(ray.is_initialized(), flush=True)
inner = evogan.search(SPACE, objective=nested, evaluations=1, workers=2)
print(inner.history[0].evaluation.reason, flush=True)
try:
    evogan.search(SPACE, objective=Unable(), evaluations=2, workers=2, memory_per_trial=0.5)
except UserError as error:
    print(error, flush=True)
print(ray.is_initialized(), flush=True)
"""


def test_searches_at_once_share_a_cluster_and_the_last_one_ends_it() -> None:
    """Within one process. A search within a trial would wait for ever, and one that fails at the start leaves none."""
    done = subprocess.run([sys.executable, "-c", AT_ONCE], capture_output=True, text=True, timeout=120)
    *both, one, inner, failed, other = done.stdout.splitlines()
    assert sorted(both) == ["12 {'completed'} 12", "6 {'completed'} 6"], done.stderr
    assert (one, other) == ("False", "False")
    assert inner == "UserError: a search within a trial has one process, its worker's: give it workers = 1"
    assert failed.startswith("a worker cannot load what it is to evaluate: ") and "division by zero" in failed
    assert "Started a local Ray instance" not in done.stderr


@pytest.mark.fault
def test_a_cluster_that_loses_a_vital_part_ends_the_search_with_one_line() -> None:
    """Ray itself is silent for a minute, and then ends the driver with lines of its own."""
    driver = script([0.0, 1000.0, 1000.0])
    assert driver.stdout is not None
    assert driver.stdout.readline().strip() == "running"
    next(process for process in processes(driver) if process.name() == "gcs_server").kill()
    *_, last = driver.communicate(timeout=120)[0].splitlines()
    assert last.startswith("evogan.engine.executors.base.Lost: the Ray cluster is lost: gcs_server has ended")


@pytest.mark.fault
def test_no_worker_is_left_of_a_cluster_whose_driver_is_killed(short: Path) -> None:
    """Ray's own agents take a minute to see it, and do nothing meanwhile. What lies in its folder, the next removes."""
    driver = script([0.0, 1000.0], start_new_session=True, env={**os.environ, "TMPDIR": str(short)})
    assert driver.stdout is not None
    assert driver.stdout.readline().strip() == "running"
    children = {child.pid: child.cmdline() for child in psutil.Process(driver.pid).children(recursive=True)}
    assert sum("ray::Worker" in cmdline[0] for cmdline in children.values()) == 2
    driver.kill()
    driver.wait()
    assert all(gone(pid) for pid, cmdline in children.items() if "Agent" not in cmdline[0])
    (left,) = short.iterdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(short))
        living, other = Folder(), Folder()
        assert set(short.iterdir()) == {living.path, other.path} != {left}
        for folder in (living, other):
            folder.remove()


def test_sockets_have_a_place_with_a_short_path_or_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    folder = Folder()
    assert folder.path.parent == Path("/tmp")
    folder.remove()
    monkeypatch.setattr("evogan.engine.executors.local_cluster.LONGEST", 10)
    with pytest.raises(UserError, match=f"TMPDIR must name a folder with a short path, not {long}, /tmp"):
        Folder()


@pytest.mark.parametrize(
    "address",
    [
        "nonsense",
        "..:6379",
        "h:1:2",
        "h/p:1",
        ":1",
        "127.0.0.1:1",
        "ray://127.0.0.1:1",
        "127.0.0.1:99999",
        "no.such.host.invalid:1",
    ],
)
def test_an_address_where_nothing_is_is_one_clear_line(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(UserError) as error:
        RayExecutor(completed, Resources(ray=address)).submit(trials(1)[0])
    assert address in str(error.value) and "\n" not in str(error.value)


def test_an_address_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr("evogan.engine.executors.cluster.ANSWER", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UserError, match=f"nothing answers at {address} within 0.5 s"):
            RayExecutor(completed, Resources(ray=address)).submit(trials(1)[0])


def test_a_cluster_too_busy_to_let_a_driver_in_is_asked_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def refuse(**options: object) -> None:
        asked.append(options["address"])
        raise ConnectionAbortedError("Initialization failure from server:\nTraceback\nTimeoutError: too slow")

    monkeypatch.setattr("evogan.engine.executors.cluster._check_answer", lambda address: None)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    with pytest.raises(UserError, match=r"Ray at ray://there:1 cannot be joined: TimeoutError: too slow"):
        RayExecutor(completed, Resources(ray="ray://there:1")).submit(*trials(1))
    assert asked == ["ray://there:1"] * 2


def test_a_joined_cluster_is_lost_when_its_address_refuses_for_longer_than_a_restart_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster, "_check_answer", lambda address: None)
    monkeypatch.setattr(cluster, "_join", lambda address, quiet: None)
    monkeypatch.setattr(cluster, "RESTART", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        joined = cluster.Joined(address, {})
        time.sleep(0.3)
        assert joined.lost is None
    assert joined.lost is None
    time.sleep(0.3)
    assert joined.lost == f"what was at {address}"


def test_something_else_at_the_address_is_not_taken_for_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        Thread(target=answer).start()
        with pytest.raises(UserError, match="is not Ray"):
            RayExecutor(completed, Resources(ray=f"127.0.0.1:{server.getsockname()[1]}")).submit(trials(1)[0])


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"gpus_per_trial": 1}, "a trial asks for a GPU, and the cluster has none"),
        ({"gpus_per_trial": "auto"}, "a trial asks for a GPU, and the cluster has none"),
        ({"threads": 64}, "no node has more than 2 CPUs; a trial asks for 64 threads"),
        ({"memory_per_trial": 1e6}, "no node has more than .* GB to lend; a trial asks for 1000000.0 GB"),
    ],
)
def test_more_than_there_is_cannot_be_asked_for(resources: Mapping[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        RayExecutor(completed, Resources(**resources)).submit(trials(1)[0])
