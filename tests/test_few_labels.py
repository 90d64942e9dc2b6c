"""Few labels: who is told which, and who judges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from evogan.data import Dataset, DataSpec, load_dataset
from evogan.data.dataset import image_dataset
from evogan.data.few import FewLabels
from evogan.errors import UserError
from evogan.evaluation.evaluator import GANEvaluator
from evogan.evaluation.shown import shown
from evogan.fitness import Scorer, load_features
from evogan.fitness.errors import classification_error, nearest_error
from evogan.genes import GENES
from evogan.training.feed import Feed, on_device
from evogan.trial import FRESH, Choice, GANTask, Trial

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset(DataSpec("digits"))


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
