"""Gradient penalties against finite differences and closed forms."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evogan.genes import GENES
from evogan.zoo.penalties import (
    GRADIENT_PENALTIES,
    ZERO_PENALTIES,
    around_reals,
    input_gradient_norms,
    interpolates,
    one_sided,
    two_sided,
    zero_centred,
)
from tests.draws import rng

SIZE = 6
CHANNELS = pytest.mark.parametrize("channels", [1, 3])


def images(n: int, channels: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(n, channels, SIZE, SIZE, dtype=dtype, generator=rng(seed)) * 2 - 1


def score(x: Tensor, kernel: Tensor, dense: Tensor) -> Tensor:
    """A small convolutional critic, smooth, so that finite differences are good."""
    return F.softplus(F.conv2d(x, kernel, stride=2)).flatten(1) @ dense


def weights(channels: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    source = rng(seed)
    kernel = torch.randn(4, channels, 3, 3, dtype=torch.float64, generator=source)
    return kernel, torch.randn(16, dtype=torch.float64, generator=source)


def critic(channels: int) -> Callable[[Tensor], Tensor]:
    kernel, dense = weights(channels)
    return lambda x: score(x, kernel, dense)


def finite_difference_norms(critic: Callable[[Tensor], Tensor], x: Tensor, h: float = 1e-5) -> np.ndarray[Any, Any]:
    """The Euclidean norm of each image's gradient, one image and one pixel at a time."""
    steps = h * torch.eye(x[0].numel(), dtype=x.dtype).view(-1, *x[0].shape)
    return np.array([((critic(one + steps) - critic(one - steps)) / (2 * h)).norm() for one in x])


@CHANNELS
def test_gradient_norms_are_each_images_own(channels: int) -> None:
    x = images(5, channels)
    found = input_gradient_norms(critic(channels), x)
    assert found.shape == (5,)
    np.testing.assert_allclose(found.detach(), finite_difference_norms(critic(channels), x), rtol=1e-8)
    assert not x.requires_grad


@CHANNELS
@pytest.mark.parametrize("name", GRADIENT_PENALTIES)
def test_gradient_penalties(name: str, channels: int) -> None:
    real, fake = images(4, channels, 1), 0.3 * images(4, channels, 2)
    penalty = GRADIENT_PENALTIES[name]
    draws = penalty.draw(real, rng(3))
    if name == "dragan":
        u, alpha = draws
        points = real + alpha * 0.5 * float(np.std(real.numpy())) * u
    else:
        points = torch.stack([(1 - float(a)) * x + float(a) * y for x, y, a in zip(real, fake, draws[0], strict=True)])
    for scale in (0.05, 1.0):  # norms below 1 and above

        def scaled(x: Tensor, scale: float = scale) -> Tensor:
            return scale * critic(channels)(x)

        norms = finite_difference_norms(scaled, points)
        assert (norms < 1).all() or (norms > 1).all()
        excess = np.maximum(norms - 1, 0) if name == "one_sided" else norms - 1
        found = penalty.distance(penalty.norms(scaled, real, fake, draws))
        assert float(found.detach()) == pytest.approx(np.mean(excess**2), rel=1e-7)


@CHANNELS
def test_zero_centred_penalties(channels: int) -> None:
    real, fake = images(4, channels, 1), 0.3 * images(4, channels, 2)
    on_reals, on_fakes = (np.mean(finite_difference_norms(critic(channels), x) ** 2) / 2 for x in (real, fake))
    for name, true in {"r1": on_reals, "r2": on_fakes, "r1_r2": on_reals + on_fakes}.items():
        assert float(ZERO_PENALTIES[name](critic(channels), real, fake).detach()) == pytest.approx(true, rel=1e-7)


def test_the_tables_hold_what_the_genes_offer() -> None:
    assert {"none", *GRADIENT_PENALTIES} == set(GENES["gradient_penalty"].values)
    assert {"none", *ZERO_PENALTIES} == set(GENES["zero_penalty"].values)


@CHANNELS
def test_a_linear_critic_has_penalties_in_closed_form(channels: int) -> None:
    x = images(3, channels)
    w = images(1, channels, 5)[0]
    for length in (0.0, 0.5, 1.0, 4.0):
        slope = w * (length / w.norm())
        norms = input_gradient_norms(lambda x, slope=slope: (x * slope).sum((1, 2, 3)), x).detach()
        np.testing.assert_allclose(norms, length, atol=2e-6)
        assert float(two_sided(norms)) == pytest.approx((length - 1) ** 2, abs=1e-5)
        assert float(one_sided(norms)) == pytest.approx(max(length - 1, 0) ** 2, abs=1e-5)
        square = zero_centred(lambda x, slope=slope: (x * slope).sum((1, 2, 3)), x)
        assert float(square.detach()) == pytest.approx(length**2 / 2, abs=1e-12)


@CHANNELS
def test_penalties_teach_the_critic(channels: int) -> None:
    """The second derivative, by weights, against finite differences of the penalty."""
    x = images(3, channels)
    kernel, dense = (w.requires_grad_() for w in weights(channels))
    for penalty in (
        lambda critic: two_sided(input_gradient_norms(critic, x)),
        lambda critic: one_sided(input_gradient_norms(critic, x)),
        lambda critic: zero_centred(critic, x),
    ):
        assert torch.autograd.gradcheck(
            lambda kernel, dense, penalty=penalty: penalty(lambda x: score(x, kernel, dense)), (kernel, dense)
        )


