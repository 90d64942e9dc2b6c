"""Translators and patch critics against the published networks."""

from collections.abc import Callable
from typing import Any, TypeVar

import pytest
import torch

from evogan.zoo.layers import initialise
from evogan.zoo.patches import PatchCritic, field, patch_layers, places
from evogan.zoo.translators import ResNet, UNet, fitted, unet_levels
from tests.draws import rng

N = TypeVar("N", bound=torch.nn.Module)


def made(network: Callable[..., N], *form: int, **settings: Any) -> N:
    with torch.device("meta"):
        net = network(*form, **settings)
    initialise(net.to_empty(device="cpu"), {"equalized_lr": False, "init": "he"}, rng())
    return net


def rand(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=rng(1))


def parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def affine(network: torch.nn.Module) -> int:
    return sum(parameters(m) for m in network.modules() if isinstance(m, torch.nn.GroupNorm))


def test_they_have_the_published_numbers_of_parameters() -> None:
    """As their authors' code prints them, in millions; its instance norm has no gains and biases."""
    with torch.device("meta"):
        unet = UNet(256, 3, 3, filters=64, levels=8)
        resnet = ResNet(256, 3, 3, filters=64, blocks=9)
        critic = PatchCritic(6, filters=64, layers=3)
        critics = PatchCritic(3, filters=64, layers=3, normed="instance")
    assert round(parameters(unet) / 1e6, 3) == 54.414
    assert round((parameters(resnet) - affine(resnet)) / 1e6, 3) == 11.378
    assert round(parameters(critic) / 1e6, 3) == 2.769
    assert round((parameters(critics) - affine(critics)) / 1e6, 3) == 2.765


@pytest.mark.parametrize(("size", "source"), [(28, 28), (32, 8), (8, 8), (7, 7), (9, 9)])
def test_a_unet_makes_any_size_with_any_levels(size: int, source: int) -> None:
    for levels in range(1, unet_levels(size) + 1):
        net = made(UNet, size, 1, 3, filters=4, levels=levels)
        image = net(torch.zeros(2, 0), net.draws(2, rng()), rand(2, 1, source, source))
        assert image.shape == (2, 3, size, size)


def test_levels_are_joined() -> None:
    """What the smallest maps say is lost: the image still is of the source."""
    net = made(UNet, 16, 1, 1, filters=4, levels=3, normed="none").eval()
    with torch.no_grad():
        net.up[0][0].weight.zero_()
    source = rand(1, 1, 16, 16).requires_grad_()
    (gradient,) = torch.autograd.grad(net(torch.zeros(1, 0), (), source)[0, 0, 8, 8], source)
    assert gradient.abs().sum() > 0


def test_a_latent_and_dropout_matter_where_they_are() -> None:
    for net in (
        made(UNet, 8, 1, 1, filters=4, levels=3, latent=2),
        made(ResNet, 8, 1, 1, filters=4, blocks=2, dropout=0.5, latent=2),
    ):
        net.eval()
        draw, source = rng(), rand(1, 1, 8, 8)
        one, other = torch.zeros(1, 2), torch.ones(1, 2)
        assert not torch.equal(net(one, (), source), net(other, (), source))
        assert not torch.equal(net(one, net.draws(1, draw), source), net(one, net.draws(1, draw), source))
        assert torch.equal(net(one, (), source), net(one, (), source))


@pytest.mark.parametrize("layers", [0, 1, 2, 3])
def test_a_score_sees_its_field_and_no_more(layers: int) -> None:
    size = 96
    critic = made(PatchCritic, 1, filters=4, layers=layers, normed="none").double()
    x = rand(1, 1, size, size).double().requires_grad_()
    scores = critic(x).score
    side = places(size, layers)
    assert scores.shape == (1, side**2)
    (gradient,) = torch.autograd.grad(scores[0, side // 2 * side + side // 2], x)
    rows = gradient[0, 0].abs().sum(1).nonzero().flatten()
    assert int(rows.max() - rows.min()) + 1 == field(layers)
    assert field(3) == 70 and [patch_layers(size) for size in (4, 8, 28, 32, 256)] == [0, 1, 3, 3, 6]


def test_a_source_of_another_size_is_fitted() -> None:
    source = rand(2, 3, 7, 7)
    assert fitted(source, 28).shape == (2, 3, 28, 28) and fitted(source, 7) is source
    critic = made(PatchCritic, 4, filters=4, layers=1)
    image = rand(2, 1, 28, 28)
    assert not torch.equal(critic(image, (), source).score, critic(image, (), source.flip(0)).score)
