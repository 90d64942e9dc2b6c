"""Multi-scale structural similarity of pairs (Wang et al. 2003): how alike samples are (Odena et al. 1610.09585).

    MS-SSIM(x, y) = l_K^w_K prod_{k=1..K} c_k^w_k

where c is the mean over windows of the similarity in contrast and structure, l at the coarsest scale is that of
luminance with it (SSIM itself), and a scale is the one before, averaged 2x2. Luminance is that of intensities from 0
on. Windows are Gaussian, 11 pixels wide, sigma 1.5, and lie within the image. Small images have as many of the five
scales as leave room for a window, with weights that sum to 1; what is less than a window has a smaller one.
Dissimilarity counts as 0.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW, SIGMA = 11, 1.5
PAIRS = 100  # as Odena et al. have
RANGE = 2.0  # of pixels
C1, C2 = (0.01 * RANGE) ** 2, (0.03 * RANGE) ** 2


def similarity(images: Tensor) -> float:
    """The mean MS-SSIM of images (n, C, H, W) in [-1, 1], in pairs of neighbours: in [0, 1], of copies 1."""
    x, y = images[: 2 * PAIRS : 2], images[1 : 2 * PAIRS : 2]
    return float(ms_ssim(x[: len(y)], y).mean())


def ms_ssim(x: Tensor, y: Tensor) -> Tensor:
    """Of images (N, C, H, W) in [-1, 1], each with its partner: (N,)."""
    x, y = x.double() + 1, y.double() + 1
    side = min(x.shape[2:])
    scales = [w for k, w in enumerate(WEIGHTS) if k == 0 or side >> k >= WINDOW]
    found = x.new_ones(len(x))
    for k, weight in enumerate(scales):
        whole, contrast = _compare(x, y)
        found = found * (whole if k == len(scales) - 1 else contrast).clamp(min=0) ** (weight / sum(scales))
        x, y = functional.avg_pool2d(x, 2), functional.avg_pool2d(y, 2)
    return found


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Of one scale, likewise."""
    return _compare(x.double() + 1, y.double() + 1)[0]


def _compare(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """SSIM, and its part of contrast and structure: the means over windows, (N,) each."""
    mx, my, xx, yy, xy = _windowed(torch.stack([x, y, x * x, y * y, x * y]))
    contrast = (2 * (xy - mx * my) + C2) / (xx - mx**2 + yy - my**2 + C2)
    whole = contrast * (2 * mx * my + C1) / (mx**2 + my**2 + C1)
    return whole.mean((1, 2, 3)), contrast.mean((1, 2, 3))


def _windowed(images: Tensor) -> Tensor:
    """The Gaussian mean of every window, of images (..., H, W)."""
    size = min(WINDOW, *(s - 1 + s % 2 for s in images.shape[-2:]))
    at = torch.arange(size, dtype=images.dtype) - size // 2
    line = torch.exp(-(at**2) / (2 * (SIGMA * size / WINDOW) ** 2))
    line = line / line.sum()
    down, across = (_band(line, side) for side in images.shape[-2:])
    return down.T @ images @ across


def _band(line: Tensor, side: int) -> Tensor:
    """(side, windows): what a window's mean is made of. A product, as a convolution takes ten times as long."""
    windows = side - len(line) + 1
    band = line.new_zeros(side, windows)
    for i, weight in enumerate(line):
        band.diagonal(-i).copy_(weight.expand(windows))
    return band
