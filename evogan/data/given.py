"""Images that a script holds -> a file, so that what is made of them is recorded and can go on."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from evogan.data.arrays import load_arrays
from evogan.data.image import pixels_of
from evogan.data.points import NAME as POINTS
from evogan.data.points import check_points
from evogan.errors import UserError, shown
from evogan.files import written_whole

ALLOWED = "a name, a path, an array of images or points, a pair of images and labels, or a torch Dataset of such pairs"

NO_NUMBERS = ("P", "PA", "LA", "La", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB")  # modes that an array does not tell


def filed(given: Any, folder: Path) -> str | Path:
    """A name or a path as it is. Arrays, or a torch Dataset, are written below `folder`, under their digest.

    Errors: UserError for whatever else, and for arrays that are neither images nor points (N, 2).
    """
    if isinstance(given, str | Path):
        return given
    arrays = _arrays(given)
    if POINTS in arrays:
        check_points(arrays[POINTS], "data")
    sha = hashlib.sha256()
    for name, array in arrays.items():
        sha.update(f"{name}{array.dtype.str}{array.shape}".encode())
        sha.update(np.ascontiguousarray(array).data)
    path = folder.absolute() / "data" / f"array-{sha.hexdigest()[:16]}.npz"
    if not path.exists():
        with written_whole(path) as file:
            np.savez(file, allow_pickle=False, **arrays)
    try:
        if POINTS not in arrays:
            load_arrays(path)
    except UserError:
        path.unlink()
        raise
    return path


def _arrays(given: Any) -> dict[str, np.ndarray[Any, Any]]:
    if hasattr(given, "__array__"):
        array = _plain(given)
        return {POINTS if array.ndim == 2 and array.shape[1] == 2 else "images": array}
    if isinstance(given, tuple) and len(given) == 2:
        if not hasattr(given[0], "__array__") and not isinstance(given[0], list | tuple):
            raise UserError(f"data must be {ALLOWED}: the first of this pair is {shown(type(given[0]).__name__)}")
        return {"images": _plain(given[0]), "labels": _plain(given[1])}
    if not (hasattr(given, "__getitem__") and hasattr(given, "__len__")) or isinstance(given, bytes | dict):
        raise UserError(f"data must be {ALLOWED}, not {shown(given)}")
    items = [given[i] for i in range(len(given))]  # what a torch Dataset promises
    if not all(isinstance(item, tuple | list) and len(item) == 2 for item in items):
        raise UserError(f"data must be {ALLOWED}: item 0 is {shown(items[0]) if items else 'missing'}")
    images, labels = ([item[part] for item in items] for part in (0, 1))
    try:
        return {"images": np.stack([_plain(image) for image in images]), "labels": _plain(labels)}
    except ValueError as error:
        raise UserError("data: the images of a torch Dataset must be of one size and mode") from error


def _plain(numbers: Any) -> np.ndarray[Any, Any]:
    if isinstance(numbers, Image.Image) and numbers.mode in NO_NUMBERS:
        return pixels_of("of a torch Dataset", numbers)
    if isinstance(numbers, torch.Tensor):
        numbers = numbers.detach().cpu()
        numbers = numbers.float() if numbers.dtype == torch.bfloat16 else numbers  # which NumPy has not
    try:
        array = np.asarray(numbers)
    except ValueError as error:
        raise UserError(f"data must be {ALLOWED}: these are of several sizes") from error
    if array.dtype.hasobject and all(isinstance(one, str) for one in array.flat):  # as pandas keeps texts
        array = array.astype(str)
    if array.dtype.hasobject:
        raise UserError(f"data must be {ALLOWED}: these are Python objects")
    return array
