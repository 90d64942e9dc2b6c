"""Losses that remember: BEGAN's balance k (arXiv:1703.10717), LeCam's means of scores (arXiv:2104.03310)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from evogan.zoo.gan import Losses
from evogan.zoo.losses import began_balance, began_convergence, lecam
from evogan.zoo.number import Scalar, now

SCORE_DECAY = 0.99


class Memory(nn.Module):
    """`k` in [0, 1], at first 0; `energy`: reals' last mean energy; `mean_real`, `mean_fake`: averages of scores.

    `began`: gamma and the rate of k, where the loss is BEGAN's. `lecam`: the weight of the term, if it is there.

    >>> memory = Memory(lecam=0.3)
    >>> sorted(memory.weigh({"real": torch.ones(())}, torch.ones(4), -torch.ones(4)))
    ['lecam', 'real']
    """

    k: Tensor
    energy: Tensor
    mean_real: Tensor
    mean_fake: Tensor

    def __init__(self, *, began: tuple[Scalar, Scalar] | None = None, lecam: Scalar | None = None) -> None:
        super().__init__()
        self._began, self._lecam = began, lecam
        names = ("k", "energy") * (began is not None) + ("mean_real", "mean_fake") * (lecam is not None)
        for name in names:
            self.register_buffer(name, torch.zeros(()))

    def weigh(self, terms: Mapping[str, Tensor], r: Tensor, f: Tensor) -> dict[str, Tensor]:
        """The critic's terms, of scores r and f (N,), with what is remembered."""
        found = dict(terms)
        if self._began is not None:
            found["fake"] = self.k * found["fake"]
        if self._lecam is not None:
            found["lecam"] = now(self._lecam) * lecam(r, f, self.mean_real, self.mean_fake)
        return found

    def watch(self, energy: Tensor) -> dict[str, Tensor]:
        """Of BEGAN's generator step, with the mean energy of its fakes: that, and the measure of convergence."""
        if self._began is None:
            return {}
        gamma = now(self._began[0])
        return {"energy": energy, "convergence": began_convergence(self.energy, energy, gamma)}

    @torch.no_grad()
    def follow(self, player: str, losses: Losses) -> None:
        """A player has stepped."""
        if self._lecam is not None and player == "critic":
            self.mean_real.copy_(torch.lerp(self.mean_real, losses.watched["score_real"], 1 - SCORE_DECAY))
            self.mean_fake.copy_(torch.lerp(self.mean_fake, losses.watched["score_fake"], 1 - SCORE_DECAY))
        if self._began is not None and player == "critic":
            self.energy.copy_(losses.terms["real"])
        elif self._began is not None:
            gamma, rate = map(now, self._began)
            self.k.copy_(began_balance(self.k, self.energy, losses.watched["energy"], gamma, rate))
