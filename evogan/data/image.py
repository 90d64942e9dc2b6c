"""One image file -> pixels."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from evogan.errors import UserError

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".webp"),
    *(".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"),
)
GREY, COLOUR = ("1", "L", "LA", "La"), ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")  # Pillow's modes
DEEP = ("I;16", "I;16L", "I;16B", "I;16N", "I")  # grey of 16 bits
INTERPRETATION, WHITE_IS_ZERO = 262, 0  # a tag of TIFF, which Pillow minds where pixels have 8 bits alone
BACKGROUND = 255  # white, as of the pages that images with holes are made for

File = Path | bytes  # where one lies, or what is in it


class Picture(NamedTuple):
    """`pixels` (C, H, W), C is 1 where the file is grey, else 3: uint8, or uint16 where it is grey of 16 bits.

    `frames`: whether the file has more than these. `upper`: whether they are the upper 8 of 16 bits.
    """

    pixels: npt.NDArray[Any]
    frames: bool
    upper: bool


def read_file(file: File, where: str) -> Picture:
    """The first frame, upright, with white under what is transparent. Errors: UserError that says `where`."""
    try:
        with Image.open(file if isinstance(file, Path) else io.BytesIO(file)) as image:
            if image.mode in DEEP and getattr(image, "tag_v2", {}).get(INTERPRETATION) == WHITE_IS_ZERO:
                raise UserError(f"image {where} has white as 0: convert it to grey of 8 bits")
            raw = str([tile[3] for tile in getattr(image, "tile", ())])
            pixels = pixels_of(where, ImageOps.exif_transpose(image), "'LA;16" in raw)
            return Picture(pixels, getattr(image, "is_animated", False), ";16" in raw and pixels.dtype == np.uint8)
    except UserError:
        raise
    except PermissionError as error:
        raise UserError(f"cannot read image {where}: no permission") from error
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise UserError(f"image {where} has more than {most} million pixels: make it smaller") from error
    except Exception as error:  # of damaged files the decoders raise whatever they stumble over
        empty = not (file.stat().st_size if isinstance(file, Path) else file)
        raise UserError(f"cannot read image {where}: {'empty' if empty else 'damaged, or not an image'}") from error


def on_white(colours: npt.NDArray[np.uint8], alpha: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """What shows of colours, of which `alpha` of 255 is opaque, on white."""
    wide = alpha.astype(np.uint16)
    return np.asarray((colours * wide + BACKGROUND * (255 - wide) + 127) // 255, dtype=np.uint8)


def deepest(file: File) -> int:
    """The largest value in a file, if it is grey of 16 bits; else 0, and for one that cannot be read."""
    try:
        with Image.open(file if isinstance(file, Path) else io.BytesIO(file)) as image:
            return int(np.asarray(image).max()) if image.mode in DEEP else 0
    except Exception:  # it is said where it is read
        return 0


def pixels_of(where: str, image: Image.Image, grey: bool = False) -> npt.NDArray[Any]:
    """(C, H, W), with white under what is transparent; `grey` whatever its mode says. Errors: UserError."""
    if image.mode in DEEP:
        values = np.asarray(image)
        if image.has_transparency_data or values.min() < 0 or values.max() > 65535:
            raise UserError(f"image {where} is of mode {image.mode}: convert it to grey or RGB of 8 bits a channel")
        return values.astype(np.uint16)[None]
    grey = grey or image.mode in GREY
    if not grey and image.mode not in COLOUR:
        raise UserError(f"image {where} is of mode {image.mode}: convert it to grey or RGB of 8 bits a channel")
    if image.has_transparency_data:
        channels = np.asarray(image.convert("LA" if grey else "RGBA")).transpose(2, 0, 1)
        return on_white(channels[:-1], channels[-1])
    pixels = np.asarray(image.convert("L" if grey else "RGB"))
    return pixels[None] if grey else pixels.transpose(2, 0, 1)
