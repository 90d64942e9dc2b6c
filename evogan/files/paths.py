"""Files: found, read within bounds, and written whole or not at all."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from evogan.errors import UserError, shown
from evogan.files.processes import born, machine

SMALL = 10_000_000  # bytes of what people write by hand; a run's record has less, too
STORE = "evogan.db"  # in a folder of runs
LONGEST_NAME = 200  # characters; most file systems take 255 bytes


def expand(path: str | os.PathLike[str]) -> Path:
    """The path that a user means: `~` is a home folder. Errors: UserError for what can be no path."""
    if not isinstance(path, str | os.PathLike) or isinstance(path, bytes):
        raise UserError(f"a path must be a text or a Path, not {shown(path)}")
    text = os.fspath(path)
    if not text or "\0" in text:
        raise UserError(f"{shown(text)} is no path")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise UserError(f"'{text}': there is no such user, or no home folder is known") from None


def file_name(text: str) -> str:
    """Any text as the name of one file or folder: letters, digits, '.', '_' and '-'; no path, not hidden, no option."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).lstrip(".-")[:LONGEST_NAME] or "_"


def cache_folder() -> Path:
    """Of what is dear to make and may be deleted at any time. Errors: RuntimeError where there is no home."""
    if named := os.environ.get("EVOGAN_CACHE"):
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "evogan"


def check_folder(folder: Path) -> None:
    """Errors: UserError if no file could be written there; it need not be there yet."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise UserError(f"'{there}' is no folder")
    if not os.access(there, os.W_OK):
        raise UserError(f"nothing can be written to folder '{there}'")


def check_file(path: Path, most: float = float("inf")) -> None:
    """Errors: UserError for what is no regular file (a folder, a device, a pipe), has more than `most` bytes, or is not
    there."""
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if not stat.S_ISREG(found.st_mode):
        raise UserError(f"{path}: {'a folder' if stat.S_ISDIR(found.st_mode) else 'no regular file'}")
    if found.st_size > most:
        raise UserError(f"{path}: {found.st_size / 1e6:,.0f} MB, where at most {most / 1e6:,.0f} are expected")


def read_small(path: Path, most: int = SMALL) -> bytes:
    """What a file holds, if it is a regular one of at most `most` bytes. Errors: UserError."""
    check_file(path, most)
    try:
        with path.open("rb") as file:
            return file.read(most)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` under `path`, as `written_whole` does."""
    with written_whole(path) as file:
        file.write(content)


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """What becomes the file `path`, whose folder is made, as it is closed; after a fault there is the old one, or none.

    Half of one that was killed over it is removed by whoever writes the file next.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f"{glob.escape(half_of(path, '').name)}*"):
        pid = left.name.rpartition("-")[2]
        if pid.isdigit() and born(int(pid)) is None:
            left.unlink(missing_ok=True)
    half = half_of(path, os.getpid())
    try:
        with half.open("wb+") as file:
            yield file
        os.replace(half, path)
    finally:
        half.unlink(missing_ok=True)


def half_of(path: Path, pid: int | str) -> Path:
    """What a process of this machine has of a file that it writes."""
    return path.with_name(f".{path.name}.{hashlib.sha256(machine().encode()).hexdigest()[:8]}-{pid}")