@pytest.mark.parametrize("name", GRADIENT_PENALTIES)
def test_who_looks_ahead_at_a_critic_learns_from_its_penalties(name: str) -> None:
    """An unrolled GAN's generator: the points depend on its fakes."""
    real, fake = images(2, 1), images(2, 1, 1).requires_grad_()
    penalty = GRADIENT_PENALTIES[name]
    draws = penalty.draw(real, rng())
    assert torch.autograd.gradcheck(
        lambda fake: penalty.norms(critic(1), real, fake, draws).sum() + 0 * fake.sum(), fake
    )


def test_a_gradient_of_zero_gives_no_nan() -> None:
    x = images(3, 1)
    w = torch.zeros(SIZE * SIZE, dtype=torch.float64, requires_grad=True)

    def flat(x: Tensor) -> Tensor:
        return torch.relu(x.flatten(1) @ w - 1)

    for penalty in (two_sided(input_gradient_norms(flat, x)), zero_centred(flat, x)):
        (gradient,) = torch.autograd.grad(penalty, w)
        assert penalty.isfinite() and gradient.isfinite().all()


@CHANNELS
def test_an_image_and_its_fake_have_one_line_between_them(channels: int) -> None:
    real, fake = images(2, channels, 1), images(2, channels, 2)
    points = interpolates(real, fake, torch.tensor([0.25, 0.75], dtype=torch.float64).view(2, 1, 1, 1))
    torch.testing.assert_close(points[0], 0.75 * real[0] + 0.25 * fake[0])
    torch.testing.assert_close(points[1], 0.25 * real[1] + 0.75 * fake[1])


@CHANNELS
def test_draws_are_one_number_an_image(channels: int) -> None:
    real = images(500, channels)
    (alpha,) = GRADIENT_PENALTIES["two_sided"].draw(real, rng())
    u, share = GRADIENT_PENALTIES["dragan"].draw(real, rng())
    for drawn in (alpha, share):
        assert drawn.shape == (500, 1, 1, 1)
        assert drawn.min() >= 0 and drawn.max() < 1 and drawn.mean() == pytest.approx(0.5, abs=0.05)
        assert len(set(drawn.flatten().tolist())) > 490
    assert u.shape == real.shape
    assert u.min() >= 0 and u.max() < 1 and u.mean() == pytest.approx(0.5, abs=0.01)
    assert torch.equal(alpha, GRADIENT_PENALTIES["one_sided"].draw(real, rng())[0])


@CHANNELS
def test_dragan_looks_around_the_reals(channels: int) -> None:
    real, u = images(3, channels, 1), (images(3, channels, 2) + 1) / 2
    alpha = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64).view(3, 1, 1, 1)
    points = around_reals(real, u, alpha)
    everything = real.numpy()
    deviation = np.sqrt(np.mean((everything - everything.mean()) ** 2))
    for i, share in enumerate((0.0, 0.5, 1.0)):
        np.testing.assert_allclose(points[i], everything[i] + share * 0.5 * deviation * u[i].numpy())


def test_under_autocast_norms_are_float32_and_nearly_exact() -> None:
    x = images(4, 3, dtype=torch.float32)
    kernel, dense = (w.float() for w in weights(3))
    exact = input_gradient_norms(lambda x: score(x, kernel, dense), x)
    with torch.autocast("cpu", torch.bfloat16):
        assert score(x, kernel, dense).dtype == torch.bfloat16  # as the critic is elsewhere
        found = input_gradient_norms(lambda x: score(x, kernel, dense), x)
        half = input_gradient_norms(lambda x: score(x, kernel, dense), x.bfloat16())
    assert found.dtype == half.dtype == torch.float32
    torch.testing.assert_close(found, exact, rtol=0.01, atol=0)


def test_a_stack_of_critics_has_each_critics_norms() -> None:
    """Critics mapped inside the callable, their images in one row."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        critics = [nn.Sequential(nn.Conv2d(1, 2, 3), nn.Softplus(), nn.Flatten(), nn.Linear(32, 1)) for _ in range(3)]
    parameters, buffers = torch.func.stack_module_state(critics)
    skeleton = copy.deepcopy(critics[0]).to("meta")

    def one(parameters: Any, buffers: Any, x: Tensor) -> Tensor:
        return torch.func.functional_call(skeleton, (parameters, buffers), (x,)).squeeze(1)

    def stacked(x: Tensor) -> Tensor:
        return torch.func.vmap(one)(parameters, buffers, x.unflatten(0, (3, 4))).flatten()

    x = images(12, 1, dtype=torch.float32)
    norms = input_gradient_norms(stacked, x)
    two_sided(norms).backward()
    for i, alone in enumerate(critics):
        own = input_gradient_norms(lambda x, alone=alone: alone(x).squeeze(1), x[4 * i : 4 * i + 4])
        torch.testing.assert_close(norms[4 * i : 4 * i + 4], own)
        (two_sided(own) / 3).backward()
        torch.testing.assert_close(parameters["0.weight"].grad[i], alone[0].weight.grad)
