"""The zoo: networks as published, losses as formulas, players that keep to themselves."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from evogan.errors import UserError
from evogan.genes import GENES
from evogan.shipped import names, read_genome
from evogan.training.flops import flops_per_iteration
from evogan.zoo import build
from evogan.zoo.layers import SameConv, Upsample, draw_masks
from evogan.zoo.losses import ADVERSARIAL

SIZES = [(4, 1), (8, 1), (28, 1), (28, 3), (32, 3), (64, 3)]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(("filters", "generator", "critic"), [(128, 855_809, 392_833), (16, 82_785, 6_769)])
def test_parameter_counts_are_the_published_ones(filters: int, generator: int, critic: int) -> None:
    gan = build({"filters": filters}, 28, 1, 0)
    assert count(gan.players["generator"]) == generator
    assert count(gan.players["critic"]) == critic


@pytest.mark.parametrize(("size", "channels"), SIZES)
@pytest.mark.parametrize("name", names("genomes"))
def test_a_published_gan_makes_images_of_any_suitable_size(name: str, size: int, channels: int) -> None:
    genome = {**read_genome(name).genome, "filters": 8}
    gan = build(genome, size, channels, 0)
    images = gan.sample(gan.latents(3, rng()))
    assert images.shape == (3, channels, size, size)
    assert images.abs().max() <= 1
    assert gan.players["critic"](images).shape == (3,)
    for player in gan.players:
        batch = gan.draw(player, images, rng())
        assert all(term.shape == () and term.isfinite() for term in gan.loss(player, batch).values())


@pytest.mark.parametrize("size", [30, 2, 0])
def test_a_size_that_the_backbone_cannot_make_is_refused(size: int) -> None:
    with pytest.raises(UserError, match=f"image size {size}: wdcgan makes sizes divisible by 4"):
        build({}, size, 1, 0)


CHOICES = [(gene.name, value) for gene in GENES.values() if gene.kind == "choice" for value in gene.values]


@pytest.mark.parametrize(("gene", "value"), CHOICES)
def test_every_choice_builds_and_has_gradients_everywhere(gene: str, value: str) -> None:
    gan = build({"filters": 8, gene: value}, 8, 1, 0)
    for player, network in gan.players.items():
        batch = gan.draw(player, torch.rand(6, 1, 8, 8, generator=rng()) * 2 - 1, rng())
        total = torch.stack(list(gan.loss(player, batch).values())).sum()
        gradients = torch.autograd.grad(total, list(network.parameters()))
        assert all(g.isfinite().all() for g in gradients)
        named = zip(network.named_parameters(), gradients, strict=True)
        dead = {name for (name, _), gradient in named if not gradient.any()}
        # a norm takes away what a bias before it adds; the last critic bias moves real and fake scores alike
        assert not {name for name in dead if not name.endswith("bias")}


def test_weights_depend_on_the_seed_alone() -> None:
    a, b, c = (build({"filters": 16}, 8, 1, seed).players["generator"].state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["dense.weight"], c["dense.weight"])


@pytest.mark.parametrize("std", [0.02, 0.1])
def test_initial_weights_are_normal(std: float) -> None:
    gan = build({"init_std": std}, 28, 1, 0)
    for network in gan.players.values():
        layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        weights = torch.cat([layer.weight.detach().flatten() for layer in layers])
        assert abs(float(weights.mean())) < std / 50
        assert math.isclose(float(weights.std()), std, rel_tol=0.02)
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                assert not parameter.any()


def test_clip_bounds_weights_and_leaves_norms_alone() -> None:
    gan = build({"clip": 0.005}, 28, 1, 0)
    critic = gan.players["critic"]
    before = copy.deepcopy(critic.state_dict())
    gan.after_step("critic")
    for name, module in critic.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            assert module.weight.abs().max() <= 0.005
            assert torch.equal(module.weight, before[f"{name}.weight"].clamp(-0.005, 0.005))
        elif isinstance(module, nn.BatchNorm2d):
            assert torch.equal(module.weight, torch.ones_like(module.weight))
            assert torch.equal(module.running_var, torch.ones_like(module.running_var))


def test_a_sample_depends_on_its_own_latent_alone() -> None:
    gan = build({"filters": 16}, 8, 1, 0)
    latents = gan.latents(10, rng())
    torch.testing.assert_close(gan.sample(latents)[:3], gan.sample(latents[:3]), rtol=1e-5, atol=1e-6)


def test_a_loss_is_a_pure_function_of_its_batch() -> None:
    gan = build({"filters": 16}, 8, 1, 0)
    batch = gan.draw("critic", torch.zeros(4, 1, 8, 8), rng())
    first, second = gan.loss("critic", batch), gan.loss("critic", batch)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_average_follows_the_generator_and_is_what_samples_come_from() -> None:
    gan = build({"filters": 8, "ema": 0.9}, 8, 1, 0)
    generator, start = gan.players["generator"], gan.sampler.dense.weight.clone()
    with torch.no_grad():
        generator.dense.weight.add_(1.0)
    gan.after_step("generator")  # step 0: decay 1/10
    torch.testing.assert_close(gan.sampler.dense.weight, start + 0.9)
    for _ in range(200):
        gan.after_step("generator")
    with torch.no_grad():
        generator.dense.weight.add_(1.0)
    gan.after_step("generator")  # by now the gene's own decay
    torch.testing.assert_close(gan.sampler.dense.weight, start + 1.1)
    plain = build({"filters": 8}, 8, 1, 0)
    assert plain.sampler is plain.players["generator"]


def test_wasserstein_by_its_formula() -> None:
    r, f = torch.randn(7, generator=rng(1), dtype=torch.float64), torch.randn(7, generator=rng(2))
    critic, generator = ADVERSARIAL["wasserstein"]
    assert math.isclose(sum(map(float, critic(r, f).values())), float(f.mean() - r.mean()), rel_tol=1e-6)
    assert math.isclose(sum(map(float, generator(f).values())), -float(f.mean()), rel_tol=1e-12)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 2), (7, 2), (7, 1)])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 28])
def test_same_padding_is_keras(kernel: int, stride: int, size: int) -> None:
    """ceil(size / stride) out, and of an odd number of padded pixels the larger half at bottom and right."""
    with torch.random.fork_rng():
        conv = SameConv(1, 1, kernel, size=size, stride=stride)
    with torch.no_grad():
        conv.weight.fill_(1.0)
        conv.bias.zero_()
    out = conv(torch.ones(1, 1, size, size))[0, 0]
    assert out.shape == (math.ceil(size / stride),) * 2
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    seen = [sum(0 <= i * stride - total // 2 + k < size for k in range(kernel)) for i in range(out.shape[0])]
    assert out[0].tolist() == [seen[0] * s for s in seen]


@pytest.mark.parametrize("kind", GENES["upsampling"].values)
@pytest.mark.parametrize("kernel", GENES["kernel_size"].values)
def test_upsampling_doubles(kind: str, kernel: int) -> None:
    with torch.device("meta"):
        assert Upsample(kind, 4, 6, kernel)(torch.zeros(2, 4, 5, 5)).shape == (2, 6, 10, 10)


def test_pixel_shuffle_starts_as_nearest_upsampling() -> None:
    gan = build({"filters": 8, "upsampling": "pixel_shuffle"}, 8, 1, 0)
    x = gan.players["generator"].blocks[0](torch.randn(1, 8, 2, 2, generator=rng()))
    torch.testing.assert_close(x[..., ::2, ::2].repeat_interleave(2, 2).repeat_interleave(2, 3), x)


def test_dropout_masks_keep_the_mean() -> None:
    (mask, other) = draw_masks([(4, 5, 5), (2, 3, 3)], 200, 0.25, rng())
    assert mask.shape == (200, 4, 5, 5)
    assert other.shape == (200, 2, 3, 3)
    torch.testing.assert_close(mask.unique(), torch.tensor([0.0, 4 / 3]))
    assert abs(float(mask.mean()) - 1) < 0.02
    assert draw_masks([(4, 5, 5)], 2, 0.0, rng()) == ()


def test_flops_are_those_of_the_layers() -> None:
    """By hand for one layer more: doubling the critic steps adds exactly one critic step's operations."""
    one, two, three = (flops_per_iteration({"critic_steps": n}, 28, 1) for n in (1, 2, 3))
    assert three - two == two - one > 0
    half = flops_per_iteration({"critic_steps": 1, "batch_size": 32}, 28, 1)
    assert one == 2 * half
