"""Images to one square size."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from evogan.data.dataset import Images, check_fits


def resize(images: Images, size: int) -> Images:
    """uint8 (N, C, H, W) -> (N, C, size, size): the centre square, bilinear with antialiasing."""
    height, width = images.shape[2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = images[:, :, top : top + side, left : left + side]
    if side == size:
        return square
    check_fits(f"{len(images):,} images of {size}x{size}", len(images) * images.shape[1] * size**2)
    resized = np.empty((*images.shape[:2], size, size), dtype=np.uint8)
    for start in range(0, len(square), 1000):  # as floats, all at once would be too much memory
        part = torch.tensor(square[start : start + 1000], dtype=torch.float32)
        part = functional.interpolate(part, size=(size, size), mode="bilinear", antialias=True)
        resized[start : start + 1000] = part.round().clamp(0, 255).to(torch.uint8).numpy()
    return resized
