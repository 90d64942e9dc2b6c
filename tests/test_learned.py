"""Features that are learned from a user's data: what is learned, where it is kept, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import evogan
import evogan.api
from evogan.data import Dataset, image_dataset
from evogan.errors import UserError
from evogan.evaluation import look
from evogan.fitness import FeatureNet, FeatureRecord, Scorer, learned, pretext, train_features
from evogan.fitness.classifier import fit
from evogan.fitness.pretext import Classes, Clusters, Rotation
from evogan.genes import GENES
from evogan.genome import Genome
from evogan.runs.gans import GANProblem
from evogan.settings import GANSettings
from evogan.trial import EARLY_FID, Trial
from tests.conftest import NARROW

SHORT = {"passes": 400, "clusters": 5}


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WITH_LABELS", "WITHOUT_LABELS"):
        monkeypatch.setattr(pretext, name, replace(getattr(pretext, name), **SHORT))


def few(digits: Dataset, labels: bool = True, n: int = 300) -> Dataset:
    given = digits.labels[:n] if labels else None
    held_out = digits.held_out_labels if labels else None
    return image_dataset("few", digits.images[:n], given, digits.held_out, held_out)


# ------------------------------------------------------------------------------------------- tasks


def test_clusters_are_those_of_scikit_learn() -> None:
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    images = torch.rand(200, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    task = Clusters.of(images, 4, 5, seed=3)
    pixels = images.flatten(1).numpy()
    at = PCA(5, whiten=True, svd_solver="randomized", random_state=3).fit(pixels).transform(pixels)
    expected = KMeans(4, n_init=3, random_state=3).fit_predict(at)
    seen, labels = task.examples(images, None, torch.Generator())
    assert seen is images and task.outputs == 4
    assert (labels.numpy() == expected).mean() > 0.99  # but for ties in rounding


def test_what_never_changes_in_the_images_makes_no_clusters() -> None:
    images = torch.rand(200, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    images[:, :, 1:] = 0.5  # six pixels are left
    task = Clusters.of(images, 4, 20, seed=3)
    at = (images.flatten(1) - task.mean) @ task.components.T
    assert at[:, :6].var(0).tolist() == pytest.approx([1.0] * 6, rel=0.01)
    assert at[:, 6:].abs().max() < 0.01


def test_rotations_can_be_undone() -> None:
    images = torch.rand(10, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    turned, angles = Rotation().examples(images, None, torch.Generator())
    back = torch.stack([torch.rot90(image, -int(angle), (1, 2)) for image, angle in zip(turned, angles, strict=True)])
    assert sorted(map(torch.Tensor.sum, back)) == sorted(map(torch.Tensor.sum, images))
    assert set(angles.tolist()) == {0, 1, 2, 3}
    assert any(torch.equal(back[0], image) for image in images)


def test_what_is_learned_does_not_depend_on_cores(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """And in parts nearly the same as in one: gradients of a batch are the sum of those of its parts."""
    found = []
    for cores, parts in ((1, 4), (3, 4), (1, 1)):
        monkeypatch.setattr("evogan.fitness.threads.cores", lambda cores=cores: cores)
        rng = torch.Generator().manual_seed(0)
        network = FeatureNet(FeatureRecord("x", "", 8, 1, 10), rng)
        images, labels = torch.tensor(digits.images[:140]), torch.tensor(digits.labels[:140])
        fit(network, [(Classes(10), network.head)], images, labels, 2, rng, parts=parts)
        found.append(network)
    assert found[0].id == found[1].id
    for one, other in zip(found[0].parameters(), found[2].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("labels", [True, False])
@pytest.mark.parametrize("n", [129, 130, 131])
def test_the_last_batch_may_be_smaller_than_the_parts(digits: Dataset, n: int, labels: bool) -> None:
    network = train_features(few(digits, labels, n), labels=labels, epochs=1)
    assert all(parameter.isfinite().all() for parameter in network.parameters())


# ------------------------------------------------------------------------------------------- networks


def test_without_labels_there_are_no_classes(digits: Dataset) -> None:
    """Clusters are none: what counts classes is not measured, and nobody is warned of those that are missing."""
    network = train_features(few(digits, labels=False))
    assert network.classes == 0 and network.classify(torch.zeros(2, 64)) is None
    assert [(title, n) for title, n, _ in network.record.tasks] == [("5 clusters", 5), ("rotation", 4)]
    assert all(0 < right < 1 for _, _, right in network.record.tasks)
    scorer = Scorer(few(digits), network, samples=100)
    assert {"class_distance", "inception_score", "class_fid"} <= scorer.lacks
    found = scorer.score([(digits_of(digits)[:100], torch.zeros(100, dtype=torch.int64))])
    assert found.keys() & {"class_distance", "coverage", "inception_score", "class_fid", "gan_test_error"} == set()
    assert found["fid"] > 0


def digits_of(digits: Dataset) -> torch.Tensor:
    return torch.tensor(digits.held_out).float() / 127.5 - 1


def test_large_images_are_made_small() -> None:
    images = np.random.default_rng(0).integers(0, 255, (130, 3, 64, 64), dtype=np.uint8)
    network = train_features(image_dataset("large", images[:110], None, images[110:], None), name="pretext")
    assert (network.record.image_size, network.record.channels) == (pretext.WITHOUT_LABELS.side, 3)
    assert network.id.startswith("pretext-")


def test_it_is_kept_and_found_by_the_data(digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, said = few(digits, labels=False), []
    one = learned.learned(data, tmp_path / "features", lambda line, done: said.append((line, done)))
    assert said[0] == ("features learn from the images of 'few', without labels", 0.0) and said[-1][1] == 1
    path = tmp_path / "features" / f"{data.fingerprint}.safetensors"
    assert list(path.parent.iterdir()) == [path]
    with monkeypatch.context() as patch:
        patch.setattr(learned, "train_features", None)  # not again
        assert learned.learned(data, path.parent).id == one.id
    path.write_bytes(path.read_bytes()[:-9])
    said.clear()
    assert learned.learned(data, path.parent, lambda line, done: said.append((line, done))).id == one.id
    assert "is damaged" in said[0][0] and said[0][0].endswith("set aside and learned anew")
    learned._keep(train_features(few(digits, n=299)), path := path.with_name("of_others.safetensors"))
    with pytest.raises(UserError, match="learned from other data"):
        learned._read(path, data)


def test_the_first_that_is_kept_stays(digits: Dataset, tmp_path: Path) -> None:
    """Two processes that learned at once, on machines that round otherwise, judge alike from then on."""
    data, path = few(digits), tmp_path / "x.safetensors"
    first, second = (train_features(data, seed=seed, name="classifier") for seed in (0, 1))
    for network in (first, second):
        learned._keep(network, path)
    assert evogan.fitness.load_features(str(path)).id == first.id != second.id


@pytest.mark.parametrize("what", ["one image a class", "labels that mean nothing", "attributes"])
def test_labels_that_teach_nothing_are_left_out(digits: Dataset, what: str) -> None:
    rng, n, held_out = np.random.default_rng(0), 300, len(digits.held_out)
    labels = {
        "one image a class": (np.arange(n), np.arange(held_out)),
        "labels that mean nothing": (rng.integers(0, 2, n), rng.integers(0, 2, held_out)),
        "attributes": (rng.integers(0, 2, (n, 3)), rng.integers(0, 2, (held_out, 3))),
    }[what]
    data, said = image_dataset("few", digits.images[:n], labels[0], digits.held_out, labels[1]), []
    assert learned.learned(data, None, lambda line, done: said.append(line)).id.startswith("pretext-")
    assert ("cannot be told from its images" in "".join(said)) == (what == "labels that mean nothing")


# ------------------------------------------------------------------------------------------- searches


def test_a_folder_without_labels_can_be_searched_at_once(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for number in range(120):
        pixels = np.kron(rng.integers(0, 255, (3, 3, 3)), np.ones((4, 4, 1))).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    heard = []
    given = {"data": tmp_path / "photos", "runs": tmp_path / "runs", "name": "mine", "confirm": 0, "workers": 1}
    run = evogan.search(NARROW, evaluations=1, kimg=0.1, samples=50, listener=heard.append, **given)
    assert heard[0].kind == "preparing" and heard[0].value == 0.0
    assert run.facts.features.startswith("pretext-") and run.facts.judged_by.startswith(run.facts.features)
    assert "learned without labels" in run.report().read_text()
    (kept,) = (tmp_path / "runs" / "features").iterdir()
    assert len(evogan.resume("mine", runs=tmp_path / "runs", evaluations=2).history) == 2
    found = evogan.api.evaluate(
        run.store.files(run.best.identity(0), run.best.evaluation) / "generator.safetensors",
        tmp_path / "photos",
        samples=50,
        runs=tmp_path / "runs",
    )
    assert found["fid"] > 0 and "coverage" not in found
    other = train_features(GANProblem(run.settings.gan).dataset, seed=1, name="pretext")
    kept.unlink()
    learned._keep(other, kept)
    with pytest.raises(UserError, match=f"was judged by features '{run.facts.features}', not '{other.id}'"):
        evogan.resume("mine", runs=tmp_path / "runs", evaluations=3)


def test_images_that_changed_are_said_before_anything_learns_from_them(tmp_path: Path) -> None:
    """Judges that learned from other images are others; the cause is what a user can mend."""
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for i in range(120):
        Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(tmp_path / "photos" / f"{i}.png")
    given: dict[str, Any] = {"data": tmp_path / "photos", "runs": tmp_path / "runs", "workers": 1, "samples": 50}
    evogan.search(NARROW, evaluations=1, kimg=0.1, name="mine", confirm=0, **given)
    with pytest.raises(UserError, match="started with another gan.image_size: None, not 4"):
        evogan.search(NARROW, evaluations=1, kimg=0.1, name="mine", confirm=0, image_size=4, **given)
    with pytest.raises(UserError, match="was started on 'photos', not on 'digits'; choose another name"):
        evogan.search(NARROW, evaluations=1, kimg=0.1, name="mine", confirm=0, **given | {"data": "digits"})
    Image.new("L", (8, 8), 255).save(tmp_path / "photos" / "7.png")
    said, changed = list[str](), r"images of '.*photos' are others than those that run 'mine' was judged on"
    with pytest.raises(UserError, match=changed):
        evogan.resume("mine", runs=tmp_path / "runs", evaluations=2, listener=lambda event: said.append(event.kind))
    with pytest.raises(UserError, match=changed):
        evogan.evaluate("mine", runs=tmp_path / "runs", samples=50)
    with pytest.raises(UserError, match=changed):
        evogan.train("mine", runs=tmp_path / "runs", kimg=0.1, samples=50)
    assert "preparing" not in said and len([*(tmp_path / "runs" / "features").iterdir()]) == 1
    found = evogan.evaluate("mine", tmp_path / "photos", runs=tmp_path / "runs", samples=50)  # as they are now
    assert found["fid"] > 0


def test_runs_that_were_recorded_without_a_name_for_features_keep_them(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shipped ones, or else Inception's."""
    recorded = {"data": "digits", "features": None}
    assert GANSettings.recorded(recorded).features is None
    assert GANProblem(GANSettings.recorded(recorded)).features.id == GANProblem(GANSettings()).features.id
    monkeypatch.setenv("EVOGAN_INCEPTION_WEIGHTS", "nowhere.pth")
    with pytest.raises(UserError, match=r"nowhere\.pth"):
        _ = GANProblem(GANSettings.recorded({"data": "photos", "features": None})).features
    assert GANSettings.of(features=None) == GANSettings()


