"""Numbers that act in a loss, a network or after a step, alone and in a stack of GANs."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Number(nn.Module):
    """A number; called, it says what it is now: a float, and in a stack of GANs a tensor with the value of each.

    The buffer, of no state dict, is what a stack puts its own tensor in place of.

    >>> weight = Number(0.5)
    >>> weight() * 3
    1.5
    """

    stacked: Tensor

    def __init__(self, alone: float) -> None:
        super().__init__()
        self.alone, self.in_stack = alone, False
        self.register_buffer("stacked", torch.zeros(()), persistent=False)

    def reset(self, rng: torch.Generator) -> None:
        self.stacked.zero_()

    def forward(self) -> float | Tensor:
        return self.stacked if self.in_stack else self.alone


Scalar = float | Number


def now(value: Scalar) -> float | Tensor:
    """What a number is now; a float is itself."""
    return value() if isinstance(value, Number) else value
