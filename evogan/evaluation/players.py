"""All players of a GAN as one safetensors file: another training goes on from it, and its critic can be asked.

They are as they were at the end of the training, with what follows them (averages, memories of losses) and the moments
of their optimisers. The order of the data and the noise are not there: what goes on is a training of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from evogan.data import Dataset
from evogan.errors import UserError, one_line
from evogan.evaluation.artefacts import GENERATOR
from evogan.evaluation.checkpoint import MAGIC as OF_A_GENERATOR
from evogan.evaluation.checkpoint import Generator, made_up
from evogan.evaluation.header import Form, check_finite, check_language, read_form, unless_damaged
from evogan.families import family_of
from evogan.families.build import build, count_parameters
from evogan.files import check_file, expand
from evogan.genes import GENES
from evogan.genome import Genome, Value
from evogan.training import State, Trainer
from evogan.trial import PLAYERS, STATE, GANTask
from evogan.zoo.gan import GAN

MAGIC = "evogan.players.1"  # the number rises when what a file holds does
KEPT = ("network.", "optimizer.")  # how the names of what is kept begin
# genes of form that act on how players are trained, and not on what they compute
TRAINING = frozenset(
    {
        *("batch_size", "batch_ratio", "batch_divisor", "augmentation", "gradient_penalty", "zero_penalty"),
        *("feature_matching", "relativistic", "jacobian_clamping", "unrolled", "evolution"),
    }
)


def pack_players(trainer: Trainer, genome: Genome, task: GANTask, facts: Mapping[str, Any]) -> bytes:
    """`facts` as for `pack_generator`."""
    state = trainer.state()
    header = {
        "genome": dict(genome),
        "image_size": task.image_size,
        "channels": task.channels,
        "task": task.key,
        "data": task.name,
        "fingerprint": task.fingerprint,
        **made_up(trainer.gan),
        **facts,
    }
    return State({name: x for name, x in state.tensors.items() if name.startswith(KEPT)}, header).pack(MAGIC)


@dataclass(frozen=True)
class Players:
    """What a training left. `digest`: of the file. `whole`: all players are there, or else the sampled one alone."""

    path: Path
    digest: str
    form: Form
    state: State
    whole: bool

    @cached_property
    def gan(self) -> GAN:
        """On the CPU; players that are not there are fresh. Errors: RuntimeError for weights that do not fit."""
        gan = build(self.form.genome, self.form.fields, seed=0)
        gan.adopt(self.networks(gan))
        return gan

    def networks(self, gan: GAN) -> dict[str, dict[str, torch.Tensor]]:
        return {name: found for name in gan.networks if (found := self.state.part(f"network.{name}."))}

    def begin(self, trainer: Trainer, genome: Genome) -> None:
        """A training of `genome` begins with them. Moments are taken over where the optimiser is the same."""
        before, now = GENES.complete(self.form.genome), GENES.complete(genome)
        same = {player: _optimizer(player, before) == _optimizer(player, now) for player in trainer.gan.players}
        trainer.adopt(self.state, [player for player in same if self.whole and same[player]])

    def changed(self, genes: Mapping[str, Value]) -> Genome:
        """Their genome with these genes changed. Errors: UserError for one that would be another network's."""
        genome = GENES.changed(self.form.genome, genes)
        before, now = GENES.complete(self.form.genome), GENES.complete(genome)
        free = TRAINING | {f"{p}_{gene}" for p in self.gan.players for gene in ("optimizer", "regularization")}
        changed = [name for name in (*before, *now) if before.get(name) != now.get(name)]
        for name in changed:
            if GENES[name].acts == "form" and name not in free:
                raise self._other(name)
        if not changed:
            return genome
        try:
            _ = replace(self, form=replace(self.form, genome=genome)).gan
        except RuntimeError:
            raise self._other(next((name for name in changed if GENES[name].acts == "loss"), changed[0])) from None
        return genome

    def _other(self, gene: str) -> UserError:
        return UserError(f"gene '{gene}' cannot change where a training goes on: '{self.path}' has other networks")

    def check_served(self, data: Dataset) -> None:
        """Errors: UserError for data of another form than they were trained on."""
        check_language(self.form.facts, data, f"'{self.path}' is of")
        size, channels = self.form.facts["image_size"], self.form.facts["channels"]
        if (size, channels) != (data.image_size, data.channels):
            resize = f": --image-size {size}" if channels == data.channels else ""
            raise UserError(
                f"'{self.path}' is of images of {size}x{size} with {_channels(channels)}, '{data.name}' has "
                f"{data.image_size}x{data.image_size} with {_channels(data.channels)}{resize}"
            )
        theirs, ours = self.form.conditions, data.conditions
        if theirs is not None and (ours is None or (theirs.kind, theirs.names) != (ours.kind, ours.names)):
            raise UserError(f"'{self.path}' is told {theirs.kind}, and of '{data.name}' nothing such is known")
        if theirs is None and self.form.classes and len(self.form.classes) != (data.class_count or 0):
            raise UserError(
                one_line(
                    f"'{self.path}' is of {len(self.form.classes)} classes ({', '.join(self.form.classes)}), "
                    f"'{data.name}' has {data.class_count or 'none'}"
                )
            )

    def describe(self, data: Dataset) -> str:
        """In one line: what of them a training on these data begins with."""
        facts, sampled = self.form.facts, family_of(self.form.genome).sampled
        others = [player for player in self.gan.players if player != sampled]
        what = "all players" if self.whole else f"the {sampled}, with a fresh {' and '.join(others)}"
        after = f" after {facts['kimg']:g} kimg of {facts['data']}" if self.whole else ""
        known = facts.get("fingerprint")
        same = "" if known is None else "; the same data" if known == data.fingerprint else "; other data"
        names, classes = data.class_names, self.form.classes
        renamed = [f"{ours} for {theirs}" for theirs, ours in zip(classes, names or (), strict=False) if ours != theirs]
        more = f"; its classes now stand for others: {', '.join(renamed)}" if renamed else ""
        return one_line(f"goes on from {self.path}: {what}{after}{same}{more}")


