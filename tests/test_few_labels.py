"""Few labels: who is told which, and who judges."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

import evogan
from evogan.data import Dataset
from evogan.data.dataset import image_dataset
from evogan.data.few import FewLabels
from evogan.engine import Store
from evogan.engine.history import RunHistory
from evogan.errors import UserError
from evogan.evaluation.evaluator import GANEvaluator
from evogan.evaluation.shown import shown
from evogan.fitness import Scorer, load_features
from evogan.fitness.errors import classification_error, nearest_error
from evogan.genes import GENES
from evogan.genes.twins import twin_of
from evogan.genome import Genome
from evogan.report import facts
from evogan.runs.gans import GANProblem
from evogan.settings import GANSettings
from evogan.shipped import read_genome
from evogan.space import load_space
from evogan.training.feed import Feed, on_device
from evogan.trial import FRESH, Choice, GANTask, Trial
from tests import forked

CPU = torch.device("cpu")


def made(*sizes: int, held_out: int = 20) -> Dataset:
    """Images that say their own number, of classes of these sizes."""
    n = sum(sizes)
    images = np.zeros((n + held_out, 1, 4, 4), dtype=np.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = divmod(np.arange(len(images)), 256)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return image_dataset("made", images[:n], labels, images[n:], np.resize(np.arange(len(sizes)), held_out))


def test_a_draw_is_stratified_and_belongs_to_task_and_replicate() -> None:
    data = made(3, 300, 500, 1)  # a class of three, and one of a single image
    few = FewLabels.of(data, 40)
    assert data.labels is not None
    draws = [few.draw("task", replicate) for replicate in (0, 1, FRESH)]
    for labelled, pool in draws:
        parts = np.concatenate([labelled, pool, few.validation])
        assert sorted(parts) == list(range(804))  # each image in one of the three
        counts = np.bincount(data.labels[labelled])
        assert counts.sum() == 40 and counts.min() >= 1 and abs(counts[1] - counts[2]) <= 1
    assert len({draw.labelled.tobytes() for draw in draws}) == 3
    assert (FewLabels.of(data, 40).draw("task", 1).labelled == draws[1].labelled).all()  # of no genome, no process
    assert len(few.validation) == 100  # as many as labels, and a hundred at least
    assert np.abs(np.bincount(data.labels[few.validation], minlength=4) - [0, 37, 63, 0]).max() <= 1  # their shares
    assert len(FewLabels.of(made(600, 600), 200).validation) == 200
    assert len(FewLabels.of(made(60, 60), 20).validation) == 30  # a quarter at most


@pytest.mark.parametrize(
    ("sizes", "labels", "said"),
    [
        ((50, 50, 50), 2, "has 3 classes, and at least one image of each is to be labelled"),
        ((100, 100), 149, "200 images to train on, of which 50 are for validation .* at most 148 labels"),
        ((100,), 10, "images of one class"),
        ((), 10, "has no labels"),
    ],
)
def test_labels_that_cannot_be_are_refused(sizes: tuple[int, ...], labels: int, said: str) -> None:
    bare = made(90)
    data = made(*sizes) if sizes else image_dataset("bare", bare.images, None, bare.held_out, None)
    with pytest.raises(UserError, match=said):
        FewLabels.of(data, labels)


def test_attributes_are_no_classes() -> None:
    data = made(90)
    attributes = image_dataset("a", data.images, np.ones((90, 3), np.int64), data.held_out, np.ones((20, 3), np.int64))
    with pytest.raises(UserError, match="has 3 attributes an image, not a class"):
        FewLabels.of(attributes, 10)


def test_trainings_see_neither_validation_nor_further_labels() -> None:
    data = made(80, 120)
    few = FewLabels.of(data, 10)
    assert data.labels is not None
    for replicate in (0, FRESH):
        told = shown(data, on_device(data.train, CPU), few, "task", replicate)
        labelled, pool = few.draw("task", replicate)
        rows = Feed(told.streams, 0, CPU).next(600, ("images", "labels", "few_images", "few_labels"))
        assert set(rows) == {"images", "few_images", "few_labels"}
        pixels = {name: ((rows[name][:, 0, 0, :2] + 1) * 127.5).round().long() for name in ("images", "few_images")}
        numbers = {name: (x[:, 0] * 256 + x[:, 1]).tolist() for name, x in pixels.items()}
        assert {*numbers["images"]} == {*pool.tolist()} and {*numbers["few_images"]} == {*labelled.tolist()}
        assert rows["few_labels"].tolist() == data.labels[numbers["few_images"]].tolist()
        assert told.judged is not None
        judged, chosen = (data.held_out, few.validation) if replicate else (data.images[few.validation], None)
        assert (told.judged.images == judged).all()
        assert (told.judged.validation is None) == (chosen is None)


def test_errors_are_those_of_the_field(digits: Dataset) -> None:
    assert digits.labels is not None and digits.held_out_labels is not None
    known, theirs = FewLabels.of(digits, 50).draw("task", 0).labelled, digits.held_out_labels
    flat = digits.images.reshape(len(digits.images), -1).astype(float)
    neighbour = KNeighborsClassifier(1).fit(flat[known], digits.labels[known])
    unseen = digits.held_out.reshape(len(theirs), -1).astype(float)
    expected = 1 - neighbour.score(unseen, theirs)
    found = nearest_error(digits.images[known], digits.labels[known], digits.held_out, theirs)
    assert found == pytest.approx(expected, abs=2 / len(theirs))  # ties
    weights = torch.randn(64, 10, generator=torch.Generator().manual_seed(0))

    def classify(images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1) @ weights

    said = ((unseen / 127.5 - 1) @ weights.double().numpy()).argmax(1)
    assert classification_error(classify, digits.held_out, theirs) == pytest.approx(np.mean(said != theirs), abs=0.01)


def test_a_test_chooses_no_checkpoint() -> None:
    scores = [{"error": 0.1, "validation_error": 0.4}, {"error": 0.3, "validation_error": 0.2}]
    assert Choice(("error",)).place(scores) == 1
    assert Choice(("error",)).place([{"error": point["error"]} for point in scores]) == 0


def test_a_task_without_few_labels_has_the_key_it_had(digits: Dataset) -> None:
    task = GANTask(name="digits", fingerprint="f", image_size=8, channels=1, kimg=1.0, features="x")
    assert "labels" not in task.identity and replace(task, labels=100).key != task.key


def test_replicates_that_are_trained_together_have_draws_of_their_own(digits: Dataset) -> None:
    few = FewLabels.of(digits, 700)
    genome = GENES.read({"backbone": "mlp", "filters": 4, "batch_size": 16, "critic_steps": 1})
    evaluate = GANEvaluator(digits, Scorer(digits, load_features("digits"), 50), few=few)
    task = GANTask(
        name="digits",
        fingerprint=digits.fingerprint,
        image_size=8,
        channels=1,
        kimg=0.1,
        features="x",
        samples=50,
        labels=700,
    )
    trials = [Trial(genome, GENES.key(genome), task, 1.0, replicate) for replicate in (0, 1)]
    together = {trial.replicate: evaluation for trial, evaluation in evaluate.together(trials)}
    for trial in trials:
        alone, one = evaluate(trial), together[trial.replicate]
        assert alone.status == one.status == "completed"
        assert one.scores[-1]["fid"] == pytest.approx(alone.scores[-1]["fid"], rel=1e-2)


@pytest.mark.parametrize("name", ["sgan", "improved_gan"])
def test_a_supervised_twin_is_trained_and_judged_as_any_other(digits: Dataset, name: str) -> None:
    published = Genome({**read_genome(name).genome, "filters": 8, "batch_size": 10})
    twin = twin_of(published)
    assert twin is not None and twin_of(twin) is None  # it is its own
    evaluate = GANEvaluator(digits, Scorer(digits, load_features("digits"), 50), few=FewLabels.of(digits, 50))
    task = GANTask(
        name="digits", fingerprint="f", image_size=8, channels=1, kimg=0.1, features="x", samples=50, labels=50
    )
    found = evaluate(Trial(twin, GENES.key(twin), task, 1.0, FRESH))
    assert found.status == "completed", found.reason
    assert {"error", "validation_error", "nearest_error"} <= found.scores[-1].keys()
    assert "normalized_loss" not in found.scores[-1]  # nobody plays
    assert "supervised" in found.curve[-1]
    assert not found.flags, "its generator stands still, as it should"


def test_a_generators_file_goes_on_with_few_labels(tmp_path: Path) -> None:
    """It says which classes its GAN tells apart."""
    asked: dict[str, Any] = {"labels": 50, "kimg": 0.1, "samples": 50, "runs": tmp_path}
    small = {"filters": 8, "batch_size": 10}
    _, folder = evogan.train({**read_genome("improved_gan").genome, **small}, "digits", **asked)
    going_on, _ = evogan.train(origin=folder / "generator.safetensors", data="digits", **asked)
    assert going_on.status == "completed" and "error" in going_on.scores[-1], going_on.reason


# --- a search, with a family of its own


SPACE = """
description = "a classifier's steps"

