"""The loop: nothing is trained twice, the same result on any number of workers, failures are results."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from threading import Event as Flag

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evogan.engine import Broker, Event, Judge, LocalExecutor, Loop, Pruner, Store, Told
from evogan.engine.executors import Report, Watch
from evogan.engine.history import RunHistory
from evogan.errors import UserError
from evogan.genome import Gene
from evogan.space import Space
from evogan.strategies import Fitness, Point, Proposal, Strategy, make_strategy
from evogan.trial import Evaluation, Limits, Task, Trial
from tests.conftest import TASK, evaluate, mixed_space, score
from tests.test_space import penalised

VALUE = Judge("value")


class ShuffledExecutor:
    """Up to `workers` trials at once, finished in an order that `seed` makes up."""

    def __init__(self, workers: int, seed: int) -> None:
        self.workers, self.rng = workers, random.Random(seed)
        self.queue: list[Trial] = []
        self.trained: list[Trial] = []

    def submit(self, trial: Trial) -> None:
        self.queue.append(trial)

    def limits(self) -> Limits:
        return Limits()

    def wait(self, watch: Watch, timeout: float | None = None) -> tuple[Trial, Evaluation]:
        trial = self.queue.pop(self.rng.randrange(min(self.workers, len(self.queue))))
        watch(Report("started", trial))
        self.trained.append(trial)
        return trial, evaluate(trial)

    def withdraw(self) -> list[Trial]:
        withdrawn, self.queue = self.queue[self.workers :], self.queue[: self.workers]
        return withdrawn

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class Outcome:
    history: list[Told]
    ended: str


def run(
    executor: object,
    *,
    store: Store | None = None,
    name: str = "run",
    strategy: str | Strategy = "ga",
    evaluations: int = 40,
    window: int = 8,
    seed: int = 0,
    space: Space | None = None,
    task: Task = TASK,
    listener: object = None,
    judge: Judge = VALUE,
    stopping: Flag | None = None,
    **more: object,
) -> Outcome:
    space, store = space or mixed_space(), store or Store()
    if name not in store.runs():
        store.add_run(name, document(space, task, judge, more))
    if isinstance(strategy, str):
        strategy = make_strategy(strategy, space, seed, {"population": 8} if strategy == "ga" else {})
    pruner: Pruner | None = more.pop("pruner", None)  # type: ignore[assignment]
    broker = Broker(store, executor, listener or (lambda event: None), pruner=pruner, stopping=stopping)  # type: ignore[arg-type]
    budget = {"evaluations": evaluations, "window": window}
    ended = Loop(name, space, strategy, task, judge, broker, seed=seed, **budget, **more).go()  # type: ignore[arg-type]
    return Outcome(RunHistory(store, name).history, ended)


def document(space: Space, task: Task, judge: Judge, more: dict[str, object]) -> dict[str, object]:
    """What the history of a run needs to know of it."""
    return {
        "space": space.document(),
        "strategy": "of the test",
        "seed": 0,
        "evaluations": 1,
        "confirm": 0,
        "fitness": ",".join(judge.metrics),
        "score": judge.score,
        "average": judge.average,
        "task": task.key,
        "data": task.name,
        "replicates": more.get("replicates", 1),
        "race": more.get("race", False),
        "finalists": 2,
        "reference": [],
    }


def facts(outcome: Outcome) -> list[tuple[object, ...]]:
    return [(t.row.number, t.row.vector, t.row.genome, t.evaluation.status, t.value) for t in outcome.history]


@pytest.mark.parametrize("strategy", ["ga", "random"])
@given(workers=st.integers(1, 20), order=st.integers(0, 10**6), window=st.sampled_from([1, 3, 8]))
@settings(max_examples=15)
def test_same_result_on_any_number_of_workers(strategy: str, workers: int, order: int, window: int) -> None:
    alone = run(LocalExecutor(evaluate), strategy=strategy, window=window)
    many = run(ShuffledExecutor(workers, order), strategy=strategy, window=window)
    assert facts(many) == facts(alone)


@given(st.integers(1, 12))
@settings(max_examples=12)
def test_ask_number_k_comes_when_exactly_the_results_up_to_k_minus_window_were_told(window: int) -> None:
    asked_after = []

    class Watching(Strategy):
        told = 0

        def _ask(self) -> Point:
            asked_after.append(self.told)
            return self._uniform()

        def tell(self, proposal: Proposal, fitness: Fitness) -> None:
            assert proposal.number == self.told
            self.told += 1

    run(ShuffledExecutor(4, 1), strategy=Watching(mixed_space(), 0), evaluations=30, window=window)
    assert asked_after == [max(0, k - window + 1) for k in range(len(asked_after))]


def test_nothing_is_trained_twice() -> None:
    store, executor = Store(), ShuffledExecutor(3, 0)
    run(executor, store=store, name="one", seed=0)
    run(executor, store=store, name="two", seed=1)
    identities = [trial.identity for trial in executor.trained]
    run(executor, store=store, name="again", seed=0)
    assert len(executor.trained) == len(set(identities)) == len(list(store.evaluations()))


def test_a_run_sees_only_what_it_was_told_itself() -> None:
    """A store full of other runs' results changes nothing but the time that it takes."""
    full = Store()
    for seed in range(1, 4):
        run(LocalExecutor(evaluate), store=full, name=f"other{seed}", seed=seed)
    assert facts(run(LocalExecutor(evaluate), store=full)) == facts(run(LocalExecutor(evaluate)))


