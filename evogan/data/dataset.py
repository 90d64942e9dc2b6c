"""What a data set is, before it is loaded and after."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from evogan.data.language import Language
from evogan.errors import UserError, one_line
from evogan.families import Field
from evogan.files.processes import machine_memory

Images = npt.NDArray[Any]  # uint8 (N, C, H, W), 0..255; of points float32 (N, 2, 1, 1), of sequences int32 (N, T)
Labels = npt.NDArray[np.int64]  # (N,), 0..classes-1

Split = Mapping[str, Mapping[str, npt.NDArray[Any]]]  # stream -> field -> rows

KINDS = {  # of data, and the stream and field that tell them
    "labels": ("images", "labels"),
    "pairs": ("images", "sources"),
    "domains": ("sources", "sources"),
}
POINTS, SEQUENCES = "points", "sequences"  # kinds of data
CAPTIONS = "captions"
SHOWN = 20  # classes in a line


@dataclass(frozen=True)
class DataSpec:
    """Which images, and how to prepare them. Plain data.

    `name`: a built-in data set, a folder of images, or an .npz, .npy or Parquet file. `image_size`: resize to this many
    pixels a side. `classes`: keep only these, renumbered 0, 1, ... in the order given: names, or, where no class has
    a number for a name, numbers as text; an int is the label itself. `data_dir`: where the built-in data sets lie
    (else the environment's EVOGAN_DATA, else ./data). `download`: fetch a built-in data set that is not there.
    `pairs`: where each image's source comes from (`evogan.data.pairs`). `domains`: where other domains come from
    (`evogan.data.domains`). `conditions`: vectors that are asked for in place of classes (`evogan.data.conditions`).
    `tokens`: what the sequences of a text are of, words or characters.
    """

    name: str
    image_size: int | None = None
    classes: tuple[str | int, ...] | None = None
    data_dir: str | None = None
    download: bool = False
    pairs: str | None = None
    domains: str | None = None
    conditions: str | None = None
    tokens: str | None = None


@dataclass(frozen=True, eq=False)
class Plane:
    """Where points come from: networks are shown (point - centre) / scale. `modes` (K, 2): the centres of the Gaussians
    that they are drawn from, of standard deviation `spread`, where that is known; in the points' own units. `given`: a
    user's, of whatever units, so that the same networks' points are others elsewhere.
    """

    centre: tuple[float, float]
    scale: float
    modes: npt.NDArray[np.float64] | None = None
    spread: float | None = None
    given: bool = False

    def inside(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        """Points (N, 2) -> (N, 2, 1, 1), images of one pixel, as networks are shown them."""
        found: npt.NDArray[np.float32] = ((points - np.array(self.centre)) / self.scale).astype(np.float32)
        return found.reshape(-1, 2, 1, 1)

    def outside(self, rows: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """And back, (N, 2)."""
        found: npt.NDArray[np.float64] = rows.reshape(-1, 2) * float(self.scale) + np.array(self.centre)
        return found


@dataclass(frozen=True, eq=False)
class Conditions:
    """What images are asked for where that is no class: vectors. `kind`: `attributes`, or `captions:` and how sentences
    are coded. `table` (C, K), float32: those that there are. `names`: what each is in words, such as a sentence.
    """

    kind: str
    table: npt.NDArray[np.float32]
    names: tuple[str, ...]

    @property
    def are_captions(self) -> bool:
        return self.kind.startswith(CAPTIONS)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows in memory, in two splits: `train`, and `unseen`, which no training sees.

    A split has streams, a stream has fields that belong together row by row: images, uint8 (N, C, H, W) with C in
    {1, 3}; labels, where there are any, int64 (N,), or with `conditions` vectors, float32 (N, K), and in the field
    conditions which of the table each is, int64 (N,); sources, what images are to be made from, uint8
    (N, C', H', W'). `class_names`: of label 0, 1, ... `plane`: of points, which are images of one pixel, float32
    (N, 2, 1, 1). `language`: of sequences, which stand in the place of images, int32 (N, T).
    `notes`: what was made of what was found, as far as it does not go without saying. `domains`: names of streams that
    are domains, in their order; `truth`: whether the same row of each in `unseen` is the same thing.
    Errors: UserError for fields of a stream that differ in length, and for splits that differ in fields.
    """

    name: str
    train: Split
    unseen: Split
    class_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    truth: bool = False
    plane: Plane | None = None
    conditions: Conditions | None = None
    language: Language | None = None

    def __post_init__(self) -> None:
        if _names(self.train) != _names(self.unseen):
            raise UserError(f"data set '{self.name}': what is held out has other fields than what is trained on")
        for stream in (*self.train.values(), *self.unseen.values()):
            lengths = {field: len(rows) for field, rows in stream.items()}
            if len(set(lengths.values())) > 1:
                rows = ", ".join(f"{n:,} {field}" for field, n in lengths.items())
                raise UserError(f"data set '{self.name}': as many of each are needed, not {rows}")

    @property
    def images(self) -> Images:
        return self.train["images"]["images"]

    @property
    def labels(self) -> Labels | None:
        """Classes: none where vectors are asked for."""
        return None if self.conditions else self.train["images"].get("labels")

    @property
    def held_out(self) -> Images:
        return self.unseen["images"]["images"]

    @property
    def held_out_labels(self) -> Labels | None:
        return None if self.conditions else self.unseen["images"].get("labels")

    @property
    def image_size(self) -> int:
        """Of sequences the length."""
        return int(self.images.shape[-1])

    @property
    def channels(self) -> int:
        return 1 if self.language else int(self.images.shape[1])

    @cached_property
    def class_count(self) -> int | None:
        """The labels are 0 .. class_count-1; None without labels."""
        field = self.fields.get("labels")
        return None if field is None else field.values

    @cached_property
    def fields(self) -> dict[str, Field]:
        """What a GAN is built for."""
        found = {}
        for stream, fields in self.train.items():
            for name, rows in fields.items():
                whole = rows.dtype.kind in "iu" and rows.dtype != np.uint8  # of bytes, pixels are made
                most = max(int(part.max(initial=0)) for part in (rows, self.unseen[stream][name])) if whole else 0
                found[name] = Field(rows.shape[1:], most + 1 if whole else None)
        if self.language:
            found["images"] = Field(self.images.shape[1:], len(self.language.tokens), self.language.ends)
        return found

    @property
    def kinds(self) -> frozenset[str]:
        """Of data, beyond rows of their own, that a family may need."""
        found = {kind for kind, (stream, field) in KINDS.items() if field in self.train.get(stream, ())}
        return frozenset(found | ({POINTS} if self.plane else set()) | ({SEQUENCES} if self.language else set()))

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits: the same images and labels give the same ones wherever they lie."""
        sha = hashlib.sha256()
        for array in (self.images, self.labels, self.held_out, self.held_out_labels):
            if array is None:
                sha.update(b"none")
            else:
                _add(sha, array)
        if self.conditions:  # what is learned of sentences rounds otherwise elsewhere
            sha.update(f"{self.conditions.kind}{self.conditions.names}".encode())
        for stream, field in sorted(_names(self.train) - {("images", "images"), ("images", "labels")}):
            for split in (self.train, self.unseen):
                sha.update(f"{stream}.{field}".encode())
                _add(sha, split[stream][field])
        if self.plane and self.plane.given:
            scale = self.plane.scale
            centre = (round(x / scale, 2) + 0.0 for x in self.plane.centre)  # there is one zero, whoever rounds
            sha.update(" ".join([f"{scale:.6g}", *(f"{x:.2f}" for x in centre)]).encode())
        if self.language:
            sha.update(self.language.identity())
        return sha.hexdigest()[:16]

    def describe(self) -> str:
        """In one line: how many images, which classes with how many of them, what was left out."""
        side, colour = self.image_size, "grey" if self.channels == 1 else "colour"
        images = "points" if self.plane else f"images of {side}x{side}, {colour}"
        if self.language:
            images = f"sequences of {side} tokens" if not self.language.ends else f"sequences of up to {side} tokens"
        rows = f"{self.name}: {len(self.images):,} {images}, {len(self.held_out):,} held out"
        return one_line("; ".join([rows, *([] if self.plane else self._classes()), *self.notes]))

    def _classes(self) -> Iterator[str]:
        if self.labels is None or self.class_names is None:
            return
        labels, counts = np.unique(self.labels, return_counts=True)
        found = [f"{self.class_names[i]} ({n:,})" for i, n in zip(labels.tolist(), counts.tolist(), strict=True)]
        more = f" and {len(found) - SHOWN:,} more" if len(found) > SHOWN else ""
        yield f"{len(found):,} class{'es' if len(found) > 1 else ''}: {', '.join(found[:SHOWN])}{more}"


def image_dataset(
    name: str,
    images: Images,
    labels: Labels | None,
    held_out: Images,
    held_out_labels: Labels | None,
    class_names: tuple[str, ...] | None = None,
    notes: tuple[str, ...] = (),
) -> Dataset:
    """Images, with labels or without: one stream."""
    return Dataset(name, _stream(images, labels), _stream(held_out, held_out_labels), class_names, notes)


def changed(dataset: Dataset, **fields: npt.NDArray[Any] | None) -> Dataset:
    """With other `images`, `labels`, `held_out` or `held_out_labels`."""
    now = {name: getattr(dataset, name) for name in ("images", "labels", "held_out", "held_out_labels")} | fields
    return image_dataset(dataset.name, **now, class_names=dataset.class_names, notes=dataset.notes)


def spread(rows: npt.NDArray[Any], n: int) -> npt.NDArray[Any]:
    """At most n of them, evenly spaced: the files of a folder lie class by class."""
    found: npt.NDArray[Any] = rows[np.linspace(0, len(rows) - 1, min(n, len(rows))).round().astype(int)]
    return found


def _stream(images: Images, labels: Labels | None) -> Split:
    return {"images": {"images": images} if labels is None else {"images": images, "labels": labels}}


def _names(split: Split) -> set[tuple[str, str]]:
    return {(stream, field) for stream, fields in split.items() for field in fields}


def _add(sha: Any, array: npt.NDArray[Any]) -> None:
    sha.update(f"{array.dtype.str}{array.shape}".encode())
    sha.update(np.ascontiguousarray(array).data)


def check_fits(what: str, size: int) -> None:
    """Errors: UserError if so many bytes are more than the memory of this machine."""
    memory = machine_memory()
    if size > memory:
        raise UserError(f"{what}: {size / 1e9:,.1f} GB, more than the {memory / 1e9:,.1f} GB that this machine has")
