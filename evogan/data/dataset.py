"""What a data set is, before it is loaded and after."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from evogan.errors import UserError, one_line
from evogan.families import Field, image_fields
from evogan.stable import derive_seed

Images = npt.NDArray[np.uint8]  # (N, C, H, W), 0..255
Labels = npt.NDArray[np.int64]  # (N,), 0..classes-1

Split = Mapping[str, Mapping[str, npt.NDArray[Any]]]  # stream -> field -> rows

SHOWN = 20  # classes in a line


@dataclass(frozen=True)
class DataSpec:
    """Which images, and how to prepare them. Plain data.

    `name`: a built-in data set, a folder of images, or an .npz file. `image_size`: resize to this many
    pixels a side. `classes`: keep only these, renumbered 0, 1, ... in the order given: names, or, where no class has
    a number for a name, numbers as text; an int is the label itself. `data_dir`: where the built-in data sets lie
    (else the environment's EVOGAN_DATA, else ./data). `download`: fetch a built-in data set that is not there.
    """

    name: str
    image_size: int | None = None
    classes: tuple[str | int, ...] | None = None
    data_dir: str | None = None
    download: bool = False


@dataclass(frozen=True, eq=False)
class Dataset:
    """Square images in memory: `images` to train on, `held_out` ones that no training sees.

    Images are uint8 of shape (N, C, H, W) with C in {1, 3}; labels int64 of shape (N,), or None. `class_names`: of
    label 0, 1, ... `notes`: what was made of what was found, as far as it does not go without saying.
    """

    name: str
    images: Images
    labels: Labels | None
    held_out: Images
    held_out_labels: Labels | None
    class_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()

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

    @property
    def train(self) -> Split:
        """What is trained on."""
        return _images(self.images, self.labels)

    @property
    def unseen(self) -> Split:
        """What is held out: the same streams and fields."""
        return _images(self.held_out, self.held_out_labels)

    @property
    def fields(self) -> dict[str, Field]:
        """What a GAN is built for."""
        found = image_fields(self.image_size, self.channels)
        return found if self.class_count is None else {**found, "labels": Field((), self.class_count)}

    @property
    def kinds(self) -> frozenset[str]:
        """Of data, beyond rows of their own, that a family may need."""
        return frozenset() if self.class_count is None else frozenset({"labels"})

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

    def describe(self) -> str:
        """In one line: how many images, which classes with how many of them, what was left out."""
        colour = "grey" if self.channels == 1 else "colour"
        images = f"{self.name}: {len(self.images):,} images of {self.image_size}x{self.image_size}, {colour}"
        return one_line("; ".join([f"{images}, {len(self.held_out):,} held out", *self._classes(), *self.notes]))

    def _classes(self) -> Iterator[str]:
        if self.labels is None or self.class_names is None:
            return
        labels, counts = np.unique(self.labels, return_counts=True)
        found = [f"{self.class_names[i]} ({n:,})" for i, n in zip(labels.tolist(), counts.tolist(), strict=True)]
        more = f" and {len(found) - SHOWN:,} more" if len(found) > SHOWN else ""
        yield f"{len(found):,} class{'es' if len(found) > 1 else ''}: {', '.join(found[:SHOWN])}{more}"


def _images(images: Images, labels: Labels | None) -> Split:
    return {"images": {"images": images} if labels is None else {"images": images, "labels": labels}}


def hold_out(
    name: str,
    images: Images,
    labels: Labels | None,
    class_names: tuple[str, ...] | None = None,
    notes: tuple[str, ...] = (),
) -> Dataset:
    """Keep a fixed random 10 % of the images (at least 2) out of training; both parts stay in order."""
    count = len(images)
    rng = np.random.default_rng(derive_seed("held out", count))
    out = np.zeros(count, dtype=bool)
    out[np.argsort(rng.random(count))[: max(2, round(count / 10))]] = True
    return split(name, images, labels, out, class_names, notes)


def split(
    name: str,
    images: Images,
    labels: Labels | None,
    out: npt.NDArray[np.bool_],
    class_names: tuple[str, ...] | None,
    notes: tuple[str, ...],
) -> Dataset:
    """Hold out the images where `out` is true."""
    if labels is None:
        return Dataset(name, images[~out], None, images[out], None, None, notes)
    return Dataset(name, images[~out], labels[~out], images[out], labels[out], class_names, notes)


def check_fits(what: str, size: int) -> None:
    """Errors: UserError if so many bytes are more than the memory of this machine."""
    memory = psutil.virtual_memory().total
    if size > memory:
        raise UserError(f"{what}: {size / 1e9:,.1f} GB, more than the {memory / 1e9:,.1f} GB that this machine has")
