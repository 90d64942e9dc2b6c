"""What generators start from: latent vectors from a prior, and truncated ones for samples."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from evogan.zoo.code import Code

TINY, NARROW = 1e-12, 1e-4  # of lengths and angles, where a direction is no longer known

NO_CODE = Code()


@dataclass(frozen=True)
class Prior:
    """`size`: of a latent. `kind`: normal, uniform, bernoulli or censored_normal. `truncation`: no |z| of a sample is
    above it, with a normal prior; 0 = off. `code`: what stands in front of each latent.

    >>> truncated(Prior(3, truncation=0.1), 1000, torch.Generator().manual_seed(0)).abs().max() <= 0.1
    tensor(True)
    """

    size: int
    kind: str = "normal"
    truncation: float = 0.0
    code: Code = NO_CODE

    @property
    def whole(self) -> int:
        """Size of a latent and its code."""
        return self.code.size + self.size

    @property
    def middle(self) -> float:
        """Of a coordinate of a latent."""
        return 0.5 if self.kind == "bernoulli" else 0.0


def draw_latents(prior: Prior, n: int, rng: torch.Generator) -> Tensor:
    """(n, whole) draws from the prior, on the device of `rng`.

    normal N(0, 1); uniform U[-1, 1); bernoulli 0 or 1 with equal chance; censored_normal max(N(0, 1), 0).
    """
    if prior.code.size:
        return _coded(prior, n, rng)
    shape = (n, prior.size)
    if prior.kind == "uniform":
        return torch.rand(shape, generator=rng, device=rng.device) * 2 - 1
    if prior.kind == "bernoulli":
        return torch.empty(shape, device=rng.device).bernoulli_(0.5, generator=rng)
    normal = torch.randn(shape, generator=rng, device=rng.device)
    return normal.clamp(min=0) if prior.kind == "censored_normal" else normal


def truncated(prior: Prior, n: int, rng: torch.Generator) -> Tensor:
    """(n, whole) draws that samples are made from: the prior, or N(0, 1) given |z| <= truncation.

    The truncation trick (BigGAN, arXiv:1809.11096) redraws what lies outside. The inverse distribution function of
    one uniform number each gives the same distribution, however small the threshold is:

        z = sqrt(2) erfinv(u erf(t / sqrt(2))),  u ~ U(-1, 1)
    """
    if prior.code.size:
        return _coded(prior, n, rng, samples=True)
    if prior.truncation == 0:
        return draw_latents(prior, n, rng)
    u = torch.rand((n, prior.size), generator=rng, device=rng.device, dtype=torch.float64) * 2 - 1
    return (math.sqrt(2) * torch.erfinv(u * math.erf(prior.truncation / math.sqrt(2)))).float()


def _coded(prior: Prior, n: int, rng: torch.Generator, *, samples: bool = False) -> Tensor:
    draw, noise = truncated if samples else draw_latents, replace(prior, code=NO_CODE)
    return torch.cat([prior.code.draw(n, rng), draw(noise, n, rng)], 1)


def between(kind: str, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Latents on the ways from a to b, both (N, size), at the shares t (T,) of them -> (N, T, size).

    Normal ones lie near a sphere, and so does what is between them (White, arXiv:1609.04468): of directions that are an
    angle w apart, with lengths that change evenly,

        sin((1 - t) w) / sin w * a/|a| + sin(t w) / sin w * b/|b|

    Latents of another `kind` of prior go straight.
    """
    a, b, t = a[:, None], b[:, None], t[:, None]
    if kind != "normal":
        return torch.lerp(a, b, t)
    one, other = (torch.linalg.vector_norm(x, dim=2, keepdim=True).clamp(min=TINY) for x in (a, b))
    u, v = a / one, b / other
    w = torch.acos((u * v).sum(2, keepdim=True).clamp(-1, 1)).clamp(min=NARROW, max=math.pi - NARROW)
    direction: Tensor = (torch.sin((1 - t) * w) * u + torch.sin(t * w) * v) / torch.sin(w)
    return direction * torch.lerp(one, other, t)


def ends(prior: Prior) -> tuple[float, float]:
    """The lowest and the highest that a coordinate is moved to: of a normal prior three standard deviations."""
    low, high = {"uniform": (-1.0, 1.0), "bernoulli": (0.0, 1.0), "censored_normal": (0.0, 3.0)}.get(
        prior.kind, (-3.0, 3.0)
    )
    most = prior.truncation or high
    return max(low, -most), min(high, most)
