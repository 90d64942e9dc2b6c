"""The moving average of a network's weights, from which samples are drawn. PGGAN, arXiv:1710.10196."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class MovingAverage(nn.Module):
    """Follows a network: its buffers as they are, its parameters w by w' = d w' + (1 - d) w.

    At step t, d = min(decay, (1 + t)/(10 + t)): the memory is short at first, or a short training would average
    mostly its initial weights.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        self._decay = decay
        self._steps = 0

    @torch.no_grad()
    def follow(self, network: nn.Module) -> None:
        """Take one step towards the network as it is now."""
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        self._steps += 1
        for new, average in zip(network.parameters(), self.network.parameters(), strict=True):
            average.lerp_(new, 1 - decay)
        for statistic, kept in zip(network.buffers(), self.network.buffers(), strict=True):
            kept.copy_(statistic)

    def get_extra_state(self) -> Tensor:
        """The steps belong to the state dict. A buffer of them would be a wait for the device every step."""
        return torch.tensor(self._steps)

    def set_extra_state(self, state: Tensor) -> None:
        self._steps = int(state)
