"""What a run spends its budget on: replicates, races, lower fidelities, seeds; and several objectives."""

from __future__ import annotations

import io
import itertools
import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

import evogan
from evogan.engine import Broker, Event, Judge, LocalExecutor, Loop, Replication, Store, carry_out
from evogan.engine.history import RunHistory
from evogan.engine.pareto import ranks, spread_out
from evogan.errors import UserError
from evogan.genome import Gene
from evogan.monitor import SearchProgress
from evogan.monitor.tally import Tally
from evogan.space import Space
from evogan.strategies import Fitness, Point, Proposal, Strategy, make_strategy
from evogan.trial import FRESH, STATE, Evaluation, Trial
from tests.conftest import TASK, evaluate, mixed_space, score
from tests.test_engine import Outcome, ShuffledExecutor, document, facts, run
from tests.test_nsga2 import dominates


def noisy(trial: Trial) -> Evaluation:
    """Another value for each replicate; some fail."""
    if trial.seed % 11 == 0:
        return Evaluation(status="diverged")
    return Evaluation(status="completed", scores=({"value": score(trial.genome) + trial.seed % 1000 / 500},))


def values(*found: float | None) -> list[Evaluation]:
    return [
        Evaluation(status="crashed") if v is None else Evaluation(status="completed", scores=({"value": v},))
        for v in found
    ]


class Recording(LocalExecutor):
    def __init__(self) -> None:
        super().__init__(noisy)
        self.trained: list[Trial] = []

    def submit(self, trial: Trial) -> None:
        self.trained.append(trial)
        super().submit(trial)


# --- replicates


def test_the_mean_forgives_no_failure_and_the_median_fewer_than_half() -> None:
    mean, median = Judge("value"), Judge("value", average="median")
    assert mean.over(values(1, 2, 6)) == (3.0,)
    assert median.over(values(1, 2, 6)) == (2.0,)
    assert mean.over(values(1, 2, None)) is None
    assert median.over(values(1, 2, None)) == (2.0,)
    assert median.over(values(1, None)) is None
    assert median.over(values(1, None, None)) is None


def test_one_that_completed_stands_for_what_completed() -> None:
    """By the median a genome has a fitness though its first training failed."""

    def first_fails(trial: Trial) -> Evaluation:
        return Evaluation(status="diverged", reason="at first") if trial.replicate == 0 else evaluate(trial)

    store, judge = Store(), Judge("value", average="median")
    outcome = run(LocalExecutor(first_fails), store=store, evaluations=12, replicates=3, judge=judge)
    done = [told for told in outcome.history if told.values is not None]
    assert done and {told.evaluation.status for told in done} == {"completed"}
    assert {told.standing for told in done} == {1}
    failed = [told for told in outcome.history if told.values is None]
    assert all(told.evaluation.failed for told in failed)
    table = RunHistory(store, "run").to_dataframe()
    assert (table["status"] == "completed").tolist() == table["fitness"].notna().tolist()


def test_every_genome_gets_its_replicates_and_each_costs() -> None:
    executor = Recording()
    outcome = run(executor, evaluations=30, replicates=3)
    assert set(Counter(trial.key for trial in executor.trained).values()) == {3}
    assert len(executor.trained) == 30
    for told in outcome.history:
        single = [Judge("value").value(evaluation) for evaluation in told.evaluations]
        expected = None if None in single else statistics.fmean(v for v in single if v is not None)
        assert told.value == pytest.approx(expected)


def test_a_race_spends_replicates_on_the_lead_only() -> None:
    executor, store = Recording(), Store()
    outcome = run(executor, store=store, evaluations=60, strategy="random", replicates=4, race=True)
    lead = None
    for told in outcome.history:
        averages = [Judge("value").over(told.evaluations[:n]) for n in range(1, len(told.evaluations) + 1)]
        for average in averages[:-1]:  # each further replicate was earned
            assert average is not None
            assert lead is None or average[0] <= lead
        last = averages[-1]
        if len(told.evaluations) < 4:
            assert last is None or (lead is not None and last[0] > lead)
        elif last is not None:
            lead = last[0] if lead is None else min(lead, last[0])
    assert 60 <= len(executor.trained) < 64
    counts = Counter(len(told.evaluations) for told in outcome.history)
    assert counts[1] > counts[4] > 0
    assert [(t.row, t.values) for t in RunHistory(store, "run").history] == [(t.row, t.values) for t in outcome.history]
    assert RunHistory(store, "run").spent[-1] == len(executor.trained)


