"""Arrays, in memory or in .npz and .npy files -> a data set. What files say is checked before any numbers are read."""

from __future__ import annotations

import hashlib
import math
import struct
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from evogan.data import kept
from evogan.data.dataset import Dataset, Images, Labels, check_fits
from evogan.data.image import on_white
from evogan.data.resize import resize
from evogan.data.source import Rows, Source, depth, scaled
from evogan.errors import UserError, counted

MOST_LABELS = 2**16
LAYOUTS = "allowed: (N, H, W), (N, H, W, C), (N, C, H, W) with C 1, 3 or, of RGBA, 4"
LABELS = f"whole numbers from 0 to {MOST_LABELS - 1}, or text, one an image, or one-hot"
AT_ONCE = 2**23  # numbers
SPILL = 1e-3  # by which rounding may have led floats beyond their range
HALF_USED = 0.51  # images in [-1, 1] have something below minus this; others were sharpened in [0, 1], or only shifted
DARK = 0.05  # images in [0, 1] have something above this; others were divided twice
BRIGHT = 128  # floats in [0, 255] with fractions have something above this; others were scaled otherwise

Array = npt.NDArray[Any]

# names of images and labels: to train on, and held out. Of our own, of Keras and of MedMNIST
NAMES = (
    (("images", "labels"), ()),
    (("x_train", "y_train"), (("x_test", "y_test"),)),
    (("train_images", "train_labels"), (("val_images", "val_labels"), ("test_images", "test_labels"))),
)


@dataclass
class Arrays:
    """Arrays of images one after another, each (N, H, W), (N, H, W, C) or (N, C, H, W), of the same kind of numbers.

    Where C is 4, the last is alpha.
    """

    where: str
    arrays: Sequence[Array]
    of: Callable[[], Any]

    def most(self, count: int, size: int | None) -> float:
        channels, height, width = _first(self.arrays[0][:1]).shape[1:]
        return float(count * min(channels, 3) * (size or height) * (size or width))

    def identity(self) -> Any:
        return self.of()

    def read(self, rows: Rows, size: int | None, notes: list[str]) -> Iterator[Images]:
        to_bytes, note = self._levels
        begin = 0
        for array in self.arrays:
            own = rows[(rows >= begin) & (rows < begin + len(array))] - begin
            begin += len(array)
            for values in _chunks(array, own):
                images = to_bytes(_first(values))
                if images.shape[1] == 4:
                    images = on_white(images[:, :3], images[:, 3:])
                yield images if size is None else resize(images, size)
        if note:
            notes.append(note)
        channels, height, width = _first(self.arrays[0][:1]).shape[1:]
        if channels == 4:
            notes.append("the fourth channel is taken as alpha, and what is transparent is laid on white")
        if size is not None and height != width:
            notes.append(f"of images of {width}x{height} the centre is taken")

    @cached_property
    def _levels(self) -> tuple[Callable[[Array], Images], str | None]:
        """How numbers become 0 .. 255, and what to say about it. Errors: UserError for what can be no images."""
        kind = self.arrays[0].dtype
        if kind == np.uint8 and any(values.max() > 1 for values in self._values()):
            return lambda x: x, None
        if kind == np.bool_:
            return lambda x: x.astype(np.uint8) * np.uint8(255), "True is white"
        least, most, whole = self._range()
        if kind.kind in "iu" and least >= 0 and most <= 1:
            note = f"{kind.name} has 0 and 1 alone, and is taken as black and white"
            return lambda x: x.astype(np.uint8) * np.uint8(255), note
        if kind.kind == "u" and kind.itemsize == 2:
            bits = depth(int(most))
            return lambda x: scaled(x, bits), f"numbers of 16 bits are read as {bits} bits, 0 to {2**bits - 1:,}"
        if whole and least >= 0 and (kind.kind in "iu" or most > 1) and most <= 255:
            return lambda x: x.astype(np.uint8), f"{kind.name} is taken as 0 to 255"
        if kind.kind == "f" and least >= 0 and DARK <= most <= 1 + SPILL:
            return lambda x: _rounded(_wide(x) * 255), f"{kind.name} is taken as from [0, 1]"
        if kind.kind == "f" and -1 - SPILL <= least < -HALF_USED and most <= 1 + SPILL:
            return lambda x: _rounded((_wide(x) + 1) * 127.5), f"{kind.name} is taken as from [-1, 1]"
        if kind.kind == "f" and least >= 0 and BRIGHT < most <= 255 * (1 + SPILL):
            return lambda x: _rounded(_wide(x)), f"{kind.name} is taken as 0 to 255, and rounded"
        shifted = "; add 0.5 to what was made [-0.5, 0.5]" if -HALF_USED <= least < 0 and most <= HALF_USED else ""
        raise UserError(
            f"{self.where} is {kind.name} with values from {least:g} to {most:g}: allowed are uint8, uint16, whole "
            f"numbers from 0 to 255, and floats that use [0, 1], [-1, 1] or [0, 255]{shifted}"
        )

    def _values(self) -> Iterator[Array]:
        for array in self.arrays:
            yield from _chunks(array, np.arange(len(array)))

    def _range(self) -> tuple[float, float, bool]:
        """The least number, the largest, and whether all are whole."""
        least, most, whole = math.inf, -math.inf, True
        for values in self._values():
            low, high = float(values.min()), float(values.max())
            if not (math.isfinite(low) and math.isfinite(high)):
                raise UserError(f"{self.where} has numbers that are not finite (NaN or infinity)")
            least, most = min(least, low), max(most, high)
            whole = whole and (values.dtype.kind in "iu" or bool((values == np.rint(values)).all()))
        return least, most, whole


