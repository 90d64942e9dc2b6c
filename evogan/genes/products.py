"""Products of genes that a training depends on as much as on each alone.

How often each player is updated, and the sum of the rates with which it is, less the budget, which is one; and rates by
width, because the best rate falls as networks grow wider (Yang et al., Tensor Programs V, arXiv:2203.03466).
"""

from __future__ import annotations

from collections.abc import Mapping

CRITIC_RATE, GENERATOR_RATE = {"learning_rate": 1}, {"learning_rate": 1, "lr_ratio": 1}
CRITIC_UPDATES, GENERATOR_UPDATES = {"batch_size": -1}, {"batch_size": -1, "critic_steps": -1}
PRODUCTS: tuple[Mapping[str, int], ...] = (
    GENERATOR_UPDATES,
    CRITIC_RATE | CRITIC_UPDATES,
    GENERATOR_RATE | GENERATOR_UPDATES,
    CRITIC_RATE | {"critic_filters": 1},
    CRITIC_RATE | {"filters": 1},
    GENERATOR_RATE | {"filters": 1},
)
