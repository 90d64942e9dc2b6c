"""StyleGAN: a latent that sets the style of every layer. Karras et al., arXiv:1812.04948.

The latent becomes a style w by `mapping_layers` dense layers. The image grows, as PGGAN's does and with its numbers of
channels, from a constant; after the constant and after each of the convolutions, two a level, maps x become

    y = act(x + noise * strength + bias),  AdaIN(y, w) = (1 + A_s w) (y - mean(y))/std(y) + A_b w

with one strength and bias a channel and statistics over the positions of one image. The first convolution of a level
sees maps enlarged bilinearly. In training a share of the images has the style of a second latent from some layer on.
Samples have the same noise all, and in the first levels styles drawn to their mean: w' = mean + psi (w - mean).

The critic is PGGAN's. With `critic_blur` it is the published one, where C n_s k3, act is followed by a blur, C n_(s-1)
k3, average pool, act.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evogan.zoo.backbones import progressive
from evogan.zoo.backbones.progressive import with_gain
from evogan.zoo.gan import Draws
from evogan.zoo.latents import Prior, draw_latents
from evogan.zoo.layers import LeakyReLU, PixelNorm, resize

MAPPING_SLOPE = 0.2
MEAN_DECAY = 0.995
EPSILON = 1e-8

Critic = progressive.Critic


class SlowLinear(nn.Linear):
    """A dense layer whose bias is learned `lr_multiplier` times as fast. Its weight is scaled where all are."""

    def __init__(self, inputs: int, outputs: int, lr_multiplier: float) -> None:
        super().__init__(inputs, outputs)
        self.lr_multiplier = lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias * self.lr_multiplier)


class Finish(nn.Module):
    """What follows a convolution: maps (N, C, H, H), a style (N, latent) and noise (N, 1, H, H) -> maps.

    Without noise it is `self.noise`, the same for all.
    """

    noise: Tensor

    def __init__(self, latent: int, channels: int, side: int, activate: nn.Module) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.empty(channels, 1, 1))
        self.bias = nn.Parameter(torch.empty(channels, 1, 1))
        self.style = with_gain(nn.Linear(latent, 2 * channels), 1.0)
        self.register_buffer("noise", torch.empty(1, 1, side, side))
        self.activate = activate

    def reset(self, rng: torch.Generator) -> None:
        nn.init.zeros_(self.strength)
        nn.init.zeros_(self.bias)
        self.noise.normal_(generator=rng)

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        noise = self.noise if noise is None else noise
        x = self.activate(x + noise * self.strength + self.bias)
        return adaptive_instance_norm(x, *self.style(w).chunk(2, dim=1))


def adaptive_instance_norm(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Maps (N, C, H, W) get the mean `bias` and the standard deviation |1 + scale|, both (N, C)."""
    return F.instance_norm(x, eps=EPSILON) * (1 + scale[:, :, None, None]) + bias[:, :, None, None]


class Generator(progressive.GrowingGenerator):
    """`mean_style` follows the styles of a training, for samples."""

    mean_style: Tensor

    def __init__(self, genes: Mapping[str, Any], size: int, channels: int) -> None:
        super().__init__(genes, size, channels)
        latent = genes["latent"]
        self._prior = Prior(genes.get("drawn_latent", latent), genes["latent_prior"])
        self._mixing: float = genes["style_mixing"]
        self.truncation: float = genes["style_truncation"]  # of samples alone
        self._truncated_levels: int = genes["style_truncated_levels"]
        mapping: list[nn.Module] = [PixelNorm()]
        for _ in range(genes["mapping_layers"]):
            mapping += [SlowLinear(latent, latent, genes["mapping_lr"]), nn.LeakyReLU(MAPPING_SLOPE)]
        self.mapping = nn.Sequential(*mapping)
        self.register_buffer("mean_style", torch.empty(latent))
        self.constant = nn.Parameter(torch.empty(self.widths[0], self.m, self.m))
        self._levels = [s for s in range(self.k + 1) for _ in range(2)]  # of each layer; the constant is the first
        widths = [self.widths[s] for s in self._levels]
        self.convs = nn.ModuleList(
            [nn.Identity(), *(nn.Conv2d(i, o, 3, padding=1, bias=False) for i, o in pairwise(widths))]
        )
        activate = LeakyReLU(genes["generator_slope"])
        self.finishes = nn.ModuleList(Finish(latent, self.widths[s], self._side(s), activate) for s in self._levels)

    def reset(self, rng: torch.Generator) -> None:
        nn.init.ones_(self.constant)
        self.mean_style.zero_()

    def draws(self, n: int, rng: torch.Generator) -> Draws:
        """Other latents; the first layer (N,) that has their style, past the last if none has; noise for each layer."""
        level, fade = self.growth.now()
        in_use = 2 * (level + math.ceil(fade)) + 2
        change = torch.randint(1, in_use, (n,), generator=rng, device=rng.device)
        mixed = torch.rand(n, generator=rng, device=rng.device) < self._mixing
        return (
            draw_latents(self._prior, n, rng),
            torch.where(mixed, change, len(self._levels)),
            *(torch.randn((n, 1, m, m), generator=rng, device=rng.device) for m in map(self._side, self._levels)),
        )

    def entered(self, draws: Draws, enter: Callable[[Tensor], Tensor]) -> Draws:
        return (enter(draws[0]), *draws[1:]) if draws else draws

    def forward(self, latent: Tensor, draws: Draws = ()) -> Tensor:
        """Without noise among the `draws` a sample: with noise that stays, and styles that are truncated."""
        w = self.mapping(latent)
        styles = [w] * len(self._levels)
        noise: Sequence[Tensor | None] = ()
        if draws:
            other, change, *noise = draws
            mixed = self.mapping(other)
            styles = [torch.where((i < change)[:, None], w, mixed) for i in range(len(styles))]
        if not noise:
            noise = [None] * len(styles)
            held = zip(self._levels, styles, strict=True)
            styles = [self._truncated(w) if s < self._truncated_levels else w for s, w in held]

        def block(s: int, x: Tensor) -> Tensor:
            if s:
                x = resize("bilinear", x)
            for i in (2 * s, 2 * s + 1):
                x = self.finishes[i](self.convs[i](x), styles[i], noise[i])
            return x

        return self.images(self.constant.expand(latent.shape[0], -1, -1, -1), block)

    def _truncated(self, w: Tensor) -> Tensor:
        return self.mean_style + self.truncation * (w - self.mean_style)

    @property
    def layers(self) -> int:
        """That have a style."""
        return len(self._levels)

    def _side(self, level: int) -> int:
        return self.m << level

    @torch.no_grad()
    def after_step(self, inputs: Tensor, *labels: Tensor) -> None:
        """The mean style follows those of these latents (N, latent)."""
        self.mean_style.copy_(torch.lerp(self.mean_style, self.mapping(inputs).mean(0), 1 - MEAN_DECAY))