def test_fidelity_replicate_and_task_make_another_trial() -> None:
    store, executor = Store(), ShuffledExecutor(1, 0)
    broker, genome = Broker(store, executor), mixed_space().decode([0.5] * 4)
    trials = [
        Trial(genome, "key", task, fidelity, replicate)
        for task in (TASK, Task(name="another"))
        for fidelity in (0.5, 1.0)
        for replicate in (0, 1)
    ]
    broker.results(trials * 2)
    assert len(executor.trained) == len(trials) == 8
    assert len({trial.seed for trial in trials}) == 4  # the fidelity does not enter a seed


@pytest.mark.parametrize("strategy", ["ga", "random"])
def test_what_is_told_is_finite_and_a_failure_worse_than_any_completed(strategy: str) -> None:
    told: list[Fitness] = []
    space = mixed_space()
    inner = make_strategy(strategy, space, 3, {"population": 8} if strategy == "ga" else {})
    tell = inner.tell
    inner.tell = lambda p, f: (told.append(f), tell(p, f))[1]  # type: ignore[method-assign,assignment]
    outcome = run(LocalExecutor(evaluate), strategy=inner, space=space, evaluations=60, seed=3)
    assert any(fitness.failed for fitness in told)
    for i, fitness in enumerate(told):
        completed = [earlier.value for earlier in told[:i] if not earlier.failed]
        assert -1e300 < fitness.value < 1e300
        assert fitness.failed == (outcome.history[i].evaluation.status != "completed")
        if fitness.failed and completed:
            assert fitness.value > max(completed)


@pytest.mark.fault
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_no_number_counts_as_a_failure_and_stops_nothing(bad: float) -> None:
    def sometimes(trial: Trial) -> Evaluation:
        value = bad if trial.number in (0, 7) else score(trial.genome)
        return Evaluation(status="completed", scores=({"value": value, "other": 1.0},))

    outcome = run(LocalExecutor(sometimes), evaluations=20)
    assert [told.row.number for told in outcome.history if told.value is None] == [0, 7]
    with pytest.raises(UserError, match="unknown fitness 'vale': did you mean 'value'"):
        run(LocalExecutor(sometimes), judge=Judge("vale"))


def test_everything_failing_is_a_result_too() -> None:
    outcome = run(LocalExecutor(lambda trial: 1 / 0), evaluations=20)  # type: ignore[arg-type,return-value]
    assert {told.evaluation.status for told in outcome.history} == {"crashed"}
    assert outcome.history[0].evaluation.reason == "ZeroDivisionError: division by zero"
    assert all(told.value is None for told in outcome.history)


def test_a_listener_that_fails_ends_the_search_and_is_no_fault_of_the_trial() -> None:
    def reporting(trial: Trial) -> Evaluation:
        try:
            trial.report({"kimg": 1.0})
        except Exception:
            return Evaluation(status="crashed", reason="as a training would")
        return evaluate(trial)

    def broken(event: Event) -> None:
        if event.kind == "progress" and event.trial is not None and event.trial.number == 3:
            raise BrokenPipeError("broken pipe")

    store = Store()
    with pytest.raises(BrokenPipeError):
        run(LocalExecutor(reporting), store=store, listener=broken)
    assert store.count() == 3
    assert facts(run(LocalExecutor(reporting), store=store)) == facts(run(LocalExecutor(reporting)))


def test_failures_are_remembered_and_not_retried() -> None:
    store, executor = Store(), ShuffledExecutor(1, 0)
    for name in ("one", "two"):
        run(executor, store=store, name=name, evaluations=60, seed=3)
    assert any(evaluation.failed for _, _, evaluation in store.evaluations())
    assert len(executor.trained) == len({trial.identity for trial in executor.trained})


class Stuck(Strategy):
    """Always proposes the same point."""

    def _ask(self) -> Point:
        return Point([0.5] * self.space.dimension, "the middle", parents=(0,) if self._asked else ())

    def tell(self, proposal: Proposal, fitness: Fitness) -> None:
        pass


def test_a_strategy_that_repeats_itself_is_pushed_to_a_new_neighbour() -> None:
    space = mixed_space()
    outcome = run(LocalExecutor(evaluate), strategy=Stuck(space, 0), space=space, evaluations=4)
    assert len({told.row.key for told in outcome.history}) == 4
    assert [told.row.number for told in outcome.history if told.row.pushed] == [11, 22, 33]
    assert {(told.row.operator, told.row.parents) for told in outcome.history[1:]} == {("the middle", (0,))}


