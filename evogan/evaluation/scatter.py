"""Points in the plane as a PNG."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

SCATTERED = 500  # points
SIDE, MARGIN = 256, 0.15  # pixels; around the data, as a share of what they span
PAPER, THEIRS, OURS = (255, 255, 255), (200, 200, 200), (31, 110, 180)

Points = npt.NDArray[Any]  # (N, 2, 1, 1)


def scatter_png(points: Points, data: Points) -> bytes:
    """Each point a dot, over those of the data in grey, whose frame it has: what lies beyond is not seen."""
    known = data.reshape(-1, 2)
    low, high = known.min(0), known.max(0)
    centre, half = (low + high) / 2, float((high - low).max()) * (0.5 + MARGIN) or 1.0
    canvas = np.empty((SIDE, SIDE, 3), dtype=np.uint8)
    canvas[:] = PAPER
    for these, colour, thick in ((known[: 5 * SCATTERED], THEIRS, 1), (points.reshape(-1, 2), OURS, 2)):
        at = ((these - centre) / half + 1) / 2 * SIDE
        for right in range(thick):
            for down in range(thick):
                _dots(canvas, np.stack([at[:, 0] + right, SIDE - at[:, 1] + down], 1), colour)
    buffer = io.BytesIO()
    Image.fromarray(canvas).save(buffer, "PNG")
    return buffer.getvalue()


def _dots(canvas: npt.NDArray[np.uint8], at: npt.NDArray[Any], colour: tuple[int, int, int]) -> None:
    columns, rows = np.floor(at[np.isfinite(at).all(1)]).clip(-1, SIDE).astype(int).T
    seen = (columns >= 0) & (columns < SIDE) & (rows >= 0) & (rows < SIDE)
    canvas[rows[seen], columns[seen]] = colour
