"""Several trainings as one program: those of GANs whose networks have the same shapes.

A step of a player is made for many members at once. Each member keeps its own weights, optimisers' moments, random
streams, data order, rates and program of steps, so its training is the one it would be alone, up to rounding;
the rows of a stack do not mix, and one that diverges harms no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from evogan.training.graphs import graphs, upload
from evogan.training.stacked_optimizers import StackedOptimizer
from evogan.training.trainer import Totals, Trainer
from evogan.zoo.gan import Batch, Losses
from evogan.zoo.stack import Stack, stackable

SIZES = 8  # of a step, as shares of the population; at its end there are smaller ones


class Population:
    """`trainers` become its members: each is as it would be alone whenever `run` names it.

    They differ in nothing but genes that a stack may mix, and seeds. Errors: ValueError where the shapes differ.
    """

    def __init__(self, trainers: Sequence[Trainer]) -> None:
        self._members = list(trainers)
        self._stack = Stack([stackable(trainer.gan) for trainer in trainers])
        self._optimizers = {
            player: StackedOptimizer(
                player, [t.optimizers[player] for t in trainers], [t.longest[player] for t in trainers], self._stack
            )
            for player in trainers[0].gan.players
        }
        self._blocks = {player: _Blocks(player, trainers) for player in self._optimizers}
        self.graphs = graphs(trainers[0].device)
        self._autocast = trainers[0].autocast
        if trainers[0].device.type == "cpu":  # where half of what is mapped goes by autocast, and the types do not fit
            self._autocast = torch.autocast("cpu", enabled=False)
        self._programs = [trainer.rounds.program(trainer.iteration) for trainer in trainers]
        self._places = [0] * len(trainers)  # in the program, of the iteration that is under way
        self._sums: dict[str, _Sums] = {}

    def run(self, goals: Mapping[int, int]) -> list[int]:
        """Train the members named until one or more have ended the iteration that is their goal: which ones.

        One whose losses are no longer finite may end sooner; its `run_to` says so.
        """
        while not (there := self._ended(goals)):
            self._step(*self._due(goals))
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

    def _due(self, goals: Mapping[int, int]) -> tuple[str, list[int]]:
        """The player that most members have to step next, and who does: those that have most left to do.

        Some may wait, so that steps have few sizes: each is recorded apart.
        """
        waiting = {p: [i for i in goals if self._programs[i][self._places[i]] == p] for p in self._optimizers}
        player = max(waiting, key=lambda p: len(waiting[p]))
        due, unit = waiting[player], max(1, len(self._members) // SIZES)
        left = {i: (goals[i] - self._members[i].iteration) * len(self._programs[i]) - self._places[i] for i in due}
        size = len(due) - len(due) % unit or len(due)
        return player, sorted(sorted(due, key=lambda i: -left[i])[:size])

    def _step(self, player: str, due: Sequence[int]) -> None:
        members, device = [self._members[i] for i in due], self._members[0].device
        for i in due:
            if self._places[i] == 0:
                self._members[i].begin_iteration()
        self._blocks[player].fill(due)
        given = (
            upload(due, torch.long, device),
            upload([m.taken[player] for m in members], torch.long, device),
            upload([[m.rate(player)] for m in members], torch.float64, device),
        )
        everyone = len(due) == len(self._members)
        self.graphs.do((player, len(due)), partial(self._make, player, everyone), given)
        for i, member in zip(due, members, strict=True):
            self._sums[player].counts[i] += 1
            member.taken[player] += 1
            self._places[i] = (self._places[i] + 1) % len(self._programs[i])
            if self._places[i] == 0:
                member.iteration += 1
                self._programs[i] = member.rounds.program(member.iteration)

    def _make(self, player: str, everyone: bool, due: Tensor, taken: Tensor, rates: Tensor) -> None:
        """A step, of which nothing is left but what it changes: it can be recorded."""
        who = None if everyone else due

        def descend(weights: Tensor, gradient: Tensor) -> None:
            self._optimizers[player].step(weights, gradient, rates, who)

        batch = self._blocks[player].batch(due, taken, everyone)
        losses = self._stack.step(player, batch, who, descend, self._autocast)
        if player not in self._sums:
            self._sums[player] = _Sums(losses, len(self._members))
        self._sums[player].add(losses, who)


class _Blocks:
    """What a player's next steps use, of all members: their blocks become views of its tensors, a row a member."""

    def __init__(self, player: str, members: Sequence[Trainer]) -> None:
        self._player, self._members = player, members
        self._ahead, self._n = members[0].ahead, members[0].gan.rows[player]
        self._whole: Batch | None = None
        self._own: list[Batch | None] = [None] * len(members)

    def fill(self, due: Sequence[int]) -> None:
        """Members that have used up theirs get a new one."""
        for i in due:
            block = self._members[i].block(self._player)
            if block is not self._own[i]:
                self._own[i] = self._members[i].blocks[self._player] = self._placed(i, block)

    def batch(self, due: Tensor, taken: Tensor, everyone: bool) -> Batch:
        """Of the members `due`, of which each has `taken` so many steps of its block."""
        assert self._whole is not None

        def part(x: Tensor) -> Tensor:
            return x if everyone and self._ahead == 1 else x.unflatten(1, (self._ahead, self._n))[due, taken]

        return self._whole.map(part)

    def _placed(self, i: int, block: Batch) -> Batch:
        block = stackable(self._members[i].gan).among(block)
        if self._whole is None:  # laid out as a stack's maps are, channel after channel: a product of two is slow
            self._whole = block.map(lambda x: x.new_empty((len(self._members), *x.shape)))
        own = self._whole.map(lambda x: x[i])
        for row, x in zip(own.tensors(), block.tensors(), strict=True):
            row.copy_(x)
        return own


class _Sums:
    """What a player's losses sum up to, and how far they reach, since a member was last asked about."""

    def __init__(self, losses: Losses, members: int) -> None:
        self._names = [*losses.terms, *losses.watched]
        like = next(iter(losses.terms.values()))
        self._sums, self._lows, self._highs = (
            like.new_full((len(self._names), members), value, dtype=torch.float64)
            for value in (0.0, torch.inf, -torch.inf)
        )
        self.counts = [0] * members

    def add(self, losses: Losses, who: Tensor | None) -> None:
        values = torch.stack([*losses.terms.values(), *losses.watched.values()]).double()
        columns = slice(None) if who is None else who
        self._sums[:, columns] += values
        self._lows[:, columns] = torch.minimum(self._lows[:, columns], values)
        self._highs[:, columns] = torch.maximum(self._highs[:, columns], values)

    def not_finite(self) -> list[int]:
        finite: list[bool] = self._sums.isfinite().all(0).tolist()
        return [i for i, fine in enumerate(finite) if not fine]

    def take(self, i: int) -> dict[str, Totals]:
        count, self.counts[i] = self.counts[i], 0
        taken = [matrix[:, i].clone() for matrix in (self._sums, self._lows, self._highs)]
        for matrix, value in zip((self._sums, self._lows, self._highs), (0.0, torch.inf, -torch.inf), strict=True):
            matrix[:, i] = value
        if count == 0:
            return {}
        rows = zip(self._names, *taken, strict=True)
        return {name: Totals(total, low, high, count) for name, total, low, high in rows}
