"""Vectors that a conditional GAN is asked for in place of classes.

attributes:FILE[:one+other]   of each image of a folder what a table says of it: a number for each column of yes and
                              no, one for each value of others
captions[:CODE]               sentences of coloured digits, which are made by rule of grey ones, few ones several
                              times (`evogan.data.coloured`); CODE: words, the default, skip_thought or one_hot
                              (`evogan.data.sentence_codes`)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from evogan.data.attributes import NO, YES, read_columns
from evogan.data.builtin import DIGITS
from evogan.data.cache import remembered
from evogan.data.captions import ATTRIBUTES, sentences
from evogan.data.coloured import SMALLEST, coloured
from evogan.data.dataset import CAPTIONS, Conditions, Dataset, Images, Labels, image_dataset
from evogan.errors import UserError, unknown
from evogan.settings.reading import ATTRIBUTES as TABLE
from evogan.stable import derive_seed

CODES = ("words", "skip_thought", "one_hot")
FEW, MOST_TIMES = 12_000, 8  # images, up to which each is coloured more than once, and how often at most
COLOURED = 1  # rises when the same digits would be coloured otherwise
MOST_VALUES = 50  # of a column
DIGIT = list(ATTRIBUTES).index("digit")
VALUES = np.array(list(product(*(range(len(words)) for words in ATTRIBUTES.values()))))  # (900, 5), of each sentence


def check_conditions(text: str) -> None:
    """Errors: UserError for what is neither."""
    kind, _, code = text.partition(":")
    if kind == CAPTIONS and (code or text == CAPTIONS):
        if code and code not in CODES:
            raise unknown("code of captions", code, CODES)
    elif not text.startswith(TABLE):
        raise UserError(
            f"conditions '{text}': captions, captions:CODE with CODE {', '.join(CODES)}, or attributes:FILE"
        )


def of_table(data: Dataset, text: str, images: Sequence[Path]) -> Dataset:
    """`images`: paths from the folder, those to train on first. Errors: UserError for a table that does not fit."""
    path, columns = read_columns(text, images)
    numbers = list[npt.NDArray[np.float32]]()
    for name, cells in columns.items():
        values = sorted(set(cells))
        if len(values) == 1:
            continue
        low = {value.lower() for value in values}
        if low <= NO | YES and len(low & NO) <= 1 and len(low & YES) <= 1:
            numbers.append(np.array([cell.lower() in YES for cell in cells], dtype=np.float32)[:, None])
        elif len(values) > MOST_VALUES:
            raise UserError(f"{path}: column '{name}' has {len(values):,} values: at most {MOST_VALUES} can be told")
        else:
            numbers.append((np.array(cells)[:, None] == values).astype(np.float32))
    if not numbers:
        raise UserError(f"{path}: the same is true of all images: there is nothing to ask for")
    told = [" ".join(f"{name}={cells[i]}" for name, cells in columns.items()) for i in range(len(images))]
    words, first, which = np.unique(told, return_index=True, return_inverse=True)
    table = np.concatenate(numbers, 1)[first]
    note = f"asked for by {len(columns)} attributes, {table.shape[1]} numbers: {', '.join(columns)}"
    return _with(data, Conditions("attributes", table, tuple(words.tolist())), which.astype(np.int64), note)


def captioned(data: Dataset, text: str) -> Dataset:
    """Errors: UserError for what are no grey digits, and for images that are too small."""
    from evogan.data.sentence_codes import codes

    names = data.class_names or ()
    if data.channels != 1 or data.labels is None or not set(names) <= set(DIGITS):
        has = (
            "has no labels" if data.labels is None else "is in colour" if data.channels > 1 else f"has {names[0]}, ..."
        )
        raise UserError(f"captions are of grey digits with labels 0 to 9: data set '{data.name}' {has}")
    if data.image_size < SMALLEST:
        raise UserError(
            f"captions need images of {SMALLEST} pixels a side or more, '{data.name}' has {data.image_size}: "
            "--image-size 20"
        )
    code = text.partition(":")[2] or CODES[0]
    of = np.array([DIGITS.index(name) for name in names])
    times = max(1, min(MOST_TIMES, FEW // len(data.images)))
    splits = {"train": (data.images, data.labels), "unseen": (data.held_out, data.held_out_labels)}
    values = {split: _drawn(np.tile(of[labels], times), split) for split, (_, labels) in splits.items()}
    made = remembered(
        {"coloured": data.fingerprint, "version": str(COLOURED), "of": str(of)},
        lambda: {
            split: torch.from_numpy(coloured(np.tile(images, (times, 1, 1, 1)), values[split]))
            for split, (images, _) in splits.items()
        },
    )
    sizes = [len(words) for words in ATTRIBUTES.values()]
    which = np.concatenate([np.ravel_multi_index(tuple(part.T), sizes) for part in values.values()])
    bare = image_dataset(data.name, made["train"].numpy(), None, made["unseen"].numpy(), None, None, data.notes)
    conditions = Conditions(f"{CAPTIONS}:{code}", codes(code), tuple(sentences()))
    size = conditions.table.shape[1]
    note = f"with captions, {len(conditions.names)} sentences as {size} numbers each ({code.replace('_', '-')})"
    return _with(bare, conditions, which.astype(np.int64), note)


def truths(data: Dataset) -> Dataset:
    """Its images, with their digits as labels, and what else is true of them as attributes: to learn features from."""

    def told(images: Images, which: Labels) -> dict[str, dict[str, npt.NDArray[Any]]]:
        values = VALUES[which]
        return {
            "images": {"images": images, "labels": values[:, DIGIT], "attributes": np.delete(values, DIGIT, axis=1)}
        }

    train, unseen = (split["images"]["conditions"] for split in (data.train, data.unseen))
    return Dataset(data.name, told(data.images, train), told(data.held_out, unseen), DIGITS, data.notes)


def _drawn(digits: Labels, split: str) -> npt.NDArray[np.int64]:
    """(N, 5): values at random, those of the digits as they are."""
    rng = np.random.default_rng(derive_seed("captions", split, len(digits)))
    found = np.stack([rng.integers(len(words), size=len(digits)) for words in ATTRIBUTES.values()], 1)
    found[:, DIGIT] = digits
    return found


def _with(data: Dataset, conditions: Conditions, which: Labels, note: str) -> Dataset:
    """`which` of the conditions each image has, those to train on first."""
    n = len(data.images)
    return replace(
        data,
        train=_split(data.images, conditions, which[:n]),
        unseen=_split(data.held_out, conditions, which[n:]),
        class_names=None,
        notes=(*data.notes, note),
        conditions=conditions,
    )


def _split(images: Images, conditions: Conditions, which: Labels) -> dict[str, dict[str, npt.NDArray[Any]]]:
    return {"images": {"images": images, "labels": conditions.table[which], "conditions": which}}
