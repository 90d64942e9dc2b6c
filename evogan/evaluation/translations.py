"""GANs that make images from images, judged on pairs that no training sees, beside what takes no training.

copy   the source itself, in the image's size: bicubic, colours as grey or grey as colours where it must be
mean   the mean of the training images, whatever the source

Two numbers more, where they say something:

reduced_l1   of sources that are smaller images: |source - what is made, reduced to its size by means|, in [0, 1]
psnr_hole    of sources that are like their images everywhere but at some places: PSNR there
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from evogan.data import Dataset
from evogan.data.dataset import spread
from evogan.fitness import to_unit_range
from evogan.fitness.likeness import likeness, psnr
from evogan.fitness.scorer import Scorer
from evogan.fitness.threads import threads
from evogan.training.feed import prepared
from evogan.zoo.gan import Translates

SOURCES = "sources"
JUDGED = 5000  # pairs at most
SAME = 0.25  # share of places where sources are their images, from which on the others are a hole
LUMA = (0.299, 0.587, 0.114)


def judged(gan: Translates, data: Dataset, half: slice, device: torch.device, at_once: int) -> dict[str, float]:
    """On one half of the held-out pairs."""
    sources, images = _pairs(data, half)
    made = [gan.translate(prepared(part.to(device))).float().cpu() for part in sources.split(at_once)]
    with threads(1):  # their number changes sums
        return _likeness(torch.cat(made), prepared(sources), prepared(images)) | baselines(data, half.start)


def _likeness(made: Tensor, sources: Tensor, true: Tensor) -> dict[str, float]:
    """All in [-1, 1]."""
    found = likeness(made, true)
    (channels, size, _), side = made.shape[1:], sources.shape[-1]
    if channels == sources.shape[1] and side < size and size % side == 0:
        reduced = functional.avg_pool2d(made.double(), size // side)
        found["reduced_l1"] = float((reduced - sources.double()).abs().mean()) / 2
    if sources.shape == true.shape:
        same = (sources == true).all(1).all(0)
        if SAME <= float(same.double().mean()) < 1:
            found["psnr_hole"] = psnr(*(x[:, :, ~same] for x in (made, true)))
    return found


@lru_cache(maxsize=4)
def baselines(data: Dataset, first: int) -> dict[str, float]:
    """Of the same pairs: `l1_copy`, `psnr_mean`, ..."""
    sources, images = _pairs(data, slice(first, None, 2))
    true, mean = prepared(images), to_unit_range(torch.tensor(data.images.mean(0, dtype="float64")))
    source = prepared(sources)
    found = {"copy": copied(source, true), "mean": mean.expand_as(true)}
    return {
        f"{metric}_{name}": v for name, made in found.items() for metric, v in _likeness(made, source, true).items()
    }


@lru_cache(maxsize=4)
def copied_fid(scorer: Scorer, data: Dataset, samples: int, at_once: int) -> float:
    """Of as many held-out sources as are, over and over again."""
    sources, images = (torch.tensor(spread(data.unseen["images"][name], samples)) for name in (SOURCES, "images"))
    like, rows = prepared(images[:1]), torch.arange(samples) % len(sources)
    return scorer.fid(copied(prepared(sources[part]), like) for part in rows.split(at_once))


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
    return torch.tensor(spread(rows[SOURCES][half], JUDGED)), torch.tensor(spread(rows["images"][half], JUDGED))


def to_bytes(images: Tensor) -> Tensor:
    """[-1, 1] -> uint8 0..255, on the CPU."""
    return ((images.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu()


def beside(sources: Tensor, made: Tensor, *true: Tensor) -> Tensor:
    """For a grid: source, made and true image in turn, (3 N, C, H, W) in [-1, 1], in colour if any is; without true
    ones one less. A source that is smaller is shown as it is, and then bicubic."""
    nearest = functional.interpolate(sources, size=made.shape[2:], mode="nearest")
    smaller = sources.shape[-1] < made.shape[-1] and sources.shape[1] == made.shape[1]
    shown = (nearest, *([copied(sources, made)] if smaller else []), made, *true)
    like = made.new_zeros(len(made), max(x.shape[1] for x in shown), *made.shape[2:])
    return torch.stack([x.expand_as(like) for x in shown], 1).flatten(0, 1)
