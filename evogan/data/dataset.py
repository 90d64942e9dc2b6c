"""What a data set is, before it is loaded and after."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from evogan.stable import derive_seed

Images = npt.NDArray[np.uint8]  # (N, C, H, W), 0..255
Labels = npt.NDArray[np.int64]  # (N,), 0..classes-1


@dataclass(frozen=True)
class DataSpec:
    """Which images, and how to prepare them. Plain data.

    `name`: a built-in data set, a folder of images, or an .npz file. `image_size`: resize to this many
    pixels a side. `classes`: keep only these labels, renumbered 0, 1, ... in the order given. `data_dir`:
    where the built-in data sets lie (else the environment's EVOGAN_DATA, else ./data). `download`: fetch
    a built-in data set that is not there.
    """

    name: str
    image_size: int | None = None
    classes: tuple[int, ...] | None = None
    data_dir: str | None = None
    download: bool = False


@dataclass(frozen=True, eq=False)
class Dataset:
    """Square images in memory: `images` to train on, `held_out` ones that no training sees.

    Images are uint8 of shape (N, C, H, W) with C in {1, 3}; labels int64 of shape (N,), or None.
    """

    name: str
    images: Images
    labels: Labels | None
    held_out: Images
    held_out_labels: Labels | None

    @property
    def image_size(self) -> int:
        return int(self.images.shape[-1])

    @property
    def channels(self) -> int:
        return int(self.images.shape[1])

    @cached_property
    def class_count(self) -> int | None:
        """The labels are 0 .. class_count-1; None without labels."""
        if self.labels is None or self.held_out_labels is None:
            return None
        return 1 + int(max(self.labels.max(), self.held_out_labels.max()))

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits: the same images and labels give the same ones wherever they lie."""
        sha = hashlib.sha256()
        for array in (self.images, self.labels, self.held_out, self.held_out_labels):
            if array is None:
                sha.update(b"none")
            else:
                sha.update(f"{array.dtype.str}{array.shape}".encode())
                sha.update(np.ascontiguousarray(array).data)
        return sha.hexdigest()[:16]


def hold_out(name: str, images: Images, labels: Labels | None) -> Dataset:
    """Keep a fixed random 10 % of the images (at least 2) out of training; both parts stay in order."""
    count = len(images)
    rng = np.random.default_rng(derive_seed("held out", count))
    out = np.zeros(count, dtype=bool)
    out[np.argsort(rng.random(count))[: max(2, round(count / 10))]] = True
    if labels is None:
        return Dataset(name, images[~out], None, images[out], None)
    return Dataset(name, images[~out], labels[~out], images[out], labels[out])
