"""What is done to the weights of dense and convolution layers: scaled, bounded, drawn somewhere.

A constraint that changes the weights in use (spectral norm, equalised learning rate) is a parametrisation and a pure
function of parameters and buffers: power iteration happens between steps, in `iterate`. So one forward pass is like
the other, and `torch.func` can stack a population. Weights are matrices (out, rest); a transposed convolution's are
permuted to that first.

    spectral norm         W / sigma, sigma = u'Wv; v = W'u/|W'u|, u = Wv/|Wv| once a step      arXiv:1802.05957
    equalised rate        W * gain / sqrt(fan in), W ~ N(0, 1)                                   arXiv:1710.10196
    clip                  w <- min(max(w, -c), c)                                                arXiv:1701.07875
    sigma clamp           W <- W - max(0, sigma - s) u v'                                        arXiv:1809.11096
    regularisation        spectral 1/2 sum sigma^2 (1705.10941), orthogonal |WW' - 1|^2 (1609.07093),
                          off_diagonal |WW' o (1 - I)|^2 (1809.11096), l2 1/2 sum w^2

The convolution's own norm may be up to the kernel's side times sigma.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from evogan.zoo.layers import fan_in

EPSILON = 1e-12
FIRST_ITERATIONS = 15  # from random vectors; afterwards one a step keeps up

Layer = nn.Conv2d | nn.ConvTranspose2d | nn.Linear


def layers(network: nn.Module) -> Iterator[tuple[str, Layer]]:
    """Every dense and convolution layer with its name."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            yield name, module


def matrix(layer: nn.Module, weight: Tensor) -> Tensor:
    """(out, rest). Of a transposed convolution the weight is (in, out, height, width)."""
    if isinstance(layer, nn.ConvTranspose2d):
        weight = weight.transpose(0, 1)
    return weight.flatten(1)


def raw(layer: Layer) -> Tensor:
    """The weight that is learned, whatever is made of it."""
    weight: Any = layer.parametrizations.weight.original if parametrize.is_parametrized(layer) else layer.weight  # type: ignore[union-attr]
    assert isinstance(weight, Tensor)
    return weight


class TopSingular(nn.Module):
    """Running estimates u, v of the first singular vectors of a layer's weight."""

    u: Tensor
    v: Tensor

    def __init__(self, layer: Layer, rng: torch.Generator) -> None:
        super().__init__()
        for name, size in zip("uv", matrix(layer, layer.weight).shape, strict=True):
            self.register_buffer(name, F.normalize(torch.randn(size, generator=rng), dim=0, eps=EPSILON))
        for _ in range(FIRST_ITERATIONS):
            self.iterate(matrix(layer, layer.weight))

    @torch.no_grad()
    def iterate(self, w: Tensor) -> None:
        """One power iteration."""
        self.v.copy_(F.normalize(w.mT @ self.u, dim=0, eps=EPSILON))
        self.u.copy_(F.normalize(w @ self.v, dim=0, eps=EPSILON))

    def sigma(self, w: Tensor) -> Tensor:
        """u'Wv, whose gradient is uv'; never below float32."""
        with torch.autocast(w.device.type, enabled=False):
            return self.u @ (w @ self.v)


class SpectralNorm(nn.Module):
    """A parametrisation: W -> W / sigma, u and v constants in the backward pass."""

    def __init__(self, layer: Layer, rng: torch.Generator) -> None:
        super().__init__()
        self.top = TopSingular(layer, rng)
        self._transposed = isinstance(layer, nn.ConvTranspose2d)

    def forward(self, weight: Tensor) -> Tensor:
        return weight / self.top.sigma((weight.transpose(0, 1) if self._transposed else weight).flatten(1))


class Equalized(nn.Module):
    """A parametrisation: W -> W * gain / sqrt(fan in), times the layer's own `lr_multiplier` if it has one.

    `layer.gain` is sqrt(2) where a layer says nothing else.
    """

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        gain, slower = getattr(layer, "gain", math.sqrt(2)), getattr(layer, "lr_multiplier", 1.0)
        self.scale = float(gain * slower / math.sqrt(fan_in(layer)))

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.scale


