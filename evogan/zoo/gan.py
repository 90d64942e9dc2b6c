"""What every family of GANs is: players with losses, a schedule, and samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

Draws = tuple[Tensor, ...]  # the randomness that one forward pass of a network uses


class Network(nn.Module):
    """A generator or a critic."""

    def draws(self, n: int, rng: torch.Generator) -> Draws:
        """The randomness of a forward pass of n images, each tensor with n rows; () where a network uses none."""
        return ()


class Critique(NamedTuple):
    """What a critic says of N images: `score` (N,), any real number, and `features` (N, F), its last hidden layer."""

    score: Tensor
    features: Tensor


@dataclass(frozen=True)
class Losses:
    """One step's losses. `terms`: what is minimised is their sum. `watched`: numbers to follow, without gradient."""

    terms: Mapping[str, Tensor]
    watched: Mapping[str, Tensor] = field(default_factory=dict)

    def total(self) -> Tensor:
        return torch.stack(list(self.terms.values())).sum()


@dataclass(frozen=True)
class Batch:
    """All that one step uses, randomness included, so that a loss is a pure function of it.

    `real`: (N, C, H, W) in [-1, 1]. `latent`: (N, latent). `draws`: by what they are for, a forward pass of a network
    or a part of the loss.
    """

    real: Tensor
    latent: Tensor
    draws: Mapping[str, Draws] = field(default_factory=dict)


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
    def begin(self, progress: float) -> bool:
        """An iteration begins, with this share of the full budget spent, in [0, 1). Whether players have new layers."""

    def needs_real(self, player: str) -> bool:
        """Whether a step of the player looks at reals, or at their shape alone."""

    def draw(self, player: str, real: Tensor, rng: torch.Generator) -> Batch: ...
    def loss(self, player: str, batch: Batch) -> Losses: ...
    def after_step(self, player: str, batch: Batch, losses: Losses) -> None: ...
    def latents(self, n: int, rng: torch.Generator) -> Tensor:
        """(n, latent) draws that samples are made from."""

    def sample(self, latent: Tensor) -> Tensor: ...
    def to(self, device: torch.device) -> None: ...
