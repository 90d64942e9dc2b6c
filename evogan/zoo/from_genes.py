"""What the genes of a complete phenotype say, as the plain arguments of the zoo's parts.

The parts know no genes and can be used without any; `numbers` are the genes that are numbers, by name, and a part that
is given one acts in a stack of GANs as it does alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from evogan.genes import GENES, add_value
from evogan.plugins import enter
from evogan.zoo.divergences import divergence
from evogan.zoo.losses import (
    Adversarial,
    Judgement,
    began,
    ebgan,
    f_divergence,
    hinge,
    least_squares,
    maximum_likelihood,
    minimax,
    non_saturating,
    wasserstein,
)
from evogan.zoo.memory import Memory
from evogan.zoo.number import Number, Scalar
from evogan.zoo.regularizers import Regularizers
from evogan.zoo.weights import Weights

Genes = Mapping[str, Any]
Numbers = Mapping[str, Scalar]

PLAIN: dict[str, Callable[[], Judgement]] = {
    "minimax": minimax,
    "non_saturating": non_saturating,
    "maximum_likelihood": maximum_likelihood,
    "wasserstein": wasserstein,
    "hinge": hinge,
    "began": began,
}


def add_loss(name: str, make: Callable[[], Judgement]) -> None:
    """For plugins. Targets are 1 and 0. Errors: UserError for the name of one that is there."""
    add_value("loss", name)
    enter(PLAIN, "loss", name, make)


def numbers_of(genes: Genes) -> nn.ModuleDict:
    """The genes that act as numbers."""
    return nn.ModuleDict({name: Number(value) for name, value in genes.items() if GENES[name].acts == "number"})


def adversarial(genes: Genes, numbers: Numbers | None = None) -> Adversarial:
    """The losses of both players."""
    relativistic = genes.get("relativistic", "none")
    return Adversarial(_judgement(genes, genes if numbers is None else numbers, relativistic), relativistic)


def _judgement(genes: Genes, numbers: Numbers, relativistic: str) -> Judgement:
    match genes["loss"]:
        case "least_squares":
            return least_squares("relativistic" if relativistic != "none" else genes["ls_targets"])
        case "f_divergence":
            saddle = genes.get("divergence_generator", "practical") == "saddle"
            return f_divergence(divergence(genes["divergence"], genes.get("js_weight", 0.5)), saddle=saddle)
        case "ebgan":
            return ebgan(numbers["margin"])
        case loss:
            return PLAIN[loss]()


def regularizers(genes: Genes, numbers: Numbers) -> Regularizers:
    gradient, zero = (genes.get(name, "none") for name in ("gradient_penalty", "zero_penalty"))
    return Regularizers(
        gradient=None if gradient == "none" else (gradient, numbers["gradient_penalty_weight"]),
        zero=None if zero == "none" else (zero, numbers["zero_penalty_weight"]),
        drift=numbers["drift"] if genes.get("drift", 0.0) > 0 else None,
    )


def memory(genes: Genes, numbers: Numbers) -> Memory:
    return Memory(
        began=(numbers["began_gamma"], numbers["began_rate"]) if genes["loss"] == "began" else None,
        lecam=numbers["lecam"] if genes.get("lecam", 0.0) > 0 else None,
    )


def weights(
    network: nn.Module, player: str, genes: Genes, rng: torch.Generator, numbers: Numbers | None = None
) -> Weights:
    """Those of a player with genes of a constraint and a regularisation; the head of the critic may be free."""
    numbers = genes if numbers is None else numbers
    constraint, regularization = (genes.get(f"{player}_{gene}", "none") for gene in ("constraint", "regularization"))
    bounds = {"clip": "clip", "sigma_clamp": f"{player}_sigma"}
    free = network.head if player == "critic" and not genes.get("constrained_head", True) else None
    return Weights(
        network,
        rng,
        constraint=constraint,
        bound=numbers[bounds[constraint]] if constraint in bounds else 1.0,
        relative=genes.get(f"{player}_sigma_unit", "one") == "second",
        parameters=genes.get("clipped", "weights") == "parameters",
        free=free,  # type: ignore[arg-type]
        regularization=regularization,
        weight=1.0 if regularization == "none" else numbers[f"{player}_regularization_weight"],
        equalized=genes["equalized_lr"],
    )
