"""Diagnostics and flags: against plain computations, and without a trace in the training they look at."""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from evogan import shipped
from evogan.data import Dataset
from evogan.data.dataset import image_dataset
from evogan.errors import UserError
from evogan.evaluation.flags import RULES, explain, flags_of, plateau
from evogan.families import image_fields
from evogan.families.build import build
from evogan.families.plain.diagnostics import forced_choice
from evogan.fitness import Diversity, Features, Scorer, load_features, to_unit_range
from evogan.genes import GENES
from evogan.report import facts
from evogan.runs.gans import GANProblem
from evogan.settings import GANSettings
from evogan.training import Trainer, diagnose
from evogan.training.feed import of_images
from evogan.trial import Evaluation, Trial
from evogan.zoo.gan import Critique, Losses
from evogan.zoo.weights import layers, matrix, raw
from tests.draws import normal, rng

torch.set_num_threads(1)

SMALL = {"filters": 8, "batch_size": 16, "critic_steps": 2, "learning_rate": 1e-3}
FAILURES = Path(__file__).parent.parent / "examples" / "failures"


# ------------------------------------------------------------------------------------------- diversity


class Plain(Features):
    """Features without classes."""

    name = "plain"


@pytest.fixture(scope="module")
def scorer(digits: Dataset) -> Scorer:
    return Scorer(digits, load_features("digits"), samples=500)


def nearest(points: np.ndarray, others: np.ndarray, same: bool = False) -> list[float]:
    """By loops."""
    return [
        min(float(np.linalg.norm(p - q)) for j, q in enumerate(others) if not (same and i == j))
        for i, p in enumerate(points)
    ]


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.integers(20, 60), st.integers(1, 5), st.floats(0.1, 3.0))
def test_diversity_equals_loops(seed: int, n: int, dim: int, spread: float) -> None:
    real, held_out, fake = normal(n, dim, seed=seed), normal(n + 7, dim, seed=seed + 1), spread * normal(40, dim)
    found = Diversity(Plain(), real, held_out, rng()).measure(Plain(), fake)
    r, h, f = (x.double().numpy() for x in (real, held_out, fake))
    spread_real, spread_fake = (math.sqrt(np.trace(np.cov(x.T).reshape(dim, dim))) for x in (r, f))
    same, chance = (
        np.mean([math.exp(-np.sum((p - q) ** 2) / (spread_real / 4) ** 2) for p, q in combinations(x, 2)])
        for x in (f, r)
    )
    copied = np.quantile(nearest(f, r), 0.1) / np.quantile(nearest(h, r), 0.1)
    assert found["diversity"] == pytest.approx((spread_fake / spread_real) ** 2)
    assert found["collision"] == pytest.approx((same - chance) / (1 - chance))
    assert found["memorisation"] == pytest.approx(copied, rel=1e-5)
    assert set(found) == {"diversity", "collision", "memorisation"}


def test_images_of_three_classes_are_three_of_ten(digits: Dataset) -> None:
    assert digits.labels is not None
    network = load_features("digits")
    scorer = Scorer(digits, network, samples=100)
    images = to_unit_range(torch.from_numpy(digits.images))
    kept = [int(i) for label in (0, 3, 7) for i in np.flatnonzero(digits.labels == label)[:100]]
    found = replace_samples(scorer, len(kept)).score([images[kept]])
    assert found["coverage"] == pytest.approx(0.3)
    shares = np.bincount(digits.labels, minlength=10) / len(digits.labels)
    theirs = np.bincount(digits.labels[kept], minlength=10) / len(kept)
    assert found["class_distance"] == pytest.approx(np.abs(shares - theirs).sum() / 2, abs=0.01)
    assert found["diversity"] < 0.9
    one = replace_samples(scorer, 500).score([images[:1].expand(500, -1, -1, -1)])
    assert (one["diversity"], one["collision"]) == (pytest.approx(0, abs=1e-9), pytest.approx(1, abs=1e-6))
    assert one["memorisation"] == pytest.approx(0, abs=1e-3)