def read_players(path: str | Path) -> Players:
    """From a players.safetensors, a generator.safetensors, or the folder of a training. Errors: UserError."""
    path = expand(path)
    if path.is_dir():
        found = [path / name for name in (PLAYERS, GENERATOR) if (path / name).is_file()]
        if not found:
            raise UserError(f"folder '{path}' has neither {PLAYERS} nor {GENERATOR}")
        path = found[0]
    if not path.exists():
        raise UserError(f"no file '{path}'")
    check_file(path)
    try:
        with safe_open(str(path), framework="pt") as file:
            kinds = file.metadata() or {}
        content = path.read_bytes()
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"'{path}' is no {PLAYERS} or {GENERATOR}: {one_line(str(error))}") from None
    digest = hashlib.sha256(content).hexdigest()[:16]
    if OF_A_GENERATOR in kinds:
        return _of_generator(path, digest)
    if MAGIC not in kinds:
        only = f": a search goes on from it, with `evogan resume`; name the {GENERATOR} beside it"
        raise UserError(f"'{path}' is no {PLAYERS} or {GENERATOR}{only if path.name == STATE else ''}")
    try:
        state = State.unpack(content, MAGIC)
    except Exception:  # whatever it is, they are not what was written
        raise UserError(f"'{path}' is damaged: its checksum is another") from None
    check_finite(path, {name: tensor for name, tensor in state.tensors.items() if name.startswith("network.")})
    with unless_damaged(path, "a GAN"):
        form = read_form(state.numbers)
        needed = sum(count_parameters(form.genome, form.fields).values())
        if needed > sum(map(torch.numel, state.part("network.").values())):  # before memory is asked for
            raise UserError(f"its genome has {needed} weights, more than there are")
        players = Players(path, digest, form, state, True)
        missing = [name for name in players.gan.players if name not in players.networks(players.gan)]
        if missing:
            raise UserError(f"its {missing[0]} is missing")
    return players


def _of_generator(path: Path, digest: str) -> Players:
    found = Generator(path)
    form = read_form(
        {"genome": dict(found.genome), "classes": [*found.classes], "tells_apart": [*found.tells_apart], **found.facts}
    )
    sampled = family_of(form.genome).sampled
    state = State({f"network.{sampled}.{name}": tensor for name, tensor in found.weights().items()}, {})
    return Players(path, digest, form, state, False)


def _optimizer(player: str, genes: Mapping[str, Value]) -> tuple[object, ...]:
    """What moments are of; rates and decays may change meanwhile."""
    return genes[f"{player}_optimizer"], genes.get(f"{player}_momentum", 0.0) == 0


def _channels(n: int) -> str:
    return f"{n} channel{'s' if n > 1 else ''}"
