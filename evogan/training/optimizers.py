"""Optimisers, keyed by the values of a player's gene `PLAYER_optimizer`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, optim

ABOVE_ZERO = 1e-6  # torch's, added to a norm


def make_optimizer(player: str, rate: float, genes: Mapping[str, Any], parameters: Iterable[Tensor]) -> optim.Optimizer:
    """The optimiser of a player. The rate stays in the group's `initial_lr` when a schedule lowers it."""
    group = [{"params": list(parameters), "initial_lr": rate}]
    match genes[f"{player}_optimizer"]:
        case "adam":
            betas = (genes[f"{player}_beta1"], genes[f"{player}_beta2"])
            return optim.Adam(group, rate, betas=betas, fused=True)
        case "rmsprop":
            return optim.RMSprop(group, rate, alpha=genes[f"{player}_rms_decay"], foreach=True)
        case _:
            return optim.SGD(group, rate, momentum=genes[f"{player}_momentum"], fused=True)


def clipped(gradients: Sequence[Tensor], longest: float) -> Sequence[Tensor]:
    """All of them times min(1, longest/|g|), |g| being the norm of them together; 0: as they are.

    What `torch.nn.utils.clip_grad_norm_` does in place (Pascanu et al., arXiv:1211.5063).
    """
    if longest == 0:
        return gradients
    share = (longest / (torch.nn.utils.get_total_norm(gradients) + ABOVE_ZERO)).clamp(max=1)
    return [gradient * share for gradient in gradients]
