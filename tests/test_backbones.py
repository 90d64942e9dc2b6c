"""The networks: as published, of every size they claim, with gradients everywhere."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn import functional as F

from evogan.genes import AUTOENCODING, GENES
from evogan.shipped import read_genome
from evogan.zoo.backbones import BACKBONES, attention_fits, make_networks
from evogan.zoo.backbones.sizes import stages
from evogan.zoo.gan import Critique
from evogan.zoo.layers import REFERENCES, SelfAttention, initialise
from tests.draws import rng

FIXED = ("mlp", "wdcgan", "infogan", "dcgan", "sndcgan", "resnet", "autogan")  # those that do not grow
SMALL = {"filters": 4, "critic_filters": 4, "latent": 6, "code": 5, "init": "he"}


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=rng(seed))


def on_meta(size: int, channels: int, genome: Mapping[str, Any]) -> tuple[nn.Module, nn.Module]:
    with torch.device("meta"):
        return make_networks(GENES.complete(genome), size, channels)


def networks(size: int, channels: int, **genome: Any) -> tuple[nn.Module, nn.Module]:
    """Small generator and critic with weights. What initialisation does not fill stays NaN."""
    genome = {**SMALL, **genome}
    made = on_meta(size, channels, genome)
    for seed, network in enumerate(made):
        network.to_empty(device="cpu")
        for tensor in network.state_dict().values():
            tensor.fill_(math.nan if tensor.is_floating_point() else 0)
        initialise(network, GENES.complete(genome), rng(seed))
        assert all(tensor.isfinite().all() for tensor in network.state_dict().values())
    return made


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def shake(network: nn.Module) -> None:
    """Biases, gains and the like leave their initial values."""
    for i, parameter in enumerate(network.parameters()):
        if parameter.dim() < 2:
            parameter.data += 0.5 * torch.randn(parameter.shape, generator=rng(i))


# --- as published


@pytest.mark.parametrize(
    ("genome", "size", "channels", "generator", "critic"),
    [
        ({"backbone": "mlp", "filters": 128, "mlp_layers": 1, "generator_norm": "none"}, 28, 1, 114_064, 100_609),
        ({"backbone": "mlp", "filters": 256, "mlp_layers": 3, "generator_norm": "none"}, 28, 1, 1_486_352, 1_460_225),
        ({"backbone": "wdcgan", "filters": 128, "critic_norm": "batch"}, 28, 1, 855_809, 392_833),
        ({"backbone": "wdcgan", "filters": 16, "critic_norm": "batch"}, 28, 1, 82_785, 6_769),
        ({"backbone": "infogan", "filters": 64, "latent": 64, "critic_norm": "batch"}, 28, 1, 6_642_241, 6_559_169),
        ({"backbone": "infogan", "filters": 64, "latent": 64, "critic_norm": "batch"}, 32, 3, 8_616_131, 8_527_297),
        ({"backbone": "dcgan", "filters": 64, "critic_norm": "batch"}, 64, 3, 3_576_704, 2_765_568),
        ({**read_genome("dcgan_48").genome}, 48, 3, 4_768_320, 4_312_000),
        ({"backbone": "sndcgan", "filters": 64, "latent": 128}, 32, 3, 3_813_379, 5_860_865),
        ({"backbone": "sndcgan", "sndcgan_form": "paper", "latent": 128, "filters": 64}, 32, 3, 3_812_355, 2_935_873),
        ({"backbone": "resnet", "filters": 256, "latent": 128, "upsampling": "nearest"}, 32, 3, 4_276_739, 1_053_825),
    ],
)
def test_parameter_counts_are_the_published_ones(
    genome: dict[str, Any], size: int, channels: int, generator: int, critic: int
) -> None:
    if genome["backbone"] in ("dcgan", "sndcgan"):
        genome = {**genome, "upsampling": "transposed"}
    made = on_meta(size, channels, {"critic_norm": "none", **genome})
    assert tuple(map(count, made)) == (generator, critic)


def test_dcgan_at_48_has_the_published_layers() -> None:
    """3x3x512, and four times k5 s2: 256, 128, 64, image; and back. The counts of weights and of norms' two numbers."""
    strided = 25 * (512 * 256 + 256 * 128 + 128 * 64 + 64 * 3)
    assert 100 * 512 * 9 + strided + 2 * (512 + 256 + 128 + 64) == 4_768_320
    assert strided + 512 * 9 + 2 * (128 + 256 + 512) == 4_312_000
    generator, critic = on_meta(48, 3, read_genome("dcgan_48").genome)
    doubling = [m for m in generator.modules() if isinstance(m, nn.ConvTranspose2d)]
    halving = [m for m in critic.modules() if isinstance(m, nn.Conv2d)]
    assert [(m.in_channels, m.out_channels) for m in doubling] == [(512, 256), (256, 128), (128, 64), (64, 3)]
    assert [(m.in_channels, m.out_channels) for m in halving] == [(3, 64), (64, 128), (128, 256), (256, 512)]
    assert all((m.kernel_size, m.stride) == ((5, 5), (2, 2)) for m in (*doubling, *halving))
    assert (generator.dense.out_features, critic.head.in_features) == (512 * 3 * 3, 512 * 3 * 3)