@given(workers=st.integers(1, 9), order=st.integers(0, 10**6))
@settings(max_examples=15)
def test_a_race_is_the_same_on_any_number_of_workers(workers: int, order: int) -> None:
    budget = {"evaluations": 15, "strategy": "ga-steady", "replicates": 3, "race": True}
    executor = ShuffledExecutor(workers, order)
    assert facts(run(executor, **budget)) == facts(run(LocalExecutor(evaluate), **budget))  # type: ignore[arg-type]


def test_genomes_race_within_their_fidelity() -> None:
    replication = Replication(Judge("value"), 2, race=True)
    good, bad = values(1.0, 1.0), values(5.0, 5.0)
    assert replication.gather(1.0, good.__getitem__) == good
    replication.enter(1.0, good)
    assert replication.gather(1.0, bad.__getitem__) == bad[:1]
    assert replication.gather(0.5, bad.__getitem__) == bad


# --- fidelity


class Ladder(Strategy):
    """Each new point at every fidelity of a ladder."""

    LADDER = (0.25, 0.5, 1.0)

    def ask(self) -> Proposal:
        step, rung = divmod(self._asked, len(self.LADDER))
        self._asked += 1
        return Proposal(self._asked - 1, ((step % 50 + 0.5) / 50,), self.LADDER[rung])

    def _ask(self) -> Point:
        raise NotImplementedError

    def tell(self, proposal: Proposal, fitness: Fitness) -> None:
        pass


LINE = Space("line", [Gene(name="x", kind="int", low=0, high=49)])


def by_fidelity(trial: Trial) -> Evaluation:
    return Evaluation(status="completed", scores=({"value": float(trial.genome["x"]) - 100 * (trial.fidelity < 1)},))


