"""A budget in iterations: updates of the generator, whatever else a round has."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from safetensors.torch import load

from evogan.errors import UserError
from evogan.genes import GENES
from evogan.runs.gans import GANProblem
from evogan.settings import GANSettings
from evogan.training.rounds import Rounds
from evogan.trial import GANTask, Trial

FACTS: dict[str, Any] = {"name": "x", "fingerprint": "f", "image_size": 8, "channels": 1, "features": "digits"}


@pytest.mark.parametrize(("alone", "long", "critic", "k"), [(0, 0, 5, 1), (7, 0, 2, 3), (100, 100, 5, 1), (0, 9, 4, 2)])
def test_a_budget_in_iterations_ends_with_the_last_of_them(alone: int, long: int, critic: int, k: int) -> None:
    """Re-derived by walking through the rounds' programs."""
    genes = {"critic_pretraining": alone, "critic_long_steps": long}
    rounds = Rounds([("critic", critic), ("generator", k)], "critic", genes)
    made, ends = 0, dict[int, int]()
    for i in range(1500):
        if steps := rounds.program(i).count("generator"):
            made += steps
            ends[made] = i + 1
    for asked in (1, 2, 25, 26, 420, 501):
        found = rounds.nearest("generator", asked)
        assert found in ends.values(), "the generator steps in the last round"
        made = next(steps for steps, end in ends.items() if end == found)
        assert abs(made - asked) == min(abs(steps - asked) for steps in ends)
    assert rounds.nearest("critic", 7 * critic) == 7, "the counted player never rests"


def test_a_task_has_one_budget_and_only_that_in_its_key() -> None:
    kimg, iterations = GANTask(kimg=20.0, **FACTS), GANTask(iterations=420, **FACTS)
    assert "iterations" not in kimg.identity and kimg.identity["kimg"] == 20.0
    assert "kimg" not in iterations.identity and iterations.identity["iterations"] == 420
    assert GANSettings().kimg == 20 and GANSettings(iterations=5).kimg is None
    assert (GANSettings().budget, GANSettings(iterations=5).budget) == ("20 kimg", "5 iterations")
    with pytest.raises(UserError, match="kimg and iterations are both given"):
        GANSettings(kimg=20.0, iterations=5)
    before_there_were_iterations = {"data": "digits", "kimg": 3.0, "samples": 100}
    assert GANSettings.recorded(before_there_were_iterations) == GANSettings(kimg=3.0, samples=100)


class Seeded(Trial):
    """The seed depends on the task, which a budget belongs to."""

    @property
    def seed(self) -> int:
        return 7


def test_iterations_are_the_kimg_that_they_amount_to() -> None:
    """Alone, in a stack, and gone on with from a lower fidelity."""
    task, evaluate = GANProblem(GANSettings(iterations=9, samples=100)).prepare()
    task = replace(task, checkpoints=(1.0,))
    small = {"filters": 4, "batch_size": 16, "learning_rate": 1e-3, "critic_steps": 2}
    several, resting = small | {"generator_steps": 3}, small | {"critic_pretraining": 8}

    def trial(genes: dict[str, Any], of: GANTask, **more: Any) -> Seeded:
        return Seeded(GENES.read(genes), GENES.key(GENES.read(genes)), of, **more)

    alone = []
    for genes, rounds in ((several, 3), (resting, 4 + 9)):
        kimg = GANTask(**asdict(task) | {"iterations": None, "kimg": rounds * 2 * 16 / 1000})
        ours, theirs = evaluate(trial(genes, task)), evaluate(trial(genes, kimg))
        one, other = (load(evaluation.files["generator.safetensors"]) for evaluation in (ours, theirs))
        assert all(torch.equal(one[name], other[name]) for name in one)
        assert [{k: v for k, v in p.items() if k != "iterations"} for p in ours.curve] == [*theirs.curve]
        assert ours.cost["kimg"] == theirs.cost["kimg"]
        assert ours.scores[-1]["iterations"] == ours.curve[-1]["iterations"] == 9
        assert not any("iterations" in point for point in (*theirs.scores, *theirs.curve))
        alone.append(ours)

    part = evaluate(trial(resting, task, fidelity=0.3))
    straight = evaluate(trial(resting, task, earlier=part))
    assert straight.provenance["continued_from"] == 0.3
    assert straight.curve == alone[1].curve
    assert [point["fid"] for point in straight.scores] == [point["fid"] for point in alone[1].scores]

    trials = [trial(several, task), trial(resting, task)]
    assert evaluate.alike(trials[0]) == evaluate.alike(trials[1])
    together = {one.key: evaluation for one, evaluation in evaluate.together(trials)}
    for one, before in zip(trials, alone, strict=True):
        found = together[one.key]
        assert [point["iterations"] for point in found.curve] == [point["iterations"] for point in before.curve]
        assert found.scores[-1]["fid"] == pytest.approx(before.scores[-1]["fid"], rel=1e-2)
