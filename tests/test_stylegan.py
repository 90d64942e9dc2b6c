"""StyleGAN: the published generator, and what each of its two latents, its noise and its mean style do."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional as F

from evogan.genes import GENES
from evogan.zoo.backbones.stylegan import Critic, Generator, adaptive_instance_norm
from evogan.zoo.layers import initialise
from tests.draws import normal, rng

SIZES = [(8, 1), (28, 1), (28, 3), (32, 3)]
K, LAYERS = 3, 8  # of images of side 32


def genes(**given: Any) -> dict[str, Any]:
    few = {"backbone": "stylegan", "filters": 8, "latent": 6, "mapping_layers": 2, "generator_slope": 0.2}
    return GENES.complete({**few, "init_std": 0.3, "minibatch": "std", **given})


def fresh(size: int = 32, channels: int = 3, seed: int = 0, **given: Any) -> Any:
    complete = genes(**given)
    with torch.device("meta"):
        network = Generator(complete, size, channels)
    network.to_empty(device="cpu")
    initialise(network, complete, rng(seed))
    return network


def made(size: int = 32, channels: int = 3, seed: int = 0, **given: Any) -> Any:
    """As after some training: nothing is zero, or one."""
    network = fresh(size, channels, seed, **given)
    with torch.no_grad():
        for i, (name, parameter) in enumerate(network.named_parameters()):
            if name.endswith(("bias", "strength", "constant")) or name.startswith("mapping"):
                parameter.normal_(0, 0.4, generator=rng(100 + i))
        network.mean_style.normal_(generator=rng(99))
    return network


def styles_of(generator: nn.Module) -> list[Tensor]:
    """Filled with each layer's style when the generator runs."""
    seen: list[Tensor] = []
    for finish in generator.finishes:
        finish.register_forward_pre_hook(lambda _, args: seen.append(args[1]))
    return seen


# --- as published


def test_the_published_generator() -> None:
    with torch.device("meta"):
        generator = Generator(genes(filters=512, latent=512, mapping_layers=8, growing=False), 1024, 3)
    assert round(sum(p.numel() for p in generator.parameters()) / 1e6, 1) == 26.2
    widths = [512, 512, 512, 512, 256, 128, 64, 32, 16]
    assert [f.bias.numel() for f in generator.finishes] == [w for w in widths for _ in range(2)]
    assert [f.noise.shape[-1] for f in generator.finishes] == [4 * 2**s for s in range(9) for _ in range(2)]
    assert [tuple(m.weight.shape) for m in generator.mapping if isinstance(m, nn.Linear)] == [(512, 512)] * 8


@pytest.mark.parametrize(("size", "channels"), SIZES)
@pytest.mark.parametrize("growing", [False, True])
def test_images_of_every_size(size: int, channels: int, growing: bool) -> None:
    generator = fresh(size, channels, growing=growing)
    for draws in ((), generator.draws(3, rng())):
        images = generator(normal(3, 6), draws)
        assert images.shape == (3, channels, size, size) and images.isfinite().all()
    complete = genes(growing=growing)
    with torch.device("meta"):
        assert Critic(complete, size, channels)._minibatch == "std"


def test_how_it_begins() -> None:
    generator = fresh()
    assert torch.equal(generator.constant, torch.ones(8, 4, 4))
    assert not generator.mean_style.any()
    for finish in generator.finishes:
        assert not finish.strength.any() and not finish.bias.any() and not finish.style.bias.any()
    noise = torch.cat([f.noise.flatten() for f in generator.finishes])
    assert stats.kstest(noise.numpy(), "norm").pvalue > 0.001
    assert float(generator.growth.level) == K
    same, other = fresh(), fresh(seed=1)
    assert all(
        torch.equal(a, b) for a, b in zip(generator.state_dict().values(), same.state_dict().values(), strict=True)
    )
    assert not torch.equal(generator.finishes[0].noise, other.finishes[0].noise)


def test_gains_and_rates() -> None:
    generator = fresh(mapping_lr=0.05)
    assert {m.gain for f in generator.finishes for m in [f.style]} | {m.gain for m in generator.to_rgb} == {1.0}
    slow = [m for m in generator.modules() if hasattr(m, "lr_multiplier")]
    assert slow == [m for m in generator.mapping if isinstance(m, nn.Linear)]
    assert {m.lr_multiplier for m in slow} == {0.05}
    with torch.no_grad():
        slow[0].bias.fill_(2.0)
    x = normal(3, 6)
    torch.testing.assert_close(slow[0](x), x @ slow[0].weight.T + 2.0 * 0.05)


