"""Averages of a network's weights over its training."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from evogan.zoo.number import Scalar, now


class MovingAverage(nn.Module):
    """What samples are drawn from (PGGAN, arXiv:1710.10196).

    Follows a network: its buffers as they are, its parameters w by w' = d w' + (1 - d) w.

    At step t, d = min(decay, (1 + t)/(10 + t)): the memory is short at first, or a short training would average
    mostly its initial weights.
    """

    steps: Tensor

    def __init__(self, network: nn.Module, decay: Scalar) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        self._decay = decay
        self.register_buffer("steps", torch.zeros((), dtype=torch.float64))

    def restart(self, network: nn.Module) -> None:
        """As if it had followed nothing yet."""
        self.network.load_state_dict(network.state_dict())
        self.steps.zero_()

    @torch.no_grad()
    def follow(self, network: nn.Module) -> None:
        """Take one step towards the network as it is now."""
        share = 1 - ((1 + self.steps) / (10 + self.steps)).clamp(max=now(self._decay))
        self.steps += 1
        for mean, weight in zip(self.network.parameters(), network.parameters(), strict=True):
            mean.copy_(torch.lerp(mean, weight, share.to(weight.dtype)))
        for statistic, kept in zip(network.buffers(), self.network.buffers(), strict=True):
            kept.copy_(statistic)


class HistoricalAverage(nn.Module):
    """The mean of all weights so far, which a player is held to. Salimans et al., arXiv:1606.03498, 3.3."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        for i, parameter in enumerate(network.parameters()):
            self.register_buffer(f"mean{i}", parameter.detach().clone())
        self.register_buffer("steps", torch.ones(()))

    steps: Tensor

    @torch.no_grad()
    def restart(self, network: nn.Module) -> None:
        """As if it had followed nothing yet."""
        for weight, mean in zip(network.parameters(), self.means(), strict=True):
            mean.copy_(weight)
        self.steps.fill_(1)

    def means(self) -> list[Tensor]:
        return [buffer for name, buffer in self.named_buffers() if name != "steps"]

    @torch.no_grad()
    def follow(self, network: nn.Module) -> None:
        self.steps += 1
        for new, mean in zip(network.parameters(), self.means(), strict=True):
            mean += (new - mean) / self.steps

    def distance(self, network: nn.Module) -> Tensor:
        """|w - mean|^2."""
        pairs = zip(network.parameters(), self.means(), strict=True)
        return torch.stack([(new - mean).square().sum() for new, mean in pairs]).sum()
