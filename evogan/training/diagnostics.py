"""What a GAN in training looks like from the inside, without a trace in it.

Randomness comes from a seed of its own and running statistics are put back: a training ends the same with and without.

    PLAYER_gradient  the norm of the gradient of the player's loss
    PLAYER_reach     how far its steps may have led by now: |step| x steps / |w|, of the layer that moves most

and of every dense and convolution layer `gradient`, the norm of its weight's; `step`, |step| / |w| of one step at the
full learning rate; `singular`, the top singular value of the weight in use. What else tells how the game goes is the
family's (`GAN.diagnose`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from evogan.stable import derive_seed
from evogan.training.feed import Arrays, Streams, at_random, on_device
from evogan.training.trainer import Trainer
from evogan.zoo.gan import GAN, Rows
from evogan.zoo.weights import EPSILON, Layer, TopSingular, layers, matrix, raw

POWER_ITERATIONS = 30

Numbers = dict[str, float]


def diagnose(trainer: Trainer, held_out: Arrays | Streams, seed: int) -> tuple[Numbers, dict[str, dict[str, Numbers]]]:
    """The numbers above, and player -> layer -> those of every layer, with four digits.

    `held_out` has the streams that are trained on. Both depend on the state of the training and on `seed` alone.
    """
    rng = torch.Generator(trainer.device).manual_seed(derive_seed(seed, "diagnostics", trainer.iteration))
    seen = at_random(trainer.feed.streams, rng)
    numbers: Numbers = {}
    players: dict[str, dict[str, Numbers]] = {}
    with _untouched(trainer.gan):
        for player in trainer.gan.players:
            gradient, players[player] = _stepped(trainer, player, seen, rng)
            numbers[f"{player}_gradient"] = gradient
            numbers[f"{player}_reach"] = trainer.steps(player) * max(
                layer["step"] for layer in players[player].values()
            )
        unseen = at_random(on_device(held_out, trainer.device), rng)
        numbers |= trainer.gan.diagnose(seen, unseen, rng)
    return numbers, players


def _stepped(trainer: Trainer, player: str, seen: Rows, rng: torch.Generator) -> tuple[float, dict[str, Numbers]]:
    """The gradient's norm on a batch, and what the player's step along it would be, layer by layer."""
    network = trainer.gan.players[player]
    parameters = list(network.parameters())
    n = trainer.gan.rows[player]
    batch = trainer.gan.draw(player, n, seen(n, trainer.gan.needs(player)), rng)
    gradients = torch.autograd.grad(trainer.gan.loss(player, batch).total(), parameters, materialize_grads=True)
    steps = trainer.next_step(player, gradients)
    place: dict[Tensor, int] = {parameter: i for i, parameter in enumerate(parameters)}
    found = {}
    for name, layer in layers(network):
        i = place[raw(layer)]
        found[name] = {
            "gradient": _short(_norm(gradients[i])),
            "step": _short(_norm(steps[i]) / max(_norm(parameters[i]), EPSILON)),
            "singular": _short(_top_singular(layer, rng)),
        }
    return math.hypot(*map(_norm, gradients)), found


@contextmanager
def _untouched(gan: GAN) -> Iterator[None]:
    """Forward passes move running statistics: afterwards these are as before."""
    buffers = [buffer for network in gan.networks.values() for buffer in network.buffers()]
    before = [buffer.clone() for buffer in buffers]
    yield
    for buffer, kept in zip(buffers, before, strict=True):
        buffer.copy_(kept)


@torch.no_grad()
def _top_singular(layer: Layer, rng: torch.Generator) -> float:
    weight = matrix(layer, layer.weight)
    top = TopSingular(weight, rng)
    for _ in range(POWER_ITERATIONS):
        top.iterate(weight)
    return float(top.sigma(weight))


def _norm(tensor: Tensor) -> float:
    return float(torch.linalg.vector_norm(tensor.detach()))


def _short(number: float) -> float:
    """Four digits are enough to look at."""
    return float(f"{number:.4g}")
