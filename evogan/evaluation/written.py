"""Sequences as they are judged and shown: their text, and a PNG of it."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from evogan.data import Dataset
from evogan.data.language import Language
from evogan.errors import UserError
from evogan.fitness.scorer import Scorer
from evogan.fitness.sequences import of_generator
from evogan.options import read_option
from evogan.zoo.gan import Writes

LANGUAGE = "language"  # in the header of a generator of sequences: its tokens, what parts them, whether they end
TEMPERATURES, AT = (0.6, 0.7, 0.8, 0.9), "_at_"  # that are tried, and how it is said of a metric
SHOWN, KEPT = 20, 1000  # sequences on a sheet, in a file
LONGEST, SIZE, MARGIN = 48, 13, 8  # letters of a line that are seen; pixels
SMALLEST = 120  # width of a sheet
PAPER, INK, WRONG = (255, 255, 255), (20, 20, 20), (190, 30, 30)


def judged(gan: Writes, dataset: Dataset, half: slice, device: torch.device) -> dict[str, float]:
    """By the generator's own probabilities, on this half of what is held out."""
    assert dataset.language is not None
    return of_generator(dataset.language, dataset.held_out[half], gan.log_probability, str(device))


def swept(gan: Writes, scorer: Scorer, samples: Callable[[], Iterator[Any]]) -> dict[str, float]:
    """What `samples` of other temperatures are like, by the names of metrics with `AT` and the temperature."""
    found: dict[str, float] = {}
    own = gan.temperature
    for temperature in TEMPERATURES:
        gan.temperature = temperature
        found |= {f"{name}{AT}{temperature:g}": value for name, value in scorer.score(samples()).items()}
    gan.temperature = own
    return found


def sheet_png(language: Language, rows: Tensor | np.ndarray[Any, Any]) -> bytes:
    """A sequence a line; red what is known to be none of the language."""
    found = np.asarray(rows)[:SHOWN]
    wrong = language.truth.places(found) < 0 if language.truth else np.zeros(len(found), dtype=bool)
    return text_png(language.texts(found), wrong.tolist())


def text_png(texts: Sequence[str], wrong: Sequence[bool]) -> bytes:
    """In a font that knows Latin, Greek and Cyrillic letters."""
    import matplotlib

    font = ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSansMono.ttf"), SIZE)
    line = round(1.45 * SIZE)
    seen = [text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…" for text in texts]
    width = max(SMALLEST, *(math.ceil(font.getlength(text)) for text in seen))
    sheet = Image.new("RGB", (2 * MARGIN + width, 2 * MARGIN + line * len(texts)), PAPER)
    draw = ImageDraw.Draw(sheet)
    for i, (text, bad) in enumerate(zip(seen, wrong, strict=True)):
        draw.text((MARGIN, MARGIN + line * i), text, WRONG if bad else INK, font)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def as_lines(language: Language, rows: Tensor) -> bytes:
    return "".join(f"{text}\n" for text in language.texts(rows.cpu().numpy())).encode()


def header(language: Language) -> dict[str, Any]:
    parts: dict[str, Any] = json.loads(language.identity())
    return {LANGUAGE: parts}


def read_language(written: Any) -> Language:
    """Errors: UserError, KeyError, TypeError."""
    known: Mapping[str, Any] = dict(written)
    tokens, between = known["tokens"], known["between"]
    texts = isinstance(tokens, list) and all(isinstance(text, str) for text in (*tokens, between))
    if not texts or len(tokens) < 2:
        raise UserError("its tokens are no list of texts")
    return Language(tuple(tokens), between, read_option("ends", known["ends"], bool))
