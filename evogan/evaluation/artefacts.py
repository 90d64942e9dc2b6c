"""What a training leaves: scores, curves and files; and of a lower fidelity the state that a longer one goes on from.

The end of a fidelity need not be one of the task's checkpoints. What is looked at and scored there belongs to that
fidelity alone, so what goes on is what there was before that look.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from evogan.training import State
from evogan.trial import STATE, Choice, Evaluation

GENERATOR, SAMPLES = CHOSEN = ("generator.safetensors", "samples.png")  # files of the checkpoint that counts so far
LEVELS = "levels.png"  # likewise, of a GAN that climbs
TEXTS = "samples.txt"  # likewise, of sequences
CODES, RECONSTRUCTIONS = OF_CODES = ("codes.png", "reconstructions.png")  # likewise, of a GAN with an encoder


@dataclass
class Record:
    """As it goes into an evaluation: scores and diagnostics of every checkpoint, points of the curve, files."""

    scores: list[dict[str, float]] = field(default_factory=list)
    diagnostics: list[dict[str, Any]] = field(default_factory=list)
    curve: list[dict[str, float]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)

    def copy(self) -> Record:
        return Record([*self.scores], [*self.diagnostics], [*self.curve], {**self.files})

    def cut(self, kimg: float) -> None:
        """What was seen of the curve later is forgotten."""
        self.curve = [point for point in self.curve if point["kimg"] <= kimg]


def grid_of(score: Mapping[str, float]) -> str:
    """The file with the samples at a score checkpoint, by the percent of the training that was done."""
    return f"samples-{round(100 * score['fidelity'])}.png"


def pack_state(owner: Mapping[str, Any], fidelity: float, training: State, then: Record, now: Record) -> bytes:
    """The state file: the training and how much of the record was there `then`, with files that were replaced since."""
    replaced = {
        f"file.{name}": torch.frombuffer(bytearray(content), dtype=torch.uint8)
        for name, content in then.files.items()
        if content is not now.files[name]
    }
    numbers = {
        "owner": owner,
        "fidelity": fidelity,
        "scores": len(then.scores),
        "curve": len(then.curve),
        "training": training.numbers,
    }
    return State(training.tensors | replaced, numbers).pack()


def unpack_state(
    owner: Mapping[str, Any], until: Mapping[str, float], choice: Choice, earlier: Evaluation
) -> tuple[State, Record, float]:
    """The training, its record then, and the fidelity that it stopped at.

    `until`: the keys of this owner's training, and up to which fidelity each is its. Errors: any, unless the state is
    one of these, and the weights that were kept then are those of the checkpoint that this choice takes.
    """
    state = State.unpack(earlier.files[STATE])
    numbers = state.numbers
    key = numbers["owner"]["key"]
    if numbers["owner"] != {**owner, "key": key} or numbers["fidelity"] > until.get(key, 0.0):
        raise ValueError("the state of another training")
    seen = numbers["scores"]
    if not replace(earlier, scores=earlier.scores[:seen]).keeps(choice):
        raise ValueError("the weights of another checkpoint")
    replaced = {name: tensor.numpy().tobytes() for name, tensor in state.part("file.").items()}
    chosen = [*CHOSEN, *(name for name in (*OF_CODES, LEVELS, TEXTS) if name in earlier.files)]
    kept = [*chosen, *map(grid_of, earlier.scores[:seen])] if seen else []
    record = Record(
        [dict(score) for score in earlier.scores[:seen]],
        [dict(found) for found in earlier.diagnostics[:seen]],
        [dict(point) for point in earlier.curve[: numbers["curve"]]],
        {name: replaced.get(name) or earlier.files[name] for name in kept},
    )
    return State(state.tensors, numbers["training"]), record, numbers["fidelity"]
