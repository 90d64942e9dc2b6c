"""Whether a file of code has the losses of evogan: both train on the same images, and losses are compared."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from evogan.export.code.write import Wanted, write_code
from evogan.families import image_fields
from evogan.families.build import build
from evogan.genes import GENES
from evogan.training import Trainer
from evogan.training.feed import of_images
from evogan.zoo.gan import Batch
from evogan.zoo.gan import Losses as Terms

NAME = "written_by_evogan"
Losses = list[dict[str, float]]  # of each iteration: the last of each player's


def furthest(wanted: Wanted, images: Tensor, labels: Tensor, iterations: int, dtype: torch.dtype) -> dict[str, float]:
    """Of each player the largest |ours - theirs| / max(|theirs|, 0.01) over all iterations, in this precision.

    Images are uint8 (N, C, H, W), labels int64 (N,).
    """
    with default(dtype):
        theirs = of_evogan(wanted, images, labels, iterations)
        ours = of_code(write_code(wanted), images, labels, iterations)
    assert [losses.keys() for losses in ours] == [losses.keys() for losses in theirs]
    apart: dict[str, float] = {}
    for our, their in zip(ours, theirs, strict=True):
        for player, loss in their.items():
            apart[player] = max(apart.get(player, 0.0), abs(our[player] - loss) / max(abs(loss), 0.01))
    return apart


def of_evogan(wanted: Wanted, images: Tensor, labels: Tensor, iterations: int) -> Losses:
    """What evogan's own training has."""
    gan = build(wanted.genome, image_fields(wanted.image_size, wanted.channels, wanted.classes), wanted.seed)
    genes, streams = GENES.complete(wanted.genome), of_images(images, labels)
    device = torch.device("cpu")
    trainer = Trainer(gan, genes, streams, seed=wanted.seed, device=device, iterations=iterations)
    last: dict[str, float] = {}
    after_step = gan.after_step

    def noted(player: str, batch: Batch, losses: Terms) -> None:
        last[player] = losses.total().item()
        after_step(player, batch, losses)

    gan.after_step = noted  # type: ignore[method-assign]
    found = []
    for iteration in range(1, iterations + 1):
        last.clear()
        trainer.run_to(iteration)
        found.append(dict(last))
    return found


def of_code(text: str, images: Tensor, labels: Tensor, iterations: int) -> Losses:
    """What the file has, from a training of as many iterations."""
    written = as_module(text)
    data = (images, labels) if hasattr(written, "CLASSES") else (images,)
    with torch.random.fork_rng(devices=[]):  # torch's layers draw weights of their own, which are drawn again
        gan = written.build()
    return list(islice(written.train(gan, *data, iterations), iterations))


def as_module(text: str) -> Any:
    """The file as if it was imported."""
    module = ModuleType(NAME)
    sys.modules[NAME] = module
    exec(compile(text, f"{NAME}.py", "exec"), module.__dict__)
    return module


@contextmanager
def default(dtype: torch.dtype) -> Iterator[None]:
    """Numbers are of this precision by default."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def some_images(wanted: Wanted, n: int = 40) -> tuple[Tensor, Tensor]:
    """Noise of the form that is wanted, and its classes."""
    rng = torch.Generator().manual_seed(0)
    shape = (n, wanted.channels, wanted.image_size, wanted.image_size)
    images = torch.randint(0, 256, shape, generator=rng, dtype=torch.uint8)
    return images, torch.randint(0, wanted.classes, (n,), generator=rng)


def narrow(genome: Mapping[str, Any]) -> dict[str, Any]:
    """The genome's genes with networks and batches that are quickly trained."""
    active = GENES.complete(genome)
    sizes = {"filters": 8, "critic_filters": 8, "batch_size": 8, "latent": 10, "code": 8, "label_embedding": 8}
    return {**genome, **{name: size for name, size in sizes.items() if name in active}}
