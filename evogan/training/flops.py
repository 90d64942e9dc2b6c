"""What a training costs in floating-point operations, counted on a throwaway GAN."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from evogan.families import Field, Fields
from evogan.families.build import build
from evogan.genome import Genome, Value
from evogan.training.evolution import evolving

if TYPE_CHECKING:
    from torch.utils.flop_counter import FlopCounterMode


class _OneModule(nullcontext[None]):
    """In place of the counter's own look at modules, whose hooks `autograd.grad` by a leaf does not get past."""

    parents = frozenset({"Global"})


def flops_per_iteration(genome: Mapping[str, Value], fields: Fields) -> float:
    """Multiplications and additions of one round of the schedule."""
    flops = flops_per_step(genome, fields)
    return sum(steps * flops[player] for player, steps in build(genome, fields, seed=0).schedule)


def flops_per_step(genome: Mapping[str, Value], fields: Fields, at: float | None = None) -> dict[str, float]:
    """Multiplications and additions of a step of each player, forward and backward: as it is built, or when it is `at`
    this share of its budget.
    """
    return dict(_flops_per_step(Genome(genome), tuple(fields.items()), at))


@lru_cache(maxsize=64)  # of one genome there are replicates
def _flops_per_step(genome: Genome, known_fields: tuple[tuple[str, Field], ...], at: float | None) -> dict[str, float]:
    fields = dict(known_fields)
    gan, pair, rng = build(genome, fields, seed=0), 2, torch.Generator().manual_seed(0)
    data = {name: zeros(field, pair) for name, field in fields.items()}
    if at is not None:
        gan.begin(at)
    found = {}
    for player in gan.players:
        batch = gan.draw(player, pair, data, rng)
        counter = flop_counter()
        with counter:
            parameters, children = list(gan.players[player].parameters()), evolving(gan, player)
            for mutation in ("",) if children is None else children.mutations[player]:
                loss = gan.loss(player, batch) if children is None else children.mutated(player, batch, mutation)
                torch.autograd.grad(loss.total(), parameters, materialize_grads=True)
                if children is not None:
                    children.fitness(player, batch)
        found[player] = counter.get_total_flops() * gan.rows[player] / pair
    return found


def flop_counter() -> FlopCounterMode:
    """Counts while it is entered."""
    from torch.utils.flop_counter import FlopCounterMode  # a third of a second to import

    counter = FlopCounterMode(display=False)
    counter.mod_tracker = _OneModule()  # type: ignore[assignment]
    return counter


def zeros(field: Field, n: int) -> Tensor:
    """n rows of a field of the data, all zero."""
    return torch.zeros(n, *field.shape, dtype=torch.float32 if field.values is None else torch.long)