def test_going_on_costs_the_difference() -> None:
    store = Store()
    outcome = run(LocalExecutor(by_fidelity), store=store, strategy=Ladder(LINE, 0), space=LINE, evaluations=10)
    assert len(outcome.history) == 30
    history = RunHistory(store, "run")
    assert history.spent == [i // 3 + Ladder.LADDER[i % 3] for i in range(30)]
    assert [told.value for told in history.ranking] == list(range(10)), "only the highest fidelity ranks"


def test_progress_is_what_was_spent() -> None:
    said = io.StringIO()
    with SearchProgress(10, Console(file=said), "value") as progress:
        run(LocalExecutor(by_fidelity), strategy=Ladder(LINE, 0), space=LINE, evaluations=10, listener=progress)
    assert said.getvalue().splitlines()[0].startswith("1/10 3 evaluated")
    assert said.getvalue().splitlines()[-1].startswith("10/10 30 evaluated, 0 cached, 0 failed, best value")


def test_whoever_looks_on_has_the_account_of_the_run() -> None:
    """The loop keeps it by what it asks, a listener by what it hears, the history by what was recorded."""

    def with_failures(trial: Trial) -> Evaluation:
        return replace(noisy(trial), cost={"seconds": 1.0 + trial.seed % 7})

    store, tally = Store(), Tally()
    more = {"strategy": "random", "replicates": 2, "race": True, "seed": 3}
    run(LocalExecutor(with_failures), store=store, evaluations=30, listener=tally.add, **more)  # type: ignore[arg-type]
    history = RunHistory(store, "run")
    heard = tally.account
    assert history.costs[-1] == (heard.spent, heard.seconds, heard.failed.total())
    assert heard.failed.keys() == {"diverged"} and heard.spent >= 30
    assert history.costs == sorted(history.costs), "what is spent stays spent"
    over = run(LocalExecutor(with_failures), evaluations=30, total_seconds=history.seconds[9], **more)  # type: ignore[arg-type]
    assert over.ended == f"{history.seconds[9]:g} seconds of training"
    assert 10 <= len(over.history) < 10 + 8, "and those that were under way"


def test_a_run_is_carried_out_in_one_order() -> None:
    """Search, finalists, fresh replicates of these and the references; and what trainings would go on from is gone."""
    store, heard = Store(), list[Event]()

    def leaving(trial: Trial) -> Evaluation:
        return replace(by_fidelity(trial), files={STATE: b"where it stopped"} if trial.fidelity < 1 else {})

    store.add_run("run", document(LINE, TASK, Judge("value"), {}) | {"confirm": 2})
    broker = Broker(store, LocalExecutor(leaving), heard.append)
    loop = Loop("run", LINE, Ladder(LINE, 0), TASK, Judge("value"), broker, seed=0, evaluations=5, window=4)
    found = carry_out(loop, 2, 2, [LINE.decode([0.5])])
    assert [c.name for c in found.confirmations] == ["evolved #2", "evolved #5"]
    assert [(event.value, event.trial) for event in heard if event.kind == "checking"] == [(6, None)]
    at = next(i for i, event in enumerate(heard) if event.kind == "checking")
    checks = [event.trial for event in heard[at:] if event.kind == "evaluated"]
    assert len(checks) == 6 and all(trial is not None and trial.replicate >= FRESH for trial in checks)
    assert not any(trial.replicate >= FRESH for event in heard[:at] if (trial := event.trial) is not None)
    assert not list(store.folder.rglob(STATE))


def test_a_small_space_ends_whatever_the_fidelity() -> None:
    outcome = run(LocalExecutor(by_fidelity), strategy=Ladder(LINE, 0), space=LINE, evaluations=100)
    assert outcome.ended == "the space has only 50 genomes, all evaluated"

    class Low(Ladder):
        LADDER = (0.5,)

    outcome = run(LocalExecutor(by_fidelity), strategy=Low(LINE, 0), space=LINE, evaluations=100)
    assert outcome.ended == "the space has only 50 genomes, and nothing new was proposed"


@pytest.mark.parametrize("strategy", ["assisted", "successive-halving", "dehb", "hyperband"])
def test_a_search_that_exhausted_its_space_is_finished(strategy: str) -> None:
    space = Space("few", [Gene(name="x", kind="int", low=1, high=4), Gene(name="y", kind="choice", values=("a", "b"))])

    def objective(genes: Mapping[str, Any], fidelity: float) -> float:
        return float((genes["x"] - 3) ** 2 + (genes["y"] == "a") + 0.1 / fidelity)

    options = {"fidelities": (0.25, 1.0)} if strategy == "assisted" else {}
    found = evogan.search(space, objective=objective, strategy=strategy, options=options, evaluations=60, workers=1)
    assert found.spent[-1] < 60 and not found.unfinished and found.is_through
    if strategy == "assisted":  # it goes on with what it began while there is nothing new to begin
        assert len({told.row.key for told in found.history if told.fidelity == 1}) == space.size


@pytest.mark.parametrize("window", [1, 8, 32])
@pytest.mark.parametrize("strategy", ["auto", "assisted", "successive-halving", "dehb", "hyperband"])
def test_a_few_genomes_are_all_trained_in_full(strategy: str, window: int) -> None:
    """Whatever is out when nothing new is left may be gone on with."""
    space = Space("three", [Gene(name="x", kind="choice", values=("a", "b", "c"))])

    def objective(genes: Mapping[str, Any], fidelity: float) -> float:
        return float("abc".index(genes["x"]) + 0.1 / fidelity)

    options = {"fidelities": (0.25, 1.0), "initial": 20} if strategy == "assisted" else {}
    asked: dict[str, Any] = {"strategy": strategy, "options": options, "evaluations": 40, "window": window}
    found = evogan.search(space, objective=objective, workers=1, **asked)
    assert {told.row.genome["x"] for told in found.history if told.row.fidelity == 1} == {*"abc"}
    assert not found.unfinished


@pytest.mark.parametrize(
    ("strategy", "first", "then"), [("l-shade", 20, 40), ("auto", 8, 40), ("auto", 40, 1001), ("auto", 1001, 1010)]
)
def test_a_search_goes_on_with_what_its_first_budget_came_to(
    strategy: str, first: int, then: int, tmp_path: Path
) -> None:
    """Though another budget would choose otherwise."""
    grid = Space("line", [Gene(name="x", kind="float", low=0.0, high=1.0, levels=9)])

    def bowl(genes: Mapping[str, Any], fidelity: float) -> float:
        return float(genes["x"]) + fidelity

    asked: dict[str, Any] = {"task": "bowl", "runs": tmp_path, "name": "a", "workers": 1}
    begun = evogan.search(grid, objective=bowl, strategy=strategy, evaluations=first, **asked)
    found = evogan.search(grid, objective=bowl, strategy=strategy, evaluations=then, **asked)
    assert found.settings.evaluations == then
    assert (found.settings.strategy, found.settings.options) == (begun.settings.strategy, begun.settings.options)
    with pytest.raises(UserError, match="another strategy"):
        evogan.search(grid, objective=bowl, strategy="ga", evaluations=then, **asked)


def test_held_out_data_choose_the_best_where_more_is_better() -> None:
    """`validation_` before its name makes no other metric of it."""
    shares = {FRESH: 0.3, FRESH + 1: 0.9, FRESH + 2: 0.6}

    def nmi(trial: Trial) -> Evaluation:
        share = shares.get(trial.replicate, 0.5)
        point = {"fidelity": 1.0, "nmi": share} | ({"validation_nmi": share} if trial.replicate >= FRESH else {})
        return Evaluation(status="completed", scores=(point,))

    store, judge = Store(), Judge("nmi")
    store.add_run("run", document(LINE, TASK, judge, {}) | {"confirm": 3})
    broker = Broker(store, LocalExecutor(nmi), choice=judge.choice)
    strategy = make_strategy("random", LINE, 0)
    found = carry_out(Loop("run", LINE, strategy, TASK, judge, broker, seed=0, evaluations=4, window=2), 1, 3)
    assert found.best is not None
    best = found.best_training(found.best.row.key)
    assert best is not None and best.identity[3] == FRESH + 1


def test_the_best_training_is_one_of_those_that_it_was_judged_by() -> None:
    """Parts of trainings whose number is better are none."""

    def worse_in_time(trial: Trial) -> Evaluation:
        point = {"fidelity": trial.fidelity, "value": float(trial.genome["x"]) + trial.fidelity}
        return Evaluation(status="completed", scores=(point,))

    store = Store()
    run(LocalExecutor(worse_in_time), store=store, strategy="hyperband", space=LINE, evaluations=8)
    found = RunHistory(store, "run")
    assert found.best is not None and found.best.fidelity == 1.0 and len(found.trainings(found.best.row.key)) > 1
    best = found.best_training(found.best.row.key)
    assert best is not None and best.identity[2] == 1.0 and best.value == found.best.value


# --- seeds


@pytest.mark.parametrize("strategy", ["ga", "de", "cma-es", "grid", "tpe"])
def test_seeds_take_the_place_of_the_first_proposals(strategy: str) -> None:
    space = mixed_space()
    seeds = [space.decode([(i + 0.5) / 4] * space.dimension) for i in range(4)]
    outcome = run(LocalExecutor(evaluate), strategy=strategy, space=space, evaluations=12, seeds=seeds)
    assert [told.row.genome for told in outcome.history[:4]] == seeds
    assert [told.row.number for told in outcome.history] == list(range(len(outcome.history)))


def test_seeds_displace_no_promotion_and_known_ones_are_skipped() -> None:
    seeds = [LINE.decode([0.99]), LINE.decode([0.01]), LINE.decode([0.99]), LINE.decode([0.97])]
    outcome = run(LocalExecutor(by_fidelity), strategy=Ladder(LINE, 0), space=LINE, evaluations=3, seeds=seeds)
    asked = [(told.row.genome["x"], told.row.fidelity) for told in outcome.history[:6]]
    assert asked == [(49, 0.25), (0, 0.5), (0, 1.0), (48, 0.25), (1, 0.5), (1, 1.0)]


# --- several objectives


def two_objectives(trial: Trial) -> Evaluation:
    x = float(trial.genome["x"])
    if x == 7:
        return Evaluation(status="diverged")
    return Evaluation(status="completed", scores=({"value": abs(x - 30), "size": x},))


def pareto_run(strategy: str) -> tuple[Outcome, RunHistory]:
    store = Store()
    judge = Judge.of("value, size")
    made = make_strategy(strategy, LINE, 0, objectives=2)
    outcome = run(LocalExecutor(two_objectives), store=store, strategy=made, space=LINE, evaluations=40, judge=judge)
    return outcome, RunHistory(store, "run")


@pytest.mark.parametrize("strategy", ["random", "nsga2"])
def test_the_front_is_what_nothing_dominates(strategy: str) -> None:
    outcome, history = pareto_run(strategy)
    found = {told.row.genome["x"]: told.values for told in outcome.history if told.values}
    expected = {x for x, v in found.items() if not any(dominates(w, v) for w in found.values())}
    assert {told.row.genome["x"] for told in history.front} == expected
    assert history.ranking[: len(expected)] == history.front
    assert {told.row.key for told in history.leaders(3)} <= {told.row.key for told in history.front}


points = st.lists(st.tuples(*[st.integers(0, 6)] * 2), min_size=1, max_size=20)


@given(points)
def test_ranks_are_fronts(found: list[tuple[int, int]]) -> None:
    order = ranks(found)
    for rank in range(max(order) + 1):
        front = [p for p, r in zip(found, order, strict=True) if r == rank]
        assert front
        assert not any(dominates(a, b) for a, b in itertools.permutations(front, 2))
        behind = [p for p, r in zip(found, order, strict=True) if r == rank + 1]
        assert all(any(dominates(a, b) for a in front) for b in behind)


@given(points, st.integers(1, 5))
def test_checked_genomes_are_spread_over_the_front(found: list[tuple[int, int]], n: int) -> None:
    picked = spread_out(found, n)
    assert len(set(picked)) == len(picked) == min(n, len(found))
    assert min(p[0] for p in found) == found[picked[0]][0]
    if n > 1 and len(picked) > 1:
        assert min(p[1] for p in found) in {found[i][1] for i in picked}
