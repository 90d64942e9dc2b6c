"""Files that come whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from evogan.errors import UserError


def check_folder(folder: Path) -> None:
    """Errors: UserError if no file could be written there; it need not be there yet."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise UserError(f"'{there}' is no folder")
    if not os.access(there, os.W_OK):
        raise UserError(f"nothing can be written to folder '{there}'")


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` under `path`, whose folder is made; after a fault there is the old file, or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        half.write_bytes(content)
        os.replace(half, path)
    finally:
        half.unlink(missing_ok=True)
