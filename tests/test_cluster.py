"""Trials on a cluster of several nodes: packed, shared out, and none lost with a node. All on this machine."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import ray
from ray.cluster_utils import Cluster

import evogan
from evogan.engine.executors import on_ray, ray_workers
from evogan.engine.executors.on_ray import RayExecutor
from evogan.engine.executors.placement import ALONE
from evogan.errors import UserError
from evogan.genome import Genome
from evogan.settings.resources import Resources
from evogan.trial import Evaluation, Task, Trial

SMALL: dict[str, Any] = {"object_store_memory": 10**8}
with socket.create_server(("127.0.0.1", 0)) as free:
    CLIENT = free.getsockname()[1]  # the port for drivers from outside


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head with one CPU, a node with two, and one with four and two GPUs that are none."""
    quick = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 4}
    head = {"include_dashboard": False, "ray_client_server_port": CLIENT, "_system_config": quick}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **head, **SMALL})
    cluster.add_node(num_cpus=2, **SMALL)
    cluster.add_node(num_cpus=4, num_gpus=2, **SMALL)
    here = sys.modules[__name__]
    ray.cloudpickle.register_pickle_by_value(here)
    yield cluster
    ray.cloudpickle.unregister_pickle_by_value(here)
    cluster.shutdown()


def trials(n: int, **genes: Any) -> list[Trial]:
    return [Trial(Genome({"x": i, **genes}), f"key{i}", Task(name="cluster")) for i in range(n)]


def answers(executor: RayExecutor, trials: list[Trial], reports: list[Any] | None = None) -> dict[str, Evaluation]:
    heard: list[Any] = [] if reports is None else reports
    for trial in trials:
        executor.submit(trial)
    found: dict[str, Evaluation] = {}
    while len(found) < len(trials):
        finished = executor.wait(lambda report: bool(heard.append(report)))
        assert finished is not None and finished[0].key not in found
        found[finished[0].key] = finished[1]
    return found


def where(trial: Trial) -> Evaluation:
    """Takes a moment, and says where it was."""
    time.sleep(0.3)
    node = ray.get_runtime_context().get_node_id()
    copies = [path for path in sys.path if "runtime_resources" in path and (Path(path) / "evogan").is_dir()]
    provenance = {"node": node, "pid": os.getpid(), "copies": copies, "evogan": evogan.__file__}
    return Evaluation(status="completed", scores=({"value": float(trial.genome["x"])},), provenance=provenance)


@contextmanager
def no_draws() -> Iterator[None]:
    """Ray's cluster for tests draws from Python's global generator when it changes."""
    state = random.getstate()
    yield
    random.setstate(state)


def ended(pid: int) -> bool:
    for _ in range(200):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.1)
    return False


def test_a_cluster_is_joined_used_and_left_with_nothing_on_it(cluster: Cluster) -> None:
    """The package travels along: its nodes need not have it."""
    package = Path(evogan.__file__).parent
    features = {path.relative_to(package) for path in package.rglob("*.safetensors")}
    executor = RayExecutor(where, Resources(ray=cluster.address))
    executor.limits()  # all are ready
    found = answers(executor, trials(21)).values()
    executor.close()
    assert not ray.is_initialized()
    assert len({evaluation.provenance["node"] for evaluation in found}) == 3
    assert len({evaluation.provenance["pid"] for evaluation in found}) == 7
    copies = {Path(copy) for evaluation in found for copy in evaluation.provenance["copies"]}
    assert features and copies and all((copy / "evogan" / path).is_file() for copy in copies for path in features)
    assert all(ended(evaluation.provenance["pid"]) for evaluation in found)


def test_a_driver_outside_the_cluster_joins_it_through_its_client_port(cluster: Cluster) -> None:
    """Its paths are not the cluster's: workers find the package that travelled along."""
    executor = RayExecutor(where, Resources(ray=f"ray://127.0.0.1:{CLIENT}", workers=2))
    found = answers(executor, trials(4)).values()
    executor.close()
    assert {evaluation.status for evaluation in found} == {"completed"}
    assert all("runtime_resources" in evaluation.provenance["evogan"] for evaluation in found)
    assert all(ended(evaluation.provenance["pid"]) for evaluation in found)


