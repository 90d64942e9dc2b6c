"""A plugin: the toy's painter beside a classifier of few labels. `tests/test_few_labels.py` searches it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from evogan.families import Family, Fields
from evogan.families.plain.family import PLAIN
from evogan.genes import add_family
from evogan.genome.define import choice, number
from evogan.zoo.gan import Batch, Losses
from tests import toy_family as toy

Genes = Mapping[str, Any]


def networks(genes: Genes, fields: Fields) -> dict[str, nn.Module]:
    classifier = nn.Linear(math.prod(fields["few_images"].shape), fields["few_labels"].values or 0)
    return {**toy.networks({"brushes": 2}, fields), "pupil": nn.Sequential(nn.Flatten(), classifier)}


def assemble(genes: Genes, fields: Fields, players: dict[str, nn.Module], rng: torch.Generator) -> Learner:
    for player in players.values():
        for parameter in player.parameters():
            parameter.data.normal_(0, 0.1, generator=rng)
    return Learner({**genes, "expert_steps": 1}, players, fields["images"].shape)


def check(genes: Genes, fields: Fields) -> None:
    pass


def impossible(fields: Fields) -> dict[str, Any]:
    return {}


class Learner(toy.Toy):
    def __init__(self, genes: Genes, players: dict[str, nn.Module], image: tuple[int, ...]) -> None:
        super().__init__(genes, players, image)
        self._noise = 0.0 if genes["alone"] else 0.01
        self.schedule = (*self.schedule, ("pupil", genes["pupil_steps"]))

    def needs(self, player: str) -> tuple[str, ...]:
        return ("few_images", "few_labels") if player == "pupil" else super().needs(player)

    def loss(self, player: str, batch: Batch) -> Losses:
        if player != "pupil":
            return super().loss(player, batch)
        logits = self.players["pupil"](batch.data["few_images"])
        pull = self._noise * logits.square().mean()
        return Losses({"supervised": functional.cross_entropy(logits, batch.data["few_labels"]), "pull": pull})

    def adopt(self, states: Mapping[str, Mapping[str, Tensor]]) -> None:
        for name, state in states.items():
            self.networks[name].load_state_dict(dict(state))

    @torch.no_grad()
    def classify(self, images: Tensor) -> Tensor:
        logits: Tensor = self.players["pupil"](images)
        return logits


add_family(
    Family(
        name="learner",
        title="A painter, an expert and a classifier",
        source="this file",
        players=("expert", "painter", "pupil"),
        counted="expert",
        sampled="painter",
        needs=frozenset({"few_labels"}),
        genes=(
            number("pupil_steps", 1, 9, 1, "steps of the classifier", "this file"),
            choice("alone", (False, True), False, "nothing but the labels teach it", "this file"),
            *(gene for gene in PLAIN.genes if gene.name in ("batch_size", "learning_rate", "lr_decay")),
        ),
        measures=("error", "fid"),
        twin=lambda genes: {"alone": True},
        model=__name__,
    )
)
