"""PGGAN: networks that grow with their images. Karras et al., arXiv:1710.10196.

With n = filters, images of side m * 2^k (m from 4 to 7), level s = 0..k being that of maps of side m * 2^s, and
n_s = min(n, 8 n / 2^s) (16 at 1024 x 1024 for n = 512, as published):

    generator  pixel norm, F n*m^2, act, norm, C n_0 k3, act, norm | per level: up, twice (C n_s k3, act, norm) | C c k1
    critic     C n_k k1, act | per level from the last: C n_s k3, act, C n_(s-1) k3, act, average pool |
               minibatch layer, C n_0 k3, act, F n_0, act, F 1

Growing: level 0, or a later first one, is trained alone, then every next one is faded in and trained. While
level s + 1 fades in by a in (0, 1),

    generator  image = (1 - a) up(toRGB_s(x_s)) + a toRGB_(s+1)(x_(s+1))
    critic     maps  = (1 - a) fromRGB_s(down(image)) + a block_(s+1)(fromRGB_(s+1)(image))
    reals      image = (1 - a) up(down(image)) + a image

Here images have their full size all the time: what a smaller generator makes is enlarged, in blocks of equal pixels,
and the critic averages such blocks. As published, the generator ends linearly, so that images may leave [-1, 1].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evogan.zoo import critic, generator
from evogan.zoo.backbones.sizes import doublings
from evogan.zoo.gan import Critique, Draws
from evogan.zoo.layers import (
    Blur,
    Chain,
    LeakyReLU,
    MinibatchDiscrimination,
    MinibatchStd,
    PixelNorm,
    norm,
    precise,
    resize,
)

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


def level_at(progress: float, k: int, first: int = 0) -> float:
    """The level in [first, k] when this share of the budget is spent; its fraction is how far the next is in.

    2 (k - first) + 1 phases of equal length: `first` is trained, the next fades in, is trained, ..., k is trained.
    """
    phase = progress * (2 * (k - first) + 1)
    i = int(phase)
    return first + i // 2 + (phase - i if i % 2 else 0.0)


def blend(images: Tensor, level: float, k: int) -> Tensor:
    """Reals (N, C, H, W), as they are shown to a critic at `level` of `k`; of the same shape."""
    s, fade = int(level), level % 1
    side = s + (fade > 0)  # the level whose side the result has
    images = _shrink(images, k - side)
    if fade:
        images = torch.lerp(resize("nearest", _shrink(images, 1)), images, fade)
    return resize("nearest", images, 2 ** (k - side))


def _shrink(images: Tensor, levels: int) -> Tensor:
    """Halves the side as often, by means."""
    return F.avg_pool2d(images, 2**levels) if levels else images


def width(filters: int, level: int) -> int:
    """The channels of maps at a level."""
    return max(min(filters, 8 * filters >> level), 1)


def with_gain(layer: Layer, gain: float) -> Layer:
    """The factor that an equalised learning rate gives the layer's weights."""
    layer.gain = gain  # type: ignore[assignment]
    return layer


class Growth(nn.Module):
    """`level`, in [first, k]: its integer part is the last level in use, its fraction how far the next is faded in.

    Without growing it is k.
    """

    level: Tensor

    def __init__(self, growing: bool, k: int, first: int = 0) -> None:
        super().__init__()
        self._growing, self._k, self._first = growing, k, min(first, k)
        self.least = 0.0  # a level that is never left again
        self._known: float | None = None  # the level, where reading the buffer would be a wait for the device
        self.register_buffer("level", torch.empty(()))

    def reset(self, rng: torch.Generator) -> None:
        self.level.fill_(self._k)

    def grow(self, progress: float) -> bool:
        """To where a network is when this share of the budget is spent. Whether it has new layers now."""
        if not self._growing:
            return False
        before, level = sum(self.now()), max(self.least, level_at(progress, self._k, self._first))
        self._known = level
        if level != before:
            self.level.fill_(level)
        return math.ceil(level) > math.ceil(before)

    def keep(self, level: float) -> None:
        """From now on it is at this level or above."""
        self.least = level
        self.level.fill_(level)

    def settle(self) -> None:
        """It grows no more: its level is a number to whatever reads the network."""
        self._known = float(self.level)

    @property
    def levels(self) -> range:
        """Those that are ever the last."""
        return range(self._first if self._growing else self._k, self._k + 1)

    def now(self) -> tuple[int, float]:
        """The last level in use, and how far the next is faded in, in [0, 1)."""
        if not self._growing:
            return self._k, 0.0  # and not from the buffer: a population of these can be stacked
        level = self.level.item() if self._known is None else self._known
        return int(level), level % 1

    def blend(self, images: Tensor) -> Tensor:
        """Reals as they are shown to a critic now."""
        return blend(images, sum(self.now()), self._k)


