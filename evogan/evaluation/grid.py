"""Image grids, as PNG or, where they move, as GIF."""

from __future__ import annotations

import io

import torch
from PIL import Image
from torch import Tensor

SECONDS = 0.08  # of a frame


def grid_png(images: Tensor, columns: int = 8) -> bytes:
    """(N, C, H, W) in [-1, 1] -> a PNG with `columns` images a row; small ones are enlarged pixel by pixel."""
    buffer = io.BytesIO()
    _grid(images, columns).save(buffer, "PNG")  # optimised it would be a tenth smaller, and 10x slower
    return buffer.getvalue()


def grid_gif(frames: Tensor, columns: int = 8) -> bytes:
    """Frames (T, N, C, H, W) in [-1, 1] -> a GIF that begins anew after the last, each frame as `grid_png` has it."""
    first, *others = (_grid(images, columns) for images in frames)
    buffer = io.BytesIO()
    first.save(buffer, "GIF", save_all=True, append_images=others, duration=round(1000 * SECONDS), loop=0)
    return buffer.getvalue()


def _grid(images: Tensor, columns: int) -> Image.Image:
    n, channels, height, width = images.shape
    rows, gap, enlarge = -(-n // columns), 1, max(1, 64 // width)
    cells = torch.zeros(rows * columns, channels, height + gap, width + gap, dtype=torch.uint8)
    cells[:n, :, :height, :width] = ((images.detach().cpu().clamp(-1, 1) + 1) * 127.5).round().byte()
    grid = cells.unflatten(0, (rows, columns)).permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)
    big = grid.repeat_interleave(enlarge, 0).repeat_interleave(enlarge, 1)
    return Image.fromarray(big.squeeze(2).numpy())