@pytest.mark.parametrize("layers", [0, 1, 8])
def test_mapping_layers(layers: int) -> None:
    generator = made(mapping_layers=layers)
    x = normal(3, 6)
    w = x / (x.pow(2).sum(1, keepdim=True) / 6 + 1e-8).sqrt()
    for dense in [m for m in generator.mapping if isinstance(m, nn.Linear)]:
        w = F.leaky_relu(w @ dense.weight.T + 0.01 * dense.bias, 0.2)
    torch.testing.assert_close(generator.mapping(x), w)


# --- the formulas, written another way


def test_adaptive_instance_norm_by_its_formula() -> None:
    x, scale, bias = normal(2, 3, 4, 4).double() * 5 + 2, normal(2, 3, seed=1).double(), normal(2, 3, seed=2).double()
    found = adaptive_instance_norm(x, scale, bias)
    for n in range(2):
        for c in range(3):
            values = x[n, c].flatten().tolist()
            mean = sum(values) / 16
            std = math.sqrt(sum((v - mean) ** 2 for v in values) / 16 + 1e-8)
            expected = [(1 + float(scale[n, c])) * (v - mean) / std + float(bias[n, c]) for v in values]
            torch.testing.assert_close(found[n, c].flatten(), torch.tensor(expected, dtype=torch.float64))


def up_bilinear(x: Tensor) -> Tensor:
    """Each pixel twice, then blurred by (1, 2, 1)/4 in both directions; the border pixels go on outside."""
    x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    kernel = torch.tensor([1.0, 2.0, 1.0])
    weight = (kernel[:, None] * kernel / 16).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), weight, groups=x.shape[1])


def by_hand(generator: nn.Module, styles: list[Tensor], noise: list[Tensor], level: float) -> Tensor:
    state = generator.state_dict()
    x, image = state["constant"].unsqueeze(0).repeat(len(styles[0]), 1, 1, 1), None
    for i in range(LAYERS):
        s = i // 2
        if i % 2 == 0 and s:
            x = up_bilinear(x)
        if i:
            x = F.conv2d(x, state[f"convs.{i}.weight"], padding=1)
        strength, bias = state[f"finishes.{i}.strength"].flatten(), state[f"finishes.{i}.bias"].flatten()
        x = x + strength[None, :, None, None] * noise[i] + bias[None, :, None, None]
        x = torch.where(x > 0, x, 0.2 * x)
        style = styles[i] @ state[f"finishes.{i}.style.weight"].T + state[f"finishes.{i}.style.bias"]
        width = x.shape[1]
        x = (x - x.mean((2, 3), keepdim=True)) / (x.var((2, 3), correction=0, keepdim=True) + 1e-8).sqrt()
        x = (1 + style[:, :width, None, None]) * x + style[:, width:, None, None]
        if i % 2:
            seen = F.conv2d(x, state[f"to_rgb.{s}.weight"], state[f"to_rgb.{s}.bias"])
            a = min(max(level - s + 1, 0.0), 1.0)
            image = (
                seen if image is None else (1 - a) * image.repeat_interleave(2, 2).repeat_interleave(2, 3) + a * seen
            )
    assert image is not None
    return image


@pytest.mark.parametrize("level", [0.0, 1.25, 3.0])
def test_the_generator_by_its_formula(level: float) -> None:
    generator, z = made(), normal(3, 6)
    generator.growth.level.fill_(level)
    other, change, *noise = generator.draws(3, rng(5))
    change = torch.tensor([1, 3, LAYERS])
    w, v = generator.mapping(z), generator.mapping(other)
    styles = [torch.stack([(w if i < int(change[n]) else v)[n] for n in range(3)]) for i in range(LAYERS)]
    found = generator(z, (other, change, *noise))
    torch.testing.assert_close(found, by_hand(generator, styles, noise, level), rtol=1e-4, atol=1e-4)


def test_nothing_jumps_where_the_level_changes() -> None:
    generator, z = made(), normal(3, 6)
    draws = generator.draws(3, rng())
    for s in range(1, K):
        images = []
        for level in (s - 1e-5, s, s + 1e-5):
            generator.growth.level.fill_(level)
            images.append(generator(z, draws))
        for near in (images[0], images[2]):
            assert not torch.equal(near, images[1])
            torch.testing.assert_close(near, images[1], rtol=1e-3, atol=1e-3)


