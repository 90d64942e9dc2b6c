"""An object in a file, which the processes of a machine load: its arrays are in memory once, and cannot be written."""

from __future__ import annotations

import mmap
import pickle
from pathlib import Path
from typing import Any

from ray import cloudpickle

ALIGNED = 64  # bytes


class InFile:
    """A pickle of it names the file; what comes out of that is the object."""

    def __init__(self, thing: object, path: Path) -> None:
        self._path = path
        buffers: list[pickle.PickleBuffer] = []
        pickled = cloudpickle.dumps(thing, protocol=5, buffer_callback=buffers.append)
        places = []
        with path.open("wb") as file:
            for buffer in buffers:
                file.write(bytes(-file.tell() % ALIGNED))
                places.append((file.tell(), file.write(buffer.raw())))
            end = file.tell()
            pickle.dump((pickled, places), file)
            file.write(end.to_bytes(8, "little"))

    def __reduce__(self) -> Any:
        return _load, (self._path,)


def _load(path: Path) -> Any:
    with path.open("rb") as file:
        whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    pickled, places = pickle.loads(whole[int.from_bytes(whole[-8:], "little") : -8])
    return pickle.loads(pickled, buffers=[whole[start : start + length] for start, length in places])
