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
    difference = (made.double() - true.double()).flatten(1) / 2
    squares = difference.square().mean(1).clamp(min=EXACT)
    return {
        "l1": float(difference.abs().mean()),
        "psnr": float((-10 * torch.log10(squares)).mean()),
        "ssim": float(ssim(made, true).mean()),
    }
