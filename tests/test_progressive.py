"""PGGAN: the published networks, and images that grow without a jump."""

from __future__ import annotations

import copy
import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evogan.genes import GENES
from evogan.zoo.backbones.progressive import Critic, Generator, Growth, blend, level_at
from evogan.zoo.layers import initialise
from tests.draws import normal, rng

SIZES = [(8, 1), (28, 1), (28, 3), (32, 3)]
K = 3  # of images of side 32


def genes(**given: Any) -> dict[str, Any]:
    few = {"backbone": "progressive", "generator_norm": "pixel", "filters": 8, "latent": 6, "generator_slope": 0.2}
    return GENES.complete({**few, "init_std": 0.3, **given})


def made(kind: type[nn.Module], size: int = 32, channels: int = 3, seed: int = 0, **given: Any) -> Any:
    complete = genes(**given)
    with torch.device("meta"):
        network = kind(complete, size, channels)
    network.to_empty(device="cpu")
    initialise(network, complete, rng(seed))
    with torch.no_grad():  # biases that are there to be seen
        for i, (name, parameter) in enumerate(network.named_parameters()):
            if name.endswith("bias"):
                parameter.normal_(0, 0.1, generator=rng(100 + i))
    return network


def at(network: nn.Module, level: float) -> Any:
    network.growth.level.fill_(level)
    return network


def published(kind: type[nn.Module], growing: bool = False) -> Any:
    with torch.device("meta"):
        return kind(genes(filters=512, latent=512, growing=growing, minibatch="std"), 1024, 3)


