"""The f-divergences of f-GAN: Nowozin et al., arXiv:1606.00709. Pure functions of raw critic outputs v.

D_f(P|Q) = E_Q f(p/q) is at least E_P T - E_Q f*(T), with equality at T = f'(p/q): what a critic T = g(v) maximises.
f* is the convex conjugate sup_u (u t - f(u)); g increases and maps any v into f*'s domain, so a large v means real.
S = softplus.

                     f(u)                                f*(t)                      domain        g(v)
    total_variation  |u - 1| / 2                         t                          |t| <= 1/2    tanh(v) / 2
    kl               u log u                             e^(t - 1)                                v
    reverse_kl       -log u                              -1 - log(-t)               t < 0         -e^-v
    pearson          (u - 1)^2                           t^2/4 + t                                v
    neyman           (1 - u)^2 / u                       2 - 2 sqrt(1 - t)          t < 1         1 - e^-v
    hellinger        (sqrt(u) - 1)^2                     t / (1 - t)                t < 1         1 - e^-v
    jeffrey          (u - 1) log u                       w + 1/w + t - 2                          v
    js               u log u - 2 m log m, m = (1 + u)/2  -log(2 - e^t)              t < log 2     log 2 - S(-v)
    js_weighted      a u log u - m log m, m = b + a u    b log(b / (1 - a e^(t/a))) t < -a log a  -a log a - S(-v)
    gan              u log u - (u + 1) log(u + 1)        -log(1 - e^t)              t < 0         -S(-v)

a = pi, the weight of the data, and b = 1 - pi; w + log w = 1 - t. js is twice the Jensen-Shannon divergence, and gan
that less log 4. Pearson's is the integral of (p - q)^2/q, Neyman's of (p - q)^2/p. Pearson's f* is the published one:
for t < -2, where no optimal critic is, the supremum over u >= 0 would be -1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

INF = math.inf
LARGE = 20.0  # e^v is taken of no larger v

Pointwise = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Divergence:
    """All functions are pointwise. `f`: of u > 0. `conjugate`: f*, of t in `domain`. `threshold`: f'(1); a critic with
    T above it says real. `activation`: g. `composed`: f*(g(v)), written in v so that large values are safe.
    `limits`: v is clamped to these, wherever e^|v| appears; the bound still holds, and beyond them gradients are 0.
    """

    f: Pointwise
    conjugate: Pointwise
    domain: tuple[float, float]
    threshold: float
    activation: Pointwise
    composed: Pointwise
    limits: tuple[float, float] = (-INF, INF)

    def real(self, v: Tensor) -> Tensor:
        """-g(v): what the critic minimises on reals, and the practical generator (section 3.2) on fakes."""
        return -self.activation(v.clamp(*self.limits))

    def fake(self, v: Tensor) -> Tensor:
        """f*(g(v)): what the critic minimises on fakes."""
        return self.composed(v.clamp(*self.limits))


def _log_ratio(t: Tensor) -> Tensor:
    """The a with a + 1 - e^-a = t: log u where t = f'(u), for Jeffrey's f. In Lambert's W, e^-a = W(e^(1 - t)).

    Newton from below, where the concave left side makes it monotone. Only the last step is differentiated, which gives
    the implicit derivative 1 / (1 + e^-a), of first order only.
    """

    def newton(a: Tensor) -> Tensor:
        e = torch.exp(-a)
        return a - (a + 1 - e - t) / (1 + e)

    with torch.no_grad():
        a = torch.maximum(torch.maximum(t / 2, t - 1), -torch.log1p(torch.relu(-t)))
        for _ in range(5):
            a = newton(a)
    return newton(a)


def _jeffrey_conjugate(t: Tensor) -> Tensor:
    """w + 1/w + t - 2 where w = e^-a: without cancellation."""
    a = _log_ratio(t)
    return torch.expm1(a) + a


def _itself(x: Tensor) -> Tensor:
    return x


DIVERGENCES: Mapping[str, Divergence] = {
    "total_variation": Divergence(
        f=lambda u: (u - 1).abs() / 2,
        conjugate=_itself,
        domain=(-0.5, 0.5),
        threshold=0.0,
        activation=lambda v: torch.tanh(v) / 2,
        composed=lambda v: torch.tanh(v) / 2,
    ),
    "kl": Divergence(
        f=lambda u: torch.xlogy(u, u),
        conjugate=lambda t: torch.exp(t - 1),
        domain=(-INF, INF),
        threshold=1.0,
        activation=_itself,
        composed=lambda v: torch.exp(v - 1),
        limits=(-INF, LARGE),
    ),
    "reverse_kl": Divergence(
        f=lambda u: -torch.log(u),
        conjugate=lambda t: -1 - torch.log(-t),
        domain=(-INF, 0.0),
        threshold=-1.0,
        activation=lambda v: -torch.exp(-v),
        composed=lambda v: v - 1,
        limits=(-LARGE, INF),
    ),
    "pearson": Divergence(
        f=lambda u: (u - 1).square(),
        conjugate=lambda t: t.square() / 4 + t,
        domain=(-INF, INF),
        threshold=0.0,
        activation=_itself,
        composed=lambda v: v.square() / 4 + v,
    ),
    "neyman": Divergence(
        f=lambda u: (1 - u).square() / u,
        conjugate=lambda t: 2 - 2 * torch.sqrt(1 - t),
        domain=(-INF, 1.0),
        threshold=0.0,
        activation=lambda v: -torch.expm1(-v),
        composed=lambda v: -2 * torch.expm1(-v / 2),
        limits=(-LARGE, INF),
    ),
    "hellinger": Divergence(
        f=lambda u: (torch.sqrt(u) - 1).square(),
        conjugate=lambda t: t / (1 - t),
        domain=(-INF, 1.0),
        threshold=0.0,
        activation=lambda v: -torch.expm1(-v),
        composed=torch.expm1,
        limits=(-LARGE, LARGE),
    ),
    "jeffrey": Divergence(
        f=lambda u: (u - 1) * torch.log(u),
        conjugate=_jeffrey_conjugate,
        domain=(-INF, INF),
        threshold=0.0,
        activation=_itself,
        composed=_jeffrey_conjugate,
        limits=(-INF, LARGE),
    ),
    "js": Divergence(
        f=lambda u: torch.xlogy(u, u) - (u + 1) * torch.log((1 + u) / 2),
        conjugate=lambda t: -torch.log(2 - torch.exp(t)),
        domain=(-INF, math.log(2)),
        threshold=0.0,
        activation=lambda v: math.log(2) - softplus(-v),
        composed=lambda v: softplus(v) - math.log(2),
    ),
    "gan": Divergence(
        f=lambda u: torch.xlogy(u, u) - (u + 1) * torch.log(u + 1),
        conjugate=lambda t: -torch.log(-torch.expm1(t)),
        domain=(-INF, 0.0),
        threshold=-math.log(2),
        activation=lambda v: -softplus(-v),
        composed=softplus,
    ),
}


def js_weighted(pi: float) -> Divergence:
    """`pi`: the weight of the data, in (0, 1)."""
    log_pi, log_rest = math.log(pi), math.log1p(-pi)

    def mixture(u: Tensor) -> Tensor:
        return 1 - pi + pi * u

    def composed(v: Tensor) -> Tensor:
        # log(1 - e^(-S(-v)/pi)), which is -v - log pi for large v
        inner = torch.log(-torch.expm1(-softplus(-v.clamp(max=LARGE)) / pi))
        return (1 - pi) * (log_rest - torch.where(v > LARGE, -v - log_pi, inner))

    return Divergence(
        f=lambda u: pi * torch.xlogy(u, u) - torch.xlogy(mixture(u), mixture(u)),
        conjugate=lambda t: (1 - pi) * (log_rest - torch.log1p(-pi * torch.exp(t / pi))),
        domain=(-INF, -pi * log_pi),
        threshold=0.0,
        activation=lambda v: -pi * log_pi - softplus(-v),
        composed=composed,
    )


def divergence(name: str, weight: float = 0.5) -> Divergence:
    """By name; `weight` is that of the data in js_weighted.

    >>> float(divergence("pearson").conjugate(torch.tensor(2.0)))
    3.0
    """
    return js_weighted(weight) if name == "js_weighted" else DIVERGENCES[name]
