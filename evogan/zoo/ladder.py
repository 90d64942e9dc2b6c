"""Ladders: a generator and a critic for every size of an image, each level beginning with what the one below has made.

With w_k the width of level k of L, n = filters at the last and twice as many at each one below, 8n at most:

    base     F m^2, norm, relu | up, C3, norm, relu | ...      of the latent, and the condition, to maps of w_0
    level    [what is given, enlarged; planes of noise; the condition at every place] C3 w_k, norm, relu |
             blocks of x + (C3, norm, relu, C3, norm)
    image    C3 c, tanh, or, added to the image below, enlarged, C3 c
    critic   C3 n, LR | C4 2n s2, norm, LR | ... down to sides of 4 to 7 | F 1                       at each level

The smallest level may be dense: F u, norm, relu | F u, norm, relu | F c s^2, tanh, and F u, LR | F u, LR | F 1.

What is given is the image below (LAPGAN, arXiv:1506.05751; StackGAN, arXiv:1612.03242) or its maps (StackGAN++,
arXiv:1710.10916). A condition is the class, one-hot, or a vector as it is; or c ~ N(mu_y, sigma_y^2) of either
(StackGAN's conditioning augmentation).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from evogan.zoo import critic, generator
from evogan.zoo.backbones.sizes import stages
from evogan.zoo.conditioning import code_of
from evogan.zoo.gan import Critique, Draws, Network
from evogan.zoo.layers import LeakyReLU, Upsample, dense_norm, norm, precise, resize
from evogan.zoo.pyramid import expand, sides

WIDEST = 8  # times n
WITHOUT_SHIFT = ("none", "pixel")  # norms that add nothing, so that a convolution needs a bias
Genes = Mapping[str, Any]


class Block(nn.Module):
    def __init__(self, channels: int, normed: str, activate: nn.Module) -> None:
        super().__init__()
        bias = normed in WITHOUT_SHIFT
        first, second = (nn.Conv2d(channels, channels, 3, padding=1, bias=bias) for _ in range(2))
        self.one = nn.Sequential(first, norm(normed, channels), activate)
        self.two = nn.Sequential(second, norm(normed, channels))

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = x + self.two(self.one(x))
        return changed


@dataclass
class Climbed:
    """`images`: (N, C, s_k, s_k), smallest first; `given`: those below, enlarged, of all but the first. `mean`,
    `log_variance`: of the conditions (N, c), where these are drawn."""

    images: list[Tensor]
    given: list[Tensor]
    mean: Tensor | None = None
    log_variance: Tensor | None = None


class Generator(generator.Generator):
    """Latents (N, whole), draws and labels (N,), if there are any -> images (N, C, size, size).

    A latent holds all that images are made of: `latent` numbers, the levels' noise, what a condition is drawn with.
    """

    reached: Tensor

    def __init__(self, genes: Genes, size: int, channels: int, classes: int) -> None:
        super().__init__()
        self.sides = sides(size, genes["levels"])
        self._adds, self._passes_maps = bool(genes["level_residual"]), genes["level_given"] == "maps"
        self._in_turn, self._classes = bool(genes["levels_in_turn"]), classes
        drawn = genes.get("condition_augmentation", 0)
        code = drawn or classes
        planes = genes["level_noise"]
        self._parts = [genes["latent"], *(planes * s * s for s in self.sides[1:]), drawn]
        self.whole = sum(self._parts)
        kind, self.activate = genes["level_norm"], LeakyReLU(genes["generator_slope"])
        units = self._units = genes.get("base_units", 0)
        bias = kind in WITHOUT_SHIFT
        widths = [genes["filters"] * min(2**i, WIDEST) for i in reversed(range(len(self.sides)))]
        if drawn:
            self.gaussian = nn.Linear(classes, 2 * drawn)

        def finished(layer: nn.Module, channels: int) -> list[nn.Module]:
            return [layer, norm(kind, channels), self.activate]

        self._side, doublings = stages(self.sides[0]) or (self.sides[0], 0)
        self._width = widths[0] * 2**doublings
        self.dense = nn.Linear(genes["latent"] + code, units or self._width * self._side**2, bias=bias)
        base = finished(nn.Identity(), self._width)
        for i in reversed(range(doublings)):
            width = widths[0] * 2**i
            base += finished(Upsample("nearest", 2 * width, width, 3, bias=bias), width)
        if units:
            hidden = nn.Linear(units, units, bias=bias)
            base = [dense_norm(kind, units), self.activate, hidden, dense_norm(kind, units), self.activate]
        self.base = nn.Sequential(*base)
        self.levels = nn.ModuleList()
        for below, width in itertools.pairwise(widths):
            given = below if self._passes_maps else channels
            enter = nn.Conv2d(given + planes + code, width, 3, padding=1, bias=bias)
            blocks = (Block(width, kind, self.activate) for _ in range(genes["level_blocks"]))
            self.levels.append(nn.Sequential(*finished(enter, width), *blocks))
        self.heads = nn.ModuleList(nn.Conv2d(width, channels, 3, padding=1) for width in widths)
        if units:
            side = self.sides[0]
            self.heads[0] = nn.Sequential(nn.Linear(units, channels * side**2), nn.Unflatten(1, (channels, side, side)))
        self.register_buffer("reached", torch.empty(()))

    def reset(self, rng: torch.Generator) -> None:
        """How many levels are trained, or being so."""
        self.reached.fill_(1 if self._in_turn else len(self.sides))

    def climb(
        self, latent: Tensor, labels: Sequence[Tensor], levels: int, low: Sequence[Tensor] | None = None
    ) -> Climbed:
        """Images of as many levels. `low`: real ones of all levels below the last, that each next one is given in
        place of what is made."""
        start, *noise, drawn = latent.split(self._parts, 1)
        code, mean, log_variance = self._condition(labels, drawn)
        x = self.dense(torch.cat([start, *code], 1))
        x = self.base(x if self._units else generator.maps(x, self._width))
        found = Climbed([torch.tanh(self.heads[0](x))], [], mean, log_variance)
        for k in range(1, levels):
            below = found.images[-1] if low is None else low[k - 1]
            if self._in_turn:  # what is trained already stays as it is
                x, below = x.detach(), below.detach()
            enlarged = expand(below)
            given = [resize("nearest", x) if self._passes_maps else enlarged]
            side = self.sides[k]
            given += [z.unflatten(1, (-1, side, side)) for z in noise[k - 1 : k] if z.shape[1]]
            given += [c[:, :, None, None].expand(-1, -1, side, side) for c in code]
            x = self.levels[k - 1](torch.cat([g.to(x.dtype) for g in given], 1))
            image = self.heads[k](x)
            found.images.append(enlarged + precise(image) if self._adds else torch.tanh(image))
            found.given.append(enlarged)
        return found

    def forward(self, latent: Tensor, draws: Draws = (), *labels: Tensor) -> Tensor:
        """What levels make that are not trained yet is left out: the last image is enlarged."""
        levels = int(self.reached) if self._in_turn else len(self.sides)
        images = self.climb(latent, labels, levels).images[-1]
        return resize("nearest", images, self.sides[-1] // images.shape[-1])

    def _condition(self, labels: Sequence[Tensor], drawn: Tensor) -> tuple[list[Tensor], Tensor | None, Tensor | None]:
        """The condition, if there is one, and what it is drawn from, if it is."""
        code = [code_of(own, self._classes, drawn.dtype) for own in labels]
        if not code or not drawn.shape[1]:
            return code, None, None
        mean, log_variance = precise(self.gaussian(code[0])).chunk(2, 1)
        return [mean + torch.exp(log_variance / 2) * drawn], mean, log_variance


class LevelCritic(critic.Critic):
    """Of images of one side; `channels`: with what is shown beside them. `units`: of its two layers, if it is dense."""

    def __init__(self, genes: Genes, size: int, channels: int, units: int = 0) -> None:
        super().__init__(genes)
        if units:
            whole = nn.Linear(channels * size**2, units)
            self.layers = nn.Sequential(nn.Flatten(), whole, self.activate, nn.Linear(units, units), self.activate)
            self.end_with(units)
            return
        kind, width = genes["level_critic_norm"], genes["level_critic_filters"]
        bias = kind in (*WITHOUT_SHIFT, "instance")
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), self.activate]
        for i in range((stages(size) or (size, 0))[1]):
            inputs, width = width, genes["level_critic_filters"] * min(2 ** (i + 1), WIDEST)
            layers += [nn.Conv2d(inputs, width, 4, 2, 1, bias=bias), norm(kind, width), self.activate]
            size //= 2
        self.layers = nn.Sequential(*layers)
        self.end_with(width, size)

    def trunk(self, x: Tensor, draws: Draws) -> Tensor:
        maps: Tensor = self.layers(x)
        return maps


class LadderCritic(Network):
    """A critic for every level. Asked as one it is that of whole images: (N, C, H, W), draws, labels (N,) if they have
    any, and, if it `sees_low`, the image below, enlarged.
    """

    def __init__(self, critics: Sequence[Network], sees_low: bool) -> None:
        super().__init__()
        self.critics = nn.ModuleList(critics)
        self.sees_low = sees_low and len(critics) > 1

    def forward(self, x: Tensor, draws: Draws = (), *beside: Tensor) -> Critique:
        if self.sees_low:
            *labels, low = beside
            x, beside = torch.cat([x, low.to(x.dtype)], 1), tuple(labels)
        said: Critique = self.critics[-1](x, draws, *beside)
        return said
