"""Pixels are read into one array: in memory, or in a file where they are many."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import BinaryIO

import numpy as np

from evogan.data import kept
from evogan.data.dataset import Images, check_fits
from evogan.data.source import Rows, Source, Tell
from evogan.errors import UserError
from evogan.files.processes import machine_memory

AMPLE = 0.25  # of the machine's memory
LONG, EVERY = 2.0, 0.5  # seconds before a word, and from one to the next

Check = Callable[[int, int], None]  # of height and width


class _Coloured(Exception):
    """After grey images there is one in colour."""


def gather(
    source: Source,
    rows: Rows,
    size: int | None,
    path: Path | None,
    check: Check,
    fingerprint: Callable[[Images], str],
    tell: Tell,
) -> tuple[Images, list[str]]:
    """The images `rows`, in that order, and notes about them. Many come to lie at `path`, with their `fingerprint`."""
    try:
        with ExitStack() as stack:
            return _gathered(source, rows, size, 1, path, check, fingerprint, tell, stack)
    except _Coloured:
        with ExitStack() as stack:
            return _gathered(source, rows, size, 3, path, check, fingerprint, tell, stack)


def _gathered(
    source: Source,
    rows: Rows,
    size: int | None,
    channels: int,
    path: Path | None,
    check: Check,
    fingerprint: Callable[[Images], str],
    tell: Tell,
    stack: ExitStack,
) -> tuple[Images, list[str]]:
    array: Images | None = None
    file: BinaryIO | None = None
    notes: list[str] = []
    done = 0
    places = np.argsort(rows)
    progress = _Progress(source.name, len(rows), tell)
    for images in source.pixels.read(rows[places], size, notes):
        if array is None:
            check(*images.shape[2:])
            shape = (len(rows), max(channels, images.shape[1]), *images.shape[2:])
            file, array = _room(shape, path, notes, stack)
        if images.shape[1] > array.shape[1]:
            raise _Coloured
        array[places[done : done + len(images)]] = images
        done += len(images)
        progress(done)
    if array is None or done != len(rows):
        raise UserError(f"data set '{source.name}': {done:,} of {len(rows):,} images could be read")
    if file is not None:
        kept.seal(file, array, notes, fingerprint(array))
    return array, notes


def _room(
    shape: tuple[int, ...], path: Path | None, notes: list[str], stack: ExitStack
) -> tuple[BinaryIO | None, Images]:
    """Of many images in the file; in memory, too, where that is ample and the file cannot be written."""
    size = math.prod(shape)
    if path is not None and size > kept.LARGE:
        try:
            return stack.enter_context(kept.made(path, shape))
        except UserError:
            if size > machine_memory() * AMPLE:
                raise
            notes.append(f"kept in memory, since nothing can be kept in '{path.parent}'")
    check_fits(f"{shape[0]:,} images of {shape[3]}x{shape[2]}", size)
    return None, np.empty(shape, np.uint8)


class _Progress:
    """Said of what takes long."""

    def __init__(self, name: str, count: int, tell: Tell) -> None:
        self._line, self._count, self._tell = f"{name}: decoding {count:,} images", count, tell
        self._due, self._said = monotonic() + LONG, False

    def __call__(self, done: int) -> None:
        if monotonic() >= self._due or (self._said and done == self._count):
            self._tell(self._line, done / self._count if self._said else 0.0)
            self._said, self._due = True, monotonic() + EVERY
