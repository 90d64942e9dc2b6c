"""An .npz file -> a data set. What its arrays say of themselves is checked before any of them is read."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evogan.data.dataset import Dataset, Labels, check_fits, hold_out
from evogan.errors import UserError

MOST_LABELS = 2**16
LAYOUTS = "allowed: (N, H, W), (N, H, W, C), (N, C, H, W) with C 1 or 3"


def load_npz(path: Path) -> Dataset:
    """`images` uint8 (N, H, W), (N, H, W, C) or (N, C, H, W) with C in {1, 3}, and maybe `labels` (N,): numbers from
    0, or names."""
    arrays = _read(path)
    images, labels = arrays["images"], arrays.get("labels")
    if images.ndim == 3:
        images = images[:, None]
    elif images.shape[3] in (1, 3):
        images = images.transpose(0, 3, 1, 2)
    if labels is None:
        return hold_out(path.stem, images, None)
    return hold_out(path.stem, images, *_classes(path, labels))


def _read(path: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            if "images" not in names:
                raise UserError(f"'{path}' has no array 'images': it has {', '.join(names) or 'none'}")
            wanted = [name for name in ("images", "labels") if name in names]
            shapes = [_check(path, archive, name) for name in wanted]
        if len(shapes) > 1 and shapes[1] != shapes[0][:1]:
            raise UserError(f"'labels' in '{path}' has shape {shapes[1]}: it must be {shapes[0][:1]}, one an image")
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in wanted}
    except UserError:
        raise
    except PermissionError as error:
        raise UserError(f"cannot read '{path}': no permission") from error
    except Exception as error:  # of damaged files zip and NumPy raise whatever they stumble over
        raise UserError(f"cannot read '{path}': damaged, or not an .npz file of plain arrays") from error


def _check(path: Path, archive: zipfile.ZipFile, name: str) -> tuple[int, ...]:
    """The shape that an array says it has. Errors: UserError unless it can be read, and is of the right kind."""
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
        begin = file.tell()
    where = f"'{name}' in '{path}'"
    if dtype.hasobject:
        raise UserError(f"cannot read {where}: it has Python objects, not numbers")
    if name == "images":
        if dtype != np.uint8:
            raise UserError(f"{where} is {dtype}: it must be uint8, 0..255")
        _check_shape(where, shape)
    elif dtype.kind not in "iuU":
        raise UserError(f"{where} is {dtype}: it must be integers from 0, or text")
    if math.prod(shape) * dtype.itemsize + begin != info.file_size:
        raise UserError(f"cannot read {where}: damaged, it has not as many bytes as an array of shape {shape}")
    check_fits(where, info.file_size)
    return shape


def _check_shape(where: str, shape: tuple[int, ...]) -> None:
    last, first = (len(shape) == 4 and shape[axis] in (1, 3) for axis in (3, 1))
    if last and first:
        raise UserError(f"{where} has shape {shape}, channels first or last: give images of more than 3 pixels a side")
    if not (len(shape) == 3 or last or first):
        raise UserError(f"{where} has shape {shape}: {LAYOUTS}")


def _classes(path: Path, labels: npt.NDArray[Any]) -> tuple[Labels, tuple[str, ...]]:
    """Numbers are the labels themselves."""
    if labels.dtype.kind == "U":
        names, numbers = np.unique(labels, return_inverse=True)
        return numbers.astype(np.int64), tuple(names.tolist())
    least, most = (int(labels.min()), int(labels.max())) if len(labels) else (0, 0)
    if least < 0 or most >= MOST_LABELS:
        wrong = least if least < 0 else most
        raise UserError(f"'labels' in '{path}' has the label {wrong}: allowed are 0 to {MOST_LABELS - 1}, or text")
    return labels.astype(np.int64), tuple(map(str, range(most + 1)))
