"""What is measured of a GAN at a checkpoint: its samples against the data, its players from the inside, its losses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from evogan.data import Dataset
from evogan.evaluation.checkpoint import of_every_class
from evogan.evaluation.grid import grid_png
from evogan.fitness import Scorer
from evogan.stable import derive_seed
from evogan.training import Trainer, diagnose
from evogan.training.feed import Feed
from evogan.trial import GANTask
from evogan.zoo.gan import GAN, Prompt, parts

SAMPLE_BATCH = 500  # prompts drawn at a time
GRID = 64  # images in a sample grid
COLUMNS, GRID_CLASSES = 8, 20  # of one of classes, and how many at most


@dataclass(frozen=True)
class Scoring:
    """How GANs of one task are measured on one data set."""

    task: GANTask
    scorer: Scorer
    dataset: Dataset
    device: torch.device

    def measure(self, trainer: Trainer, seed: int) -> tuple[dict[str, float], dict[str, Any]]:
        """Every metric, and what is found in each layer of each player; losses are those since the last time."""
        gan = trainer.gan
        scores = self.scorer.score(
            self._sample(gan, part) for prompt in self._prompts(gan) for part in parts(prompt, self._at_once)
        )
        numbers, layers = diagnose(trainer, self.dataset.unseen, seed)
        return scores | numbers | {"normalized_loss": trainer.normalized_loss()}, layers

    def grid(self, gan: GAN) -> bytes:
        """A PNG of the first samples; of a conditional GAN a row a class, with the same latent down a column."""
        if "labels" not in gan.prompted:
            return grid_png(self._sample(gan, next(parts(next(self._prompts(gan)), GRID))))
        first = next(parts(next(self._prompts(gan)), COLUMNS))
        prompt = of_every_class(first, min(self.classes, GRID_CLASSES))
        return grid_png(torch.cat([self._sample(gan, part) for part in parts(prompt, GRID)]), COLUMNS)

    @property
    def classes(self) -> int:
        return self.dataset.class_count or 0

    @property
    def class_names(self) -> tuple[str, ...]:
        """Numbers where they have none."""
        return self.dataset.class_names or tuple(map(str, range(self.classes)))

    def _prompts(self, gan: GAN) -> Iterator[Prompt]:
        """The task's latent noise and given rows: the same for every genome, replicate and checkpoint."""
        seed = derive_seed(self.task.key, "score")
        rng = torch.Generator(self.device).manual_seed(seed)
        given = Feed(self.dataset.unseen if gan.prompted else {}, seed, self.device)
        for start in range(0, self.task.samples, SAMPLE_BATCH):
            n = min(SAMPLE_BATCH, self.task.samples - start)
            yield gan.prompts(n, given.next(n, gan.prompted), rng)

    @property
    def _at_once(self) -> int:
        """Samples made at a time: on a CPU few large ones stay in its caches, more small ones share the overhead."""
        return SAMPLE_BATCH if self.device.type != "cpu" or self.task.image_size < 16 else SAMPLE_BATCH // 5

    def _sample(self, gan: GAN, prompt: Prompt) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.task.precision == "bf16"):
            return gan.sample(prompt)
