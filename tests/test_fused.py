"""Trials handed on in bundles end as they would alone, whatever happens to a bundle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evogan.engine import LocalExecutor
from evogan.engine.executors import Report
from evogan.engine.executors.fused import EvaluateBundles, FusingExecutor
from evogan.genes import GENES
from evogan.genome import Genome
from evogan.runs.gans import GANProblem
from evogan.settings import GANSettings
from evogan.trial import Evaluation, Stopped, Task, Trial

TASK = Task(name="made up")


class Fusing:
    """Trials of one `shape` go together, at most `room` at a time; one that is "bad" harms its whole bundle."""

    def __init__(self, room: int = 100) -> None:
        self.room = room
        self.bundles: list[int] = []

    def __call__(self, trial: Trial) -> Evaluation:
        if trial.genome["bad"]:
            raise RuntimeError("bad")
        trial.report({"fidelity": 0.5, "x": float(trial.genome["x"])})
        return Evaluation(status="completed", scores=({"value": float(trial.genome["x"])},))

    def alike(self, trial: Trial) -> Hashable | None:
        return trial.genome["shape"] or None

    def together(self, trials: Sequence[Trial]) -> Iterator[tuple[Trial, Evaluation]]:
        self.bundles.append(len(trials))
        assert len({self.alike(trial) for trial in trials}) == 1
        if len(trials) > self.room:
            raise MemoryError
        for trial in reversed(trials):
            yield trial, self(trial)


def trial(x: int, shape: int = 1, bad: bool = False) -> Trial:
    return Trial(Genome({"x": x, "shape": shape, "bad": bad}), f"key{x}", TASK)


def carry_out(
    fusing: Fusing, trials: Sequence[Trial], most: int
) -> tuple[dict[str, tuple[Trial, Evaluation]], list[Report]]:
    executor = FusingExecutor(LocalExecutor(EvaluateBundles(fusing)), fusing, most)
    heard: list[Report] = []
    for one in trials:
        executor.submit(one)
    found = {}
    for _ in trials:
        ended = executor.wait(lambda report: bool(heard.append(report)))
        assert ended is not None and ended[0].key not in found
        found[ended[0].key] = ended
    return found, heard


@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=20), st.integers(2, 8), st.integers(1, 8)
)
def test_every_trial_ends_once_and_as_alone(shapes: list[tuple[int, bool]], most: int, room: int) -> None:
    trials = [trial(x, shape, bad) for x, (shape, bad) in enumerate(shapes)]
    fusing = Fusing(room)
    found, heard = carry_out(fusing, trials, most)
    for one in trials:
        back, evaluation = found[one.key]
        assert back is one
        assert evaluation.status == ("crashed" if one.genome["bad"] else "completed")
        assert evaluation.reason == ("RuntimeError: bad" if one.genome["bad"] else "")
        points = [r.point for r in heard if r.trial is one and r.kind == "progress"]
        assert points[-1:] == ([] if one.genome["bad"] else [{"fidelity": 0.5, "x": one.genome["x"]}])
        assert any(r.kind == "started" and r.trial is one for r in heard)
    assert all(report.trial in trials for report in heard)
    assert all(size <= most for size in fusing.bundles)


def test_alike_ones_go_together_up_to_as_many_as_may() -> None:
    fusing = Fusing()
    carry_out(fusing, [trial(x, shape) for x, shape in enumerate([1, 2, 1, 0, 1, 2, 1, 0, 1])], 4)
    assert Counter(fusing.bundles) == {4: 1, 2: 1}  # of shape 1 one is left, and those of 0 are never together


def test_a_size_that_was_too_large_is_not_tried_again() -> None:
    fusing = Fusing(room=4)
    executor = FusingExecutor(LocalExecutor(EvaluateBundles(fusing)), fusing, 16)
    for start in (0, 16):
        for x in range(16):
            executor.submit(trial(start + x))
        for _ in range(16):
            executor.wait(lambda report: False)
    assert fusing.bundles == [16, 8, 8, *[4] * 4, *[4] * 4]


@pytest.mark.parametrize(
    "harm",
    [
        Evaluation(status="out_of_memory", reason="too many"),
        Evaluation(status="crashed", reason="a fault of another's"),
        Evaluation(
            status="completed", scores=({"value": 9.0},), cut_short="out_of_memory", reason="out of memory: too many"
        ),
    ],
)
def test_a_trial_that_comes_to_harm_among_others_is_tried_alone(harm: Evaluation) -> None:
    class Crowded(Fusing):
        def together(self, trials: Sequence[Trial]) -> Iterator[tuple[Trial, Evaluation]]:
            for one, evaluation in super().together(trials):
                yield one, harm if one.genome["x"] == 1 else evaluation

    found, heard = carry_out(Crowded(), [trial(x) for x in range(3)], 4)
    assert [found[f"key{x}"][1].scores for x in range(3)] == [({"value": float(x)},) for x in range(3)]
    (retried,) = (report for report in heard if report.kind == "retried")
    assert retried.trial.key == "key1" and retried.reason == f"{harm.reason}, of 3 together"


def test_what_has_not_begun_can_be_taken_back() -> None:
    fusing = Fusing()
    executor = FusingExecutor(LocalExecutor(EvaluateBundles(fusing)), fusing, 2)
    trials = [trial(x) for x in range(5)]
    for one in trials:
        executor.submit(one)
    assert executor.withdraw() == trials
    for one in trials:
        executor.submit(one)
    first = executor.wait(lambda report: False)
    assert first is not None
    assert len(executor.withdraw()) == 3  # the other one of the first two is done
    second = executor.wait(lambda report: False)
    assert second is not None and {first[0].key, second[0].key} == {"key0", "key1"}


def test_a_trial_that_is_not_wanted_any_longer_does_not_end_the_others() -> None:
    fusing = Fusing()
    executor = FusingExecutor(LocalExecutor(EvaluateBundles(fusing)), fusing, 2)
    for x in range(2):
        executor.submit(trial(x))
    ended = [executor.wait(lambda report: report.trial.key == "key0") for _ in range(2)]
    assert [found[1].status for found in ended if found] == ["completed"] * 2


def test_gans_that_are_evaluated_together_are_scored_as_alone() -> None:
    """At the start of a training rounding has not grown yet."""
    task, evaluate = GANProblem(GANSettings(kimg=0.2, samples=200)).prepare()
    base = {"filters": 8, "batch_size": 16, "latent": 8}
    genomes = [{**base, "learning_rate": rate} for rate in (1e-4, 1e-5)] + [
        {**base, "loss": "hinge", "critic_steps": 2}
    ]
    trials = [Trial(GENES.read(genome), GENES.key(Genome(genome)), task) for genome in genomes]
    trials += [replace(trials[0], replicate=1), replace(trials[1], fidelity=0.5)]
    assert len({evaluate.alike(one) for one in trials}) == 1
    points: list[str] = []

    def listening(one: Trial) -> Trial:
        return replace(one, report=lambda point, grid=b"": points.append(one.key))

    found = {one.identity: evaluation for one, evaluation in evaluate.together([listening(one) for one in trials])}
    assert {one.key for one in trials} == set(points)
    for one in trials:
        ours, alone = found[one.identity], evaluate(one)
        assert ours.status == alone.status == "completed"
        assert [point["kimg"] for point in ours.curve] == [point["kimg"] for point in alone.curve]
        assert ours.curve[-1] == pytest.approx(alone.curve[-1], rel=1e-2, abs=1e-3)
        for mine, theirs in zip(ours.scores, alone.scores, strict=True):
            assert mine["fid"] == pytest.approx(theirs["fid"], rel=1e-2)
            assert mine.keys() == theirs.keys()
        assert ours.files.keys() == alone.files.keys()
        assert ours.provenance["trained_together"] == 5 and "trained_together" not in alone.provenance
        assert ours.cost["seconds"] > 0 and all(score["seconds"] > 0 for score in ours.scores)
        assert ours.cost["kimg"] == alone.cost["kimg"] and ours.cost["flops"] == alone.cost["flops"]


def test_one_of_several_may_come_to_harm_or_be_stopped() -> None:
    task, evaluate = GANProblem(GANSettings(kimg=0.4, samples=200)).prepare()
    base = {"loss": "least_squares", "filters": 8, "batch_size": 16, "latent": 8, "critic_constraint": "none"}
    base |= {"critic_norm": "none", "critic_optimizer": "sgd", "generator_optimizer": "sgd", "init_std": 1.0}
    rates = ((1e-5, 1.0), (1e-5, 1.0), (1.0, 100.0))
    trials = [
        Trial(GENES.read({**base, "learning_rate": rate, "lr_ratio": ratio}), f"key{i}", task, replicate=i)
        for i, (rate, ratio) in enumerate(rates)
    ]

    def stop(point: object, grid: bytes = b"") -> None:
        if isinstance(point, dict) and "fid" in point:
            raise Stopped

    trials[1] = replace(trials[1], report=stop)
    found = {one.key: evaluation for one, evaluation in evaluate.together(trials)}
    assert found["key0"].status == "completed" and len(found["key0"].scores) == 4
    assert found["key1"].fidelity == 0.25 and len(found["key1"].scores) == 1
    assert found["key2"].status == "diverged"
