"""Recipes: from an image what it is to be made from, exactly, so that the truth of a translation is known.

    edges[:BLOCK]  white where grey > mean of the BLOCK x BLOCK around it - 2, else black (adaptive mean threshold)
    hint[:BLOCK]   these lines, black, on a hint of the colours: of s/8 or so squares of a fifth of the side s, drawn by
                   the pixels, white is left, and then every pixel is the mean of a square of two fifths around it
                   (ColorGAN's)
    grey           luma of Rec. 601
    mosaic:P       the mean of each cell of P x P
    hole           a square of half the side in the middle is grey
    low:K          a K-th of the side, the mean of each K x K
    negative       255 - x
    rotate         by 90 degrees, counter-clockwise
    recolour       |x - background| in colour, the background from one colour to another in a direction of its own

All are of whole numbers: the same bits on every machine.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evogan.data.dataset import Images
from evogan.errors import UserError, shown, unknown
from evogan.stable import derive_seed

LUMA = (19595, 38470, 7471)  # of 65536, as Pillow has them
DARKER = 2  # than around it, which a line is
MIDDLE = 128
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Recipe:
    """`make`: images uint8 (N, C, H, W), and a number where the recipe has one. `number`: what it is, its default by
    the side of an image, if it has one."""

    make: Callable[[Images, int], Images]
    number: str = ""
    default: Callable[[int], int] | None = None


@dataclass(frozen=True)
class Made:
    """A recipe as a user names it, `text`, with its number: 0 where there is none."""

    text: str
    recipe: Recipe
    number: int

    def of(self, images: Images) -> Images:
        """Errors: UserError for images that it does not fit."""
        side = images.shape[-1]
        return self.recipe.make(images, self.number or (self.recipe.default(side) if self.recipe.default else 0))


def read_recipe(text: str) -> Made:
    """Errors: UserError for one that there is not, and for a number that it lacks, or has none of."""
    name, colon, number = text.partition(":")
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    recipe = RECIPES[name]
    if not recipe.number and colon:
        raise UserError(f"recipe '{name}' has no number: {shown(text)}")
    if not colon and recipe.number and recipe.default is None:
        raise UserError(f"recipe '{name}' needs {recipe.number}, as in {name}:4")
    if colon and not re.fullmatch(r"[1-9]\d{0,3}", number):
        raise UserError(f"recipe '{text}': {recipe.number} is a whole number from 1 on")
    return Made(text, recipe, int(number or 0))


# --- what they make


def edges(images: Images, block: int) -> Images:
    """(N, 1, H, W); beyond the border is what lies at it."""
    side = min(images.shape[2:])
    if not block % 2 or not 3 <= block <= side:
        raise UserError(f"recipe 'edges:{block}': a block is odd, 3 to the side of an image, {side}")
    grey = _luma(images)
    white = (grey + DARKER) * block**2 > sums_around(grey, block)
    return np.where(white, 255, 0).astype(np.uint8)[:, None]


def hint(images: Images, block: int) -> Images:
    """(N, 3, H, W). What is left white of an image depends on its pixels alone."""
    if images.shape[1] == 1:
        raise UserError("recipe 'hint': these images are grey, and have no colours to hint at")
    lines, side = edges(images, block), min(images.shape[2:])
    count, blank, blurred = max(1, side * 30 // 256), max(1, side * 50 // 256), max(2, side * 100 // 256)
    left = images.astype(np.int64)
    for image, place in zip(images, left, strict=True):
        rng = np.random.default_rng(derive_seed("hint", image.tobytes().hex()))
        for top, start in rng.integers(0, side - blank + 1, size=(count, 2)):
            place[:, top : top + blank, start : start + blank] = 255
    colours = _rounded(sums_around(left.reshape(-1, *left.shape[2:]), blurred), blurred**2).reshape(left.shape)
    return np.where(lines > 0, colours, 0).astype(np.uint8)


def grey(images: Images, _: int = 0) -> Images:
    if images.shape[1] == 1:
        raise UserError("recipe 'grey': these images are grey")
    return _luma(images).astype(np.uint8)[:, None]


def mosaic(images: Images, cell: int) -> Images:
    """Cells at the right and at the bottom may be smaller."""
    side = min(images.shape[2:])
    if not 2 <= cell <= side:
        raise UserError(f"recipe 'mosaic:{cell}': a cell is 2 pixels a side or more, at most an image's {side}")
    ends = [np.minimum(np.arange(0, n, cell) + cell, n) for n in images.shape[2:]]
    starts = [np.arange(0, n, cell) for n in images.shape[2:]]
    sums = np.add.reduceat(np.add.reduceat(images.astype(np.int64), starts[0], axis=2), starts[1], axis=3)
    means = _rounded(sums, np.outer(ends[0] - starts[0], ends[1] - starts[1]))
    whole = means.repeat(ends[0] - starts[0], axis=2).repeat(ends[1] - starts[1], axis=3)
    return whole.astype(np.uint8)


def hole(images: Images, _: int = 0) -> Images:
    made = images.copy()
    made[(..., *hole_of(*images.shape[2:]))] = MIDDLE
    return made


def hole_of(height: int, width: int) -> tuple[slice, slice]:
    """Where it is."""
    top, left = height // 4, width // 4
    return slice(top, top + height // 2), slice(left, left + width // 2)


def low(images: Images, factor: int) -> Images:
    count, channels, height, width = images.shape
    if factor < 2 or height % factor or width % factor or min(height, width) // factor < 2:
        raise UserError(f"recipe 'low:{factor}': images of {width}x{height} cannot be made {factor} times smaller")
    cells = images.reshape(count, channels, height // factor, factor, width // factor, factor)
    return _rounded(cells.sum(axis=(3, 5), dtype=np.int64), factor**2).astype(np.uint8)


def negative(images: Images, _: int = 0) -> Images:
    return 255 - images


def rotate(images: Images, _: int = 0) -> Images:
    return np.ascontiguousarray(np.rot90(images, axes=(2, 3)))


def recolour(images: Images, _: int = 0) -> Images:
    """(N, 3, H, W). An image's background depends on its pixels alone, so that it is the same wherever it lies."""
    if images.shape[1] != 1:
        raise UserError("recipe 'recolour': these images are in colour")
    height, width = images.shape[2:]
    made = np.empty((len(images), 3, height, width), dtype=np.uint8)
    down, right = np.indices((height, width))
    for image, place in zip(images, made, strict=True):
        rng = np.random.default_rng(derive_seed("recolour", image.tobytes().hex()))
        one, other = rng.integers(256, size=(2, 3, 1, 1))
        along = rng.integers(1, 9) * down + rng.integers(1, 9) * right
        far = int(along.max())
        place[:] = np.abs((one * (far - along) + other * along) // far - image)
    return made


def _luma(images: Images) -> Numbers:
    """(N, H, W), 0..255."""
    if images.shape[1] == 1:
        return images[:, 0].astype(np.int64)
    red, green, blue = images.astype(np.int64).swapaxes(0, 1)
    luma: Numbers = (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue + 0x8000) >> 16
    return luma


def sums_around(values: Numbers, block: int) -> Numbers:
    """(N, H, W): of the square of that side around each; beyond the border is what lies at it."""
    before, after = block // 2, (block - 1) // 2
    around = np.pad(values, ((0, 0), (before, after), (before, after)), mode="edge")
    sums = np.pad(around.cumsum(1).cumsum(2), ((0, 0), (1, 0), (1, 0)))
    total: Numbers = (
        sums[:, block:, block:] - sums[:, :-block, block:] - sums[:, block:, :-block] + sums[:, :-block, :-block]
    )
    return total


def _rounded(sums: Numbers, counts: Numbers | int) -> Numbers:
    """Means, halves upwards."""
    means: Numbers = (2 * sums + counts) // (2 * counts)
    return means


def _block(side: int) -> int:
    """A quarter of the side, odd, 3 to 9."""
    return max(3, min(9, side // 4 - (side // 4 + 1) % 2))


RECIPES = {
    "edges": Recipe(edges, "a block", _block),
    "hint": Recipe(hint, "a block", _block),
    "grey": Recipe(grey),
    "mosaic": Recipe(mosaic, "a cell"),
    "hole": Recipe(hole),
    "low": Recipe(low, "a factor"),
    "negative": Recipe(negative),
    "rotate": Recipe(rotate),
    "recolour": Recipe(recolour),
}
