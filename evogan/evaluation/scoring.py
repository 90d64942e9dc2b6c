"""What is measured of a GAN at a checkpoint: its samples against the data, its players from the inside, its losses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from evogan.data.dataset import Images
from evogan.evaluation.grid import grid_png
from evogan.fitness import Scorer
from evogan.stable import derive_seed
from evogan.training import Trainer, diagnose
from evogan.trial import GANTask
from evogan.zoo import GAN

SAMPLE_BATCH = 500  # latents drawn at a time
GRID = 64  # images in a sample grid


@dataclass(frozen=True)
class Scoring:
    """`held_out`: images that no GAN is trained on, which its critic is shown."""

    task: GANTask
    scorer: Scorer
    held_out: Images
    device: torch.device

    def measure(self, trainer: Trainer, seed: int) -> tuple[dict[str, float], dict[str, Any]]:
        """Every metric, and what is found in each layer of each player; losses are those since the last time."""
        gan = trainer.gan
        scores = self.scorer.score(
            self._sample(gan, part) for z in self._latents(gan) for part in z.split(self._at_once)
        )
        numbers, layers = diagnose(trainer, torch.tensor(self.held_out), seed)
        return scores | numbers | {"normalized_loss": trainer.normalized_loss()}, layers

    def grid(self, gan: GAN) -> bytes:
        """A PNG of the first samples."""
        return grid_png(self._sample(gan, next(self._latents(gan))[:GRID]))

    def _latents(self, gan: GAN) -> Iterator[Tensor]:
        """The task's latent noise: the same for every genome, replicate and checkpoint."""
        rng = torch.Generator(self.device).manual_seed(derive_seed(self.task.key, "score"))
        for start in range(0, self.task.samples, SAMPLE_BATCH):
            yield gan.latents(min(SAMPLE_BATCH, self.task.samples - start), rng)

    @property
    def _at_once(self) -> int:
        """Samples made at a time: on a CPU few large ones stay in its caches, more small ones share the overhead."""
        return SAMPLE_BATCH if self.device.type != "cpu" or self.task.image_size < 16 else SAMPLE_BATCH // 5

    def _sample(self, gan: GAN, latents: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.task.precision == "bf16"):
            return gan.sample(latents)
