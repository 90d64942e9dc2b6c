"""FID of the smaller images of a ladder, against the real ones reduced to their side as its critics see them.

By the network of `fid`, which enlarges them to its own side, bilinearly: one yardstick for all levels, where no network
is shipped for most of their sides. What that loses, real and made images lose alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from evogan.data import Dataset
from evogan.fitness import Scorer
from evogan.fitness.scorer import extract, some_of
from evogan.training.feed import prepared
from evogan.zoo.pyramid import reduce


def level_fids(steps: Iterable[Sequence[Tensor]], data: Dataset, scorer: Scorer) -> dict[str, float]:
    """`fid_at_7`, ..., by the sides of all `steps` of samples but the last one."""
    seen: dict[int, list[Tensor]] = {}
    for images in steps:
        for smaller in images[:-1]:
            seen.setdefault(smaller.shape[-1], []).append(extract(scorer.features, [smaller]))
    found: dict[str, float] = {}
    for side, features in seen.items():
        real = (_reduced(part, side) for part in some_of(data.images))
        found[f"fid_at_{side}"] = scorer.fid_against(f"images at {side}", real, torch.cat(features))
    return found


def _reduced(images: Tensor, side: int) -> Tensor:
    """uint8 (N, C, H, H) -> in [-1, 1], halved until they are of this side."""
    found = prepared(images)
    while found.shape[-1] > side:
        found = reduce(found)
    return found
