"""Losses that remember: BEGAN's balance k (arXiv:1703.10717), LeCam's means of scores (arXiv:2104.03310)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from evogan.zoo.gan import Losses
from evogan.zoo.losses import began_balance, began_convergence, lecam

SCORE_DECAY = 0.99


class Memory(nn.Module):
    """`k` in [0, 1], at first 0; `energy`: reals' last mean energy; `mean_real`, `mean_fake`: averages of scores."""

    k: Tensor
    energy: Tensor
    mean_real: Tensor
    mean_fake: Tensor

    def __init__(self, genes: Mapping[str, Any]) -> None:
        super().__init__()
        self._genes = genes
        self._began, self._lecam = genes["loss"] == "began", genes.get("lecam", 0.0) > 0
        names = ("k", "energy") * self._began + ("mean_real", "mean_fake") * self._lecam
        for name in names:
            self.register_buffer(name, torch.zeros(()))

    def weigh(self, terms: Mapping[str, Tensor], r: Tensor, f: Tensor) -> dict[str, Tensor]:
        """The critic's terms, of scores r and f (N,), with what is remembered."""
        found = dict(terms)
        if self._began:
            found["fake"] = self.k * found["fake"]
        if self._lecam:
            found["lecam"] = self._genes["lecam"] * lecam(r, f, self.mean_real, self.mean_fake)
        return found

    def watch(self, energy: Tensor) -> dict[str, Tensor]:
        """Of BEGAN's generator step, with the mean energy of its fakes: that, and the measure of convergence."""
        if not self._began:
            return {}
        return {"energy": energy, "convergence": began_convergence(self.energy, energy, self._genes["began_gamma"])}

    @torch.no_grad()
    def follow(self, player: str, losses: Losses) -> None:
        """A player has stepped."""
        if self._lecam and player == "critic":
            self.mean_real.copy_(torch.lerp(self.mean_real, losses.watched["score_real"], 1 - SCORE_DECAY))
            self.mean_fake.copy_(torch.lerp(self.mean_fake, losses.watched["score_fake"], 1 - SCORE_DECAY))
        if self._began and player == "critic":
            self.energy.copy_(losses.terms["real"])
        elif self._began:
            gamma, rate = self._genes["began_gamma"], self._genes["began_rate"]
            self.k.copy_(began_balance(self.k, self.energy, losses.watched["energy"], gamma, rate))
