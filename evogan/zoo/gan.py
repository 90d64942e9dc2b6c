"""What every family of GANs is: players with losses, a schedule, and samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from evogan.zoo.losses import LossTerms

Masks = tuple[Tensor, ...]


@dataclass(frozen=True)
class Batch:
    """All that one step uses, randomness included, so that a loss is a pure function of it.

    `real`: (N, C, H, W) in [-1, 1]. `latent`: (N, latent). `masks`: dropout by what it is applied to.
    """

    real: Tensor
    latent: Tensor
    masks: Mapping[str, Masks] = field(default_factory=dict)


class GAN(Protocol):
    """`schedule` says how many steps each player makes in one iteration, in order.

    `networks`: the players and what follows them; their state dicts are all that a GAN remembers. `sampler`: the one
    that samples come from.
    """

    @property
    def players(self) -> Mapping[str, nn.Module]: ...
    @property
    def networks(self) -> Mapping[str, nn.Module]: ...
    @property
    def sampler(self) -> nn.Module: ...
    @property
    def schedule(self) -> tuple[tuple[str, int], ...]: ...
    def draw(self, player: str, real: Tensor, rng: torch.Generator) -> Batch: ...
    def loss(self, player: str, batch: Batch) -> LossTerms: ...
    def after_step(self, player: str) -> None: ...
    def latents(self, n: int, rng: torch.Generator) -> Tensor: ...
    def sample(self, latent: Tensor) -> Tensor: ...
    def to(self, device: torch.device) -> None: ...
