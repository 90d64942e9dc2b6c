"""What is dear to compute and always the same, kept on disk from one start to the next.

A folder of safetensors files: EVOGAN_CACHE names it, or else it is `evogan` in XDG_CACHE_HOME or ~/.cache. Whatever is
wrong with a file or with the folder, the answer is computed: nothing depends on what lies there, and it may be deleted
at any time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from evogan.files import cache_folder, check_file, write_whole
from evogan.stable import digest

FORMAT = 1  # rises when the same identity would give other tensors
MAGIC = "evogan.cache"

Tensors = dict[str, Tensor]


def remembered(identity: Mapping[str, str], compute: Callable[[], Tensors]) -> Tensors:
    """What `compute` gives, bit for bit, computed at most once for an identity (and a way of rounding: see below)."""
    known = {
        **identity,
        "format": str(FORMAT),
        # all that sums may be rounded by
        "torch": torch.__version__,
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "threads": str(torch.get_num_threads()),
    }
    try:
        path = cache_folder() / f"{digest(known)}.safetensors"
    except RuntimeError:
        return compute()
    try:
        return _read(path, known)
    except Exception:  # there is none, or a damaged or a foreign one
        found = compute()
    with suppress(OSError):
        write_whole(path, save(found, metadata={MAGIC: _seal(known, found)}))
    return found


def _read(path: Path, identity: Mapping[str, str]) -> Tensors:
    """Errors: any, unless it is what was kept under this identity, every bit of it."""
    check_file(path)
    with safe_open(path, framework="pt") as file:
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if (file.metadata() or {})[MAGIC] != _seal(identity, found):
            raise ValueError("not what was kept")
    return found


def _seal(identity: Mapping[str, str], tensors: Tensors) -> str:
    """The identity and a checksum."""
    sha = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        sha.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        sha.update(tensor.numpy().data)
    return json.dumps({**identity, "sha256": sha.hexdigest()}, sort_keys=True)
