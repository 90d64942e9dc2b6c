"""The optimisers of `optimizers`, for a stack: weights are a matrix, a row a member, with rates of its own.

adam      m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;  w <- w - r/(1 - b1^t) m / (sqrt(v/(1 - b2^t)) + e)
rmsprop   v <- a v + (1 - a) g^2;  w <- w - r g / (sqrt(v) + e)
sgd       m <- u m + g;            w <- w - r m

Each after g <- g min(1, c/|g|), where gradients are clipped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, optim

from evogan.training.optimizers import ABOVE_ZERO
from evogan.zoo.stack import Stack

EPSILON = 1e-8  # torch's default


class StackedOptimizer:
    """Takes over `optimizers`, one a member and all of a kind: their states become views of its matrices.

    `longest`: of each member's gradients; all are above 0, or none is.
    """

    def __init__(
        self, player: str, optimizers: Sequence[optim.Optimizer], longest: Sequence[float], stack: Stack
    ) -> None:
        self._descend: Callable[..., None]
        weights = stack.parameters[player]
        groups = [optimizer.param_groups[0] for optimizer in optimizers]
        match optimizers[0]:
            case optim.Adam():
                self._descend, moments = self._adam, ["exp_avg", "exp_avg_sq"]
                numbers = {f"beta{i + 1}": [group["betas"][i] for group in groups] for i in range(2)}
            case optim.RMSprop():
                self._descend, moments = self._rmsprop, ["square_avg"]
                numbers = {"alpha": [group["alpha"] for group in groups]}
            case _:
                self._descend, moments = self._sgd, ["momentum_buffer"] if groups[0]["momentum"] else []
                numbers = {"momentum": [group["momentum"] for group in groups]}
        self._numbers = {name: weights.new_tensor(n, dtype=torch.float64)[:, None] for name, n in numbers.items()}
        self._longest = weights.new_tensor(longest)[:, None] if longest[0] > 0 else None
        self._moments = {name: torch.zeros_like(weights) for name in moments}
        self._steps = weights.new_zeros((len(groups), len(groups[0]["params"])), dtype=torch.float32)
        for i, optimizer in enumerate(optimizers):
            for j, parameter in enumerate(groups[i]["params"]):
                views = {name: stack.rows(player, matrix[i])[j] for name, matrix in self._moments.items()}
                views |= {} if isinstance(optimizer, optim.SGD) else {"step": self._steps[i, j]}
                for name, kept in optimizer.state[parameter].items():
                    if name in views:
                        views[name].copy_(kept)
                optimizer.state[parameter] = views

    def step(self, weights: Tensor, gradient: Tensor, rates: Tensor, who: Tensor | None) -> None:
        """Changes `weights` (M, D) in place, those of the members `who`, all if None. `rates`: (M, 1), float64."""
        everything = slice(None) if who is None else who
        self._steps[everything] += 1
        numbers = {name: number[everything] for name, number in self._numbers.items()}
        moments = {name: moment[everything] for name, moment in self._moments.items()}
        steps = self._steps[everything][:, :1].double()
        if self._longest is not None:
            norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
            gradient = gradient * (self._longest[everything] / (norm + ABOVE_ZERO)).clamp(max=1)
        self._descend(weights, gradient, rates, steps, *numbers.values(), *moments.values())
        if who is not None:
            for name, moment in moments.items():
                self._moments[name].index_copy_(0, who, moment)

    @staticmethod
    def _adam(w: Tensor, g: Tensor, rates: Tensor, t: Tensor, b1: Tensor, b2: Tensor, m: Tensor, v: Tensor) -> None:
        m.mul_(b1.to(w.dtype)).add_((1 - b1).to(w.dtype) * g)
        v.mul_(b2.to(w.dtype)).add_((1 - b2).to(w.dtype) * g.square())
        root = v.sqrt().div_((1 - b2**t).sqrt().to(w.dtype)).add_(EPSILON)
        w.sub_((rates / (1 - b1**t)).to(w.dtype) * m / root)

    @staticmethod
    def _rmsprop(w: Tensor, g: Tensor, rates: Tensor, t: Tensor, alpha: Tensor, v: Tensor) -> None:
        v.mul_(alpha.to(w.dtype)).add_((1 - alpha).to(w.dtype) * g.square())
        w.sub_(rates.to(w.dtype) * g / v.sqrt().add_(EPSILON))

    @staticmethod
    def _sgd(w: Tensor, g: Tensor, rates: Tensor, t: Tensor, momentum: Tensor, m: Tensor | None = None) -> None:
        if m is not None:
            g = m.mul_(momentum.to(w.dtype)).add_(g)
        w.sub_(rates.to(w.dtype) * g)
