"""Many image files -> pixels, a few at a time, on all cores."""

from __future__ import annotations

import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from evogan.data.dataset import Images
from evogan.data.image import File, deepest, read_file
from evogan.data.resize import resize
from evogan.data.source import Rows, depth, scaled
from evogan.errors import UserError, counted
from evogan.trial import IMAGE_SIZES

AT_ONCE = 64  # files that one thread reads in a go
SMALL = 2**18  # bytes of images that are resized together: larger ones would be too much memory
HELD = 2**25  # bytes of images that a thread holds
LISTED = 3  # bad files in a line

Named = Sequence[tuple[File, str]]  # files, and what a user calls each
T = TypeVar("T")
R = TypeVar("R")


@dataclass
class Pictures:
    """`files` gives those of the rows that are asked for, so many at a time; `of`: plain data that tell them apart.

    A file's pixels are its own, but for grey of 16 bits: these have the depth of the deepest of all files. `side`: the
    half of each that is wanted, left or right; all of it if it is empty.
    """

    files: Callable[[Rows, int], Iterator[Named]]
    count: int
    of: Callable[[], Any]
    side: str = ""
    _bits: int = 0
    _lock: Lock = field(default_factory=Lock)

    def most(self, count: int, size: int | None) -> float:
        return 3.0 * count * (size or IMAGE_SIZES[1]) ** 2

    def identity(self) -> Any:
        return [self.of(), self.side] if self.side else self.of()

    def read(self, rows: Rows, size: int | None, notes: list[str]) -> Iterator[Images]:
        """Errors: UserError for all files that cannot be read, and for sizes that differ."""
        total = _Part()
        first: tuple[str, Images] | None = None
        Image.preinit()
        with warnings.catch_warnings(action="ignore"):  # what is wrong is said
            for part in self._parts(rows, size):
                total.add(part)
                if total.bad or not part.images:
                    continue
                first = first or (part.names[0], part.images[0])
                for name, image in zip(part.names, part.images, strict=True):
                    if image.shape[1:] != first[1].shape[1:]:
                        raise UserError(
                            f"images of different sizes: {first[0]} is {_size(first[1])}, {name} is {_size(image)}:"
                            " choose one with --image-size"
                        )
                channels = max(len(image) for image in part.images)
                yield np.stack([np.broadcast_to(image, (channels, *image.shape[1:])) for image in part.images])
        if total.bad:
            more = f"; and {len(total.bad) - LISTED:,} more" if len(total.bad) > LISTED else ""
            several = f"{len(total.bad):,} of {len(rows):,} images are no use: " if len(total.bad) > 1 else ""
            raise UserError(f"{several}{'; '.join(total.bad[:LISTED])}{more}")
        notes += total.notes(self._bits)

    def _parts(self, rows: Rows, size: int | None) -> Iterator[_Part]:
        """Where they are not resized, so many in a go as the size of the first allows."""
        together = AT_ONCE
        if size is None:
            first = self._part(next(self.files(rows[:1], 1)), size)
            together = max(1, min(AT_ONCE, HELD // max((image.nbytes for image in first.images), default=1)))
        yield from _in_order(partial(self._part, size=size), self.files(rows, together))

    def _part(self, files: Named, size: int | None) -> _Part:
        part = _Part()
        small: dict[tuple[int, ...], list[int]] = {}
        for file, name in files:
            try:
                found = read_file(file, name)
                pixels = self._half(self._eight_bits(found.pixels), name)
            except UserError as error:
                part.bad.append(str(error))
                continue
            part.frames += found.frames
            part.cropped += size is not None and pixels.shape[1] != pixels.shape[2]
            part.enlarged += size is not None and 2 * min(pixels.shape[1:]) < size
            part.deep += found.pixels.dtype == np.uint16
            if found.upper:
                part.upper += 1
                part.brightest = max(part.brightest, int(pixels.max()))
            if size is not None and pixels.size > SMALL:
                pixels = resize(pixels[None], size)[0]
            elif size is not None:
                small.setdefault(pixels.shape, []).append(len(part.images))
            part.names.append(name)
            part.images.append(pixels)
        for places in small.values():
            assert size is not None
            for i, image in zip(places, resize(np.stack([part.images[i] for i in places]), size), strict=True):
                part.images[i] = image
        return part

    def _half(self, pixels: Images, name: str) -> Images:
        width = pixels.shape[2]
        if self.side and width % 2:
            raise UserError(f"{name}: {_size(pixels)} has no two halves, since its width is odd")
        return pixels[:, :, : width // 2] if self.side == "left" else pixels[:, :, width // 2 if self.side else 0 :]

    def _eight_bits(self, pixels: Any) -> Images:
        if pixels.dtype == np.uint8:
            eight: Images = pixels
            return eight
        with self._lock:
            if not self._bits:
                everyone = self.files(np.arange(self.count), AT_ONCE)
                self._bits = depth(max(deepest(file) for files in everyone for file, _ in files))
        return scaled(pixels, self._bits)


@dataclass
class _Part:
    """What was read of some files, or of all. `upper`: how many had the upper 8 of 16 bits taken."""

    images: list[Images] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    frames: int = 0
    cropped: int = 0
    enlarged: int = 0
    deep: int = 0
    upper: int = 0
    brightest: int = 0

    def add(self, other: _Part) -> None:
        self.bad += other.bad
        for name in ("frames", "cropped", "enlarged", "deep", "upper"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.brightest = max(self.brightest, other.brightest)

    def notes(self, bits: int) -> Iterator[str]:
        """Errors: UserError for colours that would be nearly black."""
        if self.frames:
            yield f"of {self.frames:,} images with several frames the first is taken"
        if self.cropped:
            yield f"of {self.cropped:,} images that are not square the centre is taken"
        if self.enlarged:
            yield f"{counted(self.enlarged, 'image')} enlarged more than twice"
        if self.deep:
            yield f"{self.deep:,} grey images of 16 bits are read as {bits} bits, 0 to {2**bits - 1:,}"
        if self.upper:
            if depth(most := 256 * self.brightest + 255) < 16:
                raise UserError(
                    f"{self.upper:,} colour images of 16 bits a channel have no value above {most:,} of 65,535:"
                    " they would be dark; convert them to 8 bits"
                )
            yield f"of {self.upper:,} colour images of 16 bits a channel the upper 8 bits are taken"


def _in_order(function: Callable[[T], R], given: Iterable[T]) -> Iterator[R]:
    """`function` of each, in threads, a few ahead of what is taken."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(cores) as pool:
        try:
            for one in given:
                waiting.append(pool.submit(function, one))
                if len(waiting) > 2 * cores:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _size(image: Images) -> str:
    return f"{image.shape[2]}x{image.shape[1]}"
