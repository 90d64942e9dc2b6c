"""Dense networks, as in the first GAN: Goodfellow et al., arXiv:1406.2661.

With n = filters and L = mlp_layers hidden layers of n, 2n, 4n, ... units, or of n all:

    generator  L x [F, norm, leaky ReLU, dropout] | F c*H*H, tanh; of points, which have no bounds, linear
    critic     the same layers from the widest to n | F 1
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from evogan.zoo import critic, generator
from evogan.zoo.gan import Draws, is_point
from evogan.zoo.layers import Chain, Condition, LeakyReLU, dense_norm, draw_masks


class _Hidden(nn.Module):
    """The hidden layers."""

    def __init__(
        self,
        inputs: int,
        widths: Sequence[int],
        kind: str,
        activate: nn.Module,
        first_init: float,
        given: Condition | None = None,
    ) -> None:
        super().__init__()
        self.activate = activate
        self.blocks = nn.ModuleList(
            Chain(nn.Linear(before, width), dense_norm(kind, width, given))
            for before, width in zip([inputs, *widths], widths, strict=False)
        )
        self.blocks[0][0].init_bound = first_init  # type: ignore[index]

    def forward(self, x: Tensor, masks: Draws, *condition: Tensor) -> Tensor:
        return critic.dropped(x, self.blocks, self.activate, masks, *condition)


def _widths(genes: Mapping[str, Any]) -> list[int]:
    doubling = genes["mlp_widths"] == "doubling"
    return [genes["filters"] * 2 ** (i * doubling) for i in range(genes["mlp_layers"])]


class Generator(generator.Generator):
    def __init__(self, genes: Mapping[str, Any], size: int, channels: int) -> None:
        super().__init__()
        self.image = (channels, size, size)
        self.dropout: float = genes["generator_dropout"]
        self.widths = _widths(genes)
        activate, first_init = LeakyReLU(genes["generator_slope"]), genes.get("first_init", 0.0)
        kind, given = genes["generator_norm"], genes.get("norm_condition")
        self.hidden = _Hidden(genes["latent"], self.widths, kind, activate, first_init, given)
        self.dense = nn.Linear(self.widths[-1], channels * size * size)

    def draws(self, n: int, rng: torch.Generator) -> Draws:
        return draw_masks([(width,) for width in self.widths], n, self.dropout, rng)

    def forward(self, latent: Tensor, draws: Draws = (), *condition: Tensor) -> Tensor:
        """Without `draws` nothing is dropped."""
        made: Tensor = self.dense(self.hidden(latent, draws, *condition))
        images: Tensor = (made if is_point(self.image) else torch.tanh(made)).unflatten(1, self.image)
        return images


class Critic(critic.Critic):
    def __init__(self, genes: Mapping[str, Any], size: int, channels: int) -> None:
        super().__init__(genes)
        self.dropout: float = genes["dropout"]
        self.widths = _widths(genes)[::-1]
        inputs, first_init = channels * size * size, genes.get("first_init", 0.0)
        self.hidden = _Hidden(inputs, self.widths, genes["critic_norm"], self.activate, first_init)
        self.end_with(self.widths[-1])

    def draws(self, n: int, rng: torch.Generator) -> Draws:
        return draw_masks([(width,) for width in self.widths], n, self.dropout, rng)

    def trunk(self, x: Tensor, draws: Draws) -> Tensor:
        features: Tensor = self.hidden(x.flatten(1), draws)
        return features
