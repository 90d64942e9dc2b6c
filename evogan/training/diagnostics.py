"""What a GAN in training looks like from the inside, without a trace in it.

Randomness comes from a seed of its own and running statistics are put back: a training ends the same with and without.

    PLAYER_gradient  the norm of the gradient of the player's loss
    PLAYER_reach     how far its steps may have led by now: |step| x steps / |w|, of the layer that moves most

and of every dense and convolution layer `gradient`, the norm of its weight's; `step`, |step| / |w| of one step at the
full learning rate; `singular`, `singular_2` and `singular_3`, the top singular values of the weight in use, as many as
there are. What else tells how the game goes is the family's (`GAN.diagnose`).
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
from evogan.zoo.weights import EPSILON, Layer, layers, matrix, products, raw

SINGULAR = ("singular", "singular_2", "singular_3")

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
            if players[player]:  # a network may be of other layers than those that are looked at
                steps = [layer["step"] for layer in players[player].values()]
                numbers[f"{player}_reach"] = trainer.steps(player) * max(steps)
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
            **dict(zip(SINGULAR, map(_short, _top_singular(layer)), strict=False)),
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
def _top_singular(layer: Layer) -> list[float]:
    """The largest first."""
    w = matrix(layer, layer.weight)
    scale = float(w.abs().max().clamp(min=EPSILON))
    if not math.isfinite(scale):
        return [scale]
    squares = torch.linalg.eigvalsh(products(w / scale))  # which may be squared
    found: list[float] = (scale * squares[-len(SINGULAR) :].clamp(min=0).sqrt()).flip(0).tolist()
    return found


def _norm(tensor: Tensor) -> float:
    return float(torch.linalg.vector_norm(tensor.detach()))


def _short(number: float) -> float:
    """Four digits are enough to look at."""
    return float(f"{number:.4g}")