[fixed]
family = "learner"
learning_rate = 0.01

[genes.pupil_steps]
kind = "int"
low = 1
high = 4
"""
SMALL = "--data digits --kimg 0.2 --samples 50 --workers 1"
BEGUN = f"--fitness error --name few --evaluations 2 --finalists 1 --confirm 2 {SMALL}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("few")
    (path / "learners.toml").write_text(SPACE)
    return path


def shell(line: str, folder: Path) -> tuple[int, str, str]:
    plugin = Path(__file__).with_name("toy_classifier.py")
    command = [
        sys.executable,
        "-m",
        "evogan",
        *line.split(),
        "--plugin",
        str(plugin),
    ]
    done = forked.run(command, cwd=folder, text=True, env={**os.environ, "PYTHONPATH": str(plugin.parent.parent)})
    return done.returncode, done.stdout, done.stderr


def test_winners_are_held_against_their_twins_and_a_run_goes_on(folder: Path) -> None:
    code, out, err = shell(f"search learners.toml --labels 50 {BEGUN} --json", folder)
    assert code == 0, err
    (found,) = json.loads(out)["classified"]
    assert found["name"].startswith("evolved #") and found["replicates"] == 2
    assert found["images"] == "all 355 held-out images"
    assert 0 < found["nearest"] < 0.3 and 0 < found["twin"] < 0.8
    run = RunHistory(Store.existing(folder / "runs"), "few")
    assert run.settings.gan is not None and run.settings.gan.labels == 50
    assert "labels of 50 images are used, 5 a class" in run.facts.contents
    (searched, *_), (checked,) = facts.evaluations(run), run.confirmations
    assert searched.provenance["errors_on"] == "100 images for validation"
    assert all("validation_error" in score for e in checked.evaluations for score in e.scores)
    by_validation = [min(e.scores, key=lambda score: score["validation_error"])["error"] for e in checked.evaluations]
    assert checked.mean == pytest.approx(np.mean(by_validation))
    chosen = run.best_training(checked.key)  # among those that were tested, by validation
    assert chosen is not None and chosen.identity[-1] >= FRESH
    assert chosen.value == pytest.approx(min(checked.in_search.values))

    code, out, err = shell("resume few --evaluations 3 --json", folder)
    assert code == 0 and json.loads(out)["counts"]["evaluations"] == 3, err
    code, _, err = shell(f"search learners.toml --labels 60 {BEGUN}", folder)
    assert code == 2 and "was started with another gan.labels: 50, not 60" in err


def test_a_plain_gan_may_stand_beside_what_learns_from_few_labels() -> None:
    problem = GANProblem(GANSettings.of(data="digits", labels=50))
    assert tuple(problem.beside(load_space("semi_supervised"), ["dcgan"]).reference) == ("dcgan",)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("search learners.toml", "family 'learner' learns from few labels: say of how many images with --labels"),
        ("search learners.toml --labels 9", "has 10 classes, and at least one image of each is to be labelled"),
        ("search learners.toml --labels 9999", "at most 1,080 labels"),
        ("search wdcgan --fitness error", "judges GANs with a classifier: those of space 'wdcgan' have none"),
        ("search wdcgan --labels 50", "family 'plain' has no use for --labels: leave it out, or take another family"),
        ("search conditional --labels 50", "family 'plain' has no use for --labels"),
        ("search wdcgan --pairs edges", "family 'plain' has no use for --pairs"),
        ("search wdcgan --domains edges", "family 'plain' has no use for --domains"),
    ],
)
def test_a_search_that_cannot_be_is_one_clear_line(folder: Path, line: str, said: str) -> None:
    code, _, err = shell(f"{line} {SMALL}", folder)
    assert code == 2 and err.count("\n") == 1 and said in err, err
