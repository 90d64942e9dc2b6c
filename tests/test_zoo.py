"""The zoo: every published genome trains, players keep to themselves, a loss is a function of its batch."""

from __future__ import annotations

import copy
import math
from contextlib import suppress
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from evogan.errors import UserError
from evogan.families import Field, image_fields
from evogan.families.build import build
from evogan.genes import GENES
from evogan.genome import Genome, Value
from evogan.shipped import read_genome
from evogan.space import load_space
from evogan.training import Diverged, State, Trainer
from evogan.training.feed import of_images
from evogan.training.flops import flops_per_iteration
from evogan.zoo.backbones import BACKBONES
from evogan.zoo.gan import parts
from tests.draws import rng
from tests.fields import OF_IMAGES, rows, streams

NARROW = {"filters": 4, "critic_filters": 4, "latent": 8, "batch_size": 4, "code": 8, "patch_filters": 4}
NARROW |= {"translator_blocks": 1, "critic_units": 8, "level_critic_filters": 4, "condition_augmentation": 4}
CLASSES = 3
LABELS = torch.arange(CLASSES)


def narrow(genome: Genome | dict[str, Any]) -> dict[str, Value]:
    """The same GAN, small enough for a test."""
    applies = GENES.complete(genome)
    return {**genome, **{name: value for name, value in NARROW.items() if name in applies}}


def images(n: int, size: int, channels: int) -> torch.Tensor:
    """Blobs: smooth images, so that a critic has something to see."""
    side = torch.linspace(-1, 1, size)
    centre = torch.rand((n, channels, 2, 1), generator=rng(1)) - 0.5
    falls = torch.exp(-8 * (side - centre) ** 2)  # (n, channels, 2, size)
    return (255 * falls[:, :, 0, :, None] * falls[:, :, 1, None, :]).byte()


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (28, 1), (32, 3)])
@pytest.mark.parametrize("name", OF_IMAGES)
def test_every_published_gan_trains(name: str, size: int, channels: int) -> None:
    """100 steps where they are cheap, 10 elsewhere: each a whole training, with all that comes and goes within one."""
    genome = narrow(read_genome(name).genome)
    gan = build(genome, image_fields(size, channels, CLASSES), 0)
    each = sum(steps for _, steps in gan.schedule)
    iterations = math.ceil((100 if size == 8 else 10) / each)
    trainer = Trainer(
        gan,
        GENES.complete(genome),
        streams(images(40, size, channels), LABELS.repeat(14)[:40]),
        seed=0,
        device=torch.device("cpu"),
        iterations=iterations,
    )
    assert flops_per_iteration(genome, image_fields(size, channels, CLASSES)) > 0
    before = copy.deepcopy({player: network.state_dict() for player, network in gan.players.items()})
    trainer.run_to(iterations)  # or Diverged
    for player, network in gan.players.items():
        for parameter, value in network.state_dict().items():
            assert value.isfinite().all(), (player, parameter)
        assert any(not torch.equal(value, before[player][name]) for name, value in network.state_dict().items())
    shown = rows(torch.rand(3, channels, size, size, generator=rng()) * 2 - 1, LABELS)
    samples = gan.sample(gan.prompts(3, shown, rng()))
    assert samples.shape == (3, channels, size, size)
    assert samples.isfinite().all()
    assert samples.abs().max() <= 1
    assert (samples[0] != samples[1]).any()


@pytest.mark.parametrize(("backbone", "size"), [("wdcgan", 30), ("infogan", 2), ("dcgan", 36), ("resnet", 7)])
def test_a_size_that_the_backbone_cannot_make_is_refused(backbone: str, size: int) -> None:
    with pytest.raises(UserError, match=f"image size {size}: {backbone} makes sizes {BACKBONES[backbone].sizes[:8]}"):
        build({"backbone": backbone}, image_fields(size, 1), 0)


def test_attention_at_a_size_that_does_not_occur_is_refused() -> None:
    genome = {"backbone": "resnet", "attention": "quarter"}
    with pytest.raises(UserError, match="attention = quarter: at image size 8 the networks have no maps of that size"):
        build(genome, image_fields(8, 1), 0)
    build({**genome, "filters": 8, "critic_filters": 8}, image_fields(28, 1), 0)


def where(name: str) -> dict[str, Value]:
    """Genes with which this one applies."""
    needed: dict[str, Value] = {}
    for parent, options in GENES[name].when.items():
        needed = {**where(parent), **needed, parent: "wdcgan" if "wdcgan" in options else options[0]}
    return needed


