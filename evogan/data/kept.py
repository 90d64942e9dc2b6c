"""Decoded images that are many: in a file of the cache folder, which later starts and all processes of a machine share.

The pixels (N, C, H, W), a line of JSON about them, and its length in 8 bytes. A file that lies there is whole; that its
bits are those that were written, the fingerprint of the data set tells.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from evogan.data.dataset import Images
from evogan.errors import UserError
from evogan.files import cache_folder, written_whole
from evogan.files.mapped import mapped
from evogan.stable import digest

LARGE = 256_000_000  # bytes of decoded images, beyond which they are kept in a file
FORMAT = 2  # rises when the same source would be decoded otherwise
SHORT = 1_000_000  # bytes of what is said about the pixels
ZEROS = bytes(2**24)


class Kept(NamedTuple):
    images: Images
    notes: tuple[str, ...]
    fingerprint: str


def place(identity: Any) -> Path | None:
    """Where images of this identity are kept; None where there is no home."""
    try:
        return cache_folder().absolute() / f"{digest([FORMAT, identity])}.images"
    except RuntimeError:
        return None


def find(path: Path) -> Kept | None:
    """What lies there, unless it is none, or no such file."""
    try:
        with path.open("rb") as file:
            file.seek(-8, os.SEEK_END)
            length = int.from_bytes(file.read(8), "little")
            if length > SHORT:
                return None
            pixels = file.seek(-8 - length, os.SEEK_END)
            facts = json.loads(file.read(length))
        shape = tuple(map(int, facts["shape"]))
        if math.prod(shape) != pixels or len(shape) != 4:
            return None
        return Kept(mapped(path, shape), tuple(map(str, facts["notes"])), str(facts["fingerprint"]))
    except Exception:  # there is none, or something else
        return None


@contextmanager
def made(path: Path, shape: tuple[int, ...]) -> Iterator[tuple[BinaryIO, Images]]:
    """A file in the making, and its pixels, which can be written: `seal` ends it. Errors: UserError without room."""
    size = math.prod(shape)
    with ExitStack() as stack:
        try:
            file = stack.enter_context(written_whole(path))
            free = shutil.disk_usage(path.parent).free
            if size > free:
                raise _no_room(path, shape, f"{free / 1e9:,.1f} GB are free")
            _reserve(file, size + SHORT)
            pixels = np.memmap(file, np.uint8, "r+", shape=shape)
        except OSError as error:
            raise _no_room(path, shape, error.strerror or str(error)) from error
        yield file, pixels


def seal(file: BinaryIO, images: Images, notes: list[str], fingerprint: str) -> None:
    facts = json.dumps({"shape": images.shape, "notes": notes, "fingerprint": fingerprint}).encode()
    file.seek(images.size)
    file.write(facts + len(facts).to_bytes(8, "little"))
    file.truncate()


def _reserve(file: BinaryIO, size: int) -> None:
    """Pixels are written into memory, and a disk that is full then would end the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    for start in range(0, size, len(ZEROS)):
        file.write(ZEROS[: size - start])
    file.flush()


def _no_room(path: Path, shape: tuple[int, ...], why: str) -> UserError:
    count, _, height, width = shape
    return UserError(
        f"{count:,} images of {width}x{height} are {math.prod(shape) / 1e9:,.1f} GB when decoded, which folder"
        f" '{path.parent}' cannot take: {why}; EVOGAN_CACHE names another folder, --image-size makes them smaller"
    )
