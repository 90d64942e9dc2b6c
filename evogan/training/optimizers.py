"""Optimisers, keyed by the values of a player's gene `PLAYER_optimizer`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, optim


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