CHOICES = [
    (gene.name, value)
    for gene in GENES.values()
    if gene.kind == "choice"
    for value in gene.values
    if value != gene.default and "sequences" not in (value, where(gene.name).get("family"))
]


@pytest.mark.parametrize(("gene", "value"), CHOICES)
def test_every_choice_changes_what_is_computed_and_has_finite_gradients(gene: str, value: Value) -> None:
    """Of genes that act on weights, optimisers or samples only later; the others change a loss at once."""
    plain: dict[str, Value] = {"critic_norm": "none", "critic_constraint": "none", "dropout": 0.0, "init_std": 0.1}
    base = {**{name: v for name, v in plain.items() if name != gene}, **where(gene)}
    if (gene, value) == ("generator_label", "none"):
        base["label_norm"] = "per_class"
    if gene == "translators" or gene == "code_game":  # a U-Net is not cut in two
        base["translator"] = "resnet"
    if gene == "pseudo_pairs":
        base["classifier"] = "player"
    if gene in ("critic_sees", "fakes"):  # images alone train no encoder
        base["pixel_reconstruction"] = 1.0
    size = 32 if gene.startswith(("cell", "attention")) else 12 if gene == "first_side" else 8
    losses = []
    for genes in (base, {**base, gene: value}):
        genome = GENES.read({n: v for n, v in narrow(genes).items() if n in GENES.complete(genes)})
        gan = build(genome, image_fields(size, 1, CLASSES), 0)
        found = {}
        for player, network in gan.players.items():
            shown = torch.rand(8, 1, size, size, generator=rng()) * 2 - 1
            batch = gan.draw(player, 8, rows(shown, torch.arange(8) % CLASSES), rng(1))
            gan.begin(0.0)
            loss = gan.loss(player, batch)
            gradients = torch.autograd.grad(loss.total(), list(network.parameters()), materialize_grads=True)
            assert all(g.isfinite().all() for g in gradients)
            found[player] = float(loss.total().detach())
        losses.append(found)
    later = (
        "optimizer",
        "lr_decay",
        "evolution",
        "critic_constraint",
        "generator_constraint",
        "clipped",
        "sigma_unit",
        "critic_blur",
        "label_norm",
        "probe",
    )
    if not gene.endswith(later) or value == "spectral_norm":
        assert losses[0] != losses[1]


def test_weights_depend_on_the_seed_alone() -> None:
    a, b, c = (build({"filters": 16}, image_fields(8, 1), seed).players["generator"].state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["dense.weight"], c["dense.weight"])


@pytest.mark.parametrize("std", [0.02, 0.1])
def test_initial_weights_are_normal(std: float) -> None:
    gan = build({"init_std": std}, image_fields(28, 1), 0)
    for network in gan.players.values():
        layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        weights = torch.cat([layer.weight.detach().flatten() for layer in layers])
        assert abs(float(weights.mean())) < std / 50
        assert math.isclose(float(weights.std()), std, rel_tol=0.02)
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                assert not parameter.any()


