"""Jacobian clamping: a step of the latent moves the image neither too little nor too far. Odena et al., 1802.08768.

    Q = |G(z) - G(z')| / |z - z'|,   z' = z + d/|d|,   d ~ N(0, 1)
    L = E (max(Q, high) - high)^2 + E (min(Q, low) - low)^2

Published with low = 1 and high = 20, on images in [-1, 1].
"""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-12


def moved(latent: Tensor, direction: Tensor) -> Tensor:
    """(N, latent), each a step of length 1 away, along its row of `direction`."""
    length: Tensor = torch.linalg.vector_norm(direction, dim=1, keepdim=True)
    return latent + direction / length


def jacobian_clamping(images: Tensor, others: Tensor, low: float | Tensor, high: float | Tensor) -> Tensor:
    """Of images (N, C, H, W), and what they are where the latent is 1 away."""
    apart = (images - others).to(torch.promote_types(images.dtype, torch.float32))
    q = torch.sqrt(EPSILON + apart.square().flatten(1).sum(1))
    return (torch.relu(q - high).square() + torch.relu(low - q).square()).mean()
