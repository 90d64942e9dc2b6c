"""Files of a store: are they whole?"""

from __future__ import annotations

import json
from pathlib import Path

_PNG, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"


def fault(path: Path) -> str:
    """Why a file of weights or an image is not whole; empty if it is, or nothing is known of its kind."""
    try:
        if path.suffix == ".safetensors":
            return _fault_of_weights(path)
        if path.suffix == ".png":
            with path.open("rb") as file:
                begins = file.read(len(_PNG)) == _PNG
                file.seek(max(0, path.stat().st_size - len(_PNG_END)))
                return "" if begins and file.read() == _PNG_END else "no whole PNG"
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _fault_of_weights(path: Path) -> str:
    """safetensors: the length of a JSON header, the header, and as many bytes as it says. Not the numbers in it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > size - 8:
            return "no whole safetensors file"
        try:
            header = json.loads(file.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
            whole = 8 + length + max(ends, default=0) == size
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            return "no safetensors file"
    return "" if whole else "no whole safetensors file"
