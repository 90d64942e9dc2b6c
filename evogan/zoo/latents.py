"""What generators start from: latent vectors from a prior, and truncated ones for samples."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Prior:
    """`size`: of a latent. `kind`: normal, uniform, bernoulli or censored_normal. `truncation`: no |z| of a sample is
    above it, with a normal prior; 0 = off.

    >>> truncated(Prior(3, truncation=0.1), 1000, torch.Generator().manual_seed(0)).abs().max() <= 0.1
    tensor(True)
    """

    size: int
    kind: str = "normal"
    truncation: float = 0.0


def draw_latents(prior: Prior, n: int, rng: torch.Generator) -> Tensor:
    """(n, size) draws from the prior, on the device of `rng`.

    normal N(0, 1); uniform U[-1, 1); bernoulli 0 or 1 with equal chance; censored_normal max(N(0, 1), 0).
    """
    shape = (n, prior.size)
    if prior.kind == "uniform":
        return torch.rand(shape, generator=rng, device=rng.device) * 2 - 1
    if prior.kind == "bernoulli":
        return torch.empty(shape, device=rng.device).bernoulli_(0.5, generator=rng)
    normal = torch.randn(shape, generator=rng, device=rng.device)
    return normal.clamp(min=0) if prior.kind == "censored_normal" else normal


def truncated(prior: Prior, n: int, rng: torch.Generator) -> Tensor:
    """(n, size) draws that samples are made from: the prior, or N(0, 1) given |z| <= truncation.

    The truncation trick (BigGAN, arXiv:1809.11096) redraws what lies outside. The inverse distribution function of
    one uniform number each gives the same distribution, however small the threshold is:

        z = sqrt(2) erfinv(u erf(t / sqrt(2))),  u ~ U(-1, 1)
    """
    if prior.truncation == 0:
        return draw_latents(prior, n, rng)
    u = torch.rand((n, prior.size), generator=rng, device=rng.device, dtype=torch.float64) * 2 - 1
    return (math.sqrt(2) * torch.erfinv(u * math.erf(prior.truncation / math.sqrt(2)))).float()
