"""An array in a file, which the processes of a machine share: what is read of it is in memory once, and may leave it.

A pickle of it, or of a slice of rows, names the file and the place in it; `sent_whole` is for machines without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evogan.errors import UserError

_WHOLE = ContextVar("_WHOLE", default=False)


class Mapped(np.memmap[Any, np.dtype[np.uint8]]):
    """Bytes of a file, from its beginning on; they cannot be written."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        base, contiguous = getattr(self, "_mmap", None), self.flags.c_contiguous
        if base is None or not contiguous or _WHOLE.get():
            return np.asarray(self).__reduce_ex__(protocol)
        start = np.frombuffer(base, np.uint8).ctypes.data
        return mapped, (str(self.filename), self.shape, self.ctypes.data - start)


def mapped(path: str | Path, shape: tuple[int, ...], offset: int = 0) -> npt.NDArray[np.uint8]:
    """The rows `offset` bytes into the file. Errors: UserError where they are no longer there."""
    try:
        whole = Mapped(Path(path).absolute(), np.uint8, "r")
        return whole[offset : offset + int(np.prod(shape, dtype=np.int64))].reshape(shape)
    except (OSError, ValueError) as error:
        raise UserError(f"the decoded images in '{path}' are no longer there: start again, or resume") from error


@contextmanager
def sent_whole() -> Iterator[None]:
    """What is pickled within goes to machines that may not have the files."""
    before = _WHOLE.set(True)
    try:
        yield
    finally:
        _WHOLE.reset(before)
