"""Evolution of a player within its training: E-GAN. Wang et al., arXiv:1803.00657.

A step makes children of the player, one by each of several losses, each a step of its optimiser away from the parent,
on the same batch. The fittest lives on, with the moments of its optimiser.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, cast

import torch
from torch import Tensor, nn, optim

from evogan.zoo.gan import GAN, Batch, Losses


class Evolving(GAN, Protocol):
    """A GAN with players that evolve. `mutations`: of each of these, the names of its children's losses."""

    @property
    def mutations(self) -> Mapping[str, Sequence[str]]: ...
    def mutated(self, player: str, batch: Batch, mutation: str) -> Losses:
        """The player's loss, a mutation of it."""

    def fitness(self, player: str, batch: Batch) -> Tensor:
        """Of the player as it is now, on the batch of its step; more is better."""


def evolving(gan: GAN, player: str) -> Evolving | None:
    """The GAN, if this player of it evolves."""
    return cast(Evolving, gan) if getattr(gan, "mutations", {}).get(player) else None


def survivor(
    mutations: Sequence[str],
    descend: Callable[[str], Losses],
    fitness: Callable[[], float],
    network: nn.Module,
    optimizer: optim.Optimizer,
) -> Losses:
    """The losses of the child that the network and its optimiser now are, and who it is among them.

    `descend` makes a step by a mutation of the loss. One whose fitness is no finite number is the least fit.
    """
    parent, found = _Kept(network, optimizer), []
    for mutation in mutations:
        parent.restore()
        losses, value = descend(mutation), fitness()
        found.append((value if math.isfinite(value) else -math.inf, losses, _Kept(network, optimizer)))
    best = max(range(len(found)), key=lambda i: found[i][0])
    _, losses, child = found[best]
    child.restore()
    total = losses.total().detach()
    lives = {f"survives_{name}": torch.full_like(total, float(i == best)) for i, name in enumerate(mutations)}
    return Losses(losses.terms, {**losses.watched, **lives})


class _Kept:
    """A network and its optimiser's moments, as they were."""

    def __init__(self, network: nn.Module, optimizer: optim.Optimizer) -> None:
        self._optimizer = optimizer
        self._tensors = [(tensor, tensor.detach().clone()) for tensor in (*network.parameters(), *network.buffers())]
        self._moments = {parameter: _copied(kept) for parameter, kept in optimizer.state.items()}

    @torch.no_grad()
    def restore(self) -> None:
        for tensor, kept in self._tensors:
            tensor.copy_(kept)
        self._optimizer.state.clear()
        self._optimizer.state.update({parameter: _copied(kept) for parameter, kept in self._moments.items()})


def _copied(kept: Mapping[str, Tensor | None]) -> dict[str, Tensor | None]:
    return {name: None if value is None else value.clone() for name, value in kept.items()}
