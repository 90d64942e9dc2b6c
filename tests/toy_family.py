"""A plugin: images by a painter, against an expert. `tests/test_plugins.py` searches it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from evogan.families import Family, Fields
from evogan.families.plain.family import PLAIN
from evogan.genes import add_family
from evogan.genome.define import number
from evogan.zoo.gan import Batch, Data, Losses, Prompt, Rows

Genes = Mapping[str, Any]


def networks(genes: Genes, fields: Fields) -> dict[str, nn.Module]:
    n, pixels = genes["brushes"], math.prod(fields["images"].shape)
    painter = nn.Sequential(nn.Linear(4, n), nn.ReLU(), nn.Linear(n, pixels), nn.Tanh())
    return {"expert": nn.Sequential(nn.Flatten(), nn.Linear(pixels, 1)), "painter": painter}


def assemble(genes: Genes, fields: Fields, players: dict[str, nn.Module], rng: torch.Generator) -> Toy:
    for player in players.values():
        for parameter in player.parameters():
            parameter.data.normal_(0, 0.1, generator=rng)
    return Toy(genes, players, fields["images"].shape)


def check(genes: Genes, fields: Fields) -> None:
    pass


def impossible(fields: Fields) -> dict[str, Any]:
    return {}


class Toy:
    counted, steady, prompted = "expert", True, ()

    def __init__(self, genes: Genes, players: dict[str, nn.Module], image: tuple[int, ...]) -> None:
        self.players, self.networks, self.sampler = players, players, players["painter"]
        self.schedule = (("expert", genes["expert_steps"]), ("painter", 1))
        self.rows = dict.fromkeys(players, genes["batch_size"])
        self.rates = dict.fromkeys(players, genes["learning_rate"])
        self._image = image

    def begin(self, progress: float) -> bool:
        return False

    def needs(self, player: str) -> tuple[str, ...]:
        return ("images",) if player == "expert" else ()

    def draw(self, player: str, n: int, data: Data, rng: torch.Generator) -> Batch:
        return Batch(data, {"latent": (torch.randn(n, 4, generator=rng),)})

    def loss(self, player: str, batch: Batch) -> Losses:
        fake = self.players["expert"](self.players["painter"](*batch.draws["latent"])).mean()
        if player == "painter":
            return Losses({"generator": -fake})
        return Losses({"fake": fake, "real": -self.players["expert"](batch.data["images"]).mean()})

    def after_step(self, player: str, batch: Batch, losses: Losses) -> None:
        pass

    def prompts(self, n: int, data: Data, rng: torch.Generator) -> Prompt:
        return {"latent": torch.randn(n, 4, generator=rng)}

    def adopt(self, states: Mapping[str, Mapping[str, Tensor]]) -> None:
        for player, state in states.items():
            self.players[player].load_state_dict(state)

    @torch.no_grad()
    def sample(self, prompt: Prompt) -> Tensor:
        images: Tensor = self.sampler(prompt["latent"]).unflatten(1, self._image)
        return images

    def diagnose(self, seen: Rows, unseen: Rows, rng: torch.Generator) -> dict[str, float]:
        return {}

    def to(self, device: torch.device) -> None:
        pass


add_family(
    Family(
        name="toy",
        title="A painter and an expert",
        source="this file",
        players=("expert", "painter"),
        counted="expert",
        sampled="painter",
        needs=frozenset(os.environ.get("TOY_NEEDS", "").split()),
        genes=(
            number("expert_steps", 1, 9, 1, "steps of the expert", "this file"),
            number("brushes", 1, 9, 4, "width of the painter", "this file"),
            *(gene for gene in PLAIN.genes if gene.name in ("batch_size", "learning_rate", "lr_decay")),
        ),
        measures=("fid",),
        model=__name__,
    )
)
