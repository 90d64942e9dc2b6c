"""What a critic pays beside its adversarial loss: for its gradient, and for scores far from 0."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from evogan.zoo.gan import Critique, Draws, Network
from evogan.zoo.number import Scalar, now
from evogan.zoo.penalties import GRADIENT_PENALTIES, ZERO_PENALTIES

Judge = Callable[[Tensor, Draws], Critique]


class Regularizers:
    """`gradient`, `zero`: names of penalties, each with its weight. `drift`: the weight of E r^2."""

    def __init__(
        self,
        *,
        gradient: tuple[str, Scalar] | None = None,
        zero: tuple[str, Scalar] | None = None,
        drift: Scalar | None = None,
    ) -> None:
        self._gradient = None if gradient is None else (GRADIENT_PENALTIES[gradient[0]], gradient[1])
        self._zero = None if zero is None else (ZERO_PENALTIES[zero[0]], zero[1])
        self._drift = drift

    def draw(self, critic: Network, real: Tensor, rng: torch.Generator) -> dict[str, Draws]:
        """The randomness of one step's terms."""
        draws: dict[str, Draws] = {}
        if self._gradient is not None:
            draws["points"] = self._gradient[0].draw(real, rng)
        if self._gradient is not None or self._zero is not None:
            draws["penalty"] = critic.draws(len(real), rng)
        return draws

    def terms(
        self,
        critic: Judge,
        images: tuple[Tensor, Tensor],
        scores: tuple[Tensor, Tensor],
        draws: Mapping[str, Draws],
    ) -> dict[str, Tensor]:
        """Of reals and fakes (N, C, H, W) as the critic saw them, and what it said, (N,) each."""

        def score(x: Tensor) -> Tensor:
            return critic(x, draws["penalty"]).score

        terms: dict[str, Tensor] = {}
        if self._gradient is not None:
            penalty, weight = self._gradient
            norms = penalty.norms(score, *images, draws["points"])
            terms["gradient_penalty"] = now(weight) * penalty.distance(norms)
        if self._zero is not None:
            pulled, weight = self._zero
            terms["zero_penalty"] = now(weight) * pulled(score, *images)
        if self._drift is not None:
            terms["drift"] = now(self._drift) * scores[0].square().mean()
        return terms
