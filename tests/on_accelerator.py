"""GANs trained and judged on the device of `accelerator`: prints what became of each, as JSON.

python -m tests.on_accelerator          in half a minute, some of each kind
python -m tests.on_accelerator --all    all of images, alone and, if possible, together; one of every family judged
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from unittest import mock

import torch

from tests.accelerator import DEVICE, Pretended, waits  # isort: skip  (before torch's first backward pass)
from evogan.evaluation import evaluator
from evogan.families import image_fields
from evogan.families.build import build
from evogan.genes import GENES
from evogan.runs.gans import GANProblem
from evogan.settings.gan import GANSettings
from evogan.shipped import read_genome
from evogan.training import Population, State, Trainer
from evogan.trial import Trial
from evogan.zoo.stack import shape
from tests.fields import OF_IMAGES, streams
from tests.test_population import CLASSES, IMAGES, LABELS, others, run_all, small

ITERATIONS = 5
WHOLE = ("growing", "evolution", "attention", "levels_in_turn")  # genes that `small` takes away
# of each family, and what has kernels, state or a schedule of its own
ALONE = [
    *("wgan_gp", "improved_dcgan", "sagan", "pggan", "stylegan", "egan", "infogan", "triple_gan"),
    *("cogan", "cyclegan", "pix2pix", "lapgan"),
]
TOGETHER = ["dcgan", "improved_dcgan", "acgan"]
JUDGED: dict[str, dict[str, Any]] = {
    "wgan_gp": {},
    "pix2pix": {"pairs": "edges"},
    "points_gan": {"data": "ring"},
    "mle_lstm": {"data": "oracle"},
}
MORE_JUDGED: dict[str, dict[str, Any]] = {
    "bigan": {},
    "lapgan": {},
    "triple_gan": {"labels": 50},
    "cogan": {"domains": "negative"},
    "cyclegan": {"domains": "negative"},
    "stackgan": {"conditions": "captions:words", "image_size": 20},
    "seqgan": {"data": "oracle"},
}


def narrow(name: str) -> dict[str, Any]:
    published = GENES.complete(read_genome(name).genome)
    return small(published) | {gene: published[gene] for gene in WHOLE if gene in published}


def trainer(genome: Mapping[str, Any], seed: int = 0) -> Trainer:
    there = {
        name: {key: tensor.to(DEVICE) for key, tensor in rows.items()} for name, rows in streams(IMAGES, LABELS).items()
    }
    gan = build(genome, image_fields(8, 1, CLASSES), seed)
    more: dict[str, Any] = {"device": DEVICE, "iterations": ITERATIONS, "precision": "bf16", "ahead": 2}
    return Trainer(gan, GENES.complete(genome), there, seed=seed, **more)


def alone(name: str) -> str:
    """The device is waited for at the end of a run alone, but by evolution; and a training goes on from its state."""
    genome, asked = narrow(name), []
    straight, other = trainer(genome), trainer(genome)
    for iteration in (1, 2, ITERATIONS):
        waits.clear()
        straight.run_to(iteration)
        asked.append(sum(waits.values()))
        if iteration == 2:
            other.restore(State.unpack(straight.state().pack()))
    if asked[1] != asked[2] and not genome.get("evolution"):
        return f"waits for the device {asked} times"
    other.run_to(ITERATIONS)
    ends = [run.state().tensors for run in (straight, other)]
    return f"goes on otherwise: {apart}" if (apart := [n for n, t in ends[0].items() if t.ne(ends[1][n]).any()]) else ""


def together(name: str) -> str:
    members = [trainer(genome, i) for i, genome in enumerate(others(small(read_genome(name).genome)))]
    population = Population(members)
    waits.clear()
    run_all(population, dict.fromkeys(range(len(members)), 3))
    return f"waits for the device: {dict(waits)}" if waits else ""


def judged(name: str) -> str:
    asked = {"data": "digits", "kimg": 0.1, "samples": 64, "device": str(DEVICE), "precision": "bf16"}
    genome = GENES.read(small(read_genome(name).genome))
    with mock.patch.object(evaluator, "check_device", lambda name, here=True: torch.device(name)):
        task, evaluate = GANProblem(GANSettings.of(**asked | (JUDGED | MORE_JUDGED)[name])).prepare()
    evaluation = evaluate(Trial(genome, "key", task, whole=True))
    return "" if evaluation.status == "completed" else f"{evaluation.status}: {evaluation.reason}"


def becomes_of(case: Callable[[], str]) -> str:
    """Why not all is well; "" if it is."""
    try:
        with Pretended():
            return case()
    except Exception:
        return traceback.format_exc()


def cases(everything: bool) -> dict[str, Callable[[], str]]:
    stacked = [name for name in OF_IMAGES if shape(small(read_genome(name).genome)) is not None]
    return {
        **{f"alone {name}": partial(alone, name) for name in (OF_IMAGES if everything else ALONE)},
        **{f"together {name}": partial(together, name) for name in (stacked if everything else TOGETHER)},
        **{f"judged {name}": partial(judged, name) for name in (JUDGED | MORE_JUDGED if everything else JUDGED)},
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps({name: becomes_of(case) for name, case in cases("--all" in sys.argv).items()}, indent=1))
