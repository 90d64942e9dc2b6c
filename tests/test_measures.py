"""Measures beside FID and KID, held against independent libraries and formulas; which way each of them is better."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy
import torch
from torch import Tensor
from torch.nn import functional
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric
from torchmetrics.functional.image.ssim import _ssim_update

from evogan import Gene, Space, UserError, api, open_run, search
from evogan.data import Dataset
from evogan.engine import Judge
from evogan.evaluation.flags import flags_of
from evogan.fitness import METRICS, Features, Scorer, load_features, to_unit_range
from evogan.fitness.classes import Classes
from evogan.fitness.classifier import gan_train_error
from evogan.fitness.inception_score import inception_score
from evogan.fitness.manifold import Manifold
from evogan.fitness.ms_ssim import ms_ssim, similarity
from evogan.fitness.scorer import extract
from evogan.fitness.swd import SlicedWasserstein, _blurred, pyramid
from evogan.genes import GENES
from evogan.runs.gans import GANProblem
from evogan.settings import GANSettings
from evogan.trial import FRESH, MAXIMISED, Choice, Evaluation, Trial

torch.set_num_threads(1)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def unseen(digits: Dataset) -> Tensor:
    return to_unit_range(torch.from_numpy(digits.held_out))


@pytest.fixture(scope="module")
def scorer(digits: Dataset) -> Scorer:
    return Scorer(digits, load_features("digits"), samples=len(digits.held_out))


# ------------------------------------------------------------------------------------------- manifolds


@pytest.mark.parametrize(("n", "m", "shift"), [(40, 60, 0.0), (60, 40, 0.3), (50, 50, 3.0)])
def test_precision_and_recall_are_those_of_torch_fidelity(n: int, m: int, shift: float) -> None:
    real, fake = normal(n, 6), normal(m, 6, seed=1) * 0.8 + shift
    theirs = prc_features_to_metric(fake, real, prc_neighborhood=3, prc_batch_size=17, save_cpu_ram=True, verbose=False)
    ours = Manifold(real, torch.Generator()).measure(None, fake)
    assert list(ours.values()) == pytest.approx([theirs["precision"], theirs["recall"]], abs=1e-6)


def test_what_precision_and_recall_tell_apart() -> None:
    real, none = normal(200, 4), torch.Generator()
    few = Manifold(real, none).measure(None, real[:20].repeat(10, 1) + 1e-3 * normal(200, 4, seed=1))
    wide = Manifold(real, none).measure(None, 4 * normal(200, 4, seed=2))
    assert few["manifold_precision"] == 1 and few["manifold_recall"] < 0.2
    assert wide["manifold_precision"] < 0.4 and wide["manifold_recall"] > 0.9
    assert Manifold(real, none).measure(None, real[:3])["manifold_precision"] == 1  # fewer than neighbours


def test_images_that_occur_often_are_as_near_as_their_copies() -> None:
    """But for what rounding does to features that were computed in other batches."""
    images, none = normal(8, 64), torch.Generator()
    real, fake = (images.repeat(6, 1) + 1e-7 * normal(48, 64, seed=seed) for seed in (1, 2))
    assert Manifold(real, none).measure(None, fake) == {"manifold_precision": 1, "manifold_recall": 1}
    some = Manifold(real, none).measure(None, fake[::8])  # copies of one of them
    assert some == {"manifold_precision": 1, "manifold_recall": 1 / 8}


# ------------------------------------------------------------------------------------------- which way is better


def test_more_is_better_of_some_and_only_the_judge_turns_them() -> None:
    assert set(METRICS) >= MAXIMISED
    scores: Any = [{"manifold_recall": recall, "fid": 1.0} for recall in (0.2, 0.6, 0.4)]
    evaluation = Evaluation(status="completed", scores=tuple(scores))
    judge = Judge.of("manifold_recall,fid")
    assert judge.point(evaluation)["manifold_recall"] == evaluation.metric("manifold_recall") == 0.6
    assert judge.values(evaluation) == (-0.6, 1.0) and judge.shown((-0.6, 1.0)) == (0.6, 1.0)
    assert Judge.of("manifold_recall", "last").value(evaluation) == -0.4
    assert Choice(("fid",)).place(scores) == 0 and Choice(("manifold_recall",)).place(scores) == 1


def test_a_search_for_recall_finds_more_of_it_and_shows_it_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score = Scorer.score
    monkeypatch.setattr(
        Scorer, "score", lambda *given: {**(found := score(*given)), "manifold_recall": found["fid"] % 1}
    )
    small = {"filters": 4, "batch_size": 16, "latent": 4}
    space = Space("small", [Gene(name="learning_rate", kind="float", low=1e-4, high=1e-3, levels=2)], fixed=small)
    how: Any = {"strategy": "grid", "evaluations": 2, "confirm": 1, "finalists": 1, "kimg": 0.3, "samples": 50}
    run = search(space, fitness="manifold_recall", runs=tmp_path, name="wide", workers=1, **how)
    frame = run.to_dataframe()
    assert (frame["fitness"] == -frame["manifold_recall"]).all() and frame["manifold_recall"].nunique() == 2
    assert run.best is not None and run.best.value == -frame["manifold_recall"].max()
    page = run.report(tmp_path / "page").read_text()
    assert f"manifold recall {run.confirmations[0].shown:.4g} over 1 fresh replicate" in page
    assert "manifold recall -" not in page
    assert open_run("wide", runs=tmp_path).load_best().facts["key"] == run.best.row.key


def test_an_objective_is_minimised() -> None:
    space = Space("x", [Gene(name="x", kind="float", low=0, high=1)])
    with pytest.raises(UserError, match="'manifold_recall' is more where it is better, and an objective is minimised"):
        search(space, objective=lambda genome: {"manifold_recall": genome["x"]}, fitness="manifold_recall")


# ------------------------------------------------------------------------------------------- the inception score


@pytest.mark.parametrize("n", [100, 103, 7])
def test_the_inception_score_is_that_of_torch_fidelity(n: int) -> None:
    logits = 3 * normal(n, 5)
    theirs = isc_features_to_metric(logits, splits=min(10, n), shuffle=False)
    if n % 10 == 0 or n < 10:
        assert inception_score(logits) == pytest.approx(theirs["inception_score_mean"])
    assert 1 <= inception_score(logits) <= 5
    sure = torch.eye(5).repeat(20, 1) * 1000
    assert inception_score(sure) == pytest.approx(5) and inception_score(sure[:1].repeat(50, 1)) == pytest.approx(1)


# ------------------------------------------------------------------------------------------- patches


def published_levels(images: np.ndarray[Any, Any], count: int) -> list[np.ndarray[Any, Any]]:
    """As in `progressive_growing_of_gans/metrics/sliced_wasserstein.py`, by SciPy."""
    line = np.array([1, 4, 6, 4, 1], dtype=np.float64)
    kernel = np.outer(line, line)[None, None] / 256
    levels = [images]
    for _ in range(count - 1):
        down = scipy.ndimage.convolve(levels[-1], kernel, mode="mirror")[:, :, ::2, ::2]
        up = np.zeros(levels[-1].shape)
        up[:, :, ::2, ::2] = down
        levels[-1] = levels[-1] - scipy.ndimage.convolve(up, 4 * kernel, mode="mirror")
        levels.append(down)
    return levels


@pytest.mark.parametrize(("side", "count"), [(8, 1), (28, 2), (45, 2), (64, 3)])
def test_the_levels_are_the_published_ones(side: int, count: int) -> None:
    images = normal(3, 2, side, side).float()
    theirs = published_levels(images.double().numpy(), count)
    for ours, level in zip(pyramid(images), theirs, strict=True):
        np.testing.assert_allclose(ours.numpy(), level, atol=1e-5)


def test_the_sliced_distance_is_the_mean_of_distances_along_directions() -> None:
    """Images of one patch, so that nothing is drawn but the directions."""
    real, fake = normal(40, 1, 7, 7).float(), normal(40, 1, 7, 7, seed=1).float() ** 2
    found = SlicedWasserstein(real, torch.Generator().manual_seed(3))
    x, y = ((a - a.mean()) / a.std() for a in (real.double().numpy(), fake.double().numpy()))
    directions = found._directions.double().numpy()
    along = [(a.reshape(40, 49) @ directions).T for a in (x, y)]
    theirs = np.mean([scipy.stats.wasserstein_distance(a, b) for a, b in zip(*along, strict=True)])
    assert found.distance(fake) == pytest.approx(1000 * theirs, rel=1e-4)
    assert found.distance(real) == 0


def test_patches_tell_noise_and_blur(digits: Dataset) -> None:
    images = to_unit_range(torch.from_numpy(digits.images))
    found = SlicedWasserstein(images[:700], torch.Generator().manual_seed(0))
    fine = images[700:1400]
    noisy, blurred, pale = fine + 0.5 * normal(*fine.shape).float(), _blurred(fine), torch.zeros(fine.shape)
    assert all(1.5 * found.distance(fine) < found.distance(poor) for poor in (noisy, blurred, pale))


# ------------------------------------------------------------------------------------------- similarity


@pytest.mark.parametrize(("side", "count"), [(12, 1), (28, 2), (64, 3), (177, 5)])
def test_the_similarity_follows_from_torchmetrics(side: int, count: int) -> None:
    """Theirs has mirrored borders in the luminance: the windows within the image are cut out."""
    x = normal(1, 2, side, side).float().clamp(-1, 1)
    y = (x + 0.3 * normal(1, 2, side, side, seed=1)).clamp(-1, 1)
    a, b, parts = x.double() + 1, y.double() + 1, []  # luminance is of intensities
    for _ in range(count):
        _, contrast = _ssim_update(a, b, data_range=2.0, return_contrast_sensitivity=True)
        _, whole = _ssim_update(a, b, data_range=2.0, return_full_image=True)
        parts.append(contrast)
        a, b = (functional.avg_pool2d(c, 2) for c in (a, b))
    parts[-1] = whole[:, :, 5:-5, 5:-5].mean((1, 2, 3))
    weights = torch.tensor((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)[:count], dtype=torch.float64)
    theirs = (torch.stack(parts, 1) ** (weights / weights.sum())).prod(1)
    torch.testing.assert_close(ms_ssim(x, y), theirs, rtol=1e-6, atol=1e-8)


def test_grey_that_is_a_little_brighter_is_alike() -> None:
    """On both sides of the middle, and in the dark less than in the light."""
    texture = 0.02 * normal(1, 1, 28, 28).float()
    found = [float(ms_ssim(texture + level, texture + level + 0.12)) for level in (-0.9, -0.06, 0.7)]
    assert found == sorted(found) and found[1] > 0.98 and found[0] < 0.9


def test_copies_are_alike_and_digits_are_not(unseen: Tensor) -> None:
    assert similarity(unseen[:1].repeat(10, 1, 1, 1)) == pytest.approx(1)
    assert 0 <= similarity(unseen) < 0.5
    assert similarity(unseen[:2, :, :4, :4]) <= 1  # smaller than a window


def test_a_score_has_them_all(scorer: Scorer, unseen: Tensor) -> None:
    found = scorer.score(unseen.split(70))
    assert found == pytest.approx(scorer.score([unseen]), rel=1e-4)
    assert found["inception_score"] == pytest.approx(8, abs=0.5)
    assert found["ms_ssim_pairs"] == similarity(unseen)
    assert found["manifold_precision"] > 0.8 and found["manifold_recall"] > 0.8


# ------------------------------------------------------------------------------------------- judges of classes


@pytest.fixture(scope="module")
def classes(digits: Dataset) -> tuple[Classes, Tensor, Tensor]:
    """And features and labels of training images."""
    network, labels = load_features("digits"), torch.tensor(digits.labels)
    real = extract(network, [torch.tensor(digits.images)])
    found = Classes.of(network, real, labels)
    assert found is not None
    return found, real, labels


def test_the_judges_of_classes_follow_from_their_formulas(classes: tuple[Classes, Tensor, Tensor]) -> None:
    judge, real, labels = classes
    network, half = load_features("digits"), slice(0, None, 2)
    found = judge.measure(network, real[half], labels[half])
    distances = []
    for label in range(10):
        a, b = (features.double().numpy() for features in (real[labels == label], real[half][labels[half] == label]))
        covariances = np.cov(a.T), np.cov(b.T)
        root = np.sqrt(np.abs(np.linalg.eigvals(covariances[0] @ covariances[1]))).sum()
        distances.append(np.square(a.mean(0) - b.mean(0)).sum() + np.trace(sum(covariances)) - 2 * root)
    assert found["class_fid"] == pytest.approx(np.mean(distances), rel=1e-3)
    said = network.head(real[half]).argmax(1)
    assert found["gan_test_error"] == pytest.approx(float((said != labels[half]).double().mean()))


def test_classes_that_are_mixed_up(classes: tuple[Classes, Tensor, Tensor]) -> None:
    judge, real, labels = classes
    network = load_features("digits")
    right, wrong = judge.measure(network, real, labels), judge.measure(network, real, (labels + 1) % 10)
    assert right["gan_test_error"] < 0.01 and wrong["gan_test_error"] > 0.99
    assert right["class_fid"] < 1e-6 and wrong["class_fid"] > 100
    few = judge.measure(network, real[:1], labels[:1])  # one of a class has no covariance
    assert few == {"gan_test_error": 0.0}


def test_a_class_that_no_training_image_has_is_left_out(digits: Dataset) -> None:
    """A rare one may be held out alone, in the middle or as the last."""
    network, labels = load_features("digits"), torch.tensor(digits.labels)
    real = extract(network, [torch.tensor(digits.images)])
    whole = Classes.of(network, real, labels)
    for absent in (5, 9):
        kept = labels != absent
        judge = Classes.of(network, real[kept], labels[kept])
        assert judge is not None and whole is not None
        found = judge.measure(network, real, labels)
        assert found["gan_test_error"] == whole.measure(network, real[kept], labels[kept])["gan_test_error"]
        assert judge.measure(network, real[~kept], labels[~kept]) == {}


def test_classes_have_the_numbers_of_the_data(digits: Dataset, classes: tuple[Classes, Tensor, Tensor]) -> None:
    """The network calls 3, 8, 5 what these data call 0, 1, 2; and of shuffled labels it knows nothing."""
    _, real, labels = classes
    network = load_features("digits")
    kept = torch.isin(labels, torch.tensor([3, 8, 5]))
    few = Classes.of(network, real[kept], torch.tensor([0, 0, 0, 0, 0, 2, 0, 0, 1, 0])[labels[kept]])
    assert few is not None and few._each.tolist() == [3, 8, 5]
    assert Classes.of(network, real, labels[torch.randperm(len(labels), generator=torch.Generator())] // 9) is None
    assert Classes.of(Plain(), real, labels) is None


class Plain(Features):
    """Knows no classes."""


def test_a_classifier_of_samples(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evogan.fitness.classifier.STEPS", 50)
    real, labels = torch.tensor(digits.held_out[::2]), torch.tensor(np.asarray(digits.held_out_labels)[::2])
    samples, asked = torch.tensor(digits.images[:1000]), torch.tensor(np.asarray(digits.labels)[:1000])
    error = gan_train_error(samples, asked, real, labels, seed=1)
    assert error < 0.3 and gan_train_error(samples, (asked + 1) % 10, real, labels, seed=1) > 0.7
    one = torch.stack([samples[asked == label][0] for label in range(10)]).repeat(10, 1, 1, 1)
    few = gan_train_error(one, torch.arange(10).repeat(10), real, labels, seed=1)
    assert few > error  # few samples teach less
    assert few == gan_train_error(one, torch.arange(10).repeat(10), real, labels, seed=1)


ASKED = {"condition": "labels", "filters": 4, "batch_size": 16, "latent": 4, "loss": "non_saturating"}
ASKED |= {"critic_constraint": "none"}


def test_a_gan_that_is_asked_for_classes_is_judged_by_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what is dear where it is asked for, and on other images at the end of a training that checks a winner."""
    seen: list[tuple[Tensor, ...]] = []
    monkeypatch.setattr("evogan.evaluation.scoring.gan_train_error", lambda *given: seen.append(given) or 0.25)
    task, evaluate = GANProblem(GANSettings(kimg=0.1, samples=200)).prepare()
    genome, dear = GENES.read(ASKED), Choice(("gan_train_error",))
    one = Trial(genome, GENES.key(genome), task)
    ways = {"plain": one, "judged": replace(one, choice=dear), "checks": replace(one, replicate=FRESH)}
    measured = {}
    for way, trial in ways.items():
        scores = evaluate(trial).scores
        assert all({"class_fid", "gan_test_error"} <= set(score) for score in scores)
        measured[way] = ["gan_train_error" in score for score in scores]
    path = tmp_path / "generator.safetensors"
    path.write_bytes(evaluate(one).files[path.name])
    again = api.evaluate(path, samples=200)
    assert {"class_fid", "gan_test_error"} <= set(again) and again["gan_test_error"] > 0.5
    n = len(measured["plain"])
    assert measured == {"plain": [False] * n, "judged": [True] * n, "checks": [False] * (n - 1) + [True]}
    dataset = evaluate._dataset
    labels, (samples, asked, real, classes, _) = np.asarray(dataset.labels), seen[0]
    assert samples.dtype == torch.uint8 and samples.shape == (200, 1, 8, 8)
    shares = np.bincount(labels) / len(labels)
    assert np.abs(np.bincount(asked) - 200 * shares).max() < 1 and (asked[:-1] > asked[1:]).any()
    other, others = seen[-1][2:4]
    assert (dataset.held_out[::2] == real.numpy()).all() and (dataset.held_out[1::2] == other.numpy()).all()
    assert len(real) == len(classes) and len(other) == len(others)


