"""Schedules: genes that change while a GAN is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from evogan.errors import UserError
from evogan.evaluation.evaluator import GANEvaluator
from evogan.genes import GENES
from evogan.genome import Genome, Schedule
from evogan.genome.schedule import document, from_document
from evogan.runs.gans import GANProblem
from evogan.settings import GANSettings
from evogan.stable import derive_seed, digest
from evogan.trial import STATE, Evaluation, GANTask, Trial
from tests.test_continue import assert_same

SMALL: dict[str, Any] = {"filters": 4, "batch_size": 16, "critic_steps": 2, "learning_rate": 1e-3}
ADAM = {"critic_optimizer": "adam", "generator_optimizer": "sgd", "generator_momentum": 0.5, "ema": 0.9}
Changes = list[tuple[float, dict[str, Any]]]


@cache
def prepared() -> tuple[GANTask, GANEvaluator]:
    task, evaluate = GANProblem(GANSettings(kimg=0.3, samples=100)).prepare()
    return replace(task, checkpoints=(0.25, 1.0)), evaluate


def scheduled(genes: Mapping[str, Any], changes: Changes) -> Genome:
    return GENES.schedule(GENES.read(SMALL | dict(genes)), changes)


def train(genome: Genome, fidelity: float = 1.0, earlier: Evaluation | None = None) -> Evaluation:
    task, evaluate = prepared()
    return evaluate(Trial(genome, GENES.key(genome), task, fidelity, earlier=earlier))


MANY: Changes = [
    (0.25, {"learning_rate": 2e-3, "generator_momentum": 0.8, "augmentation": "translation"}),  # a checkpoint
    (0.4, {"learning_rate": 1e-3, "critic_beta1": 0.2, "ema": 0.5, "clip": 0.05}),
]


@pytest.mark.parametrize(
    ("genes", "changes"),
    [(ADAM, MANY), ({}, [(0.3, {"critic_steps": 3}), (0.31, {"critic_steps": 1, "generator_steps": 2})])],
)
def test_from_the_start_a_schedule_ends_as_step_by_step(genes: dict[str, Any], changes: Changes) -> None:
    """Bit for bit, and from whatever it begins as. 0.3 and 0.31 may be the same iteration."""
    whole = train(scheduled(genes, changes))
    assert whole.status == "completed" and whole.cut_short is None
    part: Evaluation | None = None
    for i, (at, _) in enumerate(changes):
        before = part.fidelity if part else None
        part = replace(train(scheduled(genes, changes[:i]), at, part), fidelity=at)
        assert part.provenance.get("continued_from") == before
    assert_same(train(scheduled(genes, changes), 1.0, part), whole)
    low = replace(train(scheduled(genes, changes[:-1]), 0.2, train(scheduled(genes, []), 0.1)), fidelity=0.2)
    assert_same(train(scheduled(genes, changes), 1.0, low), whole)
    assert whole.cost["kimg"] == pytest.approx(0.3, rel=0.3)
    assert [score["fidelity"] for score in whole.scores] == pytest.approx([0.25, 1.0], abs=0.1)


def test_schedules_that_only_go_on_are_trained_together() -> None:
    task, evaluate = prepared()
    state = replace(train(scheduled({}, []), 0.25), fidelity=0.25)
    genomes = [
        scheduled({}, [(0.25, {"learning_rate": rate, "critic_steps": n})]) for rate, n in ((2e-3, 1), (5e-4, 3))
    ]
    alone = [Trial(genome, GENES.key(genome), task, 0.5) for genome in genomes]
    trials = [replace(trial, earlier=state) for trial in alone]
    assert [evaluate.alike(trial) for trial in alone] == [None, None], "their genes change on the way"
    assert evaluate.alike(trials[0]) == evaluate.alike(trials[1]) is not None
    for trial, found in evaluate.together(trials):
        expected = evaluate(trial)
        assert found.provenance["continued_from"] == expected.provenance["continued_from"] == 0.25
        assert found.scores[-1]["swd"] == pytest.approx(expected.scores[-1]["swd"], rel=1e-2)


def test_a_change_acts_from_its_share_on() -> None:
    """And what went further without it is no training to go on from."""
    late = scheduled({}, [(0.5, {"learning_rate": 5e-3})])
    other = replace(train(scheduled({}, []), 0.75), fidelity=0.75)
    found = train(late, 0.75, other)
    assert "not_continued" in found.provenance and STATE in other.files
    assert_same(found, train(late, 0.75))
    assert found.scores[0]["fid"] == other.scores[0]["fid"] and found.scores[1]["fid"] != other.scores[1]["fid"]


def test_keys_and_seeds() -> None:
    first = GENES.read(SMALL)
    key, task = GENES.key(first), prepared()[0]
    assert GENES.schedule(first, []) == first and GENES.key(GENES.schedule(first, [])) == key
    assert GENES.schedule(first, [(0.5, {"learning_rate": 1e-3, "lr_ratio": 1.0})]) == first, "nothing changes"
    one = GENES.schedule(first, [(0.25, {"learning_rate": 2e-3})])
    two = GENES.schedule(first, [(0.25, {"learning_rate": 2e-3}), (0.5, {"clip": 0.1, "learning_rate": 1e-3})])
    assert isinstance(two, Schedule)
    assert GENES.key(one) == digest([key, [[0.25, {"learning_rate": 2e-3}]]])
    assert two.prefixes == ((key, 0.25), (GENES.key(one), 0.5))
    assert len({key, GENES.key(one), GENES.key(two)}) == len({first, one, two}) == 3
    assert first != one and one != first and one != two
    assert two.now == {**first, "clip": 0.1}
    trials = [Trial(genome, GENES.key(genome), task) for genome in (first, one, two)]
    assert {trial.seed for trial in trials} == {derive_seed(key, task.key, 0)}
    assert from_document(dict(two), document(two)) == two and document(first) is None
    assert from_document(dict(first), None) == first


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([(0.5, {"filters": 8})], "gene 'filters' cannot change during a training; these can: .*learning_rate"),
        ([(0.5, {"ema": 0.9})], "gene 'ema' cannot change from 0.0 to 0.9 during a training: 0 is off"),
        ([(0.5, {"critic_beta1": 0.9})], "gene 'critic_beta1' does not apply"),
        ([(0.5, {"learning_rate": -1.0})], "learning_rate.*is not allowed"),
        ([(1.0, {"learning_rate": 1e-2})], "a change at 1: shares of the budget rise within"),
        ([(0.5, {"learning_rate": 1e-2}), (0.5, {"clip": 0.1})], "a change at 0.5"),
        ([(0.5, {"lerning_rate": 1e-2})], "unknown gene"),
    ],
)
def test_changes_that_cannot_be(changes: Changes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        scheduled({}, changes)


def test_nothing_hangs_on_a_gene_that_may_change() -> None:
    free = {gene.name for gene in GENES.values() if gene.changes}
    assert {"learning_rate", "lr_ratio", "gradient_penalty_weight", "critic_steps", "critic_beta1"} <= free
    assert not free & {"batch_size", "filters", "backbone", "critic_optimizer", "loss"}
    assert not any(parent in free for gene in GENES.values() for parent in gene.when)
    for conflict in GENES.conflicts:  # but on what is off, which stays off
        assert not [
            name for name, v in conflict.values.items() if name in free and not (GENES[name].switch and v == (0,))
        ]
    assert all(GENES[name].acts in ("number", "input") or name == "augmentation" for name in free)
