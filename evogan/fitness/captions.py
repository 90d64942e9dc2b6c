"""Whether images are what their captions say, read by rule from coloured digits (`evogan.data.coloured`).

background  the nearest of its colours to the median of the pixels at the border
colour      the nearest of its colours to the mean of the pixels that are farthest from the background, a 30th of all
tilt        by the slant m11/m02 of the second moments of the ink, the share of the colour in a pixel
thickness   by 2 sum(ink) / sum |grad ink|, area over half the outline: the width of a line
digit       by the feature network, which has learned it

Slant and width are of the value whose mean over training images is nearest. Errors are shares of samples that are read
as something else than was asked for; `caption_error` is their mean, `caption_worst` the largest. Beside each is that of
held-out images, `_real`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import torch
from torch import Tensor

from evogan.data import Dataset
from evogan.data.captions import ATTRIBUTES
from evogan.data.coloured import colours
from evogan.data.conditions import VALUES
from evogan.data.dataset import Split
from evogan.fitness.features import to_unit_range

JUDGED = 2000  # images at most
HALF = 0.5
FAR = 30  # one pixel of so many is surely ink


class CaptionErrors:
    """`means`: of slants and of widths, of each value."""

    def __init__(self, means: Mapping[str, Tensor], real: Mapping[str, float]) -> None:
        self._means, self._real = means, real

    @classmethod
    def of(cls, dataset: Dataset, digits: Tensor) -> Self | None:
        """`digits`: logits (N, D) of what the network takes the held-out images for, from zero on; None if it does not
        know most of them."""
        training, true = _rows(dataset.train)
        read, values = measured(training), torch.tensor(VALUES)[true]
        means = {}
        for i, (name, words) in enumerate(ATTRIBUTES.items()):
            if name in read and read[name].is_floating_point():
                means[name] = torch.stack([read[name][values[:, i] == k].mean() for k in range(len(words))])
        held_out, asked = _rows(dataset.unseen)
        found = cls(means, {}).measure(held_out, digits[: len(held_out)], asked)
        if found["digit_error"] > HALF:
            return None
        return cls(means, {f"{name}_real": value for name, value in found.items()})

    def measure(self, images: Tensor, digits: Tensor, asked: Tensor) -> dict[str, float]:
        """Of images (N, 3, H, W) in [-1, 1], logits (N, D) of what they are taken for, and their captions (N,)."""
        wrong = (self.read(images, digits) != torch.tensor(VALUES)[asked]).double().mean(0).tolist()
        each = {f"{name}_error": value for name, value in zip(ATTRIBUTES, wrong, strict=True)}
        return {**each, "caption_error": sum(wrong) / len(wrong), "caption_worst": max(wrong), **self._real}

    def read(self, images: Tensor, digits: Tensor) -> Tensor:
        """The value of each attribute, (N, 5)."""
        found = {**measured(images), "digit": digits.argmax(1)}
        for name, means in self._means.items():
            found[name] = (found[name][:, None] - means).abs().argmin(1)
        return torch.stack([found[name] for name in ATTRIBUTES], 1)


def _rows(split: Split) -> tuple[Tensor, Tensor]:
    """Images in [-1, 1], and their captions (N,)."""
    images, which = (torch.tensor(split["images"][field][:JUDGED]) for field in ("images", "conditions"))
    return to_unit_range(images), which


def measured(images: Tensor) -> dict[str, Tensor]:
    """Of images (N, 3, H, W) in [-1, 1]: colour and background by their places, tilt as slant, thickness as width."""
    pixels = (images.float().clamp(-1, 1) + 1) * 127.5
    front, back = (torch.tensor(colours(name)).float() for name in ("colour", "background"))
    border = torch.cat([pixels[:, :, 0], pixels[:, :, -1], pixels[:, :, :, 0], pixels[:, :, :, -1]], 2)
    background = _nearest(border.median(2).values, back)
    own = back[background][:, :, None]
    apart = pixels.flatten(2) - own
    far = apart.square().sum(1).topk(max(1, apart.shape[2] // FAR), 1).indices
    colour = _nearest(pixels.flatten(2).gather(2, far[:, None].expand(-1, 3, -1)).mean(2), front)
    ray = front[colour][:, :, None] - own
    ink = ((apart * ray).sum(1) / ray.square().sum(1)).clamp(0, 1).unflatten(1, images.shape[2:])
    return {"colour": colour, "background": background, "tilt": _slant(ink), "thickness": _width(ink)}


def _nearest(colours: Tensor, palette: Tensor) -> Tensor:
    return torch.cdist(colours, palette).argmin(1)


def _slant(ink: Tensor) -> Tensor:
    """(N, H, W) -> (N,)."""
    mass = ink.sum((1, 2)).clamp(min=1e-6)
    y, x = (torch.arange(n, dtype=ink.dtype) for n in ink.shape[1:])
    middle, centre = ((ink * at).sum((1, 2)) / mass for at in (y[:, None], x))
    down, right = y - middle[:, None], x - centre[:, None]
    cross = (ink * down[:, :, None] * right[:, None]).sum((1, 2))
    found: Tensor = cross / (ink.sum(2) * down.square()).sum(1).clamp(min=1e-6)
    return found


def _width(ink: Tensor) -> Tensor:
    """(N, H, W) -> (N,), in pixels."""
    around = torch.nn.functional.pad(ink, (1, 1, 1, 1))
    steps = torch.stack([around[:, :-1, 1:] - around[:, :-1, :-1], around[:, 1:, :-1] - around[:, :-1, :-1]])
    found: Tensor = 2 * ink.sum((1, 2)) / steps.square().sum(0).sqrt().sum((1, 2)).clamp(min=1e-6)
    return found
