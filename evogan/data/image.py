"""One image file -> pixels."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from evogan.data.dataset import Images
from evogan.errors import UserError

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".webp"),
    *(".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"),
)
GREY, COLOUR = ("1", "L", "LA", "La"), ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")  # Pillow's modes
BACKGROUND = 255  # white, as of the pages that images with holes are made for


class Picture(NamedTuple):
    """`pixels` (C, H, W), C is 1 where the file is grey, else 3; `frames`: whether the file has more than these."""

    pixels: Images
    frames: bool


def read_image(path: Path) -> Picture:
    """The first frame of an image file, upright, with white under what is transparent."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path) as file:  # what is wrong is said below
            return Picture(_pixels(path, ImageOps.exif_transpose(file)), getattr(file, "is_animated", False))
    except UserError:
        raise
    except PermissionError as error:
        raise UserError(f"cannot read image '{path}': no permission") from error
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise UserError(f"image '{path}' has more than {most} million pixels: make it smaller") from error
    except Exception as error:  # of damaged files the decoders raise whatever they stumble over
        empty = path.stat().st_size == 0
        raise UserError(f"cannot read image '{path}': {'empty' if empty else 'damaged, or not an image'}") from error


def _pixels(path: Path, image: Image.Image) -> Images:
    grey = image.mode in GREY
    if not grey and image.mode not in COLOUR:
        raise UserError(f"image '{path}' is of mode {image.mode}: convert it to grey or RGB of 8 bits a channel")
    if image.has_transparency_data:
        *colours, alpha = np.asarray(image.convert("LA" if grey else "RGBA"), dtype=np.uint16).transpose(2, 0, 1)
        mixed = (np.stack(colours) * alpha + BACKGROUND * (255 - alpha) + 127) // 255
        return np.asarray(mixed, dtype=np.uint8)
    pixels = np.asarray(image.convert("L" if grey else "RGB"))
    return pixels[None] if grey else pixels.transpose(2, 0, 1)
