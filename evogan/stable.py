"""Hashes and seeds that are the same in every process, on every machine, for ever."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical(value: Any) -> Any:
    """`value` with floats at 12 significant digits, so that a key survives a change of last bits."""
    if isinstance(value, float):
        return float(f"{value:.12g}")
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, dict):
        return {str(name): canonical(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    raise TypeError(f"no stable form for {type(value).__name__}")


def digest(value: Any) -> str:
    """A 16-digit hexadecimal hash of plain data; the order of mappings does not matter."""
    text = json.dumps(canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def derive_seed(*parts: str | int) -> int:
    """A seed in [0, 2**63) that depends on all the parts and on nothing else."""
    text = json.dumps(parts, separators=(",", ":"), ensure_ascii=True)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
