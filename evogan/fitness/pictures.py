"""What is measured of images themselves, without features."""

from __future__ import annotations

import torch
from torch import Tensor

from evogan.data import Dataset
from evogan.fitness.features import to_unit_range
from evogan.fitness.ms_ssim import similarity
from evogan.fitness.swd import PATCHES, SlicedWasserstein

MOST, FEWEST = PATCHES, 16  # images that are looked at themselves
NUMBERS = 2**23  # in them, beyond which there are fewer


class Pictures:
    """Of the first `n` of some samples; pickled it has patches, no images."""

    def __init__(self, dataset: Dataset, samples: int, rng: torch.Generator) -> None:
        images = dataset.images
        n = min(samples, len(images), max(FEWEST, min(MOST, NUMBERS // images[0].size)))
        picked = torch.randperm(len(images), generator=rng)[:n].numpy()
        self._patches = SlicedWasserstein(to_unit_range(torch.from_numpy(images[picked])), rng)
        self.n = self._patches.n

    def measure(self, samples: Tensor) -> dict[str, float]:
        return {"swd": self._patches.distance(samples), "ms_ssim_pairs": similarity(samples)}
