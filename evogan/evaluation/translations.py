"""GANs that make images from images, judged on pairs that no training sees, beside what takes no training.

copy   the source itself, in the image's size: bicubic, colours as grey or grey as colours where it must be
mean   the mean of the training images, whatever the source
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from evogan.data import Dataset
from evogan.fitness.likeness import likeness
from evogan.fitness.threads import threads
from evogan.training.feed import prepared
from evogan.zoo.gan import Translates

SOURCES = "sources"
JUDGED = 5000  # pairs at most
LUMA = (0.299, 0.587, 0.114)


def judged(gan: Translates, data: Dataset, half: slice, device: torch.device, at_once: int) -> dict[str, float]:
    """On one half of the held-out pairs."""
    sources, images = _pairs(data, half)
    made = [gan.translate(prepared(part.to(device))).float().cpu() for part in sources.split(at_once)]
    with threads(1):  # their number changes sums
        return likeness(torch.cat(made), prepared(images)) | baselines(data, half.start)


@lru_cache(maxsize=4)
def baselines(data: Dataset, first: int) -> dict[str, float]:
    """Of the same pairs: `l1_copy`, `psnr_mean`, ..."""
    sources, images = _pairs(data, slice(first, None, 2))
    true, mean = prepared(images), torch.tensor(data.images.mean(0, dtype="float64")).float() / 127.5 - 1
    found = {"copy": copied(prepared(sources), true), "mean": mean.expand_as(true)}
    return {f"{metric}_{name}": v for name, made in found.items() for metric, v in likeness(made, true).items()}


def copied(sources: Tensor, like: Tensor) -> Tensor:
    """Sources (N, C, H, H) in [-1, 1] as images of the form of `like` (N, C', H', H')."""
    size = like.shape[-1]
    if sources.shape[-1] != size:
        sources = functional.interpolate(sources, size=(size, size), mode="bicubic", antialias=True).clamp(-1, 1)
    if sources.shape[1] > like.shape[1]:
        return (sources * torch.tensor(LUMA, dtype=sources.dtype)[:, None, None]).sum(1, keepdim=True)
    return sources.expand(-1, like.shape[1], -1, -1)


def _pairs(data: Dataset, half: slice) -> tuple[Tensor, Tensor]:
    rows = data.unseen["images"]
    return torch.tensor(rows[SOURCES][half][:JUDGED]), torch.tensor(rows["images"][half][:JUDGED])


def beside(sources: Tensor, made: Tensor, *true: Tensor) -> Tensor:
    """For a grid: source, made and true image in turn, (3 N, C, H, W) in [-1, 1], in colour if any is; without true
    ones (2 N, C, H, W)."""
    nearest = functional.interpolate(sources, size=made.shape[2:], mode="nearest")
    shown = (nearest, made, *true)
    like = made.new_zeros(len(made), max(x.shape[1] for x in shown), *made.shape[2:])
    return torch.stack([x.expand_as(like) for x in shown], 1).flatten(0, 1)
