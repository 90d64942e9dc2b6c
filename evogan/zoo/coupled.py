"""Coupled GANs, Liu and Tuzel, arXiv:1606.07536: for each domain a generator and a critic. Generators have their first
layers in common, where what is seen is decided, and critics their last ones, where it is recognised; what is left is
how it looks in a domain. With n = filters, twice as many at every smaller side, 8n at most:

    generators   F m^2, norm, relu | up, C3, norm, relu | ... | C3 c, tanh
    critics      C3 n, LR | C4 2n s2, norm, LR | ... down to sides of 4 to 7 | F 1

The published ones of MNIST are as deep, with transposed convolutions there and pooling here.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from evogan.zoo import generator
from evogan.zoo.backbones.sizes import stages
from evogan.zoo.gan import Critique, Draws, Network
from evogan.zoo.layers import LeakyReLU, Upsample, norm, precise

WIDEST = 8  # times n
WITHOUT_SHIFT = ("none", "pixel")  # norms that add nothing, so that a convolution needs a bias
Genes = Mapping[str, Any]
Layers = Callable[[], list[nn.Module]]  # afresh at each call


class Maps(nn.Module):
    """(N, C*H*H) -> (N, C, H, H)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self._channels = channels

    def forward(self, features: Tensor) -> Tensor:
        return generator.maps(features, self._channels)


class Generator(generator.Generator):
    """Latents (N, latent), draws and a domain, the last one unless it is said -> its images (N, C, size, size)."""

    def __init__(self, genes: Genes, size: int, channels: int, domains: int) -> None:
        super().__init__()
        layers: Layers = lambda: _up(genes, size, channels)  # noqa: E731
        shared = min(genes["coupled_layers"], len(layers()) - 1)
        self.shared = nn.Sequential(*layers()[:shared])
        self.own = nn.ModuleList(nn.Sequential(*layers()[shared:]) for _ in range(domains))

    def forward(self, latent: Tensor, draws: Draws = (), domain: int = -1) -> Tensor:
        return torch.tanh(self.own[domain](self.shared(latent)))

    def every(self, latent: Tensor) -> list[Tensor]:
        """Of each domain its images of the same latents."""
        code = self.shared(latent)
        return [torch.tanh(own(code)) for own in self.own]


class Critic(Network):
    """Images (N, C, size, size), draws and the domain that they are to be of, the last one unless it is said."""

    def __init__(self, genes: Genes, size: int, channels: int, domains: int) -> None:
        super().__init__()
        layers: Layers = lambda: _down(genes, size, channels)  # noqa: E731
        own = max(len(layers()) - genes["coupled_critic_layers"], 1)
        self.own = nn.ModuleList(nn.ModuleList(layers()[:own]) for _ in range(domains))
        self.shared = nn.ModuleList(layers()[own:])

    def forward(self, x: Tensor, draws: Draws = (), domain: int = -1) -> Critique:
        first: Sequence[nn.Module] = self.own[domain]  # type: ignore[assignment]
        *trunk, head = (*first, *self.shared)
        for layer in trunk:
            x = layer(x)
        return Critique(precise(head(x.flatten(1))).squeeze(1), x.flatten(1))

    def of(self, domain: int) -> Network:
        return OfOne(self, domain)


class OfOne(Network):
    """The critic of one domain. It has no weights: they are all its `critic`'s."""

    def __init__(self, critic: Critic, domain: int) -> None:
        super().__init__()
        self.sign = critic.sign
        self._judge: Callable[[Tensor, Draws], Critique] = lambda x, draws: critic(x, draws, domain)

    def forward(self, x: Tensor, draws: Draws = ()) -> Critique:
        return self._judge(x, draws)


def _up(genes: Genes, size: int, channels: int) -> list[nn.Module]:
    kind, activate = genes["level_norm"], LeakyReLU(genes["generator_slope"])
    bias = kind in WITHOUT_SHIFT
    side, doublings = stages(size) or (size, 0)
    widths = [genes["filters"] * min(2**i, WIDEST) for i in reversed(range(doublings + 1))]
    found: list[nn.Module] = [
        nn.Sequential(
            *(nn.Linear(genes["latent"], widths[0] * side**2, bias=bias), Maps(widths[0])),
            *(norm(kind, widths[0]), activate),
        )
    ]
    for below, width in itertools.pairwise(widths):
        found.append(nn.Sequential(Upsample("nearest", below, width, 3, bias=bias), norm(kind, width), activate))
    return [*found, nn.Conv2d(widths[-1], channels, 3, padding=1)]


def _down(genes: Genes, size: int, channels: int) -> list[nn.Module]:
    kind, activate = genes["level_critic_norm"], LeakyReLU(genes["slope"])
    bias = kind in (*WITHOUT_SHIFT, "instance")
    side, halvings = stages(size) or (size, 0)
    widths = [genes["level_critic_filters"] * min(2**i, WIDEST) for i in range(halvings + 1)]
    found: list[nn.Module] = [nn.Sequential(nn.Conv2d(channels, widths[0], 3, padding=1), activate)]
    for inputs, width in itertools.pairwise(widths):
        found.append(nn.Sequential(nn.Conv2d(inputs, width, 4, 2, 1, bias=bias), norm(kind, width), activate))
    return [*found, nn.Linear(widths[-1] * side**2, 1)]
