"""A member of a stack is trained as it would be alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from evogan.families import image_fields
from evogan.families.build import build
from evogan.genes import GENES
from evogan.shipped import read_genome
from evogan.stable import derive_seed
from evogan.training import Diverged, Population, State, Trainer
from evogan.zoo.backbones import BACKBONES
from evogan.zoo.gan import Batch, Crosses, Encodes
from evogan.zoo.stack import shape
from tests.fields import OF_IMAGES, rows, streams

STEPS = 24  # the whole schedule of a training, with optimisers, averages and controllers that have found their pace
CLASSES = 3
LABELS = torch.arange(60) % CLASSES
IMAGES = torch.randint(0, 256, (60, 1, 8, 8), generator=torch.Generator().manual_seed(0)).byte()


class DoubleTrainer(Trainer):
    """In float64, where only a real difference is larger than rounding."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        for network in self.gan.networks.values():
            network.double()

    def draw(self, player: str) -> Batch:
        batch = super().draw(player)
        return batch.map(lambda x: x.double() if x.is_floating_point() else x)


def trainer(genome: Mapping[str, Any], seed: int, kind: type[Trainer] = DoubleTrainer, **named: Any) -> Trainer:
    genes = GENES.complete(genome)
    gan = build(genome, image_fields(8, 1, CLASSES), derive_seed(seed))
    return kind(gan, genes, streams(IMAGES, LABELS), seed=seed, device=torch.device("cpu"), iterations=STEPS, **named)


def small(genome: Mapping[str, Any]) -> dict[str, Any]:
    """Narrow enough for a test."""
    few = {
        "filters": 8,
        "critic_filters": 8,
        "batch_size": 8,
        "latent": 6,
        "code": 5,
        "growing": False,
        "evolution": False,
        "attention": "none",
        "translator_blocks": 1,
        "critic_units": 8,
        "level_critic_filters": 8,
        "levels_in_turn": False,
        "patch_filters": 8,
    }
    genes = GENES.complete(genome)
    slow = {"learning_rate": genes["learning_rate"] / 10}  # or many steps amplify rounding itself
    return {**genome, **slow, **{name: value for name, value in few.items() if name in genes}}