def test_no_more_workers_than_asked_for(cluster: Cluster) -> None:
    executor = RayExecutor(where, Resources(ray=cluster.address, workers=2))
    found = answers(executor, trials(6)).values()
    executor.close()
    assert len({evaluation.provenance["pid"] for evaluation in found}) <= 2


def test_data_lies_once_on_a_node_and_is_not_copied(cluster: Cluster) -> None:
    class Holds:
        def __init__(self) -> None:
            self.data = np.arange(5 * 10**6)

        def __call__(self, trial: Trial) -> Evaluation:
            copied = self.data.flags.owndata or self.data.flags.writeable
            return Evaluation(status="completed", provenance={"copied": copied, "sum": int(self.data.sum())})

    evaluate = Holds()
    executor = RayExecutor(evaluate, Resources(ray=cluster.address, workers=4))
    executor.limits()
    found = answers(executor, trials(8)).values()
    executor.close()
    assert all(evaluation.provenance == {"copied": False, "sum": int(evaluate.data.sum())} for evaluation in found)


@pytest.mark.fault
def test_a_node_leaves_and_another_comes_and_nothing_is_lost(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_workers, "POLL", 0.5)
    with no_draws():
        first = cluster.add_node(num_cpus=2, **SMALL)
    executor = RayExecutor(where, Resources(ray=cluster.address))
    executor.limits()
    work = trials(1000)
    for trial in work[:40]:
        executor.submit(trial)
    number = 40
    removed = added = False
    reports: list[Any] = []
    found: dict[str, Evaluation] = {}
    new_node = None
    while len(found) < number:
        finished = executor.wait(lambda report: bool(reports.append(report)))
        assert finished is not None and finished[0].key not in found
        found[finished[0].key] = finished[1]
        if not removed and any(e.provenance["node"] == first.node_id for e in found.values()):
            with no_draws():
                cluster.remove_node(first)
            removed = True
        if removed and not added and any(report.kind == "retried" for report in reports):
            with no_draws():
                new_node = cluster.add_node(num_cpus=3, **SMALL)
            added = True
        used = {evaluation.provenance["node"] for evaluation in found.values()}
        if number < len(work) and (new_node is None or new_node.node_id not in used):  # on, until it is seen
            executor.submit(work[number])
            number += 1
    executor.close()
    assert new_node is not None
    with no_draws():
        cluster.remove_node(new_node)
    assert {report.reason for report in reports if report.kind == "retried"} == {"its worker was lost"}
    assert {key: e.metric("value") for key, e in found.items()} == {t.key: float(t.genome["x"]) for t in work[:number]}
    assert new_node.node_id in {evaluation.provenance["node"] for evaluation in found.values()}


