"""What a training is shown: rows of the data in shuffled order, one pass over them after another.

A stream is fields that belong together row by row, such as images and their labels. Streams are independent of each
other: two domains without pairs, or a few labelled images beside many without.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from evogan.stable import derive_seed
from evogan.zoo.gan import Rows


@dataclass(frozen=True, eq=False)
class Part:
    """Some rows of a field, by their places (N,): they are not copied until they are shown."""

    whole: Tensor
    rows: Tensor


Streams = Mapping[str, Mapping[str, Tensor | Part]]  # stream -> field -> rows; images are uint8 (N, C, H, W)
Arrays = Mapping[str, Mapping[str, npt.NDArray[Any]]]  # the same in NumPy's arrays, as a data set has them

RESIDENT = 2**33  # bytes
FIRST = "images"  # the stream whose order and queue have names of one word in the state of a training


def of_images(images: Tensor, labels: Tensor | None = None) -> Streams:
    """Images, uint8 (N, C, H, W), and their classes, int64 (N,), if they have any."""
    return {"images": {"images": images} if labels is None else {"images": images, "labels": labels}}


def on_device(streams: Arrays | Streams, device: torch.device | str) -> Streams:
    """On a CPU they are where they were; elsewhere they become resident, but for what is larger than `RESIDENT`."""
    return {name: {field: _placed(rows, device) for field, rows in fields.items()} for name, fields in streams.items()}


def _placed(rows: npt.NDArray[Any] | Tensor | Part, device: torch.device | str) -> Tensor | Part:
    if isinstance(rows, Part):
        return Part(resident(rows.whole, device), rows.rows.to(device))
    return resident(rows, device)


def resident(rows: npt.NDArray[Any] | Tensor, device: torch.device | str) -> Tensor:
    """On the device, unless there are too many."""
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # of rows that cannot be written: none are
        tensor = torch.as_tensor(rows)
    return tensor if tensor.nbytes > RESIDENT else tensor.to(device)


class Feed:
    """What it gives is on `device`; the order of each stream comes from a generator of its own, derived from `seed`."""

    def __init__(self, streams: Arrays | Streams, seed: int, device: torch.device) -> None:
        self.streams = on_device(streams, device)
        self._orders = {
            name: torch.Generator(device).manual_seed(derive_seed(seed, _named("order", name))) for name in streams
        }
        self._queues = {name: torch.empty(0, dtype=torch.long, device=device) for name in streams}

    def next(self, n: int, fields: Sequence[str]) -> dict[str, Tensor]:
        """n more rows of these fields; of a stream that has none of them nothing is used up."""
        found: dict[str, Tensor] = {}
        for name, stream in self.streams.items():
            if wanted := [field for field in stream if field in fields]:
                picked = self._pick(name, n)
                found |= {field: prepared(_rows(stream[field], picked)) for field in wanted}
        return found

    def _pick(self, name: str, n: int) -> Tensor:
        queue, order = self._queues[name], self._orders[name]
        while len(queue) < n:
            shuffled = torch.randperm(_length(self.streams[name]), generator=order, device=order.device)
            queue = torch.cat([queue, shuffled])
        picked, self._queues[name] = queue[:n], queue[n:]
        return picked

    def state(self) -> dict[str, Tensor]:
        """Where every stream is."""
        found: dict[str, Tensor] = {}
        for name, order in self._orders.items():
            found |= {_named("order", name): order.get_state(), _named("queue", name): self._queues[name].int()}
        return found

    def restore(self, state: Mapping[str, Tensor]) -> None:
        for name, order in self._orders.items():
            order.set_state(state[_named("order", name)])
            self._queues[name] = state[_named("queue", name)].to(self._queues[name].device, torch.long)


def _named(what: str, stream: str) -> str:
    return what if stream == FIRST else f"{what}.{stream}"


def at_random(streams: Streams, rng: torch.Generator) -> Rows:
    """Random rows, some perhaps twice: there may be fewer than are asked for. Every stream draws, used or not."""

    def rows(n: int, fields: Sequence[str]) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for stream in streams.values():
            picked = torch.randint(_length(stream), (n,), generator=rng, device=rng.device)
            found |= {field: prepared(_rows(stream[field], picked)) for field in stream if field in fields}
        return found

    return rows


def _rows(field: Tensor | Part, picked: Tensor) -> Tensor:
    """On the device of `picked`."""
    if isinstance(field, Part):
        return _rows(field.whole, field.rows[picked])
    return field[picked.to(field.device)].to(picked.device)


def prepared(rows: Tensor) -> Tensor:
    """As networks like them: pixels, uint8 (N, C, H, W), in [-1, 1] and channels last in memory; others as they are."""
    if rows.dtype != torch.uint8:
        return rows
    pixels = rows.contiguous(memory_format=torch.channels_last).to(torch.get_default_dtype())
    return pixels.div_(127.5).sub_(1.0)


def _length(stream: Mapping[str, Tensor | Part]) -> int:
    first = next(iter(stream.values()))
    return len(first.rows if isinstance(first, Part) else first)
