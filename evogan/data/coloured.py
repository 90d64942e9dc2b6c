"""Coloured digits by rule, of grey ones: with the attributes of `evogan.data.captions`, whose truth is known.

    thickness   what is brighter than its surroundings is thinned to lines (Zhang and Suen 1984, CACM 27(3)), which are
                drawn anew with a round brush
    tilt        every row is moved so that the slant m11/m02 of the second moments about the centre becomes 0, .3 (left)
                or -.3 (right): a line of that slant moves by so much from one row to the one below
    colours     background + ink (colour - background)

Small images are drawn at twice their side, and reduced. Whole numbers, or one operation at a time on floats: the same
bits on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from evogan.data.captions import ATTRIBUTES, UPRIGHT
from evogan.data.dataset import Images
from evogan.data.recipes import sums_around
from evogan.data.resize import resize

PALETTE = {
    "red": (230, 25, 25),
    "green": (30, 200, 60),
    "yellow": (250, 225, 40),
    "white": (255, 255, 255),
    "pink": (250, 110, 200),
    "black": (0, 0, 0),
    "blue": (25, 40, 170),
    "grey": (110, 110, 110),
}
SLANTS = {UPRIGHT: 0.0, "left": 0.3, "right": -0.3}
BRUSHES = {"thin": 0.6, "thick": 1.6}  # radius at a side of 28, in pixels, and in proportion at others
FINER = {"thin": 0.9, "thick": 2.2}  # where it is reduced after
SMALL, SMALLEST = 24, 16  # pixels a side: below, lines are drawn at twice the side; or not at all
FAINT, BRIGHT = 60, 250  # never ink, always ink
PARTS = 256  # of a pixel
AT_ONCE = 5000  # images

Ink = npt.NDArray[np.uint8]  # (N, H, W), 255 where there is most
Lines = npt.NDArray[np.bool_]  # (N, H, W)
Floats = npt.NDArray[np.float64]
Values = npt.NDArray[np.int64]  # (N, 5): of each attribute, in the order of `ATTRIBUTES`


def coloured(images: Images, values: Values) -> Images:
    """Grey images, uint8 (N, 1, H, H), of light digits -> (N, 3, H, H), with these values but for the digit's."""
    found = np.empty((len(images), 3, *images.shape[2:]), dtype=np.uint8)
    for start in range(0, len(images), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        found[part] = _coloured(images[part], values[part])
    return found


def colours(attribute: str) -> npt.NDArray[np.int64]:
    """(K, 3): of an attribute whose values are colours."""
    return np.array([PALETTE[name] for name in ATTRIBUTES[attribute]], dtype=np.int64)


def _coloured(images: Images, values: Values) -> Images:
    thickness, colour, _, tilt, background = values.T
    side = images.shape[-1]
    fine = side < SMALL
    ink = (resize(images, 2 * side) if fine else images)[:, 0]
    lines, drawn = thinned(_shape(ink)), np.empty_like(ink)
    for k, name in enumerate(ATTRIBUTES["thickness"]):
        radius = (FINER if fine else BRUSHES)[name] * ink.shape[-1] / 28
        drawn[thickness == k] = brushed(lines[thickness == k], radius)
    ink = slanted(drawn, np.array([SLANTS[name] for name in ATTRIBUTES["tilt"]])[tilt])
    ink = resize(ink[:, None], side)[:, 0] if fine else ink
    front, back = (
        colours(name)[of].reshape(-1, 3, 1, 1) for name, of in (("colour", colour), ("background", background))
    )
    share = ink[:, None].astype(np.int64)
    found: Images = ((back * (255 - share) + front * share + 127) // 255).astype(np.uint8)
    return found


def _shape(ink: Ink) -> Lines:
    """What is brighter than a square of a third of the side around it."""
    block = ink.shape[-1] // 6 * 2 + 1
    around = ink.astype(np.int64) * block**2 >= sums_around(ink.astype(np.int64), block)
    found: Lines = (around & (ink >= FAINT)) | (ink >= BRIGHT)
    return found


def slanted(ink: Ink, slant: Floats) -> Ink:
    """Each image's rows moved so that it has its own of `slant` (N,), and its centre in the middle."""
    n, height, width = ink.shape
    mass, right, down, cross, tall = _moments(ink)
    centre, middle = right / mass, down / mass
    now = (cross - middle * right) / np.maximum(tall - middle * down, 1.0)
    rows = np.arange(height) - middle[:, None]
    shift = (centre - (width - 1) / 2)[:, None] + (now - slant)[:, None] * rows
    moved = np.rint(shift * PARTS).astype(np.int64).clip(-width * PARTS, width * PARTS)  # in parts of a pixel
    first, share = (moved // PARTS)[:, :, None], (moved % PARTS).astype(np.int32)[:, :, None]
    padded = np.zeros((n, height, 3 * width + 1), dtype=np.uint8)
    padded[:, :, width : 2 * width] = ink
    row = np.arange(n * height).reshape(n, height, 1) * padded.shape[2]
    place = row + first + width + np.arange(width)
    near, far = (padded.reshape(-1)[p].astype(np.int32) for p in (place, place + 1))
    found: Ink = ((near * (PARTS - share) + far * share + PARTS // 2) // PARTS).astype(np.uint8)
    return found


def _moments(ink: Ink) -> Iterator[Floats]:
    """Sums over pixels of 1, x, y, xy and y^2, (N,) each."""
    whole = ink.astype(np.int64)
    rows, columns = whole.sum(2), whole.sum(1)
    y, x = np.arange(ink.shape[1]), np.arange(ink.shape[2])
    cross = ((whole * x).sum(2) * y).sum(1)
    for total in (rows.sum(1).clip(1), (columns * x).sum(1), (rows * y).sum(1), cross, (rows * y**2).sum(1)):
        yield total.astype(np.float64)


def thinned(shape: Lines) -> Lines:
    """(N, H, W) -> lines of one pixel, by peeling both sides in turn. Neighbours p2 .. p9 are clockwise from above."""
    codes = np.arange(256)[:, None] >> np.arange(8) & 1
    count = codes.sum(1)
    begins = ((codes == 0) & (np.roll(codes, -1, 1) == 1)).sum(1)
    p2, p4, p6, p8 = codes[:, 0], codes[:, 2], codes[:, 4], codes[:, 6]
    border = (count >= 2) & (count <= 6) & (begins == 1)
    sides = (border & (p2 * p4 * p6 == 0) & (p4 * p6 * p8 == 0), border & (p2 * p4 * p8 == 0) & (p2 * p6 * p8 == 0))
    around = ((0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0), (0, 0))  # top, left in the padded image
    n, height, width = shape.shape
    padded = np.zeros((n, height + 2, width + 2), dtype=np.uint8)
    padded[:, 1:-1, 1:-1] = shape
    left = np.arange(n)  # images that still change
    for _ in range(max(height, width)):
        some = padded[left]
        inside, before = some[:, 1:-1, 1:-1], some.sum((1, 2), dtype=np.int64)
        for side in sides:
            code = np.zeros(inside.shape, dtype=np.uint8)
            for bit, (top, start) in enumerate(around):
                code |= some[:, top : top + height, start : start + width] << bit
            inside *= ~side[code]
        padded[left] = some
        left = left[some.sum((1, 2), dtype=np.int64) < before]
        if not len(left):
            break
    return padded[:, 1:-1, 1:-1] > 0


def brushed(lines: Lines, radius: float) -> Ink:
    """Lines (N, H, W) of one pixel, by a round brush whose edge fades over a pixel."""
    n, height, width = lines.shape
    reach = int(np.ceil(radius))
    padded = np.zeros((n, height + 2 * reach, width + 2 * reach), dtype=np.uint8)
    padded[:, reach : reach + height, reach : reach + width] = lines
    found = np.zeros(lines.shape, dtype=np.uint8)
    for top in range(2 * reach + 1):
        for start in range(2 * reach + 1):
            away = float(np.sqrt((top - reach) ** 2 + (start - reach) ** 2))
            weight = int(np.rint(255 * min(max(radius + 1 - away, 0.0), 1.0)))
            if weight:
                np.maximum(found, padded[:, top : top + height, start : start + width] * np.uint8(weight), out=found)
    return found