def replace_samples(scorer: Scorer, samples: int) -> Scorer:
    other: Scorer = pickle.loads(pickle.dumps(scorer))
    other.samples = samples
    return other


def test_real_images_are_diverse_and_unseen_ones_no_copies(digits: Dataset) -> None:
    scorer = Scorer(digits, load_features("digits"), samples=len(digits.held_out))
    unseen = scorer.score([to_unit_range(torch.from_numpy(digits.held_out))])
    assert unseen["coverage"] == 1
    assert unseen["class_distance"] < 0.05
    assert unseen["diversity"] == pytest.approx(1, abs=0.1)
    assert unseen["collision"] == pytest.approx(0, abs=1e-3)
    assert unseen["memorisation"] == pytest.approx(1)
    copies = scorer.score([to_unit_range(torch.from_numpy(digits.images[: len(digits.held_out)]))])
    assert copies["memorisation"] < 0.01


@pytest.fixture(scope="module")
def plain() -> Diversity:
    return Diversity(Plain(), normal(500, 8), normal(100, 8, seed=1), rng())


@settings(max_examples=10)
@given(st.integers(0, 10**6))
def test_collision_falls_with_the_number_of_different_images(plain: Diversity, seed: int) -> None:
    """It is the chance to draw one of k twice, and little more."""
    images, numbers = normal(480, 8, seed=seed), (1, 2, 4, 10, 24, 60, 160, 480)
    found = [plain.measure(Plain(), images[:k].repeat(480 // k, 1))["collision"] for k in numbers]
    assert found == sorted(found, reverse=True)
    chance = [(480 / k - 1) / 479 for k in numbers]
    assert found == pytest.approx(chance, abs=0.02)


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 400), st.floats(1e-6, 3.0), st.floats(1.5, 100.0))
def test_collision_falls_with_noise(plain: Diversity, seed: int, k: int, noise: float, more: float) -> None:
    images, noises = normal(k, 8, seed=seed).repeat(400 // k, 1), normal(400 // k * k, 8, seed=seed + 1)
    few, quiet, loud = (
        plain.measure(Plain(), images + level * noises)["collision"] for level in (0.0, noise, more * noise)
    )
    assert few + 1e-3 > quiet > loud - 1e-3
    assert k > 1 or few == 1 >= quiet >= loud


@pytest.mark.parametrize(
    ("noise", "collision"), [(0.0, 1.0), (1e-3, 1.0), (0.01, 0.997), (0.1, 0.75), (0.2, 0.38), (0.5, 0.02), (2.0, 0.0)]
)
def test_one_image_under_noise(digits: Dataset, scorer: Scorer, noise: float, collision: float) -> None:
    image = to_unit_range(torch.from_numpy(digits.images[:1]))
    found = scorer.score([image + noise * normal(500, 1, 8, 8)])
    assert found["collision"] == pytest.approx(collision, abs=0.02)


def test_pale_images_are_alike(plain: Diversity) -> None:
    fresh = normal(400, 8, seed=2)
    found = [plain.measure(Plain(), scale * fresh) for scale in (0.0, 0.01, 0.1, 0.3, 1.0)]
    assert [numbers["collision"] for numbers in found] == sorted((n["collision"] for n in found), reverse=True)
    assert [found[i]["collision"] for i in (0, 1, -1)] == pytest.approx([1, 1, 0], abs=0.01)


def test_memorisation_is_not_measured_by_copies() -> None:
    """Equal images have equal features on some processors, nearly equal ones on others."""
    real = normal(200, 8)
    for rounding in (0.0, 1e-7):
        held_out = real[:50] + rounding * normal(50, 8, seed=1)
        assert set(Diversity(Plain(), real, held_out, rng()).measure(Plain(), real)) == {"diversity", "collision"}


@pytest.mark.parametrize(
    ("images", "error"),
    [(np.full((30, 1, 8, 8), 7, np.uint8), "all 30 images of data set 'flat' are the same to features 'digits'"),
     (np.eye(8, dtype=np.uint8)[None, None].repeat(2, 0), "all 2 images")],
)  # fmt: skip
def test_images_that_are_all_the_same_are_no_measure(images: np.ndarray, error: str) -> None:
    with pytest.raises(UserError, match=error):
        Scorer(image_dataset("flat", images, None, images[:2], None), load_features("digits"))


def test_what_a_scorer_holds_is_small(digits: Dataset) -> None:
    assert len(pickle.dumps(Scorer(digits, load_features("digits"), samples=300))) < 4_000_000


# ------------------------------------------------------------------------------------------- the inside


def trainer(genome: Mapping[str, Any], images: Tensor | None = None, size: int = 8) -> Trainer:
    if images is None:
        images = torch.arange(40 * size * size).reshape(40, 1, size, size).remainder(251).byte()
    gan = build(genome, image_fields(images.shape[-1], images.shape[1]), 0)
    return Trainer(gan, GENES.complete(genome), of_images(images), seed=0, device=torch.device("cpu"), iterations=20)


@settings(max_examples=50)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=8), st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_forced_choice_equals_loops(high: list[int], low: list[int]) -> None:
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in high for b in low]
    assert forced_choice(torch.tensor(high), torch.tensor(low)) == pytest.approx(sum(pairs) / len(pairs))


