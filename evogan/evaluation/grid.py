"""Image grids, as PNG."""

from __future__ import annotations

import io

import torch
from PIL import Image
from torch import Tensor


def grid_png(images: Tensor, columns: int = 8) -> bytes:
    """(N, C, H, W) in [-1, 1] -> a PNG with `columns` images a row; small ones are enlarged pixel by pixel."""
    n, channels, height, width = images.shape
    rows, gap, enlarge = -(-n // columns), 1, max(1, 64 // width)
    cells = torch.zeros(rows * columns, channels, height + gap, width + gap, dtype=torch.uint8)
    cells[:n, :, :height, :width] = ((images.detach().cpu().clamp(-1, 1) + 1) * 127.5).round().byte()
    grid = cells.unflatten(0, (rows, columns)).permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)
    big = grid.repeat_interleave(enlarge, 0).repeat_interleave(enlarge, 1)
    buffer = io.BytesIO()
    Image.fromarray(big.squeeze(2).numpy()).save(buffer, "PNG")  # optimised it would be a tenth smaller, and 10x slower
    return buffer.getvalue()
