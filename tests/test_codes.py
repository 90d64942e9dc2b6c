"""GANs with an encoder: their judges, what is kept of them, and what can be done with it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import mutual_info_score, normalized_mutual_info_score
from sklearn.neighbors import KNeighborsClassifier

from evogan import Gene, Space, UserError, search
from evogan.evaluation.evaluator import GANEvaluator
from evogan.families import FAMILIES
from evogan.fitness.encoders import clustering_error, code_nn_error, mutual_information, nmi, reconstruction_ratio
from evogan.genes import GENES
from evogan.genes.gather import gathered
from evogan.runs.gans import GANProblem
from evogan.settings import GANSettings
from evogan.trial import FRESH, Evaluation, GANTask, Trial


@pytest.fixture(scope="module", autouse=True)
def _coded() -> Iterator[None]:
    """The family of the plugin, which leaves nothing behind."""
    from tests import toy_encoder  # noqa: F401

    yield
    FAMILIES.pop("coded")
    GENES.become(gathered(FAMILIES.values()))
    del sys.modules["tests.toy_encoder"]


@pytest.fixture(scope="module")
def problem(_coded: None) -> tuple[GANTask, GANEvaluator]:
    return GANProblem(GANSettings(kimg=0.3, samples=100)).prepare()


def trial(task: GANTask, **more: Any) -> Trial:
    genome = GENES.read({"family": "coded", "learning_rate": 0.01, "batch_size": 16, **more})
    return Trial(genome, GENES.key(genome), task)


@pytest.fixture(scope="module")
def trained(problem: tuple[GANTask, GANEvaluator]) -> Evaluation:
    return problem[1](trial(problem[0]))


# --- judges


@pytest.mark.parametrize(("categories", "classes"), [(4, 4), (5, 3), (3, 5)])
def test_the_best_map_of_categories_to_classes_is_the_best_of_all(categories: int, classes: int) -> None:
    rng = np.random.default_rng(categories)
    k, y = rng.integers(categories, size=60), rng.integers(classes, size=60)
    k[:30] = y[:30] % categories
    n = max(categories, classes)
    best = max(float(np.mean(np.array(to)[k] == y)) for to in permutations(range(n)))
    assert clustering_error(torch.tensor(k), torch.tensor(y)) == pytest.approx(1 - best)
    assert nmi(torch.tensor(k), torch.tensor(y)) == pytest.approx(normalized_mutual_info_score(y, k))
    assert clustering_error(torch.tensor(y), (torch.tensor(y) + 1) % n) == 0


def test_the_bound_is_the_mutual_information_where_the_posterior_is_exact() -> None:
    """Of a channel that says another of three categories in a quarter of the cases; less, of any other posterior."""
    asked, heard = np.repeat(np.arange(3), 400), np.tile(np.repeat(np.arange(3), 100), 4)
    heard = np.concatenate([[c] * 300 + [(c + 1) % 3] * 50 + [(c + 2) % 3] * 50 for c in range(3)])
    exact = torch.full((3, 3), 0.125).fill_diagonal_(0.75)
    one_hot = torch.eye(3)[asked]
    known = mutual_info_score(asked, heard)
    assert mutual_information(exact[heard], one_hot) == pytest.approx(known, rel=1e-6)
    assert mutual_information(torch.full((1200, 3), 1 / 3), one_hot) == pytest.approx(0, abs=1e-6)
    assert mutual_information((0.9 * exact + 1 / 30)[heard], one_hot) < known
    assert np.isfinite(mutual_information(torch.eye(3)[heard], one_hot))  # as sure of what is wrong as can be


def test_reconstructions_are_held_against_other_images() -> None:
    rng = torch.Generator().manual_seed(0)
    images = torch.rand(200, 1, 4, 4, generator=rng) * 2 - 1
    order = torch.randperm(200, generator=torch.Generator().manual_seed(1))
    pairs = [(images[order[i]] - images[order[i - 1]]).norm().item() for i in range(200)]
    again = 0.9 * images
    lost = [(0.1 * x).norm().item() for x in images]
    found = reconstruction_ratio(images, again, torch.Generator().manual_seed(1))
    assert found == pytest.approx(np.mean(lost) / np.mean(pairs), rel=1e-5)
    mean = images.mean(0).expand_as(images)
    assert reconstruction_ratio(images, mean, rng) == pytest.approx(0.5**0.5, abs=0.03)
    assert reconstruction_ratio(images, images.roll(1, 0), rng) == pytest.approx(1, abs=0.05)


def test_the_nearest_code_is_that_of_sklearn() -> None:
    rng = torch.Generator().manual_seed(0)
    known, codes = torch.randn(300, 5, generator=rng), torch.randn(90, 5, generator=rng)
    classes, labels = (x[:, 0].sign().add(1).long() for x in (known, codes))
    theirs = KNeighborsClassifier(1).fit(known.numpy(), classes.numpy()).score(codes.numpy(), labels.numpy())
    assert code_nn_error(known, classes, codes, labels) == pytest.approx(1 - theirs)


# --- in a training


def test_codes_are_judged_by_one_half_of_what_is_held_out_and_winners_by_the_other(
    problem: tuple[GANTask, GANEvaluator], trained: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, evaluate = problem
    for score in trained.scores:
        assert {"clustering_error", "nmi", "mutual_information", "reconstruction_ratio"} <= set(score)
    assert ["code_nn_error" in score for score in trained.scores] == [False, False, False, True]
    seen: dict[int, Any] = {}
    data = evaluate._dataset
    for replicate in (0, FRESH):
        monkeypatch.setattr(
            "evogan.evaluation.codes.clustering_error", lambda k, y, at=replicate: seen.update({at: y.numpy()}) or 0.25
        )
        scores = evaluate(replace(trial(task), replicate=replicate)).scores
        assert {score["clustering_error"] for score in scores} == {0.25}
    assert data.held_out_labels is not None
    assert (seen[0] == data.held_out_labels[::2]).all() and (seen[FRESH] == data.held_out_labels[1::2]).all()


def test_without_labels_or_a_category_the_rest_is_measured(problem: tuple[GANTask, GANEvaluator]) -> None:
    task, evaluate = problem
    score = evaluate(trial(task, kinds=1)).scores[-1]
    assert {"reconstruction_ratio", "code_nn_error"} <= set(score)
    assert not {"clustering_error", "nmi", "mutual_information"} & set(score)


def test_a_search_by_what_no_encoder_can_tell_is_one_clear_line(tmp_path: Path) -> None:
    rates = [Gene(name="learning_rate", kind="float", low=1e-4, high=1e-3)]
    kinds = [Gene(name="kinds", kind="int", low=1, high=9)]
    coded = Space("coded", rates, fixed={"family": "coded"}, table=GENES)
    free = Space("free", kinds, fixed={"family": "coded"}, table=GENES)
    beside = Space("beside", rates, fixed={"family": "coded"}, table=GENES, reference=["wgan"])
    np.savez(tmp_path / "bare.npz", images=np.arange(40 * 64, dtype=np.uint8).reshape(40, 8, 8))
    bare = {"data": tmp_path / "bare.npz", "features": "digits"}
    for space, metric, more, said in (
        ("wdcgan", "nmi", {}, "'nmi' judges GANs with an encoder: those of space 'wdcgan' have none"),
        (beside, "reconstruction_ratio", {}, "with an encoder: those of reference 'wgan' have none"),
        (free, "clustering_error", {}, "judges codes with a category: those of space 'free' have none"),
        (coded, "code_nn_error", bare, "'code_nn_error' needs images with labels: 'bare' has none"),
    ):
        with pytest.raises(UserError, match=said):
            search(space, fitness=metric, runs=tmp_path, **more)
    assert not list(tmp_path.glob("*.db"))
