"""Pictures of what was asked for: a row of images for each condition, with its words below."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from evogan.errors import shortened
from evogan.evaluation.grid import grid_png

LINE, LEFT = 16, 4  # pixels: the height of a line of words, and where it begins
PAPER, INK = (255, 255, 255), (20, 20, 20)
LETTER = 6  # how wide one is, at least


def captioned_png(images: Tensor, words: Sequence[str]) -> bytes:
    """(N, C, H, W) in [-1, 1], as many for each of the words, one after another -> a PNG with a row for each."""
    columns = len(images) // len(words)
    rows = [Image.open(io.BytesIO(grid_png(own, columns))).convert("RGB") for own in images.split(columns)]
    width, height = rows[0].width, rows[0].height + LINE
    page = Image.new("RGB", (width, height * len(rows)), PAPER)
    pen, font = ImageDraw.Draw(page), ImageFont.load_default()
    for i, (row, said) in enumerate(zip(rows, words, strict=True)):
        page.paste(row, (0, i * height))
        pen.text((LEFT, i * height + row.height + 2), shortened(said, width // LETTER), INK, font)
    buffer = io.BytesIO()
    page.save(buffer, "PNG")
    return buffer.getvalue()
