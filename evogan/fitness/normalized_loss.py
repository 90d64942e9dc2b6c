"""The normalised-loss fitness: losses scaled by their own running range, mended.

Each of three losses L (critic on reals, critic on fakes, generator) is followed every step; its recent mean
is placed in the range it has had in this run:

    r(L) = (mean L - lo) / (hi - lo), or 0 where hi = lo, but for rounding

    fitness = ((1 - r_real) + (1 - r_generator) + r_fake) / 3      in [0, 1], minimised

As published it is (1/r_real + 1/r_generator + r_fake) / 3, which divides by zero at a running minimum, and at
the first step always. It compares a GAN with its own past only: see docs/fitness.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

LossName = Literal["real", "fake", "generator"]

ROUNDING = 1e-6  # of a loss, in float32


class NormalizedLoss:
    """Follows the losses, never waiting for the device: `update` every step, `value` at a checkpoint."""

    def __init__(self) -> None:
        self._running: dict[LossName, _Running] = {}

    def update(self, name: LossName, loss: Tensor) -> None:
        """Add one step's scalar loss; the three come whenever their player steps."""
        loss = loss.detach().double()
        if name in self._running:
            self._running[name].add(loss)
        else:
            self._running[name] = _Running(loss, loss, loss, 1)

    def absorb(self, name: LossName, low: Tensor, high: Tensor, total: Tensor, count: int) -> None:
        """Add several steps, float64: their lowest and highest loss, and the sum."""
        running = self._running.setdefault(name, _Running(low, high, torch.zeros_like(total), 0))
        running.low, running.high = torch.minimum(running.low, low), torch.maximum(running.high, high)
        running.sum, running.count = running.sum + total, running.count + count

    def value(self) -> float:
        """The fitness of the losses since the last call, in [0, 1]; NaN if any loss ever was.

        Where the generator rested since then, its share is 0, the worst. Raises ValueError where the critic did.
        """
        real, fake = self._take("real"), self._take("fake")
        generator = self._take("generator") if self._stepped("generator") else 0.0
        return ((1 - real) + (1 - generator) + fake) / 3

    @property
    def known(self) -> bool:
        """Whether there is a value: a game was played since the last one."""
        return self._stepped("real") and self._stepped("fake")

    def placed(self, means: Mapping[str, float]) -> dict[str, float]:
        """Where each of these means lies in the range so far of the loss of its name: r, in [0, 1]."""
        return {name: running.place(means[name]) for name, running in self._running.items() if name in means}

    def state(self) -> dict[str, Any]:
        """All it remembers, as plain data."""
        return {name: [float(r.low), float(r.high), float(r.sum), r.count] for name, r in self._running.items()}

    def restore(self, state: Mapping[LossName, Any], device: torch.device) -> None:
        """Go on from what `state` gave."""
        for name, (*loss, count) in state.items():
            low, high, total = torch.tensor(loss, dtype=torch.float64, device=device)
            self._running[name] = _Running(low, high, total, count)

    def _stepped(self, name: LossName) -> bool:
        return name in self._running and self._running[name].count > 0

    def _take(self, name: LossName) -> float:
        if not self._stepped(name):
            raise ValueError(f"no '{name}' loss since the last value")
        return self._running[name].take()


@dataclass
class _Running:
    """Lowest and highest loss so far, and the sum since the last `take`."""

    low: Tensor
    high: Tensor
    sum: Tensor
    count: int

    def add(self, loss: Tensor) -> None:
        self.low, self.high = torch.minimum(self.low, loss), torch.maximum(self.high, loss)
        self.sum, self.count = self.sum + loss, self.count + 1

    def take(self) -> float:
        mean = float(self.sum) / self.count
        self.sum, self.count = torch.zeros_like(self.sum), 0
        return self.place(mean)

    def place(self, mean: float) -> float:
        low, high = float(self.low), float(self.high)
        if high - low <= ROUNDING * max(abs(high), abs(low)):
            return 0.0
        share = (mean - low) / (high - low)
        return min(max(share, 0.0), 1.0) if share == share else share  # rounding may leave [0, 1]; NaN stays
