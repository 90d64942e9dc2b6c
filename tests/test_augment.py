"""Augmentation: each image distorted as published, by draws that can be read."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from evogan.families import image_fields
from evogan.families.build import build
from evogan.genes import GENES
from evogan.zoo.augment import POLICIES, augment, draw_augmentation, mirrored
from tests.draws import rng

DRAWN = 3000


def images(n: int, channels: int, size: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand((n, channels, size, size), generator=rng(9), dtype=dtype) * 2 - 1


def colored(image: Tensor, brightness: float, saturation: float, contrast: float) -> Tensor:
    """Pixel by pixel."""
    channels, height, width = image.shape
    out = torch.empty_like(image)
    for i in range(height):
        for j in range(width):
            pixel = [float(image[c, i, j]) + brightness for c in range(channels)]
            grey = sum(pixel) / channels
            for c in range(channels):
                out[c, i, j] = grey + saturation * (pixel[c] - grey)
    mean = float(out.sum()) / out.numel()
    return (out - mean) * contrast + mean


def translated(image: Tensor, down: int, right: int) -> Tensor:
    out = torch.zeros_like(image)
    _, height, width = image.shape
    for i in range(height):
        for j in range(width):
            if 0 <= i + down < height and 0 <= j + right < width:
                out[:, i + down, j + right] = image[:, i, j]
    return out


def cut(image: Tensor, first_row: int, first_column: int, side: int) -> Tensor:
    out = image.clone()
    for i in range(max(first_row, 0), min(first_row + side, image.shape[1])):
        for j in range(max(first_column, 0), min(first_column + side, image.shape[2])):
            out[:, i, j] = 0.0
    return out


def one_by_one(policy: str, x: Tensor, draws: tuple[Tensor, ...]) -> Tensor:
    out = list(x)
    for part, drawn in zip(POLICIES[policy], draws, strict=True):
        for n, row in enumerate(drawn.tolist()):
            if part == "color":
                out[n] = colored(out[n], *row)
            elif part == "translation":
                out[n] = translated(out[n], *row)
            else:
                out[n] = cut(out[n], *row, side=x.shape[-1] // 2)
    return torch.stack(out)


def test_every_policy_of_the_gene() -> None:
    assert tuple(POLICIES) == GENES["augmentation"].values
    assert POLICIES["all"] == ("color", "translation", "cutout")
    assert POLICIES["translation_cutout"] == ("translation", "cutout")


@pytest.mark.parametrize("policy", list(POLICIES))
@pytest.mark.parametrize("channels", [1, 3])
def test_equals_an_augmentation_pixel_by_pixel(policy: str, channels: int) -> None:
    x = images(12, channels, 8)
    draws = draw_augmentation(policy, 12, 8, rng())
    expected = one_by_one(policy, x, tuple(d.double() for d in draws) if policy == "color" else draws)
    torch.testing.assert_close(augment(policy, x, draws), expected, rtol=1e-12, atol=1e-12)


def test_known_offsets() -> None:
    x = torch.arange(1.0, 17.0).view(1, 1, 4, 4)
    moved = augment("translation", x, (torch.tensor([[1, -2]]),))
    assert moved[0, 0].tolist() == [[0, 0, 0, 0], [3, 4, 0, 0], [7, 8, 0, 0], [11, 12, 0, 0]]
    holed = augment("cutout", x, (torch.tensor([[-1, 2]]),))
    assert holed[0, 0].tolist() == [[1, 2, 0, 0], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16]]


def test_none_is_the_identity() -> None:
    x = images(3, 3, 8)
    assert draw_augmentation("none", 3, 8, rng()) == ()
    assert augment("none", x, ()) is x


def test_saturation_leaves_grey_images_alone() -> None:
    x = images(2, 1, 8)
    drawn = torch.tensor([[0.0, 2.0, 1.0], [0.0, 0.0, 1.0]])
    torch.testing.assert_close(augment("color", x, (drawn,)), x, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("policy", list(POLICIES))
def test_differentiable_twice(policy: str) -> None:
    x = images(2, 2, 4).requires_grad_()
    draws = draw_augmentation(policy, 2, 4, rng())
    with torch.random.fork_rng():  # the checks draw directions
        assert torch.autograd.gradcheck(lambda x: augment(policy, x, draws), (x,))
        assert torch.autograd.gradgradcheck(lambda x: augment(policy, x, draws).square(), (x,))


def test_ranges_of_colors() -> None:
    (drawn,) = draw_augmentation("color", DRAWN, 8, rng())
    for column, (low, high) in zip(drawn.T, [(-0.5, 0.5), (0.0, 2.0), (0.5, 1.5)], strict=True):
        assert low <= float(column.min()) < low + 0.01 * (high - low)
        assert high >= float(column.max()) > high - 0.01 * (high - low)
        assert abs(float(column.mean()) - (low + high) / 2) < 0.03 * (high - low)


@pytest.mark.parametrize(("size", "most"), [(8, 1), (12, 2), (20, 3), (28, 4), (32, 4), (64, 8)])
def test_ranges_of_places(size: int, most: int) -> None:
    """As the published code counts: int(size / 8 + .5) pixels; a square of size / 2 whose centre is in 0..size."""
    drawn, corners = draw_augmentation("translation_cutout", DRAWN, size, rng())
    for column in drawn.T:
        assert column.unique().tolist() == list(range(-most, most + 1))
    side = size // 2
    for column in corners.T:
        assert column.unique().tolist() == [centre - side // 2 for centre in range(size + 1 - side % 2)]
    assert abs(float(torch.corrcoef(drawn.T.double())[0, 1])) < 0.1  # rows and columns move independently
    assert abs(float(torch.corrcoef(corners.T.double())[0, 1])) < 0.1


@pytest.mark.parametrize("policy", list(POLICIES))
def test_an_image_depends_on_its_own_draws_and_a_population_stacks(policy: str) -> None:
    x, draws = images(6, 3, 8), draw_augmentation(policy, 6, 8, rng())
    whole = augment(policy, x, draws)
    torch.testing.assert_close(augment(policy, x[2:4], tuple(d[2:4] for d in draws)), whole[2:4])
    stacked = torch.func.vmap(lambda x, draws: augment(policy, x, draws))(
        x.unflatten(0, (2, 3)), tuple(d.unflatten(0, (2, 3)) for d in draws)
    )
    torch.testing.assert_close(stacked.flatten(0, 1), whole)


def test_half_precision_stays() -> None:
    x = images(2, 3, 8, torch.bfloat16)
    assert augment("all", x, draw_augmentation("all", 2, 8, rng())).dtype == torch.bfloat16


def test_half_of_the_real_images_are_mirrored_and_nothing_else_is_drawn_otherwise() -> None:
    x = images(DRAWN, 1, 8, torch.float32)
    plain, flipping = (build({"mirror": mirror, "filters": 4}, image_fields(8, 1), seed=0) for mirror in (False, True))
    drawn = rng()
    expected = mirrored(x, drawn)  # and then what a GAN draws without
    left = (expected == x).flatten(1).all(1)
    assert torch.equal(expected[~left], x[~left].flip(3))
    assert 0.45 < left.double().mean() < 0.55
    shown = flipping.draw("critic", DRAWN, {"images": x}, rng())
    alone = plain.draw("critic", DRAWN, {"images": expected}, drawn)
    assert all(torch.equal(a, b) for a, b in zip(shown.tensors(), alone.tensors(), strict=True))
