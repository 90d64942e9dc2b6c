"""The state of a training as one safetensors file: a longer training goes on from it. Nothing in it executes.

Tensors are stored as they are, numbers as JSON in the header (which keeps every bit of a float), and a checksum over
both: a damaged file is refused, since a training would go on from wrong weights without a word.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

MAGIC = "evogan.training.1"  # the number rises when what a state holds does


@dataclass(frozen=True)
class State:
    """All that the rest of a training depends on. `numbers` is plain data."""

    tensors: dict[str, Tensor]
    numbers: dict[str, Any]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin so, under the rest of their names."""
        return {name.removeprefix(prefix): t for name, t in self.tensors.items() if name.startswith(prefix)}

    def pack(self, magic: str = MAGIC) -> bytes:
        """`magic`: what kind of file it is."""
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.tensors.items()}
        numbers = json.dumps(self.numbers)
        return save(tensors, metadata={magic: f"{_checksum(tensors, numbers)} {numbers}"})

    @classmethod
    def unpack(cls, content: bytes, magic: str = MAGIC) -> State:
        """Errors: any, unless it is what `pack` made, every bit of it."""
        tensors = load(content)
        length = int.from_bytes(content[:8], "little")  # safetensors gives metadata of files only, not of bytes
        checksum, numbers = json.loads(content[8 : 8 + length])["__metadata__"][magic].split(" ", 1)
        if checksum != _checksum(tensors, numbers):
            raise ValueError("the checksum differs")
        return cls(tensors, json.loads(numbers))


def _checksum(tensors: dict[str, Tensor], numbers: str) -> str:
    sha = hashlib.sha256(numbers.encode())
    for name, tensor in sorted(tensors.items()):
        sha.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        sha.update(tensor.numpy().data)
    return sha.hexdigest()