@pytest.mark.parametrize("name", OF_IMAGES)
def test_a_sample_depends_on_its_own_latent_alone(name: str) -> None:
    gan = build(narrow(read_genome(name).genome), image_fields(8, 1, CLASSES), 0)
    shown = rows(torch.rand(10, 1, 8, 8, generator=rng()) * 2 - 1, torch.arange(10) % CLASSES)
    prompt = gan.prompts(10, shown, rng())
    first = next(parts(prompt, 3))
    torch.testing.assert_close(gan.sample(prompt)[:3], gan.sample(first), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", OF_IMAGES)
def test_a_loss_is_a_pure_function_of_its_batch(name: str) -> None:
    gan = build(narrow(read_genome(name).genome), image_fields(8, 1, CLASSES), 0)
    for player in gan.players:
        data = rows(torch.zeros(4, 1, 8, 8), torch.arange(4) % CLASSES)
        batch = gan.draw(player, 4, data, rng())
        first, second = gan.loss(player, batch).terms, gan.loss(player, batch).terms
        assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_critics_reference_batch_is_of_the_first_reals_and_a_part_of_its_state() -> None:
    genome = {"filters": 8, "latent": 8, "batch_size": 6, "critic_norm": "virtual_batch", "critic_constraint": "none"}

    def trainer() -> Trainer:
        gan = build(genome, image_fields(8, 1), 0)
        shown = of_images(images(40, 8, 1))
        return Trainer(gan, GENES.complete(genome), shown, seed=0, device=torch.device("cpu"), iterations=10)

    run, other = trainer(), trainer()
    first = other.draw("critic").data["images"]
    run.run_to(2)
    critic = run.gan.players["critic"]
    assert torch.equal(critic.references, first)  # type: ignore[arg-type]
    resumed = trainer()
    resumed.restore(State.unpack(run.state().pack()))
    for one in (run, resumed):
        one.run_to(4)
    assert run.state().pack() == resumed.state().pack()
    assert torch.equal(critic.references, first)  # type: ignore[arg-type]


@pytest.mark.parametrize("how", GENES["critic_label"].values)
def test_a_reference_batch_has_its_labels(how: str) -> None:
    genome = {"condition": "labels", "generator_label": "one_hot", "critic_label": how, "critic_norm": "virtual_batch"}
    genome |= {"filters": 8, "latent": 4, "batch_size": 5, "critic_constraint": "none", "loss": "hinge"}
    gan = build(genome, image_fields(8, 1) | {"labels": Field((), 3)}, 0)
    data = {"images": images(5, 8, 1) / 127.5 - 1, "labels": torch.tensor([0, 1, 2, 2, 1])}
    critic = gan.players["critic"]
    gan.draw("critic", 5, data, rng())
    assert torch.equal(critic.labels, data["labels"])  # type: ignore[arg-type]
    few = critic(data["images"][:2], (), data["labels"][:2])
    for mine, all_five in zip(few, critic(data["images"], (), data["labels"]), strict=True):
        assert (mine is None) == (all_five is None)
        if mine is not None:
            torch.testing.assert_close(mine, all_five[:2], rtol=1e-3, atol=1e-4)


def test_real_and_fake_in_one_pass_are_judged_as_in_two() -> None:
    """Where the critic looks at one image at a time."""
    gan = build({"filters": 8, "critic_norm": "layer", "init_std": 0.1}, image_fields(8, 1), 0)
    batch = gan.draw("critic", 5, {"images": torch.rand(5, 1, 8, 8, generator=rng()) * 2 - 1}, rng(1))
    critic = gan.players["critic"]
    fake = gan.players["generator"](*batch.draws["latent"])
    r, f = (critic(x, batch.draws[what]).score.mean() for x, what in ((batch.data["images"], "real"), (fake, "fake")))
    terms = gan.loss("critic", batch).terms
    torch.testing.assert_close(terms["real"], -r)
    torch.testing.assert_close(terms["fake"], f)


def test_the_average_follows_the_generator_and_is_what_samples_come_from() -> None:
    gan = build({"filters": 8, "ema": 0.9}, image_fields(8, 1), 0)
    generator, start = gan.players["generator"], gan.sampler.dense.weight.clone()

    def step() -> None:
        batch = gan.draw("generator", 4, {"images": torch.zeros(4, 1, 8, 8)}, rng())
        gan.after_step("generator", batch, gan.loss("generator", batch))

    with torch.no_grad():
        generator.dense.weight.add_(1.0)
    step()  # step 0: decay 1/10
    torch.testing.assert_close(gan.sampler.dense.weight, start + 0.9)
    for _ in range(200):
        step()
    with torch.no_grad():
        generator.dense.weight.add_(1.0)
    step()  # by now the gene's own decay
    torch.testing.assert_close(gan.sampler.dense.weight, start + 1.1)
    plain = build({"filters": 8}, image_fields(8, 1), 0)
    assert plain.sampler is plain.players["generator"]


def test_historical_averaging_pulls_to_the_mean_of_all_weights_so_far() -> None:
    gan = build({"filters": 4, "historical_averaging": 0.5, "critic_constraint": "none"}, image_fields(8, 1), 0)
    weight = gan.players["critic"].head.weight
    seen = [weight.detach().clone()]
    for i in range(3):
        with torch.no_grad():
            weight.add_(0.1 * (i + 1))
        batch = gan.draw("critic", 4, {"images": torch.zeros(4, 1, 8, 8)}, rng())
        losses = gan.loss("critic", batch)
        mean = torch.stack(seen).mean(0)
        expected = 0.5 * (weight.detach() - mean).square().sum()
        torch.testing.assert_close(losses.terms["historical_averaging"].detach(), expected, rtol=1e-4, atol=1e-6)
        gan.after_step("critic", batch, losses)
        seen.append(weight.detach().clone())


def test_instance_noise_falls_to_nothing_over_the_budget() -> None:
    gan = build({"filters": 8, "instance_noise": 0.5, "dropout": 0.0, "critic_norm": "none"}, image_fields(8, 1), 0)
    quiet = build({"filters": 8, "dropout": 0.0, "critic_norm": "none"}, image_fields(8, 1), 0)
    found = []
    for progress in (0.0, 0.5, 1.0):
        gan.begin(progress)
        batch = gan.draw("critic", 4, {"images": torch.zeros(4, 1, 8, 8)}, rng())
        found.append(float(gan.loss("critic", batch).terms["real"].detach()))
    assert len(set(found)) == 3
    assert math.isclose(found[-1], float(quiet.loss("critic", batch).terms["real"].detach()), rel_tol=1e-6)


def test_input_noise_stays() -> None:
    """Beside noise that falls, the variances add up."""
    gan = build({"filters": 8, "input_noise": 0.3, "instance_noise": 0.4}, image_fields(8, 1), 0)
    for progress, deviation in ((0.0, 0.5), (1.0, 0.3)):
        gan.begin(progress)
        for player, kinds in (("critic", ("real", "fake")), ("generator", ("fake",))):
            batch = gan.draw(player, 200, {"images": torch.zeros(200, 1, 8, 8)}, rng())
            for kind in kinds:
                assert math.isclose(float(batch.draws[f"{kind} noise"][0].std()), deviation, rel_tol=0.02)


def test_began_keeps_its_balance() -> None:
    """k <- clip(k + rate (gamma L(x) - L(G(z)))), of this iteration's losses; the critic's fakes count k times."""
    genome = narrow({"loss": "began", "critic_constraint": "none", "began_rate": 0.1, "began_gamma": 1.0})
    gan, k = build(genome, image_fields(8, 1), 0), 0.0
    for i in range(3):
        batch = gan.draw("critic", 4, {"images": torch.rand(4, 1, 8, 8, generator=rng(i)) * 2 - 1}, rng(i))
        losses = gan.loss("critic", batch)
        torch.testing.assert_close(losses.terms["fake"].detach(), -k * losses.watched["score_fake"])
        gan.after_step("critic", batch, losses)
        own = gan.draw("generator", 4, batch.data, rng(i))
        made = gan.loss("generator", own)
        gan.after_step("generator", own, made)
        k = min(max(k + 0.1 * (float(losses.terms["real"].detach()) - float(made.terms["generator"].detach())), 0), 1)
    assert k > 0


def test_lecam_compares_with_the_running_means_of_scores() -> None:
    gan = build({"filters": 8, "lecam": 0.3, "critic_constraint": "none", "dropout": 0.0}, image_fields(8, 1), 0)
    batch = gan.draw("critic", 4, {"images": torch.zeros(4, 1, 8, 8)}, rng())
    first = gan.loss("critic", batch)
    gan.after_step("critic", batch, first)
    means = {name: 0.01 * first.watched[f"score_{name}"] for name in ("real", "fake")}
    critic = gan.players["critic"]
    r = critic(batch.data["images"], batch.draws["real"]).score
    f = critic(gan.players["generator"](*batch.draws["latent"]), batch.draws["fake"]).score
    expected = torch.relu(r - means["fake"]).square().mean() + torch.relu(means["real"] - f).square().mean()
    torch.testing.assert_close(gan.loss("critic", batch).terms["lecam"], 0.3 * expected, rtol=1e-3, atol=1e-9)


@settings(max_examples=25)
@given(st.lists(st.floats(0, 1), min_size=200, max_size=200), st.sampled_from([8, 28]))
def test_any_point_of_the_whole_space_makes_a_gan(point: list[float], size: int) -> None:
    """What `--space anything` proposes can be trained, or is refused for the image size when the search begins."""
    space = load_space("anything")
    genome = narrow(space.decode(point[: space.dimension]))
    genome["mlp_layers"] = 2
    genome = {name: value for name, value in genome.items() if name in GENES.complete(genome)}
    if genome.get("attention") == "quarter" and size == 8:
        genome["attention"] = "none"
    gan = build(genome, image_fields(size, 1, CLASSES), 0)
    trainer = Trainer(
        gan,
        GENES.complete(genome),
        of_images(images(8, size, 1), torch.arange(8) % CLASSES),
        seed=0,
        device=torch.device("cpu"),
        iterations=10,
    )
    with suppress(Diverged):  # steps that look ahead may explode
        trainer.step("critic")
        trainer.step("generator")
    assert gan.sample(gan.prompts(2, {"labels": LABELS[:2]}, rng())).shape == (2, 1, size, size)


def test_flops_are_those_of_the_layers() -> None:
    """By hand for one layer more: doubling the critic steps adds exactly one critic step's operations."""
    one, two, three = (flops_per_iteration({"critic_steps": n}, image_fields(28, 1)) for n in (1, 2, 3))
    assert three - two == two - one > 0
    half = flops_per_iteration({"critic_steps": 1, "batch_size": 32}, image_fields(28, 1))
    assert one == 2 * half
