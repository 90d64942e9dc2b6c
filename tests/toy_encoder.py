"""A plugin: images painted by category, numbers and noise, and a reader of these. `tests/test_codes.py` uses it."""

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
from evogan.genome.define import number
from evogan.zoo.gan import Batch, Data, Losses, Prompt, Rows

Genes = Mapping[str, Any]


def code_of(genes: Genes) -> dict[str, int]:
    return {**({"category": genes["kinds"]} if genes["kinds"] > 1 else {}), "continuous": 2}


def networks(genes: Genes, fields: Fields) -> dict[str, nn.Module]:
    pixels, code = math.prod(fields["images"].shape), sum(code_of(genes).values())
    return {
        "expert": nn.Sequential(nn.Flatten(), nn.Linear(pixels, 1)),
        "painter": nn.Sequential(nn.Linear(code + 4, 16), nn.ReLU(), nn.Linear(16, pixels), nn.Tanh()),
        "reader": nn.Sequential(nn.Flatten(), nn.Linear(pixels, code)),
    }


def assemble(genes: Genes, fields: Fields, players: dict[str, nn.Module], rng: torch.Generator) -> Coded:
    for player in players.values():
        for parameter in player.parameters():
            parameter.data.normal_(0, 0.3, generator=rng)
    return Coded(genes, players, fields["images"].shape)


def check(genes: Genes, fields: Fields) -> None:
    pass


def impossible(fields: Fields) -> dict[str, Any]:
    return {}


class Coded:
    counted, steady, prompted = "expert", True, ()

    def __init__(self, genes: Genes, players: dict[str, nn.Module], image: tuple[int, ...]) -> None:
        self.players = self.networks = players
        self.sampler, self.encoder, self.code = players["painter"], players["reader"], code_of(genes)
        self.schedule = (("expert", 1), ("painter", 1), ("reader", 1))
        self.rows = dict.fromkeys(players, genes["batch_size"])
        self.rates = dict.fromkeys(players, genes["learning_rate"])
        self._image, self._names = image, (*self.code, "latent")

    def adopt(self, states: Mapping[str, Mapping[str, Tensor]]) -> None:
        for name, state in states.items():
            self.players[name].load_state_dict(state)

    def begin(self, progress: float) -> bool:
        return False

    def needs(self, player: str) -> tuple[str, ...]:
        return ("images",) if player == "expert" else ()

    def draw(self, player: str, n: int, data: Data, rng: torch.Generator) -> Batch:
        return Batch(data, {name: (x,) for name, x in self.prompts(n, data, rng).items()})

    def loss(self, player: str, batch: Batch) -> Losses:
        prompt = {name: batch.draws[name][0] for name in self._names}
        painted = self._paint(prompt)
        if player == "reader":
            return Losses({"generator": functional.mse_loss(self.encoder(painted), self._flat(prompt, [*self.code]))})
        fake = self.players["expert"](painted).mean()
        if player == "painter":
            return Losses({"generator": -fake})
        return Losses({"fake": fake, "real": -self.players["expert"](batch.data["images"]).mean()})

    def after_step(self, player: str, batch: Batch, losses: Losses) -> None:
        pass

    def prompts(self, n: int, data: Data, rng: torch.Generator) -> Prompt:
        found = {"continuous": torch.randn(n, 2, generator=rng), "latent": torch.randn(n, 4, generator=rng)}
        if kinds := self.code.get("category"):
            found["category"] = functional.one_hot(torch.randint(kinds, (n,), generator=rng), kinds).float()
        return found

    @torch.no_grad()
    def sample(self, prompt: Prompt) -> Tensor:
        return self._paint(prompt)

    @torch.no_grad()
    def encode(self, images: Tensor) -> dict[str, Tensor]:
        parts = self.encoder(images).split([*self.code.values()], 1)
        return {name: x.softmax(1) if name == "category" else x for name, x in zip(self.code, parts, strict=True)}

    @torch.no_grad()
    def decode(self, code: Mapping[str, Tensor]) -> Tensor:
        return self._paint({**code, "latent": torch.zeros(len(code["continuous"]), 4)})

    def _paint(self, prompt: Prompt) -> Tensor:
        images: Tensor = self.sampler(self._flat(prompt, self._names)).unflatten(1, self._image)
        return images

    def _flat(self, prompt: Prompt, names: Any) -> Tensor:
        return torch.cat([prompt[name] for name in names], 1)

    def diagnose(self, seen: Rows, unseen: Rows, rng: torch.Generator) -> dict[str, float]:
        return {}

    def to(self, device: torch.device) -> None:
        pass


CODED = Family(
    name="coded",
    title="A painter, an expert and a reader",
    source="this file",
    players=("expert", "painter", "reader"),
    counted="expert",
    sampled="painter",
    genes=(
        number("kinds", 1, 12, 10, "categories; 1: none", "this file"),
        *(gene for gene in PLAIN.genes if gene.name in ("batch_size", "learning_rate", "lr_decay")),
    ),
    measures=("clustering_error", "fid"),
    model=__name__,
    code=code_of,
)
add_family(CODED)
