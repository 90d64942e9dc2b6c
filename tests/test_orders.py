"""Completion order, early stopping, stopping by hand, limits, and two drivers on one store."""

from __future__ import annotations

import random
import resource
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evogan.engine import Broker, Event, Interrupted, Judge, LocalExecutor, Pruner, Store
from evogan.engine.executors import Report, Watch
from evogan.engine.executors.base import Lost
from evogan.engine.executors.memory import capped, free_memory
from evogan.engine.history import RunHistory
from evogan.genome import Genome
from evogan.trial import Evaluation, Limits, Stopped, Task, Trial
from tests.conftest import TASK, evaluate
from tests.test_engine import ShuffledExecutor, facts, run

VALUE = Judge("value")


class Stop(Exception):
    pass


def stop_after(n: int, kind: str = "evaluated") -> Callable[[Event], None]:
    count = 0

    def listen(event: Event) -> None:
        nonlocal count
        count += event.kind == kind
        if count > n:
            raise Stop

    return listen


def numbers(store: Store) -> list[int]:
    return [told.row.number for told in RunHistory(store, "run").history]


# --- completion order


def test_results_are_told_as_they_come() -> None:
    store = Store()
    outcome = run(ShuffledExecutor(4, 0), store=store, strategy="random", order="completion", evaluations=60)
    told = [t.row.number for t in outcome.history]
    assert told != sorted(told)
    assert sorted(told) == list(range(len(told)))
    assert [t.number for t in store.tells("run")] == told


def test_a_slow_trial_holds_up_nobody() -> None:
    """While proposal 0 runs, all the others are asked, trained and told."""

    class SlowFirst(ShuffledExecutor):
        def wait(self, watch: Watch, timeout: float | None = None) -> tuple[Trial, Evaluation]:
            trial = self.queue.pop(1 if len(self.queue) > 1 else 0)
            self.trained.append(trial)
            return trial, evaluate(trial)

    for order in ("completion", "number"):
        outcome = run(SlowFirst(2, 0), strategy="random", order=order, evaluations=30, window=4)
        told = [t.row.number for t in outcome.history]
        assert told[-1] == (0 if order == "completion" else len(told) - 1)


@pytest.mark.parametrize("strategy", ["ga-steady", "random", "ga"])
@given(stop=st.integers(0, 39), order=st.integers(0, 10**6), workers=st.integers(1, 12))
@settings(max_examples=10)
def test_a_stopped_run_repeats_its_completion_order(strategy: str, stop: int, order: int, workers: int) -> None:
    store = Store()
    options = {"strategy": strategy, "order": "completion", "store": store, "window": 12}
    with pytest.raises(Stop):
        run(ShuffledExecutor(workers, order), listener=stop_after(stop), **options)  # type: ignore[arg-type]
    before = facts_of(store)
    resumed = run(ShuffledExecutor(workers, order + 1), **options)  # type: ignore[arg-type]
    assert facts(resumed)[: len(before)] == before
    executor = ShuffledExecutor(1, 0)
    again = run(executor, **options)  # type: ignore[arg-type]
    assert facts(again) == facts(resumed)
    assert executor.trained == []


def facts_of(store: Store) -> list[tuple[object, ...]]:
    history = RunHistory(store, "run").history
    return [(t.row.number, t.row.vector, t.row.genome, t.evaluation.status, t.value) for t in history]


def test_replicates_and_races_are_complete_before_they_are_told() -> None:
    for race in (False, True):
        store = Store()
        executor = ShuffledExecutor(5, 3)
        more = {"replicates": 3, "race": race, "order": "completion", "store": store, "evaluations": 40}
        outcome = run(executor, strategy="random", **more)  # type: ignore[arg-type]
        counts = {len(told.evaluations) for told in outcome.history}
        assert counts == ({1, 2, 3} if race else {3}) or (race and counts == {1, 3})
        again = run(ShuffledExecutor(1, 0), strategy="random", **more)  # type: ignore[arg-type]
        assert facts(again) == facts(outcome)


# --- early stopping


def curve_trial(i: int, task: Task = TASK) -> Trial:
    return Trial(Genome({"x": i}), f"key{i}", task)


