"""Adversarial losses: pure functions of critic outputs, keyed by the values of gene `loss`.

r = C(x) on reals, f = C(G(z)) on fakes, raw outputs of shape (N,). All are minimised; a loss is the sum of
its terms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from torch import Tensor

LossTerms = Mapping[str, Tensor]


class Adversarial(NamedTuple):
    critic: Callable[[Tensor, Tensor], LossTerms]
    generator: Callable[[Tensor], LossTerms]


def _wasserstein_critic(r: Tensor, f: Tensor) -> LossTerms:
    return {"real": -r.mean(), "fake": f.mean()}


def _wasserstein_generator(f: Tensor) -> LossTerms:
    return {"generator": -f.mean()}


ADVERSARIAL: Mapping[str, Adversarial] = {
    # Arjovsky et al., arXiv:1701.07875: L_C = E f - E r, L_G = -E f
    "wasserstein": Adversarial(_wasserstein_critic, _wasserstein_generator),
}
