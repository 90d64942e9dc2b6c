"""Recipes of pairs and domains against Pillow, SciPy and torch."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import uniform_filter
from torch.nn.functional import avg_pool2d

from evogan.data.recipes import hole_of, read_recipe
from evogan.errors import UserError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (5, 1, 14, 14), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (5, 3, 14, 14), dtype=np.uint8)


@pytest.mark.parametrize("block", [3, 5, 9])
def test_edges_are_an_adaptive_mean_threshold(block: int) -> None:
    mean = uniform_filter(GREY.astype(float), (1, 1, block, block), mode="nearest")
    assert np.array_equal(read_recipe(f"edges:{block}").of(GREY) == 255, mean - 2 + 1e-9 < GREY)


def test_grey_is_that_of_pillow() -> None:
    made = read_recipe("grey").of(COLOUR)
    for image, one in zip(COLOUR, made, strict=True):
        assert np.array_equal(np.asarray(Image.fromarray(image.transpose(1, 2, 0)).convert("L")), one[0])
    white = np.zeros((1, 3, 8, 8), dtype=np.uint8)
    white[:, :, 2:6, 2:6] = 255
    assert set(np.unique(read_recipe("edges").of(white))) == {0, 255}


def test_cells_have_their_means() -> None:
    for images in (GREY, COLOUR):
        means = avg_pool2d(torch.tensor(images).double(), 7).add(0.5).floor().byte()
        assert np.array_equal(read_recipe("low:7").of(images), means)
        cells = means.repeat_interleave(7, 2).repeat_interleave(7, 3)
        assert np.array_equal(read_recipe("mosaic:7").of(images), cells)
    ragged = read_recipe("mosaic:4").of(GREY)  # 4, 4, 4 and 2
    assert np.array_equal(ragged[:, :, 12:, 12:], avg_pool2d(torch.tensor(GREY[:, :, 12:, 12:]).double(), 2)
                          .add(0.5).floor().byte().repeat_interleave(2, 2).repeat_interleave(2, 3))  # fmt: skip


def test_a_hole_is_where_it_says_and_nowhere_else() -> None:
    made = read_recipe("hole").of(COLOUR)
    inside = np.zeros((14, 14), dtype=bool)
    inside[hole_of(14, 14)] = True
    assert inside.sum() == 49 and np.unique(made[..., inside]).tolist() == [128]
    assert np.array_equal(made[..., ~inside], COLOUR[..., ~inside])


def test_domains_can_be_undone() -> None:
    assert np.array_equal(read_recipe("negative").of(read_recipe("negative").of(GREY)), GREY)
    turned = GREY
    for _ in range(4):
        turned = read_recipe("rotate").of(turned)
        assert np.array_equal(turned, GREY) == (_ == 3)
    assert np.array_equal(read_recipe("rotate").of(GREY)[0, 0], np.rot90(GREY[0, 0]))


def test_a_background_is_an_images_own() -> None:
    made = read_recipe("recolour").of(GREY)
    assert made.shape == (5, 3, 14, 14) and np.array_equal(made[3:], read_recipe("recolour").of(GREY[3:]))
    black = read_recipe("recolour").of(np.zeros((1, 1, 8, 8), dtype=np.uint8))[0].astype(int)
    white = read_recipe("recolour").of(np.full((1, 1, 8, 8), 255, dtype=np.uint8))[0].astype(int)
    for background in (black, 255 - white):
        steps = np.diff(background, axis=2)
        assert np.ptp(steps, axis=(1, 2)).max() <= 1  # a slope


@pytest.mark.parametrize(
    ("text", "images", "said"),
    [
        ("edge", GREY, "unknown recipe 'edge'"),
        ("grey", GREY, "these images are grey"),
        ("grey:3", COLOUR, "has no number"),
        ("low", GREY, "needs a factor, as in low:4"),
        ("low:5", GREY, "images of 14x14 cannot be made 5 times"),
        ("low:14", GREY, "cannot be made 14 times smaller"),
        ("mosaic:1", GREY, "2 pixels a side or more"),
        ("mosaic:x", GREY, "a cell is a whole number"),
        ("mosaic:-2", GREY, "a cell is a whole number"),
        ("hint", GREY, "have no colours to hint at"),
        ("edges:4", GREY, "a block is odd"),
        ("edges:15", GREY, "3 to the side of an image, 14"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused(text: str, images: np.ndarray, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_recipe(text).of(images)


def test_a_hint_is_lines_on_colours_that_are_an_images_own() -> None:
    made, lines = read_recipe("hint:3").of(COLOUR), read_recipe("edges:3").of(COLOUR)
    assert made.shape == COLOUR.shape and not made[np.broadcast_to(lines == 0, made.shape)].any()
    assert np.array_equal(made[2:], read_recipe("hint:3").of(COLOUR[2:]))
    one = np.zeros((1, 3, 32, 32), dtype=np.uint8)
    one[:, 0] = 200
    hinted = read_recipe("hint").of(one)[0].astype(int)  # without lines: red, and white at 3 places
    assert (hinted[0] >= 200).all() and hinted[0].max() > 200 and np.array_equal(hinted[1], hinted[2])
    assert 12**2 < (hinted[1] > 0).sum() <= 3 * 17**2  # squares of 6, seen from up to 6 pixels away
    assert hinted[1].max() <= 255 * min(1.0, 3 * 36 / 144)