@pytest.mark.parametrize("metric", ["class_fid", "gan_test_error", "gan_train_error"])
def test_judges_of_classes_need_them(metric: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"'{metric}' judges GANs that are asked for classes: space 'wdcgan' must fix"):
        search("wdcgan", fitness=metric, runs=tmp_path)
    space = Space("asked", [Gene(name="learning_rate", kind="float", low=1e-4, high=1e-3)], fixed=ASKED, table=GENES)
    beside = Space("beside", space.genes, fixed=ASKED, table=GENES, reference=["wgan"])
    with pytest.raises(UserError, match="reference 'wgan' must fix"):
        search(beside, fitness=metric, runs=tmp_path)
    with pytest.raises(
        UserError, match="needs features that tell the classes of 'digits' apart: 'fashion_mnist' do not"
    ):
        search(space, fitness=metric, features="fashion_mnist", runs=tmp_path)
    np.savez(tmp_path / "bare.npz", images=np.arange(40 * 64, dtype=np.uint8).reshape(40, 8, 8))
    with pytest.raises(UserError, match="labels"):
        search(space, data=tmp_path / "bare.npz", fitness=metric, features="digits", runs=tmp_path)
    assert not list(tmp_path.glob("*.db"))


def test_noise_over_the_data_is_over_generalisation(scorer: Scorer, unseen: Tensor) -> None:
    """And nothing that was trained to be like them; see `SICK` in `test_diagnostics.py`."""
    noise = normal(*unseen.shape).float()
    raised = {}
    for strength in (0.0, 0.3, 1.0, 3.0):
        evaluation = Evaluation(status="completed", scores=(scorer.score([unseen + strength * noise]),))
        raised[strength] = "over_generalisation" in flags_of(evaluation)
    assert raised == {0.0: False, 0.3: False, 1.0: True, 3.0: False}
