"""A user's own images: a folder of image files, or an .npz file."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evogan.data.dataset import Dataset, Images, hold_out
from evogan.data.resize import resize
from evogan.errors import UserError

IMAGE_FILES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


def load_folder(folder: Path, image_size: int | None) -> Dataset:
    """All images below `folder`; where each lies in a sub-folder, these, sorted, are the labels.

    Grey images stay one channel unless others are in colour. All are of one size, or cropped and
    resized to `image_size`.
    """
    files = (path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_FILES and path.is_file())
    names = sorted(path.relative_to(folder) for path in files)
    if not names:
        raise UserError(f"no images in folder '{folder}': allowed: {', '.join(IMAGE_FILES)}")
    images: list[Images] = []
    for name in names:
        image = read_image(folder / name)
        if image_size is not None:
            image = resize(image[None], image_size)[0]
        elif image.shape[1:] != (images[0] if images else image).shape[1:]:
            raise UserError(
                f"images of different sizes: '{folder / names[0]}' is {_size(images[0])}, '{folder / name}'"
                f" is {_size(image)}: choose one with --image-size"
            )
        images.append(image)
    channels = max(len(image) for image in images)
    stacked = np.stack([np.broadcast_to(image, (channels, *image.shape[1:])) for image in images])
    labels = None
    if all(len(name.parts) > 1 for name in names):
        _, numbers = np.unique([name.parts[0] for name in names], return_inverse=True)
        labels = numbers.astype(np.int64)
    return hold_out(folder.resolve().name, stacked, labels)


def read_image(path: Path) -> Images:
    """One image file as (C, H, W): C is 1 where the file is grey, else 3."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as file:
            upright = ImageOps.exif_transpose(file)
            if upright.mode.startswith(("I", "F")):
                raise UserError(f"image '{path}' has more than 8 bits a channel: convert it to 8 bits")
            pixels = np.asarray(upright.convert("L" if upright.mode in ("1", "L", "LA") else "RGB"))
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise UserError(f"cannot read image '{path}': damaged, or not an image") from error
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def load_npz(path: Path) -> Dataset:
    """`images` uint8 (N, H, W), (N, H, W, C) or (N, C, H, W) with C in {1, 3}, and maybe `labels` (N,)."""
    images, labels = _read_npz(path)
    if images.dtype != np.uint8:
        raise UserError(f"'images' in '{path}' is {images.dtype}: it must be uint8, 0..255")
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and images.shape[3] in (1, 3):
        images = images.transpose(0, 3, 1, 2)
    elif images.ndim != 4 or images.shape[1] not in (1, 3):
        raise UserError(
            f"'images' in '{path}' has shape {images.shape}: allowed: (N, H, W), (N, H, W, C), (N, C, H, W)"
            " with C 1 or 3"
        )
    if labels is not None:
        _check_labels(path, labels, len(images))
    return hold_out(path.stem, images, None if labels is None else labels.astype(np.int64))


def _read_npz(path: Path) -> tuple[npt.NDArray[Any], npt.NDArray[Any] | None]:
    try:
        with np.load(path, allow_pickle=False) as file:
            if "images" not in file:
                raise UserError(f"'{path}' has no array 'images': it has {', '.join(file) or 'none'}")
            return file["images"], file.get("labels")
    except (
        OSError,
        ValueError,
        EOFError,
        TypeError,
        RuntimeError,
        SyntaxError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise UserError(f"cannot read '{path}': damaged, or not an .npz file of plain arrays") from error


def _check_labels(path: Path, labels: npt.NDArray[Any], count: int) -> None:
    if not np.issubdtype(labels.dtype, np.integer) or labels.shape != (count,):
        raise UserError(
            f"'labels' in '{path}' is {labels.dtype} of shape {labels.shape}: it must be integers of shape ({count},)"
        )
    if count and labels.min() < 0:
        raise UserError(f"'labels' in '{path}' has the label {labels.min()}: labels start at 0")


def _size(image: Images) -> str:
    return f"{image.shape[2]}x{image.shape[1]}"