@pytest.mark.parametrize("trouble", [OSError("no route to host"), RuntimeError("invalid hash value")])
def test_weights_that_cannot_be_fetched(trouble: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVOGAN_INCEPTION_WEIGHTS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def fail(*_: object, **__: object) -> None:
        raise trouble

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(UserError, match=f"cannot be fetched .{trouble}.*EVOGAN_INCEPTION_WEIGHTS") as caught:
        evogan.fitness.load_features("inception", download=True)
    assert "\n" not in str(caught.value)


def test_a_first_trial_is_looked_at_early_and_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first checkpoint of a slow GAN may be far. What is told then is recorded nowhere."""
    task, evaluate = GANProblem(GANSettings(kimg=0.3, samples=100)).prepare()
    genome = Genome({"filters": 8, "batch_size": 16})
    heard: list[float] = []
    found = []
    for number, seconds in ((0, 1e9), (0, 0.0), (1, 0.0)):
        monkeypatch.setattr(look, "EARLY", seconds)
        trial = Trial(genome, GENES.key(genome), task, number=number)
        tell = lambda point, grid=b"", number=number: EARLY_FID in point and heard.append((number, point[EARLY_FID]))  # noqa: E731
        found.append(evaluate(replace(trial, report=tell)))
    assert [number for number, _ in heard] == [0] and heard[0][1] > 0
    assert found[0].curve == found[1].curve == found[2].curve
    assert [score["fid"] for score in found[0].scores] == [score["fid"] for score in found[1].scores]
    assert found[0].files["generator.safetensors"] == found[1].files["generator.safetensors"]
