"""What was found under a name, before its pixels are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from evogan.data.dataset import Images, Labels
from evogan.stable import derive_seed

Rows = npt.NDArray[np.int64]  # numbers of images


class Pixels(Protocol):
    def read(self, rows: Rows, size: int | None, notes: list[str]) -> Iterator[Images]:
        """The images `rows`, ascending, a few at a time: uint8 (n, C, H, W), of side `size` if that is given.

        C may differ from one time to the next. What does not go without saying is added to `notes` by the end.
        """

    def most(self, count: int, size: int | None) -> float:
        """So many images have at most as many bytes."""

    def identity(self) -> Any:
        """Plain data that differ where pixels may."""


@dataclass
class Source:
    """`labels`: of every image, if they have any; `held_out`: which are, or None where whoever loads decides."""

    name: str
    count: int
    pixels: Pixels
    labels: Labels | None = None
    class_names: tuple[str, ...] | None = None
    held_out: npt.NDArray[np.bool_] | None = None
    notes: list[str] = field(default_factory=list)
    called: Callable[[int], str] = str  # by its number, an image: its file's path, where it has one
    below: Path | None = None  # the folder that these files lie in

    def parts(self) -> npt.NDArray[np.bool_]:
        """Of each image whether it is held out: as it was found, or else a fixed random 10 %, at least 2."""
        if self.held_out is not None:
            return self.held_out
        rng = np.random.default_rng(derive_seed("held out", self.count))
        out = np.zeros(self.count, dtype=bool)
        out[np.argsort(rng.random(self.count))[: max(2, round(self.count / 10))]] = True
        return out


def divided(count: int) -> tuple[Rows, Rows]:
    """Which rows of a file are trained on, and which are held out, a tenth: at random, and in such an order, since what
    looks at the first of many would see one end of a file that is sorted."""
    order = np.random.default_rng(derive_seed("held out", count)).permutation(count)
    out = max(2, count // 10)
    return order[out:], order[:out]


def scaled(values: npt.NDArray[np.uint16], bits: int) -> Images:
    """0 .. 2^bits - 1 -> 0 .. 255, rounded."""
    most = 2**bits - 1
    found: Images = ((values.astype(np.uint32) * 255 + most // 2) // most).astype(np.uint8)
    return found


def depth(most: int) -> int:
    """Bits of numbers of which this is the largest: as many as cameras and scanners have."""
    return next(bits for bits in (8, 10, 12, 14, 16) if most < 2**bits)


Tell = Callable[[str, float], None]  # hears a line about what takes long, and which share of it is done