def test_the_published_critic_blurs_before_it_halves() -> None:
    """Critics of a side of 8: C k1, act | C, act, blur, C, pool, act | and what PGGAN's ends with."""
    for blurs in (False, True):
        complete = genes(critic_blur=blurs, growing=False, minibatch="none")
        with torch.device("meta"):
            critic = Critic(complete, 8, 1)
        critic.to_empty(device="cpu")
        initialise(critic, complete, rng())
        x = normal(2, 1, 8, 8)

        def act(x: Tensor) -> Tensor:
            return F.leaky_relu(x, 0.2)

        first, second = (m for m in critic.blocks[0] if isinstance(m, nn.Conv2d))
        maps = act(first(critic.from_rgb[0](x)))
        row = torch.tensor([1.0, 2.0, 1.0]) / 4
        blurred = F.conv2d(maps, torch.outer(row, row).expand(8, 1, 3, 3), padding=1, groups=8)
        expected = act(F.avg_pool2d(second(blurred), 2)) if blurs else F.avg_pool2d(act(second(maps)), 2)
        torch.testing.assert_close(critic.trunk(x, ()), expected, rtol=1e-4, atol=1e-5)


# --- what is drawn


def test_layers_before_the_change_have_the_first_style_and_the_others_the_second() -> None:
    generator, z, other = made(), normal(LAYERS + 1, 6), normal(LAYERS + 1, 6, seed=1)
    noise = generator.draws(LAYERS + 1, rng())[2:]
    seen = styles_of(generator)
    mixed = generator(z, (other, torch.arange(LAYERS + 1), *noise))
    styles = torch.stack(seen)
    w, v = generator.mapping(z), generator.mapping(other)
    for n in range(LAYERS + 1):
        torch.testing.assert_close(styles[:n, n], w[n].expand(n, -1))
        torch.testing.assert_close(styles[n:, n], v[n].expand(LAYERS - n, -1))
    never = torch.full((LAYERS + 1,), LAYERS)
    pure, pure_other = generator(z, (other, never, *noise)), generator(other, (z, never, *noise))
    torch.testing.assert_close(mixed[-1], pure[-1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(mixed[0], pure_other[0], rtol=1e-4, atol=1e-4)
    assert all(float((mixed[n] - pure[n]).detach().abs().max()) > 1e-2 for n in range(LAYERS))


@pytest.mark.parametrize(("mixing", "level", "in_use"), [(0.9, 3.0, 8), (0.5, 1.5, 6), (0.9, 1.0, 4), (0.9, 0.0, 2)])
def test_where_styles_change(mixing: float, level: float, in_use: int) -> None:
    """A share `mixing` of the images changes, at any layer in use but the first with equal chance."""
    generator, n = fresh(size=32, style_mixing=mixing), 2000
    generator.growth.level.fill_(level)
    other, change, *noise = generator.draws(n, rng())
    assert other.shape == (n, 6) and change.shape == (n,) and change.dtype == torch.long
    assert [x.shape for x in noise] == [(n, 1, 4 * 2**s, 4 * 2**s) for s in range(K + 1) for _ in range(2)]
    never = int((change == LAYERS).sum())
    assert stats.binomtest(n - never, n, mixing).pvalue > 0.001
    counts = torch.bincount(change, minlength=LAYERS + 1)[1:in_use]
    assert int(counts.sum()) + never == n
    assert stats.chisquare(counts.numpy()).pvalue > 0.001 or in_use == 2


@pytest.mark.parametrize("prior", GENES["latent_prior"].values)
def test_the_second_latent_has_the_same_prior(prior: str) -> None:
    other = fresh(latent_prior=prior).draws(500, rng())[0]
    inside = {"normal": other.abs() < 9, "uniform": other.abs() <= 1, "bernoulli": (other == 0) | (other == 1)}
    assert inside.get(prior, other >= 0).all()
    assert (float(other.min()) < -1) == (prior == "normal")


def test_mixing_is_never_and_always() -> None:
    assert (fresh(style_mixing=0.0).draws(200, rng())[1] == LAYERS).all()
    assert (fresh(style_mixing=1.0).draws(200, rng())[1] < LAYERS).all()


def test_noise_comes_from_the_draws_and_in_samples_stays() -> None:
    generator, z = made(), normal(4, 6)
    first, second = generator.draws(4, rng(0)), generator.draws(4, rng(1))
    never = torch.full((4,), LAYERS)
    a, b, again = (generator(z, (z, never, *d[2:])) for d in (first, second, first))
    assert torch.equal(a, again)
    assert float((a - b).detach().abs().max()) > 1e-2
    assert torch.equal(generator(z), generator(z))
    psi_is_one = generator(z, (z, never, *(f.noise.expand(4, -1, -1, -1) for f in generator.finishes)))
    torch.testing.assert_close(generator(z), psi_is_one, rtol=1e-3, atol=1e-3)
    with torch.no_grad():
        for finish in generator.finishes:
            finish.strength.zero_()
    silent = [generator(z, (z, never, *d[2:])) for d in (first, second)]
    assert torch.equal(*silent)


# --- samples


def test_truncation() -> None:
    z = normal(4, 6)
    for psi in (0.0, 0.3, 1.0):
        generator = made(style_truncation=psi)
        seen = styles_of(generator)
        images, w = generator(z), generator.mapping(z)
        for style in seen:
            torch.testing.assert_close(style, (1 - psi) * generator.mean_style + psi * w)
        alike = torch.allclose(images, images[:1].expand_as(images), atol=1e-5)
        assert alike == (psi == 0)
        seen.clear()
        generator(z, (z, torch.full((4,), LAYERS), *generator.draws(4, rng())[2:]))
        torch.testing.assert_close(seen[0], w)  # none in training


@pytest.mark.parametrize("levels", [1, 2, 9])
def test_truncation_of_the_first_levels_alone(levels: int) -> None:
    z = normal(4, 6)
    generator = made(style_truncation=0.3, style_truncated_levels=levels)
    seen = styles_of(generator)
    generator(z)
    w = generator.mapping(z)
    assert len(seen) == LAYERS
    for layer, style in enumerate(seen):  # two a level
        psi = 0.3 if layer < 2 * levels else 1.0
        torch.testing.assert_close(style, (1 - psi) * generator.mean_style + psi * w)


def test_the_mean_style_is_a_moving_average() -> None:
    generator = made()
    mean = generator.mean_style.clone()
    for seed in range(3):
        z = normal(5, 6, seed=seed)
        mean = 0.995 * mean + 0.005 * generator.mapping(z).detach().sum(0) / 5
        generator.after_step(z)
    torch.testing.assert_close(generator.mean_style, mean)
    assert not generator.mean_style.requires_grad


@pytest.mark.parametrize("level", [0.5, 3.0])
def test_an_image_depends_on_its_own_latent_and_draws_alone(level: float) -> None:
    generator, z = made(), normal(6, 6)
    generator.growth.level.fill_(level)
    torch.testing.assert_close(generator(z)[:2], generator(z[:2]), rtol=1e-4, atol=1e-4)
    draws = generator.draws(6, rng())
    alone = generator(z[:2], tuple(d[:2] for d in draws))
    torch.testing.assert_close(generator(z, draws)[:2], alone, rtol=1e-4, atol=1e-4)


# --- training


@pytest.mark.parametrize("begins", [False, True])
def test_gradients_are_finite_and_everywhere(begins: bool) -> None:
    generator = fresh(growing=False) if begins else made(growing=False)
    images = generator(normal(4, 6), generator.draws(4, rng()))
    names, parameters = zip(*generator.named_parameters(), strict=True)
    found = dict(zip(names, torch.autograd.grad(images.square().sum(), parameters), strict=True))
    assert all(g.isfinite().all() for g in found.values())
    dead = {name for name, g in found.items() if not g.any()}
    # maps that are constant yet have no standard deviation to scale
    assert dead <= ({"finishes.0.style.weight"} if begins else set())


@pytest.mark.parametrize("trains", [False, True])
def test_a_population_stacks(trains: bool) -> None:
    generators = [made(8, seed=seed, growing=False, style_truncation=0.7) for seed in range(3)]
    parameters, buffers = torch.func.stack_module_state(generators)
    base, z = copy.deepcopy(generators[0]).to("meta"), normal(3, 4, 6)
    draws = [g.draws(4, rng(seed)) if trains else () for seed, g in enumerate(generators)]
    stacked = tuple(torch.stack(d) for d in zip(*draws, strict=True))

    def call(parameters: Any, buffers: Any, z: Tensor, draws: Any) -> Tensor:
        return torch.func.functional_call(base, (parameters, buffers), (z, draws))

    together = torch.func.vmap(call, in_dims=(0, 0, 0, 0 if trains else None))(parameters, buffers, z, stacked)
    for generator, one, drawn, found in zip(generators, z, draws, together, strict=True):
        torch.testing.assert_close(found, generator(one, drawn), rtol=1e-4, atol=1e-4)
