"""Learning from rewards, where tokens have no gradient.

    policy gradient   -E sum_t A_t log p(y_t | y_<t), whose gradient is that of -E R where A_t is Q_t, what is to be
                      expected of R after y_t, less whatever does not depend on y_t   Williams 1992; SeqGAN, 1609.05473
    rollouts          Q_t: the mean of R over K endings of y_1 .. y_t, drawn as tokens are; Q_T = R(y)
    actor-critic      Q_t = sum_(s >= t) d^(s - t) r_s of a reward r_s for each token     MaskGAN, arXiv:1801.07736

A reward is the critic's probability D = sigmoid(s) of its score s, log D, or s itself.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

REWARDS: dict[str, Callable[[Tensor], Tensor]] = {
    "probability": torch.sigmoid,
    "log_probability": F.logsigmoid,
    "score": lambda score: score,
}


def policy_gradient(logs: Tensor, advantages: Tensor) -> Tensor:
    """Of log probabilities (N, T), 0 of what was not chosen, and their advantages."""
    return -(logs * advantages.detach()).sum(1).mean()


def returns(rewards: Tensor, chosen: Tensor, discount: float) -> Tensor:
    """(N, T): what each token earns, itself and those after it; `chosen` (N, T) is 0 where there was no choice."""
    earned = torch.zeros_like(rewards)
    later = torch.zeros_like(rewards[:, 0])
    for t in reversed(range(rewards.shape[1])):
        later = rewards[:, t] * chosen[:, t] + discount * later
        earned[:, t] = later
    return earned


def centred(values: Tensor, chosen: Tensor) -> Tensor:
    """(N, T): less the mean at each place over the other rows, which the row's own tokens do not move."""
    count = chosen.sum(0)
    others = ((values * chosen).sum(0) - values * chosen) / (count - 1).clamp(min=1)
    return torch.where(count > 1, values - others, values)
