"""Penalties on the gradient of a critic's score by its input. Pure functions.

    two_sided   E (|grad C(y)| - 1)^2, y = x + alpha (G(z) - x)             WGAN-GP, arXiv:1704.00028
    one_sided   E relu(|grad C(y)| - 1)^2, the same y                       arXiv:1704.00028, section 4
    dragan      E (|grad C(y)| - 1)^2, y = x + alpha std(X) u / 2           DRAGAN, arXiv:1705.07215
    r1, r2      E |grad C(x)|^2 / 2 on reals x, on fakes                    Mescheder et al., arXiv:1801.04406

alpha ~ U[0, 1) is one number an image; u ~ U[0, 1) one a value. `critic` maps images (N, C, H, W) to scores (N,), and
the score of one image must not depend on the others, else the gradient is not that image's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import relu

from evogan.zoo.gan import Draws

EPSILON = 1e-12

Score = Callable[[Tensor], Tensor]


def input_gradient(critic: Score, x: Tensor) -> Tensor:
    """The gradient of each image's score by that image, like x, itself differentiable by the critic's parameters and x.

    Under autocast the critic computes as it does elsewhere, and the gradient is float32: with bfloat16 norms are off by
    some 0.1 % (docs/decisions.md).
    """
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    gradient: Tensor = torch.func.grad(lambda x: critic(x).sum())(x)
    return gradient


def input_gradient_norms(critic: Score, x: Tensor) -> Tensor:
    """(N,): sqrt(1e-12 + the sum of squares over all of an image's values), which is smooth at gradient 0."""
    return torch.sqrt(EPSILON + input_gradient(critic, x).square().flatten(1).sum(1))


def two_sided(norms: Tensor) -> Tensor:
    return (norms - 1).square().mean()


def one_sided(norms: Tensor) -> Tensor:
    return relu(norms - 1).square().mean()


def zero_centred(critic: Score, x: Tensor) -> Tensor:
    """E |grad C(x)|^2 / 2; the 1/2 is part of it, so that its weight is the gamma of the paper."""
    return 0.5 * input_gradient(critic, x).square().flatten(1).sum(1).mean()


def interpolates(real: Tensor, fake: Tensor, alpha: Tensor) -> Tensor:
    """Points between each real and its fake, both (N, C, H, W); alpha (N, 1, 1, 1) in [0, 1)."""
    return real + alpha * (fake - real)


def around_reals(real: Tensor, u: Tensor, alpha: Tensor) -> Tensor:
    """DRAGAN's points, as released; u like `real`, alpha (N, 1, 1, 1), both in [0, 1). One std for the whole batch."""
    return real + alpha * 0.5 * real.std(correction=0) * u


@dataclass(frozen=True)
class GradientPenalty:
    """Norms are drawn to 1: the penalty is `distance(norms(...))`."""

    draw: Callable[[Tensor, torch.Generator], Draws]
    points: Callable[[Tensor, Tensor, Draws], Tensor]
    distance: Callable[[Tensor], Tensor]

    def norms(self, critic: Score, real: Tensor, fake: Tensor, draws: Draws) -> Tensor:
        """(N,): the norms of the gradients at this penalty's points; `draws` are from `draw`."""
        return input_gradient_norms(critic, self.points(real, fake, draws))


def _draw_between(real: Tensor, rng: torch.Generator) -> Draws:
    return (torch.rand(len(real), 1, 1, 1, generator=rng, device=rng.device),)


def _draw_around(real: Tensor, rng: torch.Generator) -> Draws:
    return torch.rand(real.shape, generator=rng, device=rng.device), *_draw_between(real, rng)


def _between(real: Tensor, fake: Tensor, draws: Draws) -> Tensor:
    (alpha,) = draws
    return interpolates(real, fake, alpha)


def _around(real: Tensor, fake: Tensor, draws: Draws) -> Tensor:
    u, alpha = draws
    return around_reals(real, u, alpha)


GRADIENT_PENALTIES: Mapping[str, GradientPenalty] = {
    "two_sided": GradientPenalty(_draw_between, _between, two_sided),
    "one_sided": GradientPenalty(_draw_between, _between, one_sided),
    "dragan": GradientPenalty(_draw_around, _around, two_sided),
}

# of critic, reals and fakes; weighted by gamma
ZERO_PENALTIES: Mapping[str, Callable[[Score, Tensor, Tensor], Tensor]] = {
    "r1": lambda critic, real, fake: zero_centred(critic, real),
    "r2": lambda critic, real, fake: zero_centred(critic, fake),
    "r1_r2": lambda critic, real, fake: zero_centred(critic, real) + zero_centred(critic, fake),
}
