"""Remedies that act on how the players are trained: each against its formula, and in a stack as alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from evogan.training import Trainer
from tests.test_population import check_equal, small, trainer

PLAYERS = ("critic", "generator")


def free(genes: dict[str, Any]) -> dict[str, Any]:
    """A small GAN whose critic's weights go where their gradient leads."""
    return small({"critic_constraint": "none", "critic_norm": "layer", "init_std": 0.2, **genes})


def parameters(run: Trainer, player: str) -> list[Tensor]:
    return [p.detach().clone() for p in run.gan.players[player].parameters()]


# --- gradient clipping by global norm


@pytest.mark.parametrize("player", PLAYERS)
def test_gradients_are_clipped_as_torch_does_it(player: str) -> None:
    steps = {f"{player}_optimizer": "sgd", "learning_rate": 1.0}
    norm = torch.nn.utils.get_total_norm(gradients(trainer(free(steps), 0), player))
    for longest in (float(norm) / 3, 3 * float(norm)):
        ours, plain = trainer(free({**steps, f"{player}_gradient_clip": longest}), 0), trainer(free(steps), 0)
        theirs = list(plain.gan.players[player].parameters())
        for parameter, gradient in zip(theirs, gradients(plain, player), strict=True):
            parameter.grad = gradient
        torch.nn.utils.clip_grad_norm_(theirs, longest)
        before, rate = parameters(ours, player), ours.rate(player)
        foreseen = ours.next_step(player, gradients(trainer(free(steps), 0), player))
        ours._step(player)
        for old, new, step, parameter in zip(before, parameters(ours, player), foreseen, theirs, strict=True):
            assert parameter.grad is not None
            torch.testing.assert_close(new, old - rate * parameter.grad)
            torch.testing.assert_close(old + step, new)


def gradients(run: Trainer, player: str) -> tuple[Tensor, ...]:
    """Of its first step."""
    loss = run.gan.loss(player, run.draw(player)).total()
    return torch.autograd.grad(loss, list(run.gan.players[player].parameters()))


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "sgd"])
def test_a_stack_clips_each_members_gradient_by_its_own_norm(optimizer: str) -> None:
    kinds = {f"{player}_optimizer": optimizer for player in PLAYERS}
    longest = [{f"{player}_gradient_clip": c for player in PLAYERS} for c in (1e-3, 0.1, 100.0)]
    check_equal([free({**kinds, "learning_rate": 1e-3, **clip}) for clip in longest], 4)
