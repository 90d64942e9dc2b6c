"""Measures beside FID and KID, held against independent libraries and formulas; which way each of them is better."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch_fidelity.metric_prc import prc_features_to_metric

from evogan import Gene, Space, UserError, open_run, search
from evogan.data import Dataset, DataSpec, load_dataset
from evogan.engine import Judge
from evogan.fitness import METRICS, Scorer, load_features, to_unit_range
from evogan.fitness.manifold import Manifold, precision_recall
from evogan.trial import MAXIMISED, Choice, Evaluation

torch.set_num_threads(1)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset(DataSpec("digits"))


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
    assert precision_recall(real, fake) == pytest.approx((theirs["precision"], theirs["recall"]), abs=1e-6)


def test_what_precision_and_recall_tell_apart() -> None:
    real, none = normal(200, 4), torch.Generator()
    few = Manifold(real, none).measure(None, real[:20].repeat(10, 1) + 1e-3 * normal(200, 4, seed=1))
    wide = Manifold(real, none).measure(None, 4 * normal(200, 4, seed=2))
    assert few["manifold_precision"] == 1 and few["manifold_recall"] < 0.2
    assert wide["manifold_precision"] < 0.4 and wide["manifold_recall"] > 0.9
    assert Manifold(real, none).measure(None, real[:3]) == {}  # as many as neighbours: no radius


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
    space = Space("small", [Gene(name="learning_rate", kind="float", low=1e-4, high=1e-3, levels=3)], fixed=small)
    how: Any = {
        "strategy": "grid",
        "evaluations": 3,
        "confirm": 2,
        "finalists": 1,
        "kimg": 0.3,
        "samples": 50,
        "workers": 1,
    }
    run = search(space, fitness="manifold_recall", runs=tmp_path, name="wide", **how)
    frame = run.to_dataframe()
    assert (frame["fitness"] == -frame["manifold_recall"]).all() and frame["manifold_recall"].nunique() == 3
    assert run.best is not None and run.best.value == -frame["manifold_recall"].max()
    page = run.report(tmp_path / "page").read_text()
    assert f"manifold recall {run.confirmations[0].shown:.2g}"[:-1] in page and "manifold recall -" not in page
    assert open_run("wide", runs=tmp_path).load_best().facts["key"] == run.best.row.key


def test_an_objective_is_minimised() -> None:
    space = Space("x", [Gene(name="x", kind="float", low=0, high=1)])
    with pytest.raises(UserError, match="'manifold_recall' is more where it is better, and an objective is minimised"):
        search(space, objective=lambda genome: {"manifold_recall": genome["x"]}, fitness="manifold_recall")
