"""Images to one square size: bilinear with antialiasing, bit for bit the same on every processor.

Both axes are weighted sums, with weights max(0, 1 - |(j + 1/2 - c) / s|) over their sum, where pixel i of the result
has the centre c = (i + 1/2) side / size, and s = max(1, side / size). This is torch's `interpolate(antialias=True)`,
rounding by rounding as it computes with AVX2: data sets are known by their bits, and torch's differ between processors.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from evogan.data.dataset import Images, check_fits

Floats = npt.NDArray[np.float32]

AT_ONCE = 10**7  # pixels: as floats, all would be too much memory
LANES = 4


def resize(images: Images, size: int) -> Images:
    """uint8 (N, C, H, W) -> (N, C, size, size): the centre square, resized."""
    height, width = images.shape[2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = images[:, :, top : top + side, left : left + side]
    if side == size:
        return square
    count, channels = images.shape[:2]
    check_fits(f"{count:,} images of {size}x{size}", count * channels * size**2)
    resized = np.empty((count, channels, size, size), dtype=np.uint8)
    weights = list(_weights(side, size))
    step = max(1, AT_ONCE // (channels * max(side, size) ** 2))
    for start in range(0, count, step):
        rows = _sums(square[start : start + step].transpose(3, 2, 0, 1).astype(np.float32), weights)
        both = _sums(np.ascontiguousarray(rows.swapaxes(0, 1)), weights)
        resized[start : start + step] = np.rint(both).clip(0, 255).astype(np.uint8).transpose(2, 3, 0, 1)
    return resized


def _weights(side: int, size: int) -> Iterator[tuple[int, Floats]]:
    """Of each pixel of the result: the first pixel that counts, and the weights from there on."""
    scale = np.float32(side) / np.float32(size)
    reach = max(scale, np.float32(1))
    for i in range(size):
        centre = np.float32(float(scale) * (i + 0.5))
        first = max(0, int(float(centre - reach) + 0.5))
        last = min(side, int(float(centre + reach) + 0.5))
        away = (np.arange(first, last, dtype=np.float32) - centre).astype(np.float64) + 0.5
        weights = np.float32(1) - np.abs(away * float(np.float32(1) / reach)).astype(np.float32)
        weights = weights.clip(0)
        yield first, weights / np.cumsum(weights)[-1]


def _sums(pixels: Floats, weights: list[tuple[int, Floats]]) -> Floats:
    """Along the first axis. Products come in fours, each rounded, and those left over fused with their sum."""
    sums = np.empty((len(weights), *pixels.shape[1:]), dtype=np.float32)
    for total, (first, ours) in zip(sums, weights, strict=True):
        rounded = 1 + (len(ours) - 1) // LANES * LANES
        np.multiply(pixels[first], ours[0], out=total)
        for j in range(1, rounded):
            total += pixels[first + j] * ours[j]
        for j in range(rounded, len(ours)):
            total[...] = np.multiply(pixels[first + j], ours[j], dtype=np.float64) + total
    return sums