def others(genome: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The genome, and two that differ in everything that members may differ in."""
    genes = GENES.complete(genome)
    changed: dict[str, Any] = {}
    for name in (
        "learning_rate",
        "lr_ratio",
        "slope",
        "generator_slope",
        "dropout",
        "generator_dropout",
        "instance_noise",
    ):
        changed[name] = lambda value, times: value * times
    for name in (
        "gradient_penalty_weight",
        "zero_penalty_weight",
        "drift",
        "historical_averaging",
        "lecam",
        "pull_away",
    ):
        changed[name] = lambda value, times: value * times
    for name in ("critic_regularization_weight", "generator_regularization_weight", "clip", "critic_sigma", "ema"):
        changed[name] = lambda value, times: value * times
    for name in ("critic_beta1", "critic_beta2", "generator_rms_decay", "generator_momentum", "margin", "began_gamma"):
        changed[name] = lambda value, times: value * times
    for name in ("mutual_information", "continuous_information", "kl", "reconstruction_gamma", "encoder_lr_ratio"):
        changed[name] = lambda value, times: value * times
    for name in ("feature_reconstruction", "pixel_reconstruction", "latent_cycle", "cycle_loss", "identity_loss"):
        changed[name] = lambda value, times: value * times
    changed["critic_steps"] = lambda value, times: 1 + (value + round(2 * times)) % 3
    found = [dict(genome)]
    for times in (0.9, 0.6):
        fixed = (
            {}
            if genes["loss"] not in ("ebgan", "began")
            else {name: genes[name] for name in ("slope", "generator_slope")}
        )
        found.append(
            {
                **genome,
                **{name: change(genes[name], times) for name, change in changed.items() if name in genes},
                **fixed,
            }
        )
    found[1] |= {"lr_decay": "linear", "mirror": True}
    return found


def outputs(run: Trainer) -> list[Tensor]:
    """What it does: a weight before a norm may be anything, since its gradient is nothing but rounding."""
    dtype = next(run.gan.sampler.parameters()).dtype
    images = torch.linspace(-1, 1, 16 * 64).view(16, 1, 8, 8).to(dtype)
    if isinstance(run.gan, Crosses):
        with torch.no_grad():
            made = [run.gan.cross(images, *way) for way in ((0, 1), (1, 0))]
            return [*made, *(run.gan.players["critic"](images, (), domain).score for domain in (0, 1))]
    prompt = run.gan.prompts(16, rows(images, LABELS[:16]), torch.Generator().manual_seed(1))
    labels = [prompt[name] for name in run.gan.prompted]
    start = (run.gan.start(prompt) if isinstance(run.gan, Encodes) else prompt["latent"]).to(dtype)
    with torch.no_grad():
        found = [network.eval()(start, (), *labels) for network in (run.gan.players["generator"], run.gan.sampler)]
        for network in (run.gan.players["generator"], run.gan.sampler):
            network.train()
        found += run.gan.encode(images).values() if isinstance(run.gan, Encodes) else []
        return [*found, run.gan.players["critic"](images, (), *run.gan.given(images, labels)).score]


def apart(ours: Trainer, alone: Trainer) -> float:
    """The largest difference of their outputs, over the largest output."""
    pairs = zip(outputs(ours), outputs(alone), strict=True)
    return max(float((a - b).abs().max() / b.abs().max().clamp(min=1.0)) for a, b in pairs)


def run_all(population: Population, goals: dict[int, int]) -> None:
    left = dict(goals)
    while left:
        for i in population.run(left):
            del left[i]


def losses(of: Trainer) -> dict[str, float]:
    """But for where they lie in their range, which after a few steps may be hardly wider than rounding."""
    return {name: mean for name, mean in of.losses().items() if not name.startswith("normalized_")}


def check_equal(
    genomes: list[dict[str, Any]], steps: int, within: float = 1e-9, kind: type[Trainer] = DoubleTrainer
) -> None:
    """After as many critic steps. Where rounding alone leads further apart, no further than ten times that."""
    together, alone = ([trainer(genome, i, kind) for i, genome in enumerate(genomes)] for _ in range(2))
    goals = {i: -(-steps // dict(t.gan.schedule)["critic"]) for i, t in enumerate(together)}
    run_all(Population(together), goals)
    for i, goal in goals.items():
        alone[i].run_to(goal)
        assert together[i].iteration == alone[i].iteration
        allowed = within
        if apart(together[i], alone[i]) > within:
            disturbed = trainer(genomes[i], i, kind)
            weights = next(disturbed.gan.players["generator"].parameters())
            weights.data.mul_(1 + 50 * torch.finfo(weights.dtype).eps)
            disturbed.run_to(goal)
            allowed = 10 * apart(disturbed, alone[i])
            assert allowed < 1e4 * within, "this says nothing"
        assert apart(together[i], alone[i]) <= allowed
        assert losses(together[i]) == pytest.approx(losses(alone[i]), rel=1e-3, abs=1e-5)
        assert together[i].normalized_loss() == pytest.approx(alone[i].normalized_loss(), rel=1e-3, abs=1e-5)


LONG = ("wdcgan", "wgan_gp", "sngan_resnet", "began", "improved_dcgan", "pggan")


@pytest.mark.parametrize("name", OF_IMAGES)
def test_published_gans_and_their_neighbours_train_together_as_alone(name: str) -> None:
    check_equal(others(small(read_genome(name).genome)), STEPS if name in LONG else 6)


LOSSES: list[dict[str, Any]] = [
    *({"loss": loss} for loss in ("minimax", "non_saturating", "maximum_likelihood", "wasserstein", "hinge")),
    {"loss": "non_saturating", "label_smoothing": 0.1, "label_noise": 0.1},
    *({"loss": "least_squares", "ls_targets": targets} for targets in ("zero_one", "pearson")),
    *({"loss": "f_divergence", "divergence": kind} for kind in ("kl", "reverse_kl", "js", "hellinger")),
    {"loss": "f_divergence", "divergence": "js_weighted", "js_weight": 0.3, "divergence_generator": "saddle"},
]
PENALTIES = [
    *({"gradient_penalty": kind} for kind in ("two_sided", "one_sided", "dragan")),
    {"drift": 0.001, "historical_averaging": 0.1, "lecam": 0.3, "ema": 0.9},
    *({"zero_penalty": kind} for kind in ("r1", "r2", "r1_r2")),
]
REMEDIES: list[dict[str, Any]] = [
    *(
        {"backbone": backbone, "critic_downsampling": kind, "gradient_penalty": "two_sided", "critic_norm": norm}
        for backbone, kind, norm in (("wdcgan", "average", "layer"), ("dcgan", "max", "none"))
    ),
    {"backbone": "dcgan", "strided_kernel": "odd", "upsampling": "transposed"},
    {"critic_norm": "virtual_batch", "gradient_penalty": "two_sided"},
    {"critic_norm": "virtual_batch", "backbone": "dcgan", "loss": "began"},
    {"critic_constraint": "sigma_clamp", "critic_sigma_unit": "second", "equalized_lr": True},
    {
        "family": "translation",
        "translator": "resnet",
        "translator_blocks": 1,
        "patch_norm": "none",
        "loss": "non_saturating",
        "label_smoothing": 0.1,
        "gradient_penalty": "two_sided",
        "latent_planes": 2,
    },
    {
        "family": "domains",
        "patch_norm": "none",
        "loss": "least_squares",
        "label_smoothing": 0.1,
        "gradient_penalty": "two_sided",
        "identity_loss": 1.0,
        "history_pool": 10,
        "ema": 0.9,
    },
    {"family": "domains", "loss": "non_saturating", "critic_classes": 3, "history_pool": 10, "label_smoothing": 0.1},
    {"family": "domains", "loss": "least_squares", "task": "both", "feature_adversary": 0.3, "task_filters": 4},
    {
        "family": "semi_supervised",
        "backbone": "dcgan",
        "classifier": "player",
        "condition": "labels",
        "critic_label": "planes",
        "pseudo_pairs": "fake",
        "critic_norm": "none",
        "loss": "minimax",
    },
]


@pytest.mark.parametrize("genome", REMEDIES, ids=lambda genome: "-".join(map(str, genome.values())))
def test_remedies_train_together_as_alone(genome: dict[str, Any]) -> None:
    check_equal(others(small({"critic_constraint": "none", **genome})), 5)


NORMS = ("none", "batch", "layer", "instance", "group")


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("penalty", PENALTIES, ids=lambda genes: "-".join(map(str, [*genes, *genes.values()][:2])))
def test_every_loss_with_every_penalty_and_norm_trains_together_as_alone(penalty: dict[str, Any], norm: str) -> None:
    """Every other loss is in the stack, with optimisers that differ in their numbers; the rest with the next norm."""
    if norm == "batch" and ("zero_penalty" in penalty or penalty.get("gradient_penalty") in ("two_sided", "one_sided")):
        pytest.skip("no such GAN")
    generator_norm = {"none": "virtual_batch"}.get(norm, norm)
    constraint = ("none", "spectral_norm", "sigma_clamp", "clip", "none")[NORMS.index(norm)]
    optimizer = ("adam", "rmsprop", "sgd")[NORMS.index(norm) % 3]
    genes = {"critic_norm": norm, "generator_norm": generator_norm, "critic_constraint": constraint}
    genes |= {"critic_optimizer": optimizer, "generator_optimizer": "adam", "learning_rate": 1e-3, **penalty}
    losses = LOSSES[(PENALTIES.index(penalty) + NORMS.index(norm)) % 2 :: 2]
    genomes = [small({**genes, **loss, "learning_rate": 1e-3 / (i + 1)}) for i, loss in enumerate(losses)]
    check_equal(genomes, 5)


@pytest.mark.parametrize("backbone", [name for name in BACKBONES if name != "stylegan"])  # first norm: of constants
def test_one_step_in_float32_is_the_same_step(backbone: str) -> None:
    genome = small({"backbone": backbone, "critic_constraint": "spectral_norm", "gradient_penalty": "two_sided"})
    genome = {name: value for name, value in genome.items() if name in GENES.complete(genome)}
    genome |= {"critic_norm": "layer"} if "critic_norm" in GENES.complete(genome) else {}
    check_equal(others(genome), 1, 1e-4, Trainer)


def test_in_bfloat16_a_step_is_the_same_up_to_its_rounding() -> None:
    for extra in ({}, {"gradient_penalty": "two_sided", "critic_norm": "none", "critic_constraint": "spectral_norm"}):
        together, alone = ([trainer(small(extra), i, Trainer, precision="bf16") for i in range(2)] for _ in range(2))
        run_all(Population(together), {0: 1, 1: 1})
        for ours, single in zip(together, alone, strict=True):
            single.run_to(1)
            assert apart(ours, single) < 0.01


def test_a_member_that_diverges_is_found_and_harms_no_other() -> None:
    good = small({"loss": "wasserstein"})
    bad = {**good, "critic_constraint": "clip", "clip": 1.0, "learning_rate": 0.1, "lr_ratio": 100.0}
    together, alone = ([trainer(genome, i) for i, genome in enumerate([good, bad, good])] for _ in range(2))
    with torch.no_grad():
        for run in (together[1], alone[1]):
            next(run.gan.players["generator"].parameters())[0] = torch.nan
    run_all(Population(together), dict.fromkeys(range(3), 4))
    with pytest.raises(Diverged) as said:
        together[1].run_to(4)
    with pytest.raises(Diverged) as expected:
        alone[1].run_to(4)
    assert str(said.value) == str(expected.value)
    for i in (0, 2):
        alone[i].run_to(4)
        assert apart(together[i], alone[i]) < 1e-9


def test_a_member_can_be_saved_and_go_on_alone_or_in_another_population() -> None:
    genomes = others(small({"ema": 0.9, "critic_constraint": "spectral_norm", "critic_optimizer": "adam"}))
    together, alone = ([trainer(genome, i) for i, genome in enumerate(genomes)] for _ in range(2))
    population, left = Population(together), dict.fromkeys(range(3), 2)
    states = {}
    while left:
        for i in population.run(left):
            states[i] = State.unpack(together[i].state().pack())
            del left[i]
    gone_on, joined = ([trainer(genome, i) for i, genome in enumerate(genomes)] for _ in range(2))
    for i, state in states.items():
        gone_on[i].restore(state)
        joined[i].restore(state)
    run_all(Population(joined), dict.fromkeys(range(3), 3))
    for i in range(3):
        alone[i].run_to(3)
        gone_on[i].run_to(3)
        assert apart(gone_on[i], alone[i]) < 1e-9
        assert apart(joined[i], alone[i]) < 1e-9


def test_what_counts_from_a_share_on_is_no_shape_of_what_counts_always() -> None:
    """They draw different things."""
    pairs = {
        "family": "semi_supervised",
        "classifier": "auxiliary",
        "condition": "labels",
        "critic_label": "projection",
    }
    genomes = [
        small({**pairs, "critic_label": "projection", "pseudo_pairs": "real", "loss": "hinge", "pseudo_from": x})
        for x in (0.0, 0.3)
    ]
    with pytest.raises(ValueError, match="different shapes"):
        Population([trainer(genome, i) for i, genome in enumerate(genomes)])


def test_gans_of_different_shapes_are_refused() -> None:
    for genes in ({"filters": 12}, {"critic_norm": "layer"}, {"ema": 0.9}, {"batch_size": 4}, {"dropout": 0.0}):
        with pytest.raises(ValueError, match="shape"):
            Population([trainer(small({}), 0), trainer({**small({}), **genes}, 1)])
    assert shape(GENES.complete({"backbone": "progressive"})) is None