def test_trials_that_share_gpus_by_memory_never_have_more_than_there_is(cluster: Cluster, tmp_path: Path) -> None:
    """A GPU here is half of its node, since nobody knows better."""
    device = ray_workers.GPU * psutil.virtual_memory().total / 2
    gigabytes = [0.2, 0.4, 0.7, 1.2]  # of its GPU, the last more than all

    def logged(trial: Trial) -> Evaluation:
        entry = {"gpu": ray.get_gpu_ids(), "share": trial.genome["share"], "from": time.monotonic()}
        time.sleep(0.4)
        entry["to"] = time.monotonic()
        (tmp_path / trial.key).write_text(json.dumps(entry))
        return Evaluation(status="completed", cost={"gpu_memory": 1.0, "seconds": 1.0})

    cost = {s: {"gpu_memory": s * device - on_ray.CONTEXT} for s in gigabytes}
    history = [(Genome({"share": s}), 1.0, cost[s]) for s in gigabytes for _ in range(9)]
    executor = RayExecutor(logged, Resources(ray=cluster.address, gpus_per_trial="auto"))
    executor.learn(history)
    work = [Trial(Genome({"share": gigabytes[i % 4]}), f"key{i}", Task(name="gpus")) for i in range(24)]
    found = answers(executor, work)
    executor.close()
    assert {evaluation.status for evaluation in found.values()} == {"completed"}
    entries = [json.loads(path.read_text()) for path in tmp_path.iterdir()]
    most = 0
    for entry in entries:
        assert len(entry["gpu"]) == 1
        together = [e["share"] for e in entries if e["gpu"] == entry["gpu"] and e["from"] <= entry["from"] < e["to"]]
        assert len(together) == 1 or sum(together) < 1
        most = max(most, len(together))
    assert most == 2  # four CPUs for two GPUs
    assert {entry["gpu"][0] for entry in entries} == {0, 1} or {entry["gpu"][0] for entry in entries} == {"0", "1"}


def test_before_anything_is_known_of_their_memory_trials_have_a_gpu_alone(cluster: Cluster) -> None:
    executor = RayExecutor(where, Resources(ray=cluster.address, gpus_per_trial="auto"))
    executor.limits()
    for trial in trials(4):
        executor.submit(trial)
    running = [worker for worker in executor._workers.all if worker.job is not None]
    assert len({worker.location.gpus for worker in running if worker.location}) == len(running) == 2
    assert set(executor._placement._holds.values()) == {ALONE}
    assert executor.limits().memory == pytest.approx(ray_workers.GPU * psutil.virtual_memory().total / 2)
    executor.close()


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"gpus_per_trial": 3}, "the cluster has 2 GPUs; a trial asks for 3"),
        ({"gpus_per_trial": 1, "workers": 3}, "the cluster has 2 GPUs; 3 workers ask for 1 each"),
        ({"gpus_per_trial": 0.5, "threads": 3}, None),
        ({"threads": 5}, "no node has more than 4 CPUs; a trial asks for 5 threads"),
    ],
)
def test_more_gpus_than_exist_cannot_be_asked_for(
    cluster: Cluster, resources: dict[str, Any], message: str | None
) -> None:
    executor = RayExecutor(where, Resources(ray=cluster.address, **resources))
    if message is None:
        assert len(answers(executor, trials(2))) == 2
    else:
        with pytest.raises(UserError, match=message):
            executor.submit(trials(1)[0])
    executor.close()
    assert not ray.is_initialized()


def test_a_search_that_asks_for_more_gpus_than_exist_is_one_line_and_leaves_nothing(
    cluster: Cluster, tmp_path: Path
) -> None:
    options = ["--ray", cluster.address, "--device", "cuda", "--gpus-per-trial", "3", "--runs", str(tmp_path / "runs")]
    command = [sys.executable, "-m", "evogan", "search", "wdcgan", *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "evogan: the cluster has 2 GPUs; a trial asks for 3\n"
    assert list(tmp_path.iterdir()) == []


SCRIPT = """
import sys, time
from evogan.engine.executors.on_ray import RayExecutor
from evogan.settings.resources import Resources
from evogan.genome import Genome
from evogan.trial import Evaluation, Task, Trial

def endless(trial):
    time.sleep(1000)

executor = RayExecutor(endless, Resources(workers=2, ray=sys.argv[1]))
executor.submit(Trial(Genome({}), "key", Task(name="x")))
executor.wait(lambda report: print(report.where, flush=True))
"""


@pytest.mark.fault
def test_a_driver_that_is_killed_leaves_no_trial_on_the_cluster(cluster: Cluster) -> None:
    with subprocess.Popen([sys.executable, "-c", SCRIPT, cluster.address], stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        pid = int(driver.stdout.readline().split()[-1])
        assert psutil.pid_exists(pid)
        driver.kill()
    assert ended(pid)