@pytest.mark.parametrize(
    ("point", "said"),
    [
        (Point((0.5,), ""), r"Wrong proposed \(0.5,\), not 3 numbers from 0 to 1"),
        (Point((0.5, math.nan, 0.5), ""), r"Wrong proposed \(0.5, nan, 0.5\), not 3 numbers from 0 to 1"),
        (Point((0.5, -0.3, 0.5), ""), r"Wrong proposed \(0.5, -0.3, 0.5\), not 3 numbers from 0 to 1"),
        (Point((0.5, 0.5, 1.01), ""), r"Wrong proposed \(0.5, 0.5, 1.01\), not 3 numbers from 0 to 1"),
        (Point((0.5, 0.5, 0.5), "", fidelity=0.5), r"Wrong proposed fidelity 0.5: its fidelities are 1.0"),
        (None, "Wrong waits for results, and none are out"),
    ],
)
def test_a_strategy_of_ones_own_that_is_wrong_gets_one_line(point: Point | None, said: str) -> None:
    class Wrong(Stuck):
        def _ask(self) -> Point:
            return point  # type: ignore[return-value]

    space = Space("three", [Gene(name=name, kind="float", low=0.0, high=1.0) for name in "xyz"])
    with pytest.raises(UserError, match=said):
        run(LocalExecutor(evaluate), strategy=Wrong(space, 0), space=space)


def test_a_space_smaller_than_the_budget_ends_with_the_reason() -> None:
    space = Space("tiny", [Gene(name="x", kind="int", low=1, high=5)])
    executor = LocalExecutor(lambda t: Evaluation(status="completed", scores=({"value": float(t.genome["x"])},)))
    for strategy in ("ga", "random"):
        outcome = run(executor, strategy=strategy, space=space, evaluations=50)
        assert outcome.ended == "the space has only 5 genomes, all evaluated"
        assert {told.row.genome["x"] for told in outcome.history} == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("stop", [0, 1, 7, 8, 9, 20, 39])
def test_stopped_anywhere_a_run_continues_as_if_it_had_not(stop: int) -> None:
    class Stop(Exception):
        pass

    def interrupt(event: Event) -> None:
        if event.kind == "evaluated":
            nonlocal count
            count += 1
            if count > stop:
                raise Stop

    count, store = 0, Store()
    with pytest.raises(Stop):
        run(ShuffledExecutor(3, stop), store=store, listener=interrupt)
    assert facts(run(ShuffledExecutor(5, 1), store=store)) == facts(run(LocalExecutor(evaluate)))


def test_a_longer_budget_goes_on_from_the_shorter() -> None:
    store, executor = Store(), ShuffledExecutor(2, 0)
    run(executor, store=store, evaluations=15)
    before = len(executor.trained)
    assert facts(run(executor, store=store, evaluations=40)) == facts(run(LocalExecutor(evaluate)))
    assert len(executor.trained) - before == 25


def test_a_replay_that_differs_from_the_record_is_refused() -> None:
    store = Store()
    run(LocalExecutor(evaluate), store=store, seed=0)
    with pytest.raises(UserError, match="proposal 0 differs from the recorded one"):
        run(LocalExecutor(evaluate), store=store, seed=1)


def test_a_replay_may_be_rounded_otherwise() -> None:
    """As powers and logarithms are by another processor's libraries; not more than that, and in the vector alone."""
    row = run(LocalExecutor(evaluate), store=Store(), seed=0).history[0].row
    for away, same in ((1e-13, True), (1e-6, False)):
        assert row.repeats(replace(row, vector=tuple(u + away for u in row.vector))) is same
    assert not row.repeats(replace(row, key="another")) and not row.repeats(replace(row, vector=row.vector[:-1]))


def test_history_is_what_was_told() -> None:
    store = Store()
    outcome = run(LocalExecutor(evaluate), store=store)
    history = RunHistory(store, "run").history
    assert [(t.row, t.evaluation, t.value) for t in history] == [
        (t.row, t.evaluation, t.value) for t in outcome.history
    ]


def test_costs_have_no_best_checkpoint() -> None:
    points = tuple({"seconds": float(i), "fid": 9.0 - i} for i in range(1, 5))
    evaluation = Evaluation(status="completed", scores=points)
    assert Judge("seconds").value(evaluation) == 4.0
    assert Judge("fid").value(evaluation) == 5.0


def test_a_strategy_is_told_of_the_point_that_was_judged() -> None:
    """Where genes conflict, too, and one of them moved."""
    space = penalised()
    judged = LocalExecutor(lambda trial: Evaluation(status="completed", scores=({"value": 1.0},)))
    told = run(judged, strategy="random", space=space, evaluations=40).history
    for row in (one.row for one in told):
        at = [pair for pair in zip(space.genes, row.vector, strict=True) if pair[0].name in row.genome]
        assert all(gene.level(u) == row.genome[gene.name] for gene, u in at)
