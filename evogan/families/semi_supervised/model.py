"""A GAN with a classifier, of many images and a few that have labels: Salimans et al., arXiv:1606.03498, and what
followed. The plain GAN, whose critic tells classes too, or which has a classifier beside it.

Every step of a player looks at as many images of the pool, which has no labels, as of those that have some.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor

from evogan.errors import UserError
from evogan.families.family import Fields
from evogan.families.plain import model as plain
from evogan.families.plain.model import IMAGES, LABELS, REAL, PlainGAN
from evogan.genome import Value
from evogan.stable import derive_seed
from evogan.zoo.augment import mirrored
from evogan.zoo.backbones import make_networks
from evogan.zoo.classifying import ClassifyingCritic, Judged
from evogan.zoo.conditioning import class_loss
from evogan.zoo.gan import Batch, Critique, Data, Losses, Network
from evogan.zoo.layers import initialise
from evogan.zoo.losses import Objective
from evogan.zoo.number import Number

FEW_IMAGES, FEW_LABELS = "few_images", "few_labels"  # fields of the data
CLASSIFIER = "classifier"  # the third player
FEW = "few"  # among the draws: the labelled images, as a network sees them
Genes = Mapping[str, Any]


def build(genes: dict[str, Any], fields: Fields, seed: int) -> SemiSupervisedGAN:
    """With fresh weights, which depend on genes, fields and `seed` alone."""
    with torch.device("meta"):  # constructors would draw from the global generator
        networks = _networks(genes, fields)
    for name, network in networks.items():
        network.to_empty(device="cpu")
        initialise(network, genes, torch.Generator().manual_seed(derive_seed(seed, "init", name)))
    rng = torch.Generator().manual_seed(derive_seed(seed, "init"))
    gan = SemiSupervisedGAN(genes, fields[IMAGES].shape, networks, rng, classes_of(fields))
    gan.to(torch.device("cpu"))
    return gan


def count_parameters(genes: Genes, fields: Fields) -> dict[str, int]:
    with torch.device("meta"):
        return {name: sum(p.numel() for p in net.parameters()) for name, net in _networks(genes, fields).items()}


def check(genes: Genes, fields: Fields) -> None:
    """Errors: UserError if the networks cannot make images of this size, or there are no classes to tell apart."""
    plain.check(genes, _labelled(fields))
    if classes_of(fields) < 2:
        raise UserError("a classifier needs labelled images of at least 2 classes: --labels says of how many")


def impossible(fields: Fields) -> dict[str, list[Value]]:
    return plain.impossible(_labelled(fields))


def _labelled(fields: Fields) -> Fields:
    """As a plain GAN is told of them."""
    few = {LABELS: fields[FEW_LABELS]} if FEW_LABELS in fields else {}
    return {IMAGES: fields[IMAGES], **few}


def classes_of(fields: Fields) -> int:
    """0 without labels."""
    field = fields.get(FEW_LABELS)
    return 0 if field is None else field.values or 0


def _networks(genes: Genes, fields: Fields) -> dict[str, Network]:
    """Critic and generator, and the classifier where it is a player."""
    (channels, size, _), classes = fields[IMAGES].shape, classes_of(fields)
    own_head = genes["classifier"] == "auxiliary"
    outputs = classes if genes["classifier"] == "logsumexp" else 1
    generator, critic = make_networks({**genes, "outputs": outputs}, size, channels, classes)
    if genes["classifier"] != "player":
        critic = ClassifyingCritic(critic, classes, own_head=own_head)
        return {"critic": critic, "generator": generator}
    _, network = make_networks({**genes, "condition": "none", "outputs": classes}, size, channels)
    return {"critic": critic, "generator": generator, CLASSIFIER: ClassifyingCritic(network, classes)}


class SemiSupervisedGAN(PlainGAN):
    """Built as a `PlainGAN`, of critic, generator and, where the genes say so, a classifier."""

    def __init__(
        self,
        genes: dict[str, Any],
        image: tuple[int, ...],
        networks: Mapping[str, Network],
        rng: torch.Generator,
        classes: int,
    ) -> None:
        others = {name: network for name, network in networks.items() if name == CLASSIFIER}
        super().__init__(genes, image, networks["generator"], networks["critic"], rng, classes, others)
        self.plays = genes["unlabelled"] == "gan"
        self.teller = CLASSIFIER if others else "critic"  # the player that tells classes
        if others:
            self.schedule = (*self.schedule, (CLASSIFIER, 1))
            self.rows[CLASSIFIER] = self.rows["critic"]
            self.rates[CLASSIFIER] = self.rates["critic"] * genes["classifier_lr_ratio"]
        averaged = genes["classifier_average"] > 0
        decay = cast(Number, self._numbers["classifier_average"]) if averaged else 0.0
        self.judged = Judged(self.players[self.teller], decay)
        self.networks = {**self.networks, "judged": self.judged}

    def adopt(self, states: Mapping[str, Mapping[str, Tensor]]) -> None:
        super().adopt(states)
        if "judged" in states:
            self.judged.load_state_dict(states["judged"])
        else:
            self.judged.restart(self.players[self.teller])

    def classify(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) in [-1, 1] -> logits (N, K), by the network that is judged."""
        with torch.no_grad():
            logits: Tensor = self.judged(images)
        return logits

    # --- the randomness of a step

    def needs(self, player: str) -> tuple[str, ...]:
        few = (FEW_IMAGES, FEW_LABELS)
        if player == CLASSIFIER:
            return (IMAGES, *few)
        of_critic = player == "critic" or bool(self._steps_beside)
        return (*super().needs(player), *(few if of_critic and self.teller == "critic" else ()))

    def draw(self, player: str, n: int, data: Data, rng: torch.Generator) -> Batch:
        if self.genes["mirror"] and FEW_IMAGES in data:
            data = {**data, FEW_IMAGES: mirrored(data[FEW_IMAGES], rng)}
        return super().draw(player, n, data, rng)

    def _draw(self, player: str, n: int, data: Data, rng: torch.Generator) -> Batch:
        if player == "generator":
            return super()._draw(player, n, data, rng)
        if player == "critic":
            batch = super()._draw(player, n, data, rng)
        else:
            self.players[player].meet(data[IMAGES])
            batch = Batch({name: data[name] for name in self.needs(player)})
        if player != self.teller:
            return batch
        return Batch(batch.data, {**batch.draws, **self._look(self.players[player], FEW, n, rng)})

    # --- losses

    def _loss(self, player: str, batch: Batch, objective: Objective) -> Losses:
        if self.plays and player != CLASSIFIER:
            return super()._loss(player, batch, objective)
        if player == self.teller:
            return self._pulled(player, Losses(self._taught(batch)))
        weight = next(self.players[player].parameters())
        return Losses({player: 0 * weight.sum()})  # of a supervised twin: nobody plays

    def _critic_loss(self, fake: Tensor, batch: Batch) -> Losses:
        losses = super()._critic_loss(fake, batch)
        if self.teller != "critic":
            return losses
        return Losses({**losses.terms, **self._taught(batch)}, losses.watched)

    def _taught(self, batch: Batch) -> dict[str, Tensor]:
        """What the labelled images teach."""
        said: Critique = self.players[self.teller](self._seen(batch.data[FEW_IMAGES], FEW, batch), batch.draws[FEW])
        assert said.classes is not None
        weight = self._numbers["supervised_loss"]()
        return {"supervised": weight * class_loss(said.classes, batch.data[FEW_LABELS])}

    # --- between steps

    @torch.no_grad()
    def after_step(self, player: str, batch: Batch, losses: Losses) -> None:
        if self.plays:
            super().after_step(player, batch, losses)
        else:  # there are no scores to remember
            self._weights[player].after_step()
            if self._histories:
                self._histories[player].follow(self.players[player])
        if player == self.teller:
            what, field = (REAL, IMAGES) if self.plays and REAL in batch.draws else (FEW, FEW_IMAGES)
            self.judged.follow(
                self.players[player],
                lambda network: network(self._seen(batch.data[field], what, batch), batch.draws[what]),
            )