class GrowingGenerator(generator.Generator):
    """What growing generators share: images from maps at some level."""

    def __init__(self, genes: Mapping[str, Any], size: int, channels: int) -> None:
        super().__init__()
        self.m, self.k = doublings(size)
        self.widths = [width(genes["filters"], s) for s in range(self.k + 1)]
        self.growth = Growth(genes["growing"], self.k, genes.get("growing_from", 0))
        self.to_rgb = nn.ModuleList(with_gain(nn.Conv2d(self.widths[s], channels, 1), 1.0) for s in self.growth.levels)

    def begin(self, progress: float) -> bool:
        return self.growth.grow(progress)

    def images(self, x: Tensor, block: Callable[[int, Tensor], Tensor]) -> Tensor:
        """`block(s, x)` makes the maps of level s from those of the level before, and of level 0 from `x`."""
        last, fade = self.growth.now()
        for s in range(last + 1):
            x = block(s, x)
        images = self._image(last, x)
        if fade:
            before, grown = resize("nearest", images), self._image(last + 1, block(last + 1, x))
            images = torch.lerp(before, grown.to(before.dtype), fade)  # CUDA's autocast resizes in float32
        return resize("nearest", images, self.m * 2**self.k // images.shape[-1])

    def _image(self, s: int, x: Tensor) -> Tensor:
        image: Tensor = self.to_rgb[s - self.k - 1](x)  # from the end: without growing the last is the only one
        return image


class Generator(GrowingGenerator):
    def __init__(self, genes: Mapping[str, Any], size: int, channels: int) -> None:
        super().__init__(genes, size, channels)
        n, kind, act = self.widths[0], genes["generator_norm"], LeakyReLU(genes["generator_slope"])
        given = genes.get("norm_condition")
        self.normalise = PixelNorm()
        self.dense = with_gain(nn.Linear(genes["latent"], n * self.m * self.m), math.sqrt(2) / 4)

        def finished(layer: nn.Module, channels: int) -> list[nn.Module]:
            return [layer, act, norm(kind, channels, given)]

        blocks = [[*finished(nn.Identity(), n), *finished(nn.Conv2d(n, n, 3, padding=1), n)]]
        for inputs, outputs in pairwise(self.widths):
            first, second = (nn.Conv2d(i, outputs, 3, padding=1) for i in (inputs, outputs))
            blocks.append([nn.Upsample(scale_factor=2), *finished(first, outputs), *finished(second, outputs)])
        self.blocks = nn.ModuleList(Chain(*block) for block in blocks)

    def forward(self, latent: Tensor, draws: Draws = (), *condition: Tensor) -> Tensor:
        x = self.dense(self.normalise(latent)).unflatten(1, (self.widths[0], self.m, self.m))
        return self.images(x, lambda s, x: self.blocks[s](x, *condition))


class Critic(critic.Critic):
    """Its features are those of the last hidden layer, and distances in the batch if the minibatch layer is these."""

    def __init__(self, genes: Mapping[str, Any], size: int, channels: int) -> None:
        super().__init__(genes)
        m, self.k = doublings(size)
        act = self.activate
        widths = [width(genes["filters"], s) for s in range(self.k + 1)]
        self.growth = Growth(genes["growing"], self.k, genes.get("growing_from", 0))
        self.from_rgb = nn.ModuleList(nn.Sequential(nn.Conv2d(channels, widths[s], 1), act) for s in self.growth.levels)

        def halving(inputs: int, outputs: int) -> nn.Module:
            first, second = (nn.Conv2d(inputs, width, 3, padding=1) for width in (inputs, outputs))
            if genes.get("critic_blur", False):
                return nn.Sequential(first, act, Blur(), second, nn.AvgPool2d(2), act)
            return nn.Sequential(first, act, second, act, nn.AvgPool2d(2))

        # block s leads from level s + 1 to level s
        self.blocks = nn.ModuleList(halving(inputs, outputs) for outputs, inputs in pairwise(widths))
        n = widths[0]
        if self._minibatch == "std":
            self.batch_std = MinibatchStd()
        self.conv = nn.Conv2d(n + (self._minibatch == "std"), n, 3, padding=1)
        self.dense = nn.Linear(n * m * m, n)
        features = n
        if self._minibatch == "discrimination":
            self.discrimination = MinibatchDiscrimination(n)
            features = self.discrimination.outputs
        self.head = with_gain(nn.Linear(features, self._outputs), 1.0)

    def begin(self, progress: float) -> bool:
        return self.growth.grow(progress)

    def present(self, images: Tensor) -> Tensor:
        return self.growth.blend(images)

    def trunk(self, x: Tensor, draws: Draws) -> Tensor:
        """Images -> maps (N, n_0, m, m)."""
        last, fade = self.growth.now()
        x = _shrink(x, self.k - last - (fade > 0))
        if fade:
            grown = self.blocks[last](self._maps(last + 1, x))
            x = torch.lerp(self._maps(last, _shrink(x, 1)), grown, fade)
        else:
            x = self._maps(last, x)
        for s in reversed(range(last)):
            x = self.blocks[s](x)
        return x

    def forward(self, x: Tensor, draws: Draws = ()) -> Critique:
        maps = self.trunk(x, draws)
        if self._minibatch == "std":
            maps = self.batch_std(maps)
        features = self.activate(self.dense(self.activate(self.conv(maps)).flatten(1)))
        if self._minibatch == "discrimination":
            features = self.discrimination(features)
        score = precise(self.head(features))
        return Critique(score.squeeze(1), features)

    def _maps(self, s: int, images: Tensor) -> Tensor:
        maps: Tensor = self.from_rgb[s - self.k - 1](images)  # counted as in the generator
        return maps