def layer_shapes(network: nn.Module) -> list[tuple[int, ...]]:
    return [tuple(m.weight.shape) for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


def test_widths_of_the_critics() -> None:
    """Which the counts do not fix alone."""
    genome = {"filters": 8, "critic_filters": 12, "kernel_size": 5}
    shapes = {name: layer_shapes(on_meta(28, 1, {**genome, "backbone": name})[1]) for name in FIXED}
    assert shapes["mlp"] == [(32, 784), (16, 32), (8, 16), (1, 8)]
    assert shapes["wdcgan"] == [(2, 1, 5, 5), (4, 2, 5, 5), (8, 4, 5, 5), (16, 8, 5, 5), (1, 16 * 16)]
    assert shapes["infogan"] == [(8, 1, 4, 4), (16, 8, 4, 4), (128, 16 * 49), (1, 128)]
    assert shapes["dcgan"] == [(8, 1, 6, 6), (16, 8, 6, 6), (1, 16 * 49)]
    assert [s[0] for s in shapes["sndcgan"]] == [8, 16, 16, 32, 32, 1]
    paper = layer_shapes(on_meta(32, 1, {**genome, "backbone": "sndcgan", "sndcgan_form": "paper"})[1])
    assert [s[0] for s in paper] == [8, 8, 16, 16, 32, 32, 64, 1]  # 64-64-128-128-256-256-512 with 64 filters
    assert shapes["resnet"] == shapes["autogan"]
    assert [s[0] for s in shapes["resnet"]] == [12, 12, 12, 12, 12, 12, *[12] * 4, 1]


PLANS = {
    "mlp": ("F B a F B a F", "f F B a F B a F"),
    "wdcgan": ("F a m U C B a U C B a C", "K a K Z B a S B a C B a f F"),
    "infogan": ("F B a F B a m T B a T", "S a S B a f F B a F"),
    "dcgan": ("F m B a T B a T", "S a S B a f F"),
    "sndcgan": ("F m B a T B a T B a C", "C a S B a C B a S B a C B a f F"),
    "dcgan, odd": ("F m B a O B a O", "S a S B a f F"),
    "dcgan, average": ("F m B a T B a T", "C P a C P B a f F"),
    "dcgan, max": ("F m B a T B a T", "C M a C M B a f F"),
    "wdcgan, average": ("F a m U C B a U C B a C", "C P a C P Z B a C P B a C B a f F"),
    "wdcgan, max": ("F a m U C B a U C B a C", "C M a C M Z B a C M B a C B a f F"),
    "sndcgan, paper": ("F m T B a T B a C", "C a S B a C B a S B a C B a f F"),
}
FORMS = {"paper": "sndcgan_form", "odd": "strided_kernel", **dict.fromkeys(("average", "max"), "critic_downsampling")}


def follow(plan: str, network: nn.Module, x: Tensor, slope: float) -> Tensor:
    """F dense, C convolution, S strided, K with Keras' padding, T transposed, O that with an odd kernel, U up, P mean
    and M max of 2x2, Z padding, B batch norm, a activation, m to maps, f to features; with the network's parameters in
    their order."""
    named = list(network.named_parameters())

    def take(what: str) -> Tensor | None:
        return named.pop(0)[1] if named and named[0][0].endswith(what) else None

    for step in plan.split():
        if step == "a":
            x = F.leaky_relu(x, slope)
        elif step == "m":  # 4x4 at 16x16, doubled twice
            x = x.reshape(len(x), -1, 4, 4)
        elif step == "f":
            x = x.flatten(1)
        elif step == "U":
            x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        elif step in "PM":
            missing = (0, x.shape[3] % 2, 0, x.shape[2] % 2)
            windows = F.pad(x, missing, value=math.nan).unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).transpose(3, 4)
            x = windows.flatten(4).nanmean(4) if step == "P" else windows.flatten(4).nan_to_num(-math.inf).amax(4)
        elif step == "Z":
            x = F.pad(x, (0, 1, 0, 1))
        else:
            weight, bias = take("weight"), take("bias")
            assert weight is not None
            if step == "B":
                x = F.batch_norm(x, None, None, weight, bias, training=True)
            elif step == "F":
                x = F.linear(x, weight, bias)
            elif step == "C":
                x = F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)
            elif step == "T":
                x = F.conv_transpose2d(x, weight, bias, 2, 1)
            elif step == "O":
                assert weight.shape[2:] == (3, 3)
                x = F.conv_transpose2d(x, weight, bias, 2)[:, :, 1:]  # rows 1 to 2H of 2H + 1
                x = x[:, :, :, 1:]
            else:
                x = F.pad(x, (0, 1, 0, 1)) if step == "K" else F.pad(x, (1, 1, 1, 1))
                x = F.conv2d(x, weight, bias, 2)
    assert not named
    return x


