"""What all critics share: from the last maps to a score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from evogan.genes import AUTOENCODING
from evogan.zoo.gan import Critique, Draws, Network
from evogan.zoo.layers import LeakyReLU, MinibatchDiscrimination, MinibatchStd, draw_masks, precise


class Critic(Network):
    """(N, C, H, W) in [-1, 1] -> `Critique`. A backbone gives `trunk`, and calls `end_with` when it knows its shape.

    As the encoder of an autoencoder a critic answers with codes (N, code) in place of scores, with K `outputs` with as
    many for each image: (N, K).
    """

    head: nn.Linear

    def __init__(self, genes: Mapping[str, Any]) -> None:
        super().__init__()
        self.activate = LeakyReLU(genes["slope"])
        self._minibatch: str = genes.get("minibatch", "none")
        self._encodes = genes["loss"] in AUTOENCODING
        self._outputs: int = genes["code"] if self._encodes else genes.get("outputs", 1)

    def trunk(self, x: Tensor, draws: Draws) -> Tensor:
        """Images -> maps (N, C, H, W), or features (N, F)."""
        raise NotImplementedError

    def end_with(self, channels: int, size: int = 1, *, pooling: str = "none", bias: bool = True) -> None:
        """The trunk ends with (N, channels, size, size), or (N, channels). `pooling`: none, sum or mean of maps."""
        self._pooling = pooling
        if self._minibatch == "std":
            self.batch_std = MinibatchStd()
            channels += 1
        features = channels * (size * size if pooling == "none" else 1)
        if self._minibatch == "discrimination":
            self.discrimination = MinibatchDiscrimination(features)
            features = self.discrimination.outputs
        self.head = nn.Linear(features, self._outputs, bias=bias)

    def forward(self, x: Tensor, draws: Draws = ()) -> Critique:
        """Without `draws` nothing is dropped."""
        maps = self.trunk(x, draws)
        if self._minibatch == "std":
            maps = self.batch_std(maps)
        if self._pooling == "none":
            features = maps.flatten(1)
        else:
            features = maps.sum((2, 3)) if self._pooling == "sum" else maps.mean((2, 3))
        if self._minibatch == "discrimination":
            features = self.discrimination(features)
        out = precise(self.head(features))
        return Critique(out if self._encodes else out.squeeze(1), features)


class AroundCritic(Network):
    """A critic around another, which it asks for all that is not its own."""

    def __init__(self, critic: Network) -> None:
        super().__init__()
        self.critic, self.sign = critic, critic.sign

    @property
    def head(self) -> nn.Linear:
        found: nn.Linear = self.critic.head  # type: ignore[assignment]
        return found

    def draws(self, n: int, rng: torch.Generator) -> Draws:
        return self.critic.draws(n, rng)

    def begin(self, progress: float) -> bool:
        return self.critic.begin(progress)

    def present(self, images: Tensor) -> Tensor:
        return self.critic.present(images)

    def meet(self, images: Tensor, *labels: Tensor) -> None:
        self.critic.meet(images, *labels)


class DroppingCritic(Critic):
    """Blocks, each followed by activation and dropout. `shapes`: of the maps (C, H, W) that each block makes."""

    blocks: nn.ModuleList
    shapes: list[tuple[int, int, int]]

    def __init__(self, genes: Mapping[str, Any]) -> None:
        super().__init__(genes)
        self.dropout: float = genes["dropout"]

    def draws(self, n: int, rng: torch.Generator) -> Draws:
        return draw_masks(self.shapes, n, self.dropout, rng)

    def trunk(self, x: Tensor, draws: Draws) -> Tensor:
        return dropped(x, self.blocks, self.activate, draws)


def dropped(x: Tensor, blocks: nn.ModuleList, activate: nn.Module, masks: Draws, *condition: Tensor) -> Tensor:
    """x through blocks, each followed by activation and, where there are masks, dropout."""
    for i, block in enumerate(blocks):
        x = activate(block(x, *condition))
        if masks:
            x = x * masks[i].to(x.dtype)
    return x
