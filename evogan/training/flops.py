"""What a training costs in floating-point operations, counted on a throwaway GAN."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext

import torch

from evogan.genes import GENES
from evogan.genome import Value
from evogan.zoo import build


class _OneModule(nullcontext[None]):
    """In place of the counter's own look at modules, whose hooks `autograd.grad` by a leaf does not get past."""

    parents = frozenset({"Global"})


def flops_per_iteration(genome: Mapping[str, Value], image_size: int, channels: int) -> float:
    """Multiplications and additions of one round of the schedule, forward and backward."""
    from torch.utils.flop_counter import FlopCounterMode  # a third of a second to import

    genes = GENES.complete(genome)
    gan, pair, rng = build(genome, image_size, channels, seed=0), 2, torch.Generator().manual_seed(0)
    reals = torch.zeros(pair, channels, image_size, image_size)
    total = 0.0
    for player, steps in gan.schedule:
        batch = gan.draw(player, reals, rng)
        counter = FlopCounterMode(display=False)
        counter.mod_tracker = _OneModule()  # type: ignore[assignment]
        with counter:
            loss = gan.loss(player, batch).total()
            torch.autograd.grad(loss, list(gan.players[player].parameters()), materialize_grads=True)
        total += steps * counter.get_total_flops() * (1 if player == "critic" else int(genes["batch_ratio"]))
    return total * int(genes["batch_size"]) / pair
