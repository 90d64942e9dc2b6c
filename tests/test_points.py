"""Points in the plane: the data, what judges them, and GANs that make them in their own units."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.spatial.distance import jensenshannon

import evogan
from evogan import api
from evogan.data import DataSpec, load_dataset
from evogan.data.given import filed
from evogan.data.points import POINTS
from evogan.errors import UserError
from evogan.families.build import build, count_parameters
from evogan.fitness.points import PlaneMeasures, kl, w1
from evogan.genes import GENES
from evogan.runs.gans import GANProblem
from evogan.settings import GANSettings
from evogan.shipped import read_genome

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("name", POINTS)
def test_points_are_made_alike_and_shown_at_unit_spread(name: str) -> None:
    one, again = (load_dataset(DataSpec(name)) for _ in range(2))
    assert one.fingerprint == again.fingerprint and (len(one.images), len(one.held_out)) == (20_000, 5_000)
    rows = one.images.reshape(-1, 2).astype(float)
    assert np.abs(rows.mean(0)).max() < 1e-6 and (rows**2).mean() == pytest.approx(1, abs=1e-5)
    assert one.plane and one.plane.inside(one.plane.outside(one.images)) == pytest.approx(one.images, abs=1e-5)


def test_w1_is_that_of_an_independent_solver() -> None:
    one, other = RNG.normal(size=(2, 60, 2))
    assert w1(one, other) == pytest.approx(stats.wasserstein_distance_nd(one, other))
    assert w1(one, one[::-1]) == pytest.approx(0, abs=1e-12)


def test_kl_and_js_are_scipys() -> None:
    p, q = (weights / weights.sum() for weights in RNG.random((2, 50)))
    assert kl(p, q) == pytest.approx(stats.entropy(p, q))
    js = (kl(p, (p + q) / 2) + kl(q, (p + q) / 2)) / 2
    assert js == pytest.approx(jensenshannon(p, q) ** 2)


@pytest.mark.parametrize(("name", "modes"), [("ring", 8), ("grid", 25)])
def test_perfect_samples_cover_all_modes_and_a_collapse_one(name: str, modes: int) -> None:
    data = load_dataset(DataSpec(name))
    judge = PlaneMeasures(data, 5000)
    held_out = torch.from_numpy(data.held_out)
    perfect, collapsed = judge.measure(held_out), judge.measure(held_out[:1].expand(5000, -1, -1, -1))
    assert perfect["modes"] == modes
    assert perfect["high_quality"] == pytest.approx(1 - np.exp(-4.5), abs=0.005)  # of a Gaussian in the plane
    assert collapsed["modes"] <= 1 and collapsed["js"] > 5 * perfect["js"] and collapsed["w1"] > 5 * perfect["w1"]
    assert judge.measure(held_out + 1e6)["modes"] == 0  # far away, where no cell is


def test_points_of_a_script_are_those_of_a_file(tmp_path: Path) -> None:
    points = RNG.normal(size=(300, 2)) * [5, 1] + 3
    np.save(tmp_path / "mine.npy", points)
    of_file, of_script = (
        GANProblem(GANSettings(data=str(data), kimg=1)).dataset
        for data in (tmp_path / "mine.npy", filed(torch.from_numpy(points), tmp_path))
    )
    assert asdict(of_script.plane) == asdict(of_file.plane) and np.array_equal(of_script.images, of_file.images)
    with pytest.raises(UserError, match=r"data has 9 points: at least 20"):
        filed(points[:9], tmp_path)


@pytest.mark.parametrize(
    ("array", "line"),
    [
        (np.zeros((50, 3)), "two columns"),
        (np.full((50, 2), np.nan), "not finite"),
        (np.ones((50, 2)), "equal"),
        (np.arange(8.0).reshape(4, 2), "at least 20"),
        (np.array([["a", "b"]] * 30), "numbers"),
    ],
)
def test_what_are_no_points_is_said(array: np.ndarray, line: str, tmp_path: Path) -> None:
    np.save(tmp_path / "mine.npy", array)
    with pytest.raises(UserError, match=line):
        load_dataset(DataSpec(str(tmp_path / "mine.npy")))


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_a_spread_that_is_no_number_is_said(size: float, tmp_path: Path) -> None:
    np.save(tmp_path / "mine.npy", RNG.normal(size=(50, 2)) * size)
    with pytest.raises(UserError, match="scale them"):
        load_dataset(DataSpec(str(tmp_path / "mine.npy")))


def test_points_far_wider_than_high_are_said(tmp_path: Path) -> None:
    for name, size, said in (("a", (1, 1e6), "times as far as along x"), ("b", (1, 0), "along x and not along y")):
        np.save(tmp_path / f"{name}.npy", np.round(RNG.normal(size=(5000, 2)), 2) * size)
        assert said in load_dataset(DataSpec(str(tmp_path / f"{name}.npy"))).describe()


def test_sorted_points_are_judged_as_shuffled_ones(tmp_path: Path) -> None:
    """Their W1 is from the first of many."""
    points = RNG.normal(size=(4000, 2))
    np.save(tmp_path / "sorted.npy", points[np.argsort(points[:, 0])])
    data = load_dataset(DataSpec(str(tmp_path / "sorted.npy")))
    judge = PlaneMeasures(data, len(data.images))
    assert judge.measure(torch.from_numpy(data.held_out))["w1"] < 0.5
    assert judge.measure(torch.from_numpy(data.images[data.images[:, 0, 0, 0] < -1]))["w1"] > 1


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", points=RNG.normal(size=(50, 2)), labels=np.arange(50))
    assert "left out: labels" in load_dataset(DataSpec(str(tmp_path / "mine.npz"))).describe()
    with pytest.raises(UserError, match="--labels is for images"):
        _ = GANProblem(GANSettings.of(data="ring", labels=20)).few


@pytest.mark.parametrize("option", [{"image_size": 8}, {"classes": ("1",)}, {"pairs": "edges"}])
def test_what_is_of_images_is_refused(option: dict[str, object]) -> None:
    with pytest.raises(UserError, match="points"):
        load_dataset(DataSpec("ring", **option))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("genome", "line"),
    [
        ("wdcgan", "backbone = wdcgan"),
        ("infogan", "family 'inference'"),
        ({"backbone": "mlp", "augmentation": "translation"}, "augmentation"),
    ],
)
def test_gans_that_make_images_alone_are_refused(genome: object, line: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=line):
        evogan.train(genome, "ring", kimg=0.1, runs=tmp_path)  # type: ignore[arg-type]


def test_the_published_networks() -> None:
    fields = load_dataset(DataSpec("ring")).fields
    gan, wgan = (count_parameters(read_genome(name).genome, fields) for name in ("points_gan", "points_wgan_gp"))
    assert gan["generator"] == 257 * 128 + 129 * 128 + 129 * 2 and gan["critic"] == 3 * 128 + 129 * 128 + 129
    assert wgan["generator"] == 3 * 512 + 2 * 513 * 512 + 513 * 2 and wgan["critic"] == 3 * 512 + 2 * 513 * 512 + 513


def test_points_have_no_bounds() -> None:
    genome = GENES.read({**read_genome("points_gan").genome, "init": "normal", "init_std": 1.0})
    gan = build(genome, load_dataset(DataSpec("ring")).fields, 0)
    made = gan.sample(gan.prompts(100, {}, torch.Generator().manual_seed(0)))
    assert made.shape == (100, 2, 1, 1) and made.abs().max() > 1


def test_points_far_from_zero_keep_their_digits(tmp_path: Path) -> None:
    np.save(tmp_path / "far.npy", RNG.normal(size=(200, 2)) * 1e-3 + 1e9)
    evogan.train("points_gan", str(tmp_path / "far.npy"), iterations=5, runs=tmp_path)
    (file,) = tmp_path.rglob("generator.safetensors")
    assert len(np.unique(api.load(file).sample(100).numpy()[:, 0])) > 90


def test_a_users_points_come_back_in_their_own_units(tmp_path: Path) -> None:
    far = RNG.normal(size=(2000, 2)) * 300 + np.array([5000.0, -70.0])
    np.savez(tmp_path / "far.npz", points=far)
    evaluation, folder = evogan.train("points_gan", tmp_path / "far.npz", iterations=150, samples=500, runs=tmp_path)
    made = evogan.load(folder / "generator.safetensors").sample(500).numpy()
    assert evaluation.status == "completed" and evaluation.metric("w1") is not None
    assert evaluation.metric("modes") is None  # nobody knows them
    assert np.abs(made.mean(0) - far.mean(0)).max() < 900 and 20 < made.std() < 5000
    told = api.evaluate(folder / "generator.safetensors", tmp_path / "far.npz", samples=500, runs=tmp_path)
    assert told["w1"] < 3
    with pytest.raises(UserError, match="makes points"):
        api.evaluate(folder / "generator.safetensors", "digits", samples=100, runs=tmp_path)


def test_a_conditional_generator_of_points_is_evaluated(tmp_path: Path) -> None:
    genome = {**read_genome("points_gan").genome, "condition": "labels"}
    asked: dict[str, Any] = {"samples": 200, "runs": tmp_path}
    evaluation, folder = evogan.train(genome, "ring", iterations=20, score="last", **asked)
    found = evogan.evaluate(folder, "ring", **asked)
    assert found["w1"] == pytest.approx(evaluation.scores[-1]["w1"], rel=0.2)
    with pytest.raises(UserError, match="unknown keyword 'fitness'"):
        evogan.evaluate(folder, "ring", fitness="w1", **asked)


def test_the_same_points_in_other_units_are_other_data(tmp_path: Path) -> None:
    """Networks are shown the same numbers, but what they make is of the units that their file knows."""
    points = RNG.normal(size=(200, 2))
    found = set()
    units = {"one": points, "same": points, "mm": points * 1024, "moved": points + 128, "far": points + 2**22}
    for name, these in {**units, "a little further": points + 2**22 + 1}.items():
        np.save(tmp_path / f"{name}.npy", these)
        found.add(load_dataset(DataSpec(str(tmp_path / f"{name}.npy"))).fingerprint)
    assert len(found) == 5
    data = load_dataset(DataSpec(str(tmp_path / "one.npy")))
    assert data.plane is not None
    around = [replace(data, plane=replace(data.plane, centre=(x, -x))).fingerprint for x in (1e-18, -1e-18)]
    assert around[0] == around[1], "the mean of centred points is rounding alone"
    for name in POINTS:
        ours = load_dataset(DataSpec(name))
        assert ours.fingerprint == replace(ours, plane=None).fingerprint, "keys of before stay valid"


def test_a_search_is_judged_by_what_suits_data_and_family(tmp_path: Path) -> None:
    def measure(space: str, **gan: object) -> str:
        return GANProblem(GANSettings.of(**gan)).measure(evogan.load_space(space))

    assert measure("points", data="ring") == "w1"
    assert measure("semi_supervised", data="digits") == "error"
    assert measure("wdcgan", data="digits") == measure("translation", data="digits") == "fid"
    common = {"evaluations": 2, "iterations": 4, "samples": 200, "confirm": 0, "runs": tmp_path}
    run = evogan.search("points", "grid", workers=1, name="grid", **common)  # type: ignore[arg-type]
    assert (run.settings.fitness == "w1" and (tmp_path / "grid" / "report.html").exists()) or run.report()
    for metric, line in (("swd", "judges images"), ("inception_score", "classes")):
        with pytest.raises(UserError, match=line):
            evogan.search("points", "ring", fitness=metric, name=metric, **common)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="Gaussians"):
        evogan.search("points", "moons", fitness="modes", name="moons", **common)  # type: ignore[arg-type]
