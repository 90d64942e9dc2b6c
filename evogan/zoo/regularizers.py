"""What a critic pays beside its adversarial loss: for its gradient, and for scores far from 0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from evogan.zoo.gan import Draws, Network
from evogan.zoo.penalties import GRADIENT_PENALTIES, ZERO_PENALTIES


class Regularizers:
    """The terms that `genes`, a complete phenotype, ask for."""

    def __init__(self, genes: Mapping[str, Any]) -> None:
        self._genes = genes
        self._gradient = GRADIENT_PENALTIES.get(genes.get("gradient_penalty", "none"))
        self._drifts = genes.get("drift", 0) > 0
        self._zero = ZERO_PENALTIES.get(genes.get("zero_penalty", "none"))

    def draw(self, critic: Network, real: Tensor, rng: torch.Generator) -> dict[str, Draws]:
        """The randomness of one step's terms."""
        draws: dict[str, Draws] = {}
        if self._gradient is not None:
            draws["points"] = self._gradient.draw(real, rng)
        if self._gradient is not None or self._zero is not None:
            draws["penalty"] = critic.draws(len(real), rng)
        return draws

    def terms(
        self,
        critic: Network,
        images: tuple[Tensor, Tensor],
        scores: tuple[Tensor, Tensor],
        draws: Mapping[str, Draws],
    ) -> dict[str, Tensor]:
        """Of reals and fakes (N, C, H, W) as the critic saw them, and what it said, (N,) each."""

        def score(x: Tensor) -> Tensor:
            found: Tensor = critic(x, draws["penalty"]).score
            return found

        terms: dict[str, Tensor] = {}
        if self._gradient is not None:
            norms = self._gradient.norms(score, *images, draws["points"])
            terms["gradient_penalty"] = self._genes["gradient_penalty_weight"] * self._gradient.distance(norms)
        if self._zero is not None:
            terms["zero_penalty"] = self._genes["zero_penalty_weight"] * self._zero(score, *images)
        if self._drifts:
            terms["drift"] = self._genes["drift"] * scores[0].square().mean()
        return terms
