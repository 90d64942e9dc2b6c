"""Several trainings as one program: those of GANs whose networks have the same shapes.

Every step of a player is made for all members that are due, at once. Each member keeps its own weights, optimisers'
moments, random streams, data order, rates and number of critic steps, so its training is the one it would be alone,
up to rounding; the rows of a stack do not mix, and one that diverges harms no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from evogan.training.stacked_optimizers import StackedOptimizer
from evogan.training.trainer import Totals, Trainer
from evogan.zoo.adversarial import AdversarialGAN
from evogan.zoo.gan import GAN, Batch, Losses
from evogan.zoo.losses import HARD
from evogan.zoo.stack import Stack


class Population:
    """`trainers` become its members: each is as it would be alone whenever `run` names it.

    They differ in nothing but genes that a stack may mix, and seeds. Errors: ValueError where the shapes differ.
    """

    def __init__(self, trainers: Sequence[Trainer]) -> None:
        self._members = list(trainers)
        self._stack = Stack([_stackable(trainer.gan) for trainer in trainers])
        self._optimizers = {
            player: StackedOptimizer(player, [trainer.optimizers[player] for trainer in trainers], self._stack)
            for player in trainers[0].gan.players
        }
        self._programs = [[p for p, steps in t.gan.schedule for _ in range(steps)] for t in trainers]
        self._places = [0] * len(trainers)  # in the program, of the iteration that is under way
        self._sums: dict[str, _Sums] = {}

    def run(self, goals: Mapping[int, int]) -> list[int]:
        """Train the members named until one or more have ended the iteration that is their goal: which ones.

        One whose losses are no longer finite may end sooner; its `run_to` says so.
        """
        while not (there := self._ended(goals)):
            for i in goals:
                if self._places[i] == 0:
                    self._members[i].begin_iteration()
            for player in self._optimizers:
                due = [i for i in goals if self._programs[i][self._places[i]] == player]
                if due:
                    self._step(player, due)
        for i in there:
            for sums in self._sums.values():
                self._members[i].absorb(sums.take(i))
        return there

    def _ended(self, goals: Mapping[int, int]) -> list[int]:
        between = [i for i in goals if self._places[i] == 0]
        there = [i for i in between if self._members[i].iteration >= goals[i]]
        if self._members[0].looks_every_iteration:
            lost = {i for sums in self._sums.values() for i in sums.not_finite()}
            there = [i for i in between if i in there or i in lost]
        return there

    def _step(self, player: str, due: Sequence[int]) -> None:
        members = [self._members[i] for i in due]
        batch = _stacked([member.draw(player) for member in members])
        device = batch.latent.device
        rates = torch.tensor([[m.rate(player)] for m in members], dtype=torch.float64, device=device)
        who = None if len(due) == len(self._members) else torch.tensor(due, device=device)

        def descend(weights: Tensor, gradient: Tensor) -> None:
            self._optimizers[player].step(weights, gradient, rates, who)

        losses = self._stack.step(player, batch, who, descend, members[0].autocast)
        if player not in self._sums:
            self._sums[player] = _Sums(losses, len(self._members))
        self._sums[player].add(losses, due, who)
        for i in due:
            self._places[i] = (self._places[i] + 1) % len(self._programs[i])
            self._members[i].iteration += self._places[i] == 0


class _Sums:
    """What a player's losses sum up to, and how far they reach, since a member was last asked about."""

    def __init__(self, losses: Losses, members: int) -> None:
        self._names = [*losses.terms, *losses.watched]
        like = next(iter(losses.terms.values()))
        self._sums, self._lows, self._highs = (
            like.new_full((len(self._names), members), value, dtype=torch.float64)
            for value in (0.0, torch.inf, -torch.inf)
        )
        self._counts = [0] * members

    def add(self, losses: Losses, due: Sequence[int], who: Tensor | None) -> None:
        values = torch.stack([*losses.terms.values(), *losses.watched.values()]).double()
        columns = slice(None) if who is None else who
        self._sums[:, columns] += values
        self._lows[:, columns] = torch.minimum(self._lows[:, columns], values)
        self._highs[:, columns] = torch.maximum(self._highs[:, columns], values)
        for i in due:
            self._counts[i] += 1

    def not_finite(self) -> list[int]:
        finite: list[bool] = self._sums.isfinite().all(0).tolist()
        return [i for i, fine in enumerate(finite) if not fine]

    def take(self, i: int) -> dict[str, Totals]:
        count, self._counts[i] = self._counts[i], 0
        taken = [matrix[:, i].clone() for matrix in (self._sums, self._lows, self._highs)]
        for matrix, value in zip((self._sums, self._lows, self._highs), (0.0, torch.inf, -torch.inf), strict=True):
            matrix[:, i] = value
        if count == 0:
            return {}
        rows = zip(self._names, *taken, strict=True)
        return {name: Totals(total, low, high, count) for name, total, low, high in rows}


def _stackable(gan: GAN) -> AdversarialGAN:
    assert isinstance(gan, AdversarialGAN)
    return gan


def _stacked(batches: Sequence[Batch]) -> Batch:
    """With a first dimension of as many. Losses without soft targets get hard ones beside those that have them."""
    draws = [dict(batch.draws) for batch in batches]
    if any("targets" in drawn for drawn in draws):
        n = len(batches[0].latent)
        hard = tuple(batches[0].latent.new_full((n,), float(target)) for target in HARD)
        draws = [{"targets": hard} | drawn for drawn in draws]
    return Batch(
        torch.stack([batch.real for batch in batches]),
        torch.stack([batch.latent for batch in batches]),
        {
            what: tuple(torch.stack(same) for same in zip(*(drawn[what] for drawn in draws), strict=True))
            for what in draws[0]
        },
    )