def brightness(network: nn.Module, sign: float) -> Any:
    """A critic that looks at nothing else. It has a gradient, 0."""

    def judge(x: Tensor, draws: object = ()) -> Critique:
        nothing = torch.stack([0 * parameter.sum() for parameter in network.parameters()]).sum()
        return Critique(sign * x.flatten(1).mean(1) + nothing, x.flatten(1))

    return judge


@pytest.mark.parametrize(("loss", "sign"), [("non_saturating", 1.0), ("wasserstein", 1.0), ("ebgan", -1.0)])
def test_a_critic_that_knows_training_images_only(loss: str, sign: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training images are white, held-out ones black, fakes between. Energies are low for what is real."""
    run = trainer({**SMALL, "loss": loss}, torch.full((30, 1, 8, 8), 255, dtype=torch.uint8))
    critic = run.gan.players["critic"]
    monkeypatch.setattr(critic, "forward", brightness(critic, sign))
    numbers, _ = diagnose(run, of_images(torch.zeros(3, 1, 8, 8, dtype=torch.uint8)), 0)
    assert numbers["critic_accuracy"] == 1
    assert numbers["critic_accuracy_held_out"] == 0
    assert numbers["critic_gradient"] == 0
    assert ("wasserstein_estimate" in numbers) == (loss == "wasserstein")
    if loss == "wasserstein":  # white is 1, black -1
        assert numbers["wasserstein_estimate"] - numbers["wasserstein_estimate_held_out"] == pytest.approx(2)
        assert 0.5 < numbers["wasserstein_estimate"] < 1.5
    assert numbers["critic_features"] == pytest.approx(math.sqrt((1 + 1 + numbers["generator_output"] ** 2) / 3))


@pytest.mark.parametrize(
    "genome", [{"learning_rate": 0.5}, {"upsampling": "transposed", "critic_norm": "layer", "loss": "began"}]
)
def test_singular_values_are_those_of_the_weights_in_use(genome: dict[str, Any]) -> None:
    run = trainer({**SMALL, "equalized_lr": True, **genome})
    run.run_to(2)
    _, found = diagnose(run, run.feed.streams, 0)
    for player, network in run.gan.players.items():
        for name, layer in layers(network):
            exact = torch.linalg.svdvals(matrix(layer, layer.weight.detach())).tolist()[:3]
            names = ["singular", "singular_2", "singular_3"][: len(exact)]
            assert [found[player][name].get(n) for n in names] == pytest.approx(exact, rel=0.001)
            assert set(found[player][name]) == {"gradient", "step", *names}
        assert len(found[player]) == sum(isinstance(m, nn.Linear | nn.modules.conv._ConvNd) for m in network.modules())


def test_spectral_norm_shows() -> None:
    run = trainer({**SMALL, "critic_constraint": "spectral_norm"})
    run.run_to(3)
    _, found = diagnose(run, run.feed.streams, 0)
    assert all(numbers["singular"] == pytest.approx(1, abs=0.05) for numbers in found["critic"].values())


def test_gradients_of_a_loss_whose_gradients_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """sum_l c_l |w_l|^2 / 2, of the weights that are learned."""
    run = trainer({**SMALL, "equalized_lr": True})

    def loss(player: str, batch: object) -> Losses:
        weights = [raw(layer) for _, layer in layers(run.gan.players[player])]
        return Losses({"real": torch.stack([c * w.square().sum() / 2 for c, w in enumerate(weights)]).sum()})

    monkeypatch.setattr(run.gan, "loss", loss)
    numbers, found = diagnose(run, run.feed.streams, 0)
    for player, network in run.gan.players.items():
        norms = [c * float(raw(layer).detach().norm()) for c, (_, layer) in enumerate(layers(network))]
        assert [layer["gradient"] for layer in found[player].values()] == pytest.approx(norms, rel=1e-3)
        assert numbers[f"{player}_gradient"] == pytest.approx(math.hypot(*norms), rel=1e-5)


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "sgd"])
def test_first_steps_by_hand(optimizer: str) -> None:
    """adam moves every weight by the rate, rmsprop by rate / sqrt(1 - decay), sgd by rate x gradient."""
    run = trainer({**SMALL, "critic_optimizer": optimizer, "lr_decay": "linear"})
    before = [weight.detach().clone() for weight in run._parameters["critic"]]
    gradients = [normal(*weight.shape, seed=i) for i, weight in enumerate(before)]
    expected = {"adam": torch.sign, "rmsprop": lambda g: g.sign() / math.sqrt(1 - 0.9), "sgd": lambda g: g}[optimizer]
    for moved, gradient in zip(run.next_step("critic", gradients), gradients, strict=True):
        assert torch.allclose(moved, -1e-3 * expected(gradient), rtol=1e-3, atol=1e-6)
    assert all(torch.equal(w, old) for w, old in zip(run._parameters["critic"], before, strict=True))
    assert not run.optimizers["critic"].state


def test_how_far_steps_lead() -> None:
    """With adam the layer that moves most is the one whose weights are smallest: the steps are 1e-3 each."""
    run = trainer({**SMALL, "critic_optimizer": "adam"})
    assert diagnose(run, run.feed.streams, 0)[0]["critic_reach"] == 0
    weights = [raw(layer).detach() for _, layer in layers(run.gan.players["critic"])]
    steps = [1e-3 * math.sqrt(weight.numel()) / float(weight.norm()) for weight in weights]
    found = diagnose(run, run.feed.streams, 0)[1]["critic"].values()
    assert [layer["step"] for layer in found] == pytest.approx(steps, rel=0.02)
    run.run_to(3)
    numbers, players = diagnose(run, run.feed.streams, 0)
    assert numbers["critic_reach"] == 6 * max(layer["step"] for layer in players["critic"].values())


GENOMES: dict[str, dict[str, Any]] = {
    "rmsprop": {},
    "adam, average, r1": {
        "critic_optimizer": "adam",
        "generator_optimizer": "adam",
        "ema": 0.95,
        "loss": "non_saturating",
        "zero_penalty": "r1",
        "instance_noise": 0.3,
        "augmentation": "all",
        "lr_decay": "linear",
    },
    "spectral norm, momentum": {
        "critic_constraint": "spectral_norm",
        "critic_optimizer": "sgd",
        "critic_momentum": 0.8,
        "minibatch": "std",
        "lecam": 0.1,
    },
    "balanced autoencoder": {"loss": "began", "critic_constraint": "none"},
    "growing": {"backbone": "progressive", "critic_constraint": "none", "generator_norm": "pixel"},
    "growing, styles": {"backbone": "stylegan", "latent": 8, "critic_constraint": "none", "historical_averaging": 0.1},
    "virtual batch": {"generator_norm": "virtual_batch", "critic_norm": "virtual_batch"},
}


@pytest.mark.parametrize("name", GENOMES)
def test_a_training_ends_the_same_with_diagnostics_and_without(name: str) -> None:
    genome = SMALL | GENOMES[name]
    looked, alone = trainer(genome), trainer(genome)
    few = of_images(looked.feed.streams["images"]["images"][:5])
    for iteration in (0, 1, 3, 9, 10):
        looked.run_to(iteration)
        alone.run_to(iteration)
        numbers, found = diagnose(looked, few, 7)
        assert looked.state().pack() == alone.state().pack()
        assert (numbers, found) == diagnose(looked, few, 7)
        assert all(math.isfinite(number) for number in numbers.values())
        assert set(found) == {"critic", "generator"}
    assert looked.losses() == alone.losses()
    resumed = trainer(genome)
    resumed.restore(alone.state())
    assert diagnose(resumed, few, 7) == (numbers, found)


def test_what_an_evaluation_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    task, evaluate = GANProblem(GANSettings(kimg=0.6, samples=100)).prepare()
    trial = Trial(GENES.read(SMALL), GENES.key(GENES.read(SMALL)), task)
    evaluation = evaluate(trial)
    assert len(evaluation.diagnostics) == len(evaluation.scores) == 4
    for score, found in zip(evaluation.scores, evaluation.diagnostics, strict=True):
        assert {"coverage", "diversity", "collision", "critic_accuracy", "generator_gradient"} <= set(score)
        assert set(found["critic"]["head"]) == {"gradient", "step", "singular"}
    assert evaluation.flags == flags_of(evaluation)
    monkeypatch.setattr("evogan.evaluation.scoring.diagnose", lambda *_: ({}, {}))
    without = evaluate(trial)
    assert without.files == evaluation.files
    assert without.curve == evaluation.curve
    assert [s["fid"] for s in without.scores] == [s["fid"] for s in evaluation.scores]


def test_a_network_of_other_layers_has_no_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin's may have none of those that are looked at."""
    monkeypatch.setattr("evogan.training.diagnostics.layers", lambda network: iter(()))
    task, evaluate = GANProblem(GANSettings(kimg=0.1, samples=50)).prepare()
    found = evaluate(Trial(GENES.read(SMALL), GENES.key(GENES.read(SMALL)), task))
    assert found.status == "completed" and not any("reach" in name for name in found.scores[-1]), found.reason


# ------------------------------------------------------------------------------------------- flags

HEALTHY = {
    "kimg": 20.0,
    "fid": 10.0,
    "class_distance": 0.1,
    "coverage": 1.0,
    "diversity": 0.9,
    "collision": 0.001,
    "memorisation": 1.3,
    "manifold_precision": 0.35,
    "manifold_recall": 0.8,
    "critic_accuracy": 0.7,
    "critic_accuracy_held_out": 0.68,
    "critic_reach": 0.4,
    "generator_output": 0.98,
    "generator_reach": 2.0,
    "critic_gradient": 3.0,
    "generator_gradient": 1.0,
}


def evaluation(*scores: dict[str, float], losses: list[float] | None = None, **more: Any) -> Evaluation:
    """Scores as healthy as they can be, but for what is given, of a GAN that no longer improves; and a critic's losses
    of one that converges."""
    losses = [0.6 + 0.02 * i for i in range(32)] if losses is None else losses
    curve = [{"real": loss / 2, "fake": loss / 2, "generator": 0.8} for loss in losses]
    points = tuple(HEALTHY | score for score in (*[{"fid": 11.0}] * (4 - len(scores)), *scores))
    given = {"status": "completed", "curve": tuple(curve), "scores": points} | more
    return Evaluation(**given)


CERTAIN = {"critic_accuracy": 1.0, "critic_accuracy_held_out": 1.0}
BY_HEART = {"critic_accuracy": 0.94, "critic_accuracy_held_out": 0.55}
EASIER = [1.4 * 0.95**i for i in range(32)]

SICK: dict[str, tuple[Evaluation, str, str]] = {
    "critic stands still": (evaluation({"critic_reach": 3e-4}), "vanishing_gradient", "0.0003"),
    "generator stands still": (evaluation({"generator_reach": 0.0}), "vanishing_gradient", "generator"),
    "gradient fades": (
        evaluation({"generator_gradient": 50.0}, {"generator_gradient": 0.01}), "vanishing_gradient", "from 50 to 0.01"
    ),
    "grey": (evaluation({"diversity": 1e-5, "generator_output": 0.0}), "mode_collapse", "1e-05"),
    "three classes": (evaluation({"coverage": 0.3}), "mode_collapse", "30% of the classes"),
    "4 of 10 missing": (evaluation({"coverage": 0.6}), "mode_collapse", "60% of the classes"),
    "nearly alike": (evaluation({"diversity": 0.02}), "mode_collapse", "diversity is 0.02"),
    "a few images": (evaluation({"diversity": 0.8, "collision": 0.2}), "mode_collapse", "a chance of 20%"),
    "one image, by small steps": (
        evaluation({"diversity": 0.0012, "collision": 0.96, "generator_reach": 0.92}), "mode_collapse", "of 96%"
    ),
    "classes alike": (evaluation({"label_effect": 0.03}), "ignored_condition", "0.03 times as far"),
    "other classes": (evaluation({"gan_test_error": 0.9}), "ignored_condition", "90% of the samples are not"),
    "sources alike": (evaluation({"source_effect": 0.04}), "ignored_source", "0.04 times as far"),
    "hidden": (evaluation({"cycle_error": 0.03, "cycle_error_noise": 0.1}), "steganography", "but of 0.1 after"),
    "tinted": (evaluation({"tint": 0.3}), "tint", "by 30% of"),
    "anything": (
        evaluation({"manifold_precision": 0.08, "manifold_recall": 0.6}), "over_generalisation", "60% of training"
    ),
    "copies": (evaluation({"memorisation": 0.1}), "memorisation", "0.1 times as near"),
    "by heart": (evaluation(BY_HEART | {"fid": 11.0}), "critic_overfit", "55%"),
    "worse again": (evaluation({"fid": 20.0}, {"fid": 90.0}), "non_convergence", "from 11 to 90"),
    "critic runs away": (evaluation(CERTAIN, losses=EASIER), "non_convergence", "fell from 0.93 to 0.29"),
    "not a number": (
        Evaluation(status="diverged", reason="real loss is nan by 0.1 kimg"), "divergence", "real loss is nan"
    ),
    "late": (evaluation(cut_short="diverged", reason="diverged: fake loss is inf"), "divergence", "fake loss is inf"),
    "large": (evaluation(curve=({"real": -4.2e7, "fake": 1.0, "generator": 3.0},)), "divergence", "real loss -4.2e+07"),
}  # fmt: skip


@pytest.mark.parametrize("name", SICK)
def test_each_flag_fires_on_its_own_failure_alone(name: str) -> None:
    sick, flag, said = SICK[name]
    assert flags_of(sick) == (flag,)
    assert said in explain(replace(sick, flags=(flag,)))[flag]


def test_no_flag_on_what_is_healthy_or_unknown() -> None:
    assert set(RULES) == {flag for _, flag, _ in SICK.values()}
    assert flags_of(evaluation()) == ()
    assert flags_of(Evaluation(status="completed")) == ()
    assert flags_of(Evaluation(status="crashed", reason="ValueError: no")) == ()
    assert flags_of(Evaluation(status="completed", scores=({"value": 3.0},))) == ()
    assert flags_of(evaluation(CERTAIN)) == ()  # wins, but not more easily
    assert flags_of(evaluation(CERTAIN, losses=[-0.3 * i for i in range(32)])) == ()  # of Wasserstein's loss no sign
    assert flags_of(evaluation(losses=EASIER)) == ()  # more easily, but is not certain
    assert flags_of(evaluation({"coverage": 0.0})) == ()  # poor, of one class
    beginner = {"coverage": 0.1, "diversity": 0.02, "collision": 0.4}
    assert flags_of(evaluation(beginner | {"generator_output": 0.2})) == ()  # pale
    assert flags_of(evaluation(beginner | {"generator_reach": 0.4})) == ()  # not moved far yet
    assert flags_of(evaluation({"source_effect": 0.04, "generator_reach": 0.06})) == ()
    assert explain(evaluation()) == {}
    assert explain(evaluation(flags=("mode_collapse",))) == {"mode_collapse": "mode collapse"}  # by another rule


@pytest.mark.parametrize(
    ("fids", "last", "losses"),
    [
        ((891, 746, 527, 492), CERTAIN | {"generator_output": 0.43, "diversity": 0.07, "coverage": 0.5}, EASIER),
        ((506, 290, 308, 231), {"coverage": 0.5, "diversity": 0.09, "collision": 0.1}, None),
        ((200, 900, 600, 400), {"critic_reach": 0.009}, None),
        ((646, 566, 498, 463), BY_HEART, None),
    ],
)
def test_what_still_improves_has_not_failed(fids: tuple[float, ...], last: dict[str, float], losses: Any) -> None:
    points = [{"fid": fid} | last for fid in fids]
    assert flags_of(evaluation(*points, losses=losses)) == ()
    points[-1]["fid"] = points[1]["fid"]
    assert flags_of(evaluation(*points, losses=losses)) != ()


def test_classes_may_come_while_diversity_grows() -> None:
    """As in the first 40 kimg of gan_mlp_small, whose FID is 283 there and 26 later."""
    seen = [{"coverage": c, "diversity": d} for c, d in ((0.2, 0.11), (0.2, 0.11), (0.4, 0.13), (0.4, 0.16))]
    assert flags_of(evaluation(*seen)) == ()
    assert flags_of(evaluation(*seen[::-1][1:], seen[0])) == ("mode_collapse",)


@given(st.integers(0, 10**6))
def test_noise_is_no_trend(seed: int) -> None:
    losses = (5 + normal(32, seed=seed)).clamp(min=0.01).tolist()
    assert flags_of(evaluation(CERTAIN, losses=losses)) == ()


def test_the_recipes_of_failures_are_genomes() -> None:
    read = {path.stem: GENES.complete(shipped.read_genome(str(path)).genome) for path in FAILURES.glob("*.toml")}
    for flag in ("vanishing_gradient", "mode_collapse", "non_convergence"):
        assert {flag, f"{flag}_remedy"} <= set(read)
        assert 0 < len(set(read[flag].items()) - set(read["baseline"].items())) <= 6


# ------------------------------------------------------------------------------------------- the critic's estimate


def estimates(values: list[float], **more: float) -> Evaluation:
    """Of a Wasserstein GAN whose estimate went so, a point each 2 kimg."""
    curve = [{"kimg": 2.0 * (i + 1), "score_real": v - 3, "score_fake": -3.0} for i, v in enumerate(values)]
    return evaluation({"wasserstein_estimate": values[-1], "wasserstein_estimate_held_out": 0.25} | more, curve=curve)


def test_where_the_estimate_stands_still() -> None:
    falling = [math.exp(-i / 4) for i in range(32)]  # within a tenth of its range from the point on where it is 0.1
    stands = plateau(estimates(falling))
    since = stands["kimg"] if stands is not None else None
    assert since is not None and since == 2.0 * (next(i for i, v in enumerate(falling) if v < 0.1) + 1)
    assert (plateau(estimates([v * 1e4 - 7 for v in falling])) or {}).get("kimg") == since  # whatever its units
    assert (plateau(estimates([0.5] * 32)) or {}).get("kimg") == 2
    for moving in ([0.1 * i for i in range(32)], [*falling[:-1], 0.9], [0.5, 1.0, 0.2, 0.8] * 8):
        assert plateau(estimates(moving)) is None
    assert plateau(estimates(falling[:7])) is None  # too few points
    assert plateau(evaluation(curve=estimates(falling).curve)) is None  # of another loss
    assert facts.estimate(estimates(falling)).endswith(
        f"with held-out images 0.25, and stands still since {since:g} kimg; it compares within this training only"
    )
    assert "still changes" in facts.estimate(estimates([0.1 * i for i in range(32)]))
    assert facts.estimate(evaluation()) == facts.estimate(Evaluation(status="crashed")) == ""