def test_the_median_rule() -> None:
    pruner = Pruner("median", VALUE)
    for i, value in enumerate((1.0, 2.0, 3.0, 4.0)):
        done = Evaluation(status="completed", scores=({"value": value, "fidelity": 0.5},) * 2)
        pruner.learn(curve_trial(i), done)

    def stops(i: int, *curve: float, checkpoint: int = 1) -> bool:
        stopped = False
        for at, value in enumerate(curve, checkpoint):
            stopped = pruner.stops(curve_trial(i), {"value": value, "fidelity": at / 4, "checkpoint": at})
        return stopped

    assert not stops(10, 2.4)  # the median is 2.5
    assert not stops(11, 2.0, 9.0)  # its best so far counts
    assert stops(12, 2.9)  # of 1, 2, 2, 2.4, 3, 4
    assert not stops(13, 99.0, checkpoint=4)  # at its end nothing is to be gained


def test_the_halving_rule_lets_the_best_third_go_on() -> None:
    pruner = Pruner("halving", VALUE)
    stopped = [
        pruner.stops(curve_trial(i), {"value": float(value), "fidelity": 0.25, "checkpoint": 1})
        for i, value in enumerate((5, 1, 9, 7, 2, 8, 6, 0))
    ]
    # the first four have too few to be held against; 2 is second of five, 8 and 6 are far behind, 0 is the best
    assert stopped == [False, False, False, False, False, True, True, False]


def in_quarters(trial: Trial) -> Evaluation:
    """An evaluator whose value falls to that of the genome, quarter by quarter; it stops when told to."""
    whole = evaluate(trial)
    scores: list[dict[str, float]] = []
    try:
        for checkpoint in range(1, 5):
            value = (whole.metric("value") or 0.0) + 4 - checkpoint
            scores.append({"value": value, "fidelity": checkpoint / 4})
            trial.report(scores[-1] | {"checkpoint": checkpoint})
    except Stopped:
        return replace(whole, scores=tuple(scores), fidelity=scores[-1]["fidelity"])
    return replace(whole, scores=tuple(scores)) if not whole.failed else whole


@pytest.mark.parametrize("rule", ["median", "halving"])
def test_pruned_trials_cost_less_and_are_never_the_best(rule: str) -> None:
    store, trained = Store(), []

    def counted(trial: Trial) -> Evaluation:
        trained.append(trial)
        return in_quarters(trial)

    def go(executor: object) -> object:
        return run(executor, store=store, strategy="random", pruner=Pruner(rule, VALUE), evaluations=20)  # type: ignore[arg-type]

    outcome = go(LocalExecutor(counted))
    pruned = [told for told in outcome.history if told.pruned]  # type: ignore[attr-defined]
    assert pruned and {told.fidelity for told in pruned} <= {0.25, 0.5, 0.75}
    history = RunHistory(store, "run")
    assert history.spent[-1] == pytest.approx(20, abs=1)
    assert len(history.history) > 25
    assert not {told.row.key for told in pruned} & {told.row.key for told in history.ranking}
    for told in pruned:  # recorded as what it is: an evaluation at a lower fidelity
        assert store.find(told.row.identity()) is None
        assert store.find(told.identity(0)) is not None
    # a second time every decision is repeated, and nothing is trained
    before = len(trained)
    assert facts(go(LocalExecutor(counted))) == facts(outcome)  # type: ignore[arg-type]
    assert len(trained) == before


# --- memory


@pytest.mark.skipif(sys.platform != "linux", reason="no other system caps a process")
def test_what_needs_more_memory_than_is_free_fails_alone_and_leaves_what_it_took() -> None:
    def greedy(trial: Trial) -> Evaluation:
        hoard = [np.empty(2**28, np.uint8)]
        while trial.genome["x"] == 1:
            hoard.append(np.empty(2**28, np.uint8))  # never touched: it costs the machine nothing
        return Evaluation(status="completed", scores=({"value": 0.0},))

    before, executor = resource.getrlimit(resource.RLIMIT_DATA), LocalExecutor(greedy)
    found = [Broker(Store(), executor).result(Trial(Genome({"x": i}), f"key{i}", TASK)) for i in range(3)]
    assert [one.status for one in found] == ["completed", "out_of_memory", "completed"]
    assert found[1].limits == executor.limits() and found[1].limits.memory < psutil.virtual_memory().total
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    one, other = capped(free_memory()), capped(free_memory())
    one.__enter__()
    other.__enter__()  # of another thread, that ends later
    one.__exit__(None, None, None)
    assert resource.getrlimit(resource.RLIMIT_DATA) != before
    other.__exit__(None, None, None)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


# --- stopping by hand