@pytest.mark.parametrize("backbone", PLANS)
def test_the_plain_networks_follow_their_plan(backbone: str) -> None:
    plan, critics_plan = PLANS[backbone]
    backbone, _, form = backbone.partition(", ")
    up: dict[str, Any] = {"upsampling": "nearest" if backbone == "wdcgan" else "transposed"}
    up |= {FORMS[form]: form} if form else {}
    generator, critic = networks(
        16, 3, backbone=backbone, generator_slope=0.1, slope=0.3, mlp_layers=2, critic_norm="batch", **up
    )
    shake(generator)
    shake(critic)
    z = randn(5, 6)
    images = torch.tanh(follow(plan, generator, z, 0.1)).reshape(5, 3, 16, 16)
    torch.testing.assert_close(generator(z), images, rtol=1e-4, atol=1e-4)
    score = follow(critics_plan, critic, images, 0.3).squeeze(1)
    torch.testing.assert_close(critic(images).score, score, rtol=1e-3, atol=1e-3)


def test_the_residual_networks_step_by_step() -> None:
    """32x32: three blocks up; two blocks down and two that keep, as formulas."""
    generator, critic = networks(32, 3, backbone="resnet", critic_norm="layer", generator_slope=0.1)
    shake(generator)
    shake(critic)
    g, c = dict(generator.named_parameters()), dict(critic.named_parameters())

    def conv(x: Tensor, p: Mapping[str, Tensor], name: str) -> Tensor:
        w = p[f"{name}.weight"]
        return F.conv2d(x, w, p[f"{name}.bias"], padding=w.shape[-1] // 2)

    def act(x: Tensor, p: Mapping[str, Tensor], name: str) -> Tensor:
        gain, bias = p[f"{name}.weight"], p[f"{name}.bias"]
        if p is g:
            return F.leaky_relu(F.batch_norm(x, None, None, gain, bias, training=True), 0.1)
        normal = F.layer_norm(x, x.shape[1:])
        return F.leaky_relu(normal * gain[:, None, None] + bias[:, None, None], 0.2)

    z = randn(5, 6)
    x = (z @ g["dense.weight"].T + g["dense.bias"]).view(5, 4, 4, 4)
    for i in range(3):
        h = conv(F.interpolate(act(x, g, f"blocks.{i}.norms.0"), scale_factor=2), g, f"blocks.{i}.up.conv")
        h = conv(act(h, g, f"blocks.{i}.norms.1"), g, f"blocks.{i}.conv")
        x = h + conv(F.interpolate(x, scale_factor=2), g, f"blocks.{i}.shortcut")
    images = torch.tanh(conv(act(x, g, "head.0"), g, "head.2"))
    torch.testing.assert_close(generator(z), images, rtol=1e-4, atol=1e-5)

    x = images.detach()
    h = conv(F.leaky_relu(conv(x, c, "blocks.0.convs.0"), 0.2), c, "blocks.0.convs.1")
    x = F.avg_pool2d(h, 2) + conv(F.avg_pool2d(x, 2), c, "blocks.0.shortcut")
    for i in (1, 2, 3):
        h = conv(act(x, c, f"blocks.{i}.norms.0"), c, f"blocks.{i}.convs.0")
        h = conv(act(h, c, f"blocks.{i}.norms.1"), c, f"blocks.{i}.convs.1")
        x = F.avg_pool2d(h + conv(x, c, "blocks.1.shortcut"), 2) if i == 1 else h + x
    assert x.shape[2:] == (8, 8)
    features = F.leaky_relu(x, 0.2).sum((2, 3))
    score, seen, *_ = critic(images.detach())
    torch.testing.assert_close(seen, features, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(score, (features @ c["head.weight"].T + c["head.bias"])[:, 0], rtol=1e-4, atol=1e-4)


def test_pooling_is_the_sum_or_the_mean() -> None:
    x = randn(3, 1, 32, 32)
    _, by_sum = networks(32, 1, backbone="resnet", critic_pooling="sum")
    _, by_mean = networks(32, 1, backbone="resnet", critic_pooling="mean")
    torch.testing.assert_close(by_sum(x).features, 64 * by_mean(x).features)


def test_residual_convolutions_have_their_gain() -> None:
    generator, critic = networks(32, 1, backbone="resnet", filters=32, critic_filters=32, init="xavier")
    for block in (generator.blocks[0], critic.blocks[1]):
        convs = [m for m in block.modules() if isinstance(m, nn.Conv2d)]
        for conv in convs:
            gain = math.sqrt(2) if conv.kernel_size == (3, 3) else 1
            fans = 2 * 32 * conv.kernel_size[0] ** 2
            assert math.isclose(float(conv.weight.detach().abs().max()), gain * math.sqrt(6 / fans), rel_tol=0.01)


# --- sizes


@pytest.mark.parametrize("size", range(80))
def test_sizes(size: int) -> None:
    found = [(m, k) for m in (4, 5, 6, 7) for k in range(1, 10) if m * 2**k == size]
    assert stages(size) == (found[0] if found else None)
    for name, backbone in BACKBONES.items():
        if name in ("mlp", "improved_mlp"):
            assert backbone.fits(size) == (size > (name == "improved_mlp"))  # points are of one pixel
        elif name in ("wdcgan", "infogan", "gans_in_action"):
            assert backbone.fits(size) == (size > 0 and size % 4 == 0)
        else:
            assert backbone.fits(size) == bool(found)


def test_every_backbone_is_there() -> None:
    assert set(BACKBONES) == set(GENES["backbone"].values)


@pytest.mark.parametrize("size", [8, 28, 32, 64])
@pytest.mark.parametrize("backbone", FIXED)
def test_shapes(backbone: str, size: int) -> None:
    for channels in (1, 3):
        generator, critic = networks(size, channels, backbone=backbone)
        images = generator(randn(3, 6), generator.draws(3, rng()))
        assert images.shape == (3, channels, size, size)
        assert images.abs().max() <= 1
        score, features, *_ = critic(images, critic.draws(3, rng()))
        assert score.shape == (3,) and score.dtype == torch.float32
        assert features.shape == (3, critic.head.in_features)


@pytest.mark.parametrize(("size", "side"), [(12, 3), (24, 3), (48, 3), (16, 4), (20, 5), (28, 7)])
@pytest.mark.parametrize("kernel", ["even", "odd"])
def test_what_would_begin_with_6_begins_with_3(size: int, side: int, kernel: str) -> None:
    genome = {**SMALL, "backbone": "dcgan", "upsampling": "transposed", "strided_kernel": kernel}
    six, three = (on_meta(size, 1, {**genome, "first_side": first}) for first in (6, 3))
    for (generator, critic), first in ((six, 6 if side == 3 else side), (three, side)):
        images = generator(torch.empty(2, 6, device="meta"))
        assert images.shape == (2, 1, size, size) and critic(images).score.shape == (2,)
        assert generator.dense.out_features == generator.width * first**2
        assert critic.head.in_features == critic.shapes[-1][0] * first**2


@pytest.mark.parametrize("size", [4, 12, 20, 48])
def test_more_shapes(size: int) -> None:
    for name in FIXED:
        if BACKBONES[name].fits(size):
            generator, critic = on_meta(size, 1, {**SMALL, "backbone": name})
            images = generator(torch.empty(2, 6, device="meta"))
            assert images.shape == (2, 1, size, size)
            assert critic(images).score.shape == (2,)


# --- every choice of every gene


TOKENS = [name for name in GENES if name.startswith("cell")]
NETWORK_GENES = ["kernel_size", "upsampling", "generator_norm", "critic_norm", "attention", "hierarchical_latent"]
NETWORK_GENES += ["strided_kernel", "critic_downsampling", "critic_pooling", "minibatch", *TOKENS]


UNSEEN = ("query", "key", "value", "out")  # what attention sees counts for nothing at first


def variants() -> list[dict[str, Any]]:
    """For each backbone its defaults, and each with one gene changed, of those that make the networks."""
    made = []
    extremes = {"slope": (0.0, 1.0), "generator_slope": (0.0, 1.0), "mlp_layers": (1, 5), "critic_depth": (0, 4)}
    extremes |= {"generator_dropout": (0.5,), "latent": (1,), "filters": (7,)}
    for backbone in FIXED:
        for loss in ("wasserstein", *AUTOENCODING):
            base = {"backbone": backbone, "loss": loss, "generator_slope": 0.2}  # no dead units
            made.append(base)
            complete = GENES.complete({**SMALL, **base})
            changed = {name: GENES[name].values for name in NETWORK_GENES} | extremes
            if loss in AUTOENCODING:
                changed = {"code": (1,)} | ({"critic_norm": ("layer", "none")} if loss == "ebgan" else {})
            made += [
                {**base, name: value}
                for name, values in changed.items()
                for value in values
                if name in complete and value != complete[name]
            ]
    made += [{"backbone": "resnet", "hierarchical_latent": True, "latent": latent} for latent in (1, 2, 3, 100)]
    return made


@pytest.mark.parametrize("genome", variants(), ids=lambda g: " ".join(f"{value}" for value in g.values()))
def test_every_choice_builds_and_has_gradients_everywhere(genome: dict[str, Any]) -> None:
    size = 32 if genome.get("attention") == "quarter" else 8
    generator, critic = networks(size, 1, **genome)
    z = randn(4, int(genome.get("latent", 6)))
    score, features, *_ = critic(generator(z, generator.draws(4, rng(1))), critic.draws(4, rng(2)))
    total = (score * randn(4, seed=3)).sum() + (features * randn(*features.shape, seed=4)).sum()
    for network in (generator, critic):
        gradients = torch.autograd.grad(total, list(network.parameters()), retain_graph=True)  # fails if one is unused
        named = dict(zip((name for name, _ in network.named_parameters()), gradients, strict=True))
        assert all(g.isfinite().all() for g in gradients)
        dead = {name for name, g in named.items() if name.endswith("weight") and not g.any()}
        assert not {name for name in dead if name.split(".")[-2] not in UNSEEN}


@pytest.mark.parametrize("minibatch", GENES["minibatch"].values)
@pytest.mark.parametrize("backbone", FIXED)
def test_the_critic_can_be_differentiated_twice(backbone: str, minibatch: str) -> None:
    """As gradient penalties do."""
    attention = "half" if backbone == "resnet" else "none"
    _, critic = networks(16, 1, backbone=backbone, critic_norm="layer", minibatch=minibatch, attention=attention)
    x = randn(4, 1, 16, 16).requires_grad_()
    (slope,) = torch.autograd.grad(critic(x).score.sum(), x, create_graph=True)
    gradients = torch.autograd.grad(slope.square().sum(), list(critic.parameters()), allow_unused=True)
    assert all(g is None or g.isfinite().all() for g in gradients)
    assert any(g is not None and g.any() for g in gradients)


@pytest.mark.parametrize("backbone", FIXED)
def test_in_bfloat16_scores_are_float32(backbone: str) -> None:
    generator, critic = networks(8, 1, backbone=backbone)
    with torch.autocast("cpu", torch.bfloat16):
        images = generator(randn(3, 6), generator.draws(3, rng()))
        score = critic(images, critic.draws(3, rng())).score
    assert images.dtype in (torch.bfloat16, torch.float32)
    assert score.dtype == torch.float32 and score.isfinite().all()
    torch.testing.assert_close(images.float(), generator(randn(3, 6)), rtol=0, atol=0.1)


# --- randomness and independence


@pytest.mark.parametrize("backbone", ["mlp", "wdcgan", "dcgan"])
def test_dropout_drops_what_its_masks_say(backbone: str) -> None:
    _, critic = networks(16, 1, backbone=backbone, critic_norm="none", slope=1.0, dropout=0.5)
    x = randn(3, 1, 16, 16)
    draws = critic.draws(3, rng())
    assert all(len(mask) == 3 for mask in draws)
    torch.testing.assert_close(critic(x, tuple(torch.ones_like(m) for m in draws)).score, critic(x).score)
    *others, last = (torch.ones_like(m) for m in draws)
    torch.testing.assert_close(critic(x, (*others, 2 * last)).features, 2 * critic(x).features)
    assert not critic(x, (*others, 0 * last)).features.any()
    assert not torch.equal(critic(x, draws).score, critic(x).score)


def test_the_generators_dropout() -> None:
    generator, _ = networks(8, 1, backbone="mlp", generator_dropout=0.5, generator_norm="none")
    z = randn(3, 6)
    draws = generator.draws(3, rng())
    assert [mask.shape for mask in draws] == [(3, 4), (3, 8), (3, 16)]
    assert not torch.equal(generator(z, draws), generator(z))
    silent = generator(z, (*draws[:2], 0 * draws[2]))
    torch.testing.assert_close(silent, torch.tanh(generator.dense.bias).view(1, 1, 8, 8).expand(3, -1, -1, -1))


@pytest.mark.parametrize("backbone", ["mlp", "wdcgan", "infogan", "dcgan", "sndcgan", "resnet"])
def test_virtual_batch_norm_makes_each_image_of_its_own_latent(backbone: str) -> None:
    genome = {"backbone": backbone, "generator_norm": "virtual_batch", "latent_prior": "uniform"}
    if backbone == "mlp":
        genome["generator_dropout"] = 0.5
    generator, _ = networks(16, 1, **genome)
    assert generator.references.shape == (REFERENCES, 6)
    assert generator.references.min() < -0.9 and 0.9 < generator.references.max() < 1
    z = randn(5, 6)
    draws = generator.draws(5, rng())
    images = generator(z, draws)
    assert images.shape == (5, 1, 16, 16)
    torch.testing.assert_close(images[:2], generator(z[:2], tuple(d[:2] for d in draws)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(images[3:4], generator(z[3:4], tuple(d[3:4] for d in draws)), rtol=1e-4, atol=1e-5)
    assert bool(draws) == (backbone == "mlp")
    if draws:
        assert not torch.allclose(images, generator(z), rtol=1e-3, atol=1e-4)
    generator.references.neg_()
    assert not torch.allclose(images, generator(z, draws), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("loss", ["hinge", "began"])
@pytest.mark.parametrize("backbone", FIXED)
def test_virtual_batch_norm_judges_each_image_by_itself(backbone: str, loss: str) -> None:
    _, critic = networks(16, 1, backbone=backbone, critic_norm="virtual_batch", loss=loss, batch_size=6)
    seen = torch.tanh(randn(2, 6, 1, 16, 16))
    critic.meet(seen[0])
    critic.meet(seen[1])  # too late
    assert torch.equal(critic.references, seen[0])
    x = randn(5, 1, 16, 16, seed=1)
    draws = critic.draws(5, rng())
    score = critic(x, draws).score
    assert score.shape == (5,)
    part = critic(x[3:], tuple(mask[3:] for mask in draws)).score
    torch.testing.assert_close(part, score[3:], rtol=1e-3, atol=1e-4)
    assert bool(draws) == (backbone in ("mlp", "wdcgan", "dcgan"))
    critic.references.neg_()
    assert not torch.allclose(critic(x, draws).score, score, rtol=1e-3, atol=1e-4)


def test_a_critic_with_virtual_batch_norm_by_its_formula() -> None:
    """One hidden layer, 3 references: mean and square of each unit are (h + 3 E h_ref)/4, of h's own and the rest."""
    _, critic = networks(4, 1, backbone="mlp", mlp_layers=1, critic_norm="virtual_batch", batch_size=3, loss="hinge")
    shake(critic)
    p = {name.rpartition("critic.")[2]: parameter for name, parameter in critic.named_parameters()}
    (w, b), (gain, bias) = ([p[f"hidden.blocks.0.{i}.{what}"] for what in ("weight", "bias")] for i in (0, 1))
    reals, x = randn(3, 16), randn(4, 16, seed=1)
    critic.meet(reals.view(3, 1, 4, 4))
    h, ref = x @ w.T + b, reals @ w.T + b
    mean, square = (h + 3 * ref.mean(0)) / 4, (h.square() + 3 * ref.square().mean(0)) / 4
    hidden = F.leaky_relu((h - mean) / torch.sqrt(square - mean.square() + 1e-5) * gain + bias, 0.2)
    expected = (hidden @ p["head.weight"].T + p["head.bias"])[:, 0]
    torch.testing.assert_close(critic(x.view(4, 1, 4, 4)).score, expected, rtol=1e-3, atol=1e-4)


# --- attention


@pytest.mark.parametrize("size", [8, 10, 12, 16, 20, 28, 32, 64])
@pytest.mark.parametrize("where", ["half", "quarter"])
def test_attention_sits_where_maps_have_its_side(where: str, size: int) -> None:
    genome = {**SMALL, "backbone": "resnet", "attention": where}
    generator, critic = on_meta(size, 1, genome)
    sides: list[int] = []
    for network in (generator, critic):
        for module in network.modules():
            if isinstance(module, SelfAttention):
                module.register_forward_hook(lambda _, args, out: sides.append(args[0].shape[-1]))
    critic(generator(torch.empty(2, 6, device="meta")))
    fits = attention_fits(GENES.complete(genome), size)
    part = size // {"half": 2, "quarter": 4}[where]
    assert (sides == [part, part]) == fits
    assert fits == (where == "half" or (size % 4 == 0 and size > 16))  # a critic stops at 8


def test_what_has_no_attention_fits() -> None:
    assert all(attention_fits(GENES.complete({"backbone": name}), 8) for name in BACKBONES)


# --- BigGAN's latent


@pytest.mark.parametrize(("latent", "parts"), [(100, (25, 25, 25, 25)), (10, (3, 3, 2, 2)), (3, (1, 1, 1)), (1, (1,))])
def test_a_part_of_the_latent_changes_only_what_comes_after(latent: int, parts: tuple[int, ...]) -> None:
    """At 32x32: one part for the dense layer, and one for each block, as far as they go."""
    generator, _ = networks(32, 1, backbone="resnet", hierarchical_latent=True, latent=latent)
    made: list[Tensor] = []
    for module in (generator.dense, *generator.blocks):
        module.register_forward_hook(lambda _, args, out: made.append(out))
    z = randn(3, latent)
    generator(z)
    before = made.copy()
    starts = [0, *itertools.accumulate(parts)]
    assert starts[-1] == latent
    for i, (start, end) in enumerate(itertools.pairwise(starts)):
        made.clear()
        changed = z.clone()
        changed[:, start:end] += 1
        generator(changed)
        assert [torch.equal(a, b) for a, b in zip(made, before, strict=True)] == [j < i for j in range(4)]


def test_conditional_batch_norm_by_its_formula() -> None:
    generator, _ = networks(8, 1, backbone="resnet", hierarchical_latent=True)
    layer = generator.blocks[0].norms[0]
    shake(layer)
    x, z = randn(5, 4, 3, 3), randn(5, 3, seed=1)
    normal = (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
    out = layer(x, z)
    for i, c in itertools.product(range(5), range(4)):
        gain = 1 + layer.scale.bias[c] + layer.scale.weight[c] @ z[i]
        bias = layer.shift.bias[c] + layer.shift.weight[c] @ z[i]
        torch.testing.assert_close(out[i, c], normal[i, c] * gain + bias, rtol=1e-4, atol=1e-5)


# --- AutoGAN's cells


def autogan(images: nn.Module, genes: Mapping[str, Any], z: Tensor, steps: tuple[int, ...]) -> Tensor:
    """The cells as the released code computes them, on this network's weights; `steps`: which cells double."""
    p = dict(images.named_parameters())

    def conv(x: Tensor, name: str) -> Tensor:
        w = p[f"{name}.weight"]
        return F.conv2d(x, w, p[f"{name}.bias"], padding=w.shape[-1] // 2)

    def up(x: Tensor, name: str, kind: str, times: int) -> Tensor:
        for i in range(times):
            if kind == "transposed":
                w, b = p[f"{name}.convs.{i}.weight"], p[f"{name}.convs.{i}.bias"]
                x = F.conv_transpose2d(x, w, b, stride=2)
        if kind == "transposed" or not times:
            return x
        size = x.shape[-1] * 2**times
        return F.interpolate(x, size=(size, size), mode=kind)

    def normalise(x: Tensor, name: str, kind: str) -> Tensor:
        if kind == "none":
            return x
        weight, bias = p[f"{name}.norm.weight"], p[f"{name}.norm.bias"]
        if kind == "batch":
            return F.batch_norm(x, None, None, weight, bias, training=True)
        return F.instance_norm(x, None, None, weight, bias)

    x = z @ p["dense.weight"].T + p["dense.bias"]
    x = x.view(len(z), genes["filters"], math.isqrt(x.shape[1] // genes["filters"]), -1)
    handed: list[Tensor] = []
    for i in range(3):
        order, kind, way, shortcut = (
            genes[f"cell{i + 1}_{what}"] for what in ("convolution", "norm", "upsampling", "shortcut")
        )

        def block(x: Tensor, name: str, times: int, order: str = order, kind: str = kind, way: str = way) -> Tensor:
            if order == "post":
                return F.relu(normalise(conv(up(x, f"{name}.resize", way, times), f"{name}.conv"), name, kind))
            return conv(up(F.relu(normalise(x, name, kind)), f"{name}.resize", way, times), f"{name}.conv")

        h = block(x, f"cells.{i}.first", steps[i])
        number = genes.get(f"cell{i + 1}_skip", 0)
        chosen = [e for e in range(i) if number & (1 << (i - 1 - e))]
        for j, e in enumerate(chosen):
            resized = up(handed[e], f"cells.{i}.skips.{j}.0", way, sum(steps[e + 1 : i + 1]))
            h = h + conv(resized, f"cells.{i}.skips.{j}.1")
        handed.append(h)
        y = block(h, f"cells.{i}.second", 0)
        if shortcut:
            y = y + conv(up(x, f"cells.{i}.shortcut.0", way, steps[i]), f"cells.{i}.shortcut.1")
        x = y
    x = F.relu(F.batch_norm(x, None, None, p["head.0.weight"], p["head.0.bias"], training=True))
    return torch.tanh(conv(x, "head.2"))


def designs() -> list[dict[str, Any]]:
    choose = random.Random(0)
    return [{}, *({name: choose.choice(GENES[name].values) for name in TOKENS} for _ in range(12))]


@pytest.mark.parametrize("design", designs(), ids=lambda d: " ".join(map(str, d.values())) or "published")
def test_autogan_computes_its_cells(design: dict[str, Any]) -> None:
    for size, steps in ((32, (1, 1, 1)), (8, (0, 0, 1)), (64, (1, 1, 1))):
        if size > 32 and design:
            continue
        genome = {"backbone": "autogan", "generator_slope": 0.0, **design}
        generator, _ = networks(size, 3, **genome)
        shake(generator)
        z = randn(4, 6)
        expected = autogan(generator, GENES.complete({**SMALL, **genome}), z, steps)
        torch.testing.assert_close(generator(z), expected, rtol=1e-3, atol=1e-4)


def test_autogan_has_14_tokens_and_373_248_designs() -> None:
    assert len(TOKENS) == 14
    assert math.prod(len(GENES[name].values) for name in TOKENS) == 373_248


def test_the_default_cells_are_the_published_design() -> None:
    """1 0 1 1 | 1 0 0 1 1 | 1 0 1 0 3, in the code of the paper."""
    code: dict[str, tuple[Any, ...]] = {
        "convolution": ("post", "pre"),
        "norm": ("none", "batch", "instance"),
        "upsampling": ("bilinear", "nearest", "transposed"),
        "shortcut": (False, True),
        "skip": (0, 1, 2, 3),
    }
    tokens = [code[name.split("_")[1]].index(GENES[name].default) for name in TOKENS]
    assert tokens == [1, 0, 1, 1, 1, 0, 0, 1, 1, 1, 0, 1, 0, 3]


@pytest.mark.parametrize("token", TOKENS)
def test_each_token_changes_the_generator(token: str) -> None:
    z, made = randn(3, 6), []
    for value in GENES[token].values:
        generator, _ = networks(32, 1, backbone="autogan", **{token: value})
        for i, parameter in enumerate(generator.parameters()):  # alike in all that is alike
            parameter.data.copy_(0.3 * torch.randn(parameter.shape, generator=rng(i)))
        made.append((count(generator), generator(z)))
    for (n, images), (m, others) in itertools.combinations(made, 2):
        assert n != m or not torch.allclose(images, others, rtol=1e-3, atol=1e-4)


# --- autoencoders


@pytest.mark.parametrize("backbone", FIXED)
@pytest.mark.parametrize(("loss", "power"), [("ebgan", 0), ("began", 1), ("began", 2)])
def test_energies_by_their_formulas(backbone: str, loss: str, power: int) -> None:
    genome = {"reconstruction_norm": power} if power else {}
    _, critic = networks(16, 3, backbone=backbone, loss=loss, critic_norm="none", **genome)
    x = randn(4, 3, 16, 16)
    score, code, *_ = critic(x)
    assert code.shape == (4, 5)
    error = (critic.decoder(code) - x).detach().double().reshape(4, -1).numpy()
    assert error.shape == (4, 768)
    for found, row in zip(score.tolist(), error, strict=True):
        expected = sum(abs(v) ** power for v in row) / 768 if power else math.sqrt(sum(v * v for v in row))
        assert math.isclose(found, expected, rel_tol=1e-4)
    draws = critic.draws(4, rng())
    assert critic(x, draws).score.shape == (4,)


def test_a_perfect_reconstruction_has_a_gradient() -> None:
    _, critic = networks(8, 1, loss="ebgan", backbone="mlp", critic_norm="none")
    with torch.no_grad():
        for parameter in critic.decoder.parameters():
            parameter.zero_()
    x = torch.zeros(2, 1, 8, 8, requires_grad=True)
    score = critic(x).score
    torch.testing.assert_close(score.detach(), torch.full((2,), 1e-6))
    (gradient,) = torch.autograd.grad(score.sum(), x)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("backbone", FIXED)
def test_a_decoder_without_norm_judges_each_image_alone(backbone: str) -> None:
    """Whatever the generator's norm is."""
    _, critic = networks(16, 1, backbone=backbone, loss="began", critic_norm="none", cell1_norm="batch")
    x = randn(4, 1, 16, 16)
    torch.testing.assert_close(critic(x).score[:1], critic(x[:1]).score, rtol=1e-4, atol=1e-5)


# --- a population as one


@pytest.mark.parametrize(
    "genome",
    [
        {"backbone": "dcgan", "generator_norm": "layer", "minibatch": "std"},
        {"backbone": "resnet", "generator_norm": "virtual_batch", "attention": "half", "minibatch": "discrimination"},
        {"backbone": "mlp", "generator_norm": "pixel", "generator_dropout": 0.3},
        {"backbone": "wdcgan", "generator_norm": "group", "loss": "ebgan"},
    ],
    ids=lambda g: g["backbone"],
)
def test_a_stacked_population_is_its_members(genome: dict[str, Any]) -> None:
    """Values, and gradients for the parameters, under `vmap`.

    `tie_weights` would leave its tensors in modules that have two names, such as an activation that layers share.
    """
    members = [[*networks(16, 1, critic_norm="none", **genome)] for _ in range(3)]
    for i, pair in enumerate(members):
        for network in pair:
            initialise(network, GENES.complete({**SMALL, **genome}), rng(i))
            network.double()  # a bias before a norm has no gradient but rounding errors
    generators, critics = zip(*members, strict=True)
    z = randn(3, 4, 6).double()
    draws = [generators[0].draws(4, rng(i)) for i in range(3)]
    stacked_draws = tuple(torch.stack(parts) for parts in zip(*draws, strict=True))

    def loss(g: Mapping[str, Any], c: Mapping[str, Any], z: Tensor, draws: tuple[Tensor, ...]) -> Tensor:
        images = functional_call(generators[0], dict(g), (z, draws), tie_weights=False)
        critique: Critique = functional_call(critics[0], dict(c), (images,), tie_weights=False)
        return critique.score.square().mean() + critique.features.square().mean()

    def state(network: nn.Module) -> dict[str, Tensor]:
        return {**dict(network.named_parameters()), **dict(network.named_buffers())}

    def stacked(networks: tuple[nn.Module, ...]) -> dict[str, Tensor]:
        parameters, buffers = stack_module_state(list(networks))  # type: ignore[arg-type]
        return {**parameters, **buffers}

    together = vmap(grad(loss, argnums=(0, 1)))(stacked(generators), stacked(critics), z, stacked_draws)
    values = vmap(loss)(stacked(generators), stacked(critics), z, stacked_draws)
    for i in range(3):
        apart = grad(loss, argnums=(0, 1))(state(generators[i]), state(critics[i]), z[i], draws[i])
        torch.testing.assert_close(values[i], loss(state(generators[i]), state(critics[i]), z[i], draws[i]))
        for many, one in zip(together, apart, strict=True):
            for name in one:
                torch.testing.assert_close(many[name][i], one[name], rtol=1e-4, atol=1e-5)
