"""What generators start from: latent vectors from a prior, and truncated ones for samples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def draw_latents(genes: Mapping[str, Any], n: int, rng: torch.Generator) -> Tensor:
    """(n, latent) draws from the prior, on the device of `rng`.

    normal N(0, 1); uniform U[-1, 1); bernoulli 0 or 1 with equal chance; censored_normal max(N(0, 1), 0).
    """
    shape, prior = (n, genes["latent"]), genes["latent_prior"]
    if prior == "uniform":
        return torch.rand(shape, generator=rng, device=rng.device) * 2 - 1
    if prior == "bernoulli":
        return torch.empty(shape, device=rng.device).bernoulli_(0.5, generator=rng)
    normal = torch.randn(shape, generator=rng, device=rng.device)
    return normal.clamp(min=0) if prior == "censored_normal" else normal


def truncated(genes: Mapping[str, Any], n: int, rng: torch.Generator) -> Tensor:
    """(n, latent) draws that samples are made from: the prior, or N(0, 1) given |z| <= truncation.

    The truncation trick (BigGAN, arXiv:1809.11096) redraws what lies outside. The inverse distribution function of
    one uniform number each gives the same distribution, however small the threshold is:

        z = sqrt(2) erfinv(u erf(t / sqrt(2))),  u ~ U(-1, 1)
    """
    threshold = genes.get("truncation", 0.0)  # the normal prior's alone
    if threshold == 0:
        return draw_latents(genes, n, rng)
    u = torch.rand((n, genes["latent"]), generator=rng, device=rng.device, dtype=torch.float64) * 2 - 1
    return (math.sqrt(2) * torch.erfinv(u * math.erf(threshold / math.sqrt(2)))).float()