@pytest.mark.parametrize("moment", [0, 3, 17])
def test_asked_to_stop_it_finishes_what_runs_and_can_go_on(moment: int) -> None:
    store, stopping, seen = Store(), threading.Event(), []

    def listen(event: Event) -> None:
        seen.append(event.kind)
        if seen.count("evaluated") == moment and event.kind == "started":
            stopping.set()

    executor = ShuffledExecutor(3, 1)
    with pytest.raises(Interrupted):
        run(executor, store=store, listener=listen, stopping=stopping, strategy="random")
    assert "stopping" in seen
    assert len(executor.trained) <= moment + 1 + 3
    assert len(executor.trained) == store.count()  # what had begun was recorded
    assert executor.queue == []
    assert facts(run(ShuffledExecutor(3, 2), store=store, strategy="random")) == facts(
        run(LocalExecutor(evaluate), strategy="random")
    )


@pytest.mark.parametrize("asked", [True, False])
def test_what_is_stopped_together_with_its_cluster_has_lost_nothing(asked: bool) -> None:
    stopping = threading.Event()
    if asked:
        stopping.set()
    broker = Broker(Store(), LocalExecutor(evaluate), stopping=stopping)
    with pytest.raises(Interrupted if asked else Lost), broker.stopped_together():
        raise Lost("the cluster is lost")


# --- limits


class Limited(LocalExecutor):
    """Times out what takes longer than it offers; a trial takes as many seconds as its genome says."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.trained = seconds, 0
        super().__init__(self._end)

    def limits(self) -> Limits:
        return Limits(self.seconds, 1e9)

    def _end(self, trial: Trial) -> Evaluation:
        self.trained += 1
        if float(trial.genome["x"]) > self.seconds:
            return Evaluation(status="timed_out", limits=Limits(self.seconds))
        return Evaluation(status="completed", scores=({"value": 1.0},))


def test_a_time_out_answers_only_those_who_offer_no_more() -> None:
    store, trial = Store(), Trial(Genome({"x": 90}), "key", TASK)
    for seconds, status, trained in (
        (60, "timed_out", 1),
        (60, "timed_out", 0),  # known
        (30, "timed_out", 0),
        (80, "timed_out", 1),  # more was offered
        (100, "completed", 1),
        (60, "timed_out", 0),  # whoever offered 60 is told again what was told then
        (200, "completed", 0),
    ):
        executor = Limited(seconds)
        assert Broker(store, executor).result(trial).status == status
        assert executor.trained == trained
    assert [e.status for e in store.answers(trial.identity)] == ["timed_out", "timed_out", "completed"]


# --- two drivers


def test_what_another_driver_trains_is_awaited(runs: Path) -> None:
    one, two = Store(runs), Store(runs)
    begun, go_on = threading.Event(), threading.Event()

    def slow(trial: Trial) -> Evaluation:
        begun.set()
        go_on.wait(60)
        return Evaluation(status="completed", scores=({"value": 7.0},))

    trial, heard = curve_trial(1), []
    first = threading.Thread(target=lambda: Broker(one, LocalExecutor(slow)).result(trial))
    first.start()
    begun.wait(60)

    def listen(event: Event) -> None:
        heard.append(event.kind)
        go_on.set()

    def never(trial: Trial) -> Evaluation:
        raise AssertionError

    assert Broker(two, LocalExecutor(never), listen).result(trial).metric("value") == 7.0
    first.join()
    assert heard == ["awaited", "cached"]
    one.leases.close()
    two.leases.close()


@given(st.integers(0, 10**6))
@settings(max_examples=5)
def test_two_runs_at_once_train_nothing_twice(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    """Two threads with a store each; same seed, so that they want the same."""
    folder, trained = tmp_path_factory.mktemp("runs"), []

    def counted(trial: Trial) -> Evaluation:
        trained.append(trial.identity)
        return evaluate(trial)

    histories = {}

    def go(name: str) -> None:
        store = Store(folder)
        histories[name] = facts(run(LocalExecutor(counted), store=store, name=name, evaluations=15, seed=seed))
        store.leases.close()

    threads = [threading.Thread(target=go, args=(name,)) for name in ("a", "b")]
    random.Random(seed).shuffle(threads)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert histories["a"] == histories["b"]
    assert len(trained) == len(set(trained))


def test_reports_name_the_trial_they_are_of() -> None:
    heard: list[Report] = []
    executor = LocalExecutor(in_quarters)
    executor.submit(Trial(Genome({"rate": 0.1, "width": 3, "kind": "a"}), "k", TASK))
    executor.wait(lambda report: bool(heard.append(report)))
    assert [r.kind for r in heard] == ["started", *["progress"] * 4]
    assert {r.trial.key for r in heard} == {"k"}
