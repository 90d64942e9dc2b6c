"""How like its true image a made one is. Of images (N, C, H, W) in [-1, 1], each with its partner, means over them:

l1     |x - y|, pixels in [0, 1]
psnr   10 log10(1 / |x - y|^2), pixels in [0, 1], of each image; in dB, at most 100
ssim   structural similarity, Wang et al., IEEE Transactions on Image Processing 13 (2004)
"""

from __future__ import annotations

import torch
from torch import Tensor

from evogan.fitness.ms_ssim import ssim

EXACT = 1e-10  # mean square below which images are the same


def likeness(made: Tensor, true: Tensor) -> dict[str, float]:
    return {
        "l1": float((made.double() - true.double()).abs().mean()) / 2,
        "psnr": psnr(made, true),
        "ssim": float(ssim(made, true).mean()),
    }


def psnr(made: Tensor, true: Tensor) -> float:
    """Of rows (N, ...)."""
    squares = ((made.double() - true.double()).flatten(1) / 2).square().mean(1)
    return float((-10 * torch.log10(squares.clamp(min=EXACT))).mean())