def layers(network: nn.Module) -> list[tuple[int, ...]]:
    return [tuple(m.weight.shape) for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


# --- as published


WIDTHS = [512, 512, 512, 512, 256, 128, 64, 32, 16]  # of maps of side 4, 8, ..., 1024: table 2


def test_the_published_generator() -> None:
    generator = published(Generator)
    convs = [(512, 512, 3, 3)]
    for inputs, outputs in pairwise(WIDTHS):
        convs += [(outputs, inputs, 3, 3), (outputs, outputs, 3, 3)]
    assert sorted(layers(generator)) == sorted([(512 * 16, 512), *convs, (3, 16, 1, 1)])
    assert round(sum(p.numel() for p in generator.parameters()) / 1e6, 1) == 23.1


def test_the_published_critic() -> None:
    critic = published(Critic)
    convs = [(16, 3, 1, 1)]
    for outputs, inputs in pairwise(WIDTHS):
        convs += [(inputs, inputs, 3, 3), (outputs, inputs, 3, 3)]
    convs += [(512, 513, 3, 3), (512, 512 * 16), (1, 512)]
    assert sorted(layers(critic)) == sorted(convs)
    assert round(sum(p.numel() for p in critic.parameters()) / 1e6, 1) == 23.1


def test_growing_adds_a_way_out_and_in_for_every_level() -> None:
    more = published(Generator, growing=True), published(Critic, growing=True)
    assert [sorted(layers(n.to_rgb)) for n in more[:1]] == [sorted((3, w, 1, 1) for w in WIDTHS)]
    assert sorted(layers(more[1].from_rgb)) == sorted((w, 3, 1, 1) for w in WIDTHS)


def test_gains() -> None:
    generator, critic = made(Generator), made(Critic)
    found = {name: m.gain for net in (generator, critic) for name, m in net.named_modules() if hasattr(m, "gain")}
    levels = {f"to_rgb.{s}": 1.0 for s in range(K + 1)}
    assert found == {"dense": math.sqrt(2) / 4, "head": 1.0, **levels}


@pytest.mark.parametrize(("size", "channels"), SIZES)
@pytest.mark.parametrize("growing", [False, True])
def test_images_of_every_size(size: int, channels: int, growing: bool) -> None:
    generator = made(Generator, size, channels, growing=growing)
    critic = made(Critic, size, channels, growing=growing)
    images = generator(normal(3, 6), generator.draws(3, rng()))
    assert images.shape == (3, channels, size, size)
    score, features, *_ = critic(images)
    assert score.shape == (3,) and features.shape == (3, 8)


@pytest.mark.parametrize("kind", GENES["generator_norm"].values)
def test_every_norm_and_few_filters(kind: str) -> None:
    generator = made(Generator, 64, 1, generator_norm=kind, filters=4)
    assert generator(normal(40, 6)).isfinite().all()
    assert [m.shape[0] for m in generator.state_dict().values() if m.dim() == 4 and m.shape[-1] == 3][-1] == 2


# --- the formulas, written another way: every level is always computed, and counts clamp(level - s + 1, 0, 1)


def up(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


def down(x: Tensor) -> Tensor:
    return (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4


def share(level: float, s: int) -> float:
    return min(max(level - s + 1, 0.0), 1.0)


def conv(network: nn.Module, name: str, x: Tensor) -> Tensor:
    state = network.state_dict()
    weight = state[f"{name}.weight"]
    return F.conv2d(x, weight, state[f"{name}.bias"], padding=weight.shape[-1] // 2)


def pixel(x: Tensor) -> Tensor:
    return x / (x.pow(2).sum(1, keepdim=True) / x.shape[1] + 1e-8).sqrt()


def by_hand_image(generator: nn.Module, z: Tensor, level: float) -> Tensor:
    state = generator.state_dict()
    x = pixel(z) @ state["dense.weight"].T + state["dense.bias"]
    x = pixel(F.leaky_relu(x.view(len(z), -1, 4, 4), 0.2))
    x = pixel(F.leaky_relu(conv(generator, "blocks.0.3", x), 0.2))
    image = conv(generator, "to_rgb.0", x)
    for s in range(1, K + 1):
        x = pixel(F.leaky_relu(conv(generator, f"blocks.{s}.1", up(x)), 0.2))
        x = pixel(F.leaky_relu(conv(generator, f"blocks.{s}.4", x), 0.2))
        a = share(level, s)
        image = (1 - a) * up(image) + a * conv(generator, f"to_rgb.{s}", x)
    return image


def by_hand_maps(critic: nn.Module, images: Tensor, level: float) -> Tensor:
    pyramid = [images]
    for _ in range(K):
        pyramid.append(down(pyramid[-1]))
    x: Tensor | None = None
    for s in range(K, -1, -1):
        seen = F.leaky_relu(conv(critic, f"from_rgb.{s}.0", pyramid[K - s]), 0.2)
        a = share(level, s + 1)  # how far the level above is in
        x = seen if x is None else (1 - a) * seen + a * x
        if s:
            x = F.leaky_relu(conv(critic, f"blocks.{s - 1}.0", x), 0.2)
            x = down(F.leaky_relu(conv(critic, f"blocks.{s - 1}.2", x), 0.2))
    assert x is not None
    return x


LEVELS = [0.0, 0.25, 1.0, 1.9, 2.0, 2.5, 3.0]


@pytest.mark.parametrize("level", LEVELS)
def test_the_generator_by_its_formula(level: float) -> None:
    generator, z = at(made(Generator), level), normal(3, 6)
    torch.testing.assert_close(generator(z), by_hand_image(generator, z, level), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("level", LEVELS)
def test_the_critic_by_its_formula(level: float) -> None:
    critic, x = at(made(Critic, slope=0.2), level), normal(3, 3, 32, 32)
    maps = by_hand_maps(critic, x, level)
    torch.testing.assert_close(critic.trunk(x, ()), maps, rtol=1e-4, atol=1e-5)
    state = critic.state_dict()
    hidden = F.leaky_relu(conv(critic, "conv", maps), 0.2).flatten(1)
    hidden = F.leaky_relu(hidden @ state["dense.weight"].T + state["dense.bias"], 0.2)
    score = (hidden * state["head.weight"]).sum(1) + state["head.bias"]
    found = critic(x)
    torch.testing.assert_close(found.features, hidden, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.score, score, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("s", range(K + 1))
def test_at_a_whole_level_an_image_is_that_levels_alone(s: int) -> None:
    generator, seen = at(made(Generator), s), []
    generator.to_rgb[s].register_forward_hook(lambda _, __, image: seen.append(image))
    image = generator(normal(2, 6))
    (small,) = seen
    assert small.shape == (2, 3, 4 * 2**s, 4 * 2**s)
    for _ in range(K - s):
        small = up(small)
    assert torch.equal(image, small)


@pytest.mark.parametrize("s", [0, 1, 2, 3])
def test_nothing_jumps_where_the_level_changes(s: int) -> None:
    generator, critic, z, x = made(Generator), made(Critic), normal(2, 6), normal(2, 3, 32, 32)

    def state(level: float) -> list[Tensor]:
        return [at(generator, level)(z), at(critic, level)(x).score, blend(x, level, K)]

    for near in [level for level in (s - 1e-5, s + 1e-5) if 0 <= level <= K]:
        for there, here in zip(state(near), state(float(s)), strict=True):
            assert not torch.equal(there, here)
            torch.testing.assert_close(there, here, rtol=1e-3, atol=1e-3 * float(here.detach().abs().max()))


@pytest.mark.parametrize("level", LEVELS)
def test_reals_are_blended_as_images_are(level: float) -> None:
    pyramid = [normal(2, 3, 32, 32)]
    for _ in range(K):
        pyramid.append(down(pyramid[-1]))
    expected = pyramid[K]
    for s in range(1, K + 1):
        a = share(level, s)
        expected = (1 - a) * up(expected) + a * (pyramid[K - s] if a else up(expected))
    found = blend(pyramid[0], level, K)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    growth = Growth(True, K)
    growth.level.fill_(level)
    torch.testing.assert_close(growth.blend(pyramid[0]), expected, rtol=1e-5, atol=1e-5)
    critic = at(made(Critic), level)
    if level == int(level):  # a critic sees no more than what blending leaves
        torch.testing.assert_close(critic(found).score, critic(pyramid[0]).score)
    if level == K:
        assert torch.equal(found, pyramid[0])


def test_reals_are_copied_not_changed() -> None:
    x = normal(2, 3, 32, 32)
    before = x.clone()
    for level in LEVELS:
        blend(x, level, K)
    assert torch.equal(x, before)


# --- the level


def test_phases_are_equal() -> None:
    """k = 2: five phases, train 0, fade 1 in, train 1, fade 2 in, train 2."""
    for progress, level in [
        (0.0, 0.0), (0.1, 0.0), (0.2, 0.0), (0.25, 0.25), (0.3, 0.5), (0.4, 1.0), (0.5, 1.0), (0.6, 1.0),
        (0.65, 1.25), (0.7, 1.5), (0.8, 2.0), (0.9, 2.0), (0.999, 2.0), (1.0, 2.0),
    ]:  # fmt: skip
        assert math.isclose(level_at(progress, 2), level, abs_tol=1e-9), progress


def test_a_later_level_may_be_the_first() -> None:
    """k = 2 from 1 on: three phases, train 1, fade 2 in, train 2."""
    levels = [level_at(i / 6, 2, 1) for i in range(6)]
    assert levels == pytest.approx([1, 1, 1, 1.5, 2, 2])
    for kind in (Generator, Critic):
        network = made(kind, growing_from=1)
        network.growth.grow(0.0)
        assert network.growth.now() == (1, 0.0)
        assert made(kind, growing_from=8).growth.levels == range(K, K + 1)
    generator = made(Generator, growing_from=1)
    assert len(generator.to_rgb) == K
    generator.growth.grow(0.0)
    images = generator(normal(2, 6))
    assert torch.equal(images, up(up(images[:, :, ::4, ::4])))  # of 8x8 pixels
    assert not torch.equal(images, up(up(up(images[:, :, ::8, ::8]))))


@pytest.mark.parametrize("k", [1, 2, 3, 8])
def test_levels_only_rise_and_reach_the_last(k: int) -> None:
    levels = [level_at(i / 1000, k) for i in range(1000)]
    assert levels == sorted(levels)
    assert levels[0] == 0 and levels[-1] == k
    assert max(b - a for a, b in pairwise(levels)) < 0.0011 * (2 * k + 1)


@pytest.mark.parametrize("kind", [Generator, Critic])
def test_growing_follows_progress_and_starts_grown(kind: type[nn.Module]) -> None:
    grows, fixed = made(kind), made(kind, growing=False)
    for network in (grows, fixed):
        assert float(network.growth.level) == K
        assert "growth.level" in network.state_dict()
        network.growth.grow(0.0)
    assert float(grows.growth.level) == 0
    assert float(fixed.growth.level) == K
    grows.growth.grow(1.5 / 7)
    assert math.isclose(float(grows.growth.level), 0.5, rel_tol=1e-6)


# --- training


@pytest.mark.parametrize("level", [0.0, 0.5, 3.0])
def test_gradients_are_finite_and_reach_what_is_in_use(level: float) -> None:
    generator, critic = at(made(Generator), level), at(made(Critic), level)
    for network in (generator, critic):
        names, parameters = zip(*network.named_parameters(), strict=True)
        score = critic(generator(normal(4, 6))).score.sum()
        found = torch.autograd.grad(score, parameters, materialize_grads=True)
        assert all(g.isfinite().all() for g in found)
        moved = {name for name, g in zip(names, found, strict=True) if g.any()}
        for s in range(K + 1):
            rgb = f"to_rgb.{s}.weight" if network is generator else f"from_rgb.{s}.0.weight"
            assert (rgb in moved) == (s in {math.floor(level), math.ceil(level)})
        block = {0.0: 1, 0.5: 2, 3.0: 4}[level]  # how many levels are in use
        assert {int(n.split(".")[1]) for n in moved if n.startswith("blocks")} == set(
            range(block if network is generator else block - 1)
        )


@pytest.mark.parametrize("kind", [Generator, Critic])
def test_without_growing_every_parameter_is_used(kind: type[nn.Module]) -> None:
    network = made(kind, growing=False, minibatch="std")
    x = normal(4, 6) if kind is Generator else normal(4, 3, 32, 32)
    out = network(x)
    total = out.square().sum() if kind is Generator else out.score.sum()
    assert all(g.any() and g.isfinite().all() for g in torch.autograd.grad(total, list(network.parameters())))


@pytest.mark.parametrize("level", [0.5, 3.0])
def test_a_sample_depends_on_its_own_latent_alone(level: float) -> None:
    generator, z = at(made(Generator), level), normal(6, 6)
    torch.testing.assert_close(generator(z)[:2], generator(z[:2]), rtol=1e-5, atol=1e-5)


def test_minibatch_layers() -> None:
    """Scores depend on the batch if the critic has one, and only then."""
    x = normal(4, 3, 32, 32)
    other = torch.cat([x[:1], normal(3, 3, 32, 32, seed=1)])
    for minibatch, together in {"none": False, "std": True, "discrimination": True}.items():
        critic = made(Critic, minibatch=minibatch, growing=False)
        a, b = critic(x), critic(other)
        assert (abs(float((a.score - b.score)[0].detach())) > 1e-4) == together, minibatch
        assert a.features.shape == (4, 108 if minibatch == "discrimination" else 8)


@pytest.mark.parametrize("kind", [Generator, Critic])
def test_a_population_stacks(kind: type[nn.Module]) -> None:
    networks = [made(kind, 8, seed=seed, growing=False, minibatch="std") for seed in range(3)]
    parameters, buffers = torch.func.stack_module_state(networks)
    base = copy.deepcopy(networks[0]).to("meta")
    x = normal(3, 4, 6) if kind is Generator else normal(3, 4, 3, 8, 8)

    def call(parameters: Any, buffers: Any, x: Tensor) -> Tensor:
        out = torch.func.functional_call(base, (parameters, buffers), (x,))
        return out if kind is Generator else out.score

    together = torch.func.vmap(call)(parameters, buffers, x)
    for network, one, found in zip(networks, x, together, strict=True):
        alone = network(one)
        torch.testing.assert_close(found, alone if kind is Generator else alone.score, rtol=1e-4, atol=1e-4)