class Weights:
    """The weights of one player, held as its genes say: what is learned, what is used, what they are drawn to."""

    def __init__(self, network: nn.Module, player: str, genes: Mapping[str, Any], rng: torch.Generator) -> None:
        self._layers = [layer for _, layer in layers(network)]
        self._constraint: str = genes[f"{player}_constraint"]
        self._drawn: str = genes[f"{player}_regularization"]
        self._genes, self._player = genes, player
        self._tops: list[TopSingular] = []
        self._scales: list[float] = []  # of the weights in use, over those that are learned
        for layer in self._layers:
            if self._constraint == "spectral_norm":
                spectral = SpectralNorm(layer, rng)
                parametrize.register_parametrization(layer, "weight", spectral)
                self._tops.append(spectral.top)
                self._scales.append(1.0)
                continue
            if self._constraint == "sigma_clamp" or self._drawn == "spectral":
                layer.top = TopSingular(layer, rng)
                self._tops.append(layer.top)
            if genes["equalized_lr"] or hasattr(layer, "lr_multiplier"):  # under a spectral norm it would cancel
                equalized = Equalized(layer)
                parametrize.register_parametrization(layer, "weight", equalized)
                self._scales.append(equalized.scale)
            else:
                self._scales.append(1.0)

    def _matrices(self) -> Iterator[Tensor]:
        """The weights in use; under a spectral norm, which bounds those already, the learned ones."""
        return (scale * matrix(layer, raw(layer)) for layer, scale in zip(self._layers, self._scales, strict=True))

    def regularization(self) -> Mapping[str, Tensor]:
        """The term that draws them, times its weight; {} if nothing does."""
        if self._drawn == "none":
            return {}
        weight = self._genes[f"{self._player}_regularization_weight"]
        with torch.autocast(raw(self._layers[0]).device.type, enabled=False):
            return {"regularization": weight * torch.stack(list(self._pulls())).sum()}

    def _pulls(self) -> Iterator[Tensor]:
        match self._drawn:
            case "spectral":
                return (top.sigma(w).square() / 2 for top, w in zip(self._tops, self._matrices(), strict=True))
            case "orthogonal":
                return (_gram(w, 1.0) for w in self._matrices())
            case "off_diagonal":
                return (_gram(w, 0.0) - w.square().sum(1).square().sum() for w in self._matrices())
            case _:
                return (w.square().sum() / 2 for w in self._matrices())

    @torch.no_grad()
    def after_step(self) -> None:
        """Follow the singular vectors, and bound what is bounded."""
        sigma, clip = (self._genes.get(name, math.inf) for name in (f"{self._player}_sigma", "clip"))
        for layer, top, scale in zip(self._layers, self._tops, self._scales, strict=False):  # tops of all, or none
            w = matrix(layer, raw(layer))
            top.iterate(w)
            if self._constraint == "sigma_clamp":
                excess = (top.sigma(w) - sigma / scale).clamp(min=0) * torch.outer(top.u, top.v)
                raw(layer).sub_(_shaped_as(layer, excess))
        if self._constraint == "clip":
            for layer, scale in zip(self._layers, self._scales, strict=True):
                raw(layer).copy_(raw(layer).clamp(-clip / scale, clip / scale))


def _shaped_as(layer: Layer, matrix: Tensor) -> Tensor:
    """A matrix (out, rest) in the shape of the layer's weight."""
    shape = layer.weight.shape
    if isinstance(layer, nn.ConvTranspose2d):
        return matrix.view(shape[1], shape[0], *shape[2:]).transpose(0, 1)
    return matrix.view(shape)


def _gram(w: Tensor, diagonal: float) -> Tensor:
    """|WW' - d|^2, up to a constant, of the smaller side: |W'W - d|^2 differs by d^2 for every row or column more."""
    small = w if len(w) <= w.shape[1] else w.mT
    gram = small @ small.mT
    return (gram - diagonal * torch.eye(len(small), dtype=w.dtype, device=w.device)).square().sum()
