"""Genome -> GAN: the one place where one is built."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib import import_module
from typing import Any, Protocol, cast

import torch

from evogan.families import FAMILIES, Family, Fields, family_of
from evogan.genes import GENES
from evogan.genome import Value
from evogan.stable import derive_seed
from evogan.zoo.fresh import Networks, counted, fresh
from evogan.zoo.gan import GAN

INIT = {name: GENES[name].default for name in ("init", "init_std", "equalized_lr")}  # where a family has no such genes


class Model(Protocol):
    """The torch part of a family, a module. `genes` is a complete phenotype."""

    def networks(self, genes: Mapping[str, Any], fields: Fields) -> Networks:
        """With any weights: they are initialised as the genes say."""

    def assemble(self, genes: dict[str, Any], fields: Fields, players: Networks, rng: torch.Generator) -> GAN:
        """Of players that have their weights. `rng`: of whatever else a GAN begins with."""

    def check(self, genes: Mapping[str, Any], fields: Fields) -> None:
        """Errors: UserError for data of a form that the networks cannot make."""

    def impossible(self, fields: Fields) -> dict[str, list[Value]]:
        """The values of genes with which there is no GAN for data of this form."""


def build(genome: Mapping[str, Value], fields: Fields, seed: int) -> GAN:
    """The GAN that `genome` describes, with fresh weights, for data with these fields.

    The weights depend on genome, fields and `seed` alone. Errors: UserError for what the networks cannot make.
    """
    genes, model = GENES.complete(genome), _model(family_of(genome))
    model.check(genes, fields)
    players = fresh(lambda: model.networks(genes, fields), INIT | genes, seed)
    gan = model.assemble(genes, fields, players, torch.Generator().manual_seed(derive_seed(seed, "init")))
    gan.to(torch.device("cpu"))
    return gan


def count_parameters(genome: Mapping[str, Value], fields: Fields) -> dict[str, int]:
    """The trainable parameters of each player."""
    return counted(lambda: _model(family_of(genome)).networks(GENES.complete(genome), fields))


def check(genome: Mapping[str, Value], fields: Fields) -> None:
    """Errors: UserError if the genome's networks cannot make data of this form."""
    _model(family_of(genome)).check(GENES.complete(genome), fields)


def impossible(fields: Fields, families: Collection[str] = ()) -> dict[str, list[Value]]:
    """The values of genes with which none of these families that has the gene makes data of this form; () for all."""
    found: dict[str, list[list[Value]]] = {}
    for family in (FAMILIES[name] for name in families or FAMILIES):
        unfit = _model(family).impossible(fields)
        for gene in family.genes:
            found.setdefault(gene.name, []).append(unfit.get(gene.name, []))
    return {name: [v for v in some if all(v in other for other in others)] for name, (some, *others) in found.items()}


def _model(family: Family) -> Model:
    return cast(Model, import_module(family.model))