def of_dataset(data: Dataset) -> Source:
    """Of one that is in memory already."""
    images = (data.images, data.held_out)
    labels = None
    if data.labels is not None and data.held_out_labels is not None:
        labels = np.concatenate([data.labels, data.held_out_labels])
    count = sum(map(len, images))
    held_out = np.arange(count) >= len(images[0])
    pixels = Arrays(f"data set '{data.name}'", images, lambda: [_sha(array) for array in images])
    return Source(data.name, count, pixels, labels, data.class_names, held_out, list(data.notes))


def _sha(array: Array) -> list[Any]:
    return [array.shape, hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()]


def _chunks(array: Array, rows: Rows) -> Iterator[Array]:
    step = max(1, AT_ONCE // max(1, math.prod(array.shape[1:])))
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        together = some[-1] - some[0] + 1 == len(some)
        yield array[some[0] : some[-1] + 1] if together else array[some]


def _first(images: Array) -> Array:
    """Channels before rows and columns."""
    if images.ndim == 3:
        return images[:, None]
    return images.transpose(0, 3, 1, 2) if _channels(images.shape)[0] else images


def _channels(shape: tuple[int, ...]) -> tuple[bool, bool]:
    """Whether the last axis may be the channels, and whether the second may: they are 1 or 3, or else 4."""
    may = [(shape[3] in counts, shape[1] in counts) for counts in ((1, 3), (4,)) if len(shape) == 4]
    return next(filter(any, may), (False, False))


def _wide(x: Array) -> Array:
    return x if x.dtype == np.float64 else x.astype(np.float32)


def _rounded(x: Array) -> Images:
    return np.rint(x).clip(0, 255).astype(np.uint8)


# --- files


class _Stored(NamedTuple):
    """An array as its header describes it. `begin`: of its numbers in the file, if they lie there as they are."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    begin: int | None


def load_arrays(path: Path) -> Source:
    """An .npz file with names as above, or an .npy file of images. Labels (N,): numbers from 0, or names; or one-hot.

    Errors: UserError.
    """
    try:
        return _npy(path) if path.suffix.lower() == ".npy" else _npz(path)
    except UserError:
        raise
    except PermissionError as error:
        raise UserError(f"cannot read '{path}': no permission") from error
    except Exception as error:  # of damaged files zip and NumPy raise whatever they stumble over
        kind = "an .npy file of numbers" if path.suffix.lower() == ".npy" else "an .npz file of plain arrays"
        raise UserError(f"cannot read '{path}': damaged, or not {kind}") from error


def _npy(path: Path) -> Source:
    size = path.stat().st_size
    with path.open("rb") as file:
        stored = _header(file, f"'{path}'", size)
    _check_images(f"'{path}'", stored)
    images = _mapped(path, stored) if _lies(stored) else np.load(path, allow_pickle=False)
    return Source(path.stem, len(images), Arrays(f"'{path}'", [images], lambda: identity(path)))


def _npz(path: Path) -> Source:
    with zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        train, others = next((found for found in NAMES if found[0][0] in names), (("", ""), ()))
        if not train[0]:
            known = ", ".join(f"'{found[0][0]}'" for found in NAMES[1:])
            raise UserError(
                f"'{path}' has no array '{NAMES[0][0][0]}' (nor {known}): it has {', '.join(names) or 'none'}; "
                "np.savez(file, images=..., labels=...) names them"
            )
        parts = [train, *(part for part in others if part[0] in names)]
        labelled = any(label in names for _, label in parts)
        wanted = [name for part in parts for name in part[: 1 + labelled]]
        stored = {name: _member(path, archive, name) for name in wanted}
    for images, label in parts:
        _check_images(f"'{images}' in '{path}'", stored[images])
        if labelled:
            _check_labels(f"'{label}' in '{path}'", stored[label], len_of=stored[images])
    with np.load(path, allow_pickle=False) as file:
        found = {name: _mapped(path, how) if _lies(how) else file[name] for name, how in stored.items()}
    arrays, kinds = [found[images] for images, _ in parts], {(found[i].dtype, found[i].shape[1:]) for i, _ in parts}
    if len(kinds) > 1:
        raise UserError(f"'{path}': {' and '.join(images for images, _ in parts)} are of different kinds or sizes")
    where = f"'{parts[0][0]}' in '{path}'"
    source = Source(path.stem, sum(map(len, arrays)), Arrays(where, arrays, lambda: identity(path)))
    if left := [name for name in names if name not in wanted]:
        known = "' or '".join((train[1], *(name for part in parts for name in part)) if labelled else (train[1],))
        source.notes.append(f"left out: {', '.join(left)}" + ("" if labelled else f"; labels are called '{known}'"))
    if len(parts) > 1:
        source.held_out = np.arange(source.count) >= len(arrays[0])
        out = " and ".join(f"'{images}'" for images, _ in parts[1:])
        source.notes.append(f"'{train[0]}' is trained on, {out} held out")
    if labelled:
        columns = [column(f"'{label}' in '{path}'", found[label]) for _, label in parts]
        source.labels, source.class_names = classes_of(f"'{parts[0][1]}' in '{path}'", np.concatenate(columns))
    return source


def identity(path: Path) -> list[Any]:
    stat = path.stat()
    return [str(path.absolute()), stat.st_size, stat.st_mtime_ns]


def _lies(stored: _Stored) -> bool:
    """Whether it is read where it lies: too large to be read at once."""
    return stored.begin is not None and math.prod(stored.shape) * stored.dtype.itemsize > kept.LARGE


def _mapped(path: Path, stored: _Stored) -> Array:
    return np.memmap(path, stored.dtype, "r", stored.begin or 0, stored.shape)


def _member(path: Path, archive: zipfile.ZipFile, name: str) -> _Stored:
    if f"{name}.npy" not in archive.namelist():
        raise UserError(f"'{path}' has no array '{name}': it has {', '.join(archive.namelist())}")
    info, where = archive.getinfo(f"{name}.npy"), f"'{name}' in '{path}'"
    with archive.open(info) as file:
        shape, dtype, begin = _header(file, where, info.file_size)
    if info.compress_type != zipfile.ZIP_STORED or begin is None:
        check_fits(where, info.file_size)
        return _Stored(shape, dtype, None)
    with path.open("rb") as whole:
        whole.seek(info.header_offset + 26)
        lengths = struct.unpack("<HH", whole.read(4))
    return _Stored(shape, dtype, info.header_offset + 30 + sum(lengths) + begin)


def _header(file: IO[bytes], where: str, size: int) -> _Stored:
    """Errors: UserError unless as many numbers follow as it says."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    begin = file.tell()
    if dtype.hasobject:
        raise UserError(f"cannot read {where}: it has Python objects, not numbers")
    if math.prod(shape) * dtype.itemsize + begin != size:
        raise UserError(f"cannot read {where}: damaged, it has not as many bytes as an array of shape {shape}")
    if fortran:
        check_fits(where, size)
    return _Stored(shape, dtype, None if fortran else begin)


def _check_images(where: str, stored: _Stored) -> None:
    shape = stored.shape
    last, first = _channels(shape)
    if last and first:
        side = max(3, shape[3])
        raise UserError(
            f"{where} has shape {shape}, channels first or last: give images of more than {side} pixels a side"
        )
    if not (len(shape) == 3 or last or first):
        raise UserError(f"{where} has shape {shape}: {LAYOUTS}")
    height, width = shape[1:3] if len(shape) == 3 or last else shape[2:]
    if min(height, width) < 1:
        raise UserError(f"{where} has images of {width}x{height}")
    if stored.dtype.kind not in "biuf":
        raise UserError(f"{where} is {stored.dtype}: it must be numbers, as uint8 from 0 to 255")


def _check_labels(where: str, stored: _Stored, len_of: _Stored) -> None:
    count = len_of.shape[0]
    if stored.shape[:1] != (count,) or len(stored.shape) > 2 or stored.shape[1:] == (0,):
        raise UserError(
            f"{where} has shape {stored.shape}: it must be {(count,)}, one an image, or one-hot ({count}, K)"
        )
    if stored.dtype.kind not in "biufSU":
        raise UserError(f"{where} is {stored.dtype}: it must be {LABELS}")


def column(where: str, labels: Array) -> Array:
    """(N,): numbers, or text. Errors: UserError for what are no labels."""
    kind, rows = labels.dtype.kind, labels.ndim == 2 and labels.shape[1] > 1
    if labels.ndim > 2 or kind not in ("biuf" if rows else "biufSU"):
        raise UserError(f"{where}: labels must be {LABELS}")
    if rows:
        if not (((labels == 0) | (labels == 1)).all() and ((labels == 1).sum(1) == 1).all()):
            raise UserError(f"{where} has shape {labels.shape}, but is not one-hot, a single 1 a row and 0 else")
        return np.asarray(labels.argmax(1))
    labels = labels.reshape(len(labels))
    try:
        return np.char.decode(labels, "utf-8") if kind == "S" else labels
    except UnicodeDecodeError as error:
        raise UserError(f"{where} has bytes that are no UTF-8: give its labels as text") from error


def classes_of(where: str, labels: Array) -> tuple[Labels, tuple[str, ...]]:
    """Numbers are the labels themselves."""
    if labels.dtype.kind == "U":
        if missing := int((np.char.strip(labels) == "").sum()):
            raise UserError(f"{where}: {counted(missing, 'image')} of {len(labels):,} have no label")
        names, numbers = np.unique(labels, return_inverse=True)
        return numbers.astype(np.int64), tuple(names.tolist())
    wrong = labels[~((labels >= 0) & (labels < MOST_LABELS) & (labels == np.rint(labels)))]
    if len(wrong):
        raise UserError(
            f"{where} has the label {wrong[0]}: allowed are whole numbers from 0 to {MOST_LABELS - 1}, or text"
        )
    whole = labels.astype(np.int64)
    return whole, tuple(map(str, range(whole.max(initial=0) + 1)))
