"""What is done to the weights of dense and convolution layers: scaled, bounded, drawn somewhere.

A constraint that changes the weights in use (spectral norm, equalised learning rate) is a parametrisation and a pure
function of parameters and buffers: power iteration happens between steps, in `iterate`. So one forward pass is like
the other, and `torch.func` can stack a population. Weights are matrices (out, rest); a transposed convolution's are
permuted to that first.

    spectral norm         W / sigma, sigma = u'Wv; v = W'u/|W'u|, u = Wv/|Wv| once a step      arXiv:1802.05957
    equalised rate        W * gain / sqrt(fan in), W ~ N(0, 1)                                   arXiv:1710.10196
    weight norm           W * g / |w| for the weights w of each output, g fixed                 arXiv:1602.07868
    clip                  w <- min(max(w, -c), c)                                                arXiv:1701.07875
    sigma clamp           W <- W - max(0, sigma - s) u v', s a number or that times W's second   arXiv:1809.11096
                          singular value
    regularisation        spectral 1/2 sum sigma^2 (1705.10941), by u and v or, exact, the top eigenvalue of WW';
                          orthogonal |WW' - 1|^2 (1609.07093), off_diagonal |WW' o (1 - I)|^2 (1809.11096),
                          l2 1/2 sum w^2

The convolution's own norm may be up to the kernel's side times sigma.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from evogan.zoo.layers import fan_in
from evogan.zoo.number import Scalar, now

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
    """Running estimates u, v of the first singular vectors of a matrix."""

    u: Tensor
    v: Tensor

    def __init__(self, w: Tensor, rng: torch.Generator) -> None:
        super().__init__()
        for name, size in zip("uv", w.shape, strict=True):
            self.register_buffer(name, F.normalize(torch.randn(size, generator=rng), dim=0, eps=EPSILON))
        for _ in range(FIRST_ITERATIONS):
            self.iterate(w)

    @torch.no_grad()
    def iterate(self, w: Tensor) -> None:
        """One power iteration."""
        self.v.copy_(F.normalize(w.mT @ self.u, dim=0, eps=EPSILON))
        self.u.copy_(F.normalize(w @ self.v, dim=0, eps=EPSILON))

    def sigma(self, w: Tensor) -> Tensor:
        """u'Wv, whose gradient is uv'; never below float32."""
        with torch.autocast(w.device.type, enabled=False):
            return self.u @ (w @ self.v)

    def others(self, w: Tensor) -> Tensor:
        """w without its first direction: its top singular value is the second of w."""
        return w - self.sigma(w) * torch.outer(self.u, self.v)


class SpectralNorm(nn.Module):
    """A parametrisation: W -> W / sigma, u and v constants in the backward pass."""

    def __init__(self, layer: Layer, rng: torch.Generator) -> None:
        super().__init__()
        self.top = TopSingular(matrix(layer, layer.weight), rng)
        self._transposed = isinstance(layer, nn.ConvTranspose2d)

    def forward(self, weight: Tensor) -> Tensor:
        return weight / self.top.sigma((weight.transpose(0, 1) if self._transposed else weight).flatten(1))


class WeightNorm(nn.Module):
    """A parametrisation: the weights of each output get the length sqrt(2), or `layer.gain` if it is there."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self._gain: float = getattr(layer, "gain", math.sqrt(2))
        self._rest = tuple(i for i in range(layer.weight.dim()) if i != isinstance(layer, nn.ConvTranspose2d))

    def forward(self, weight: Tensor) -> Tensor:
        return weight * (self._gain * torch.rsqrt(weight.square().sum(self._rest, keepdim=True) + EPSILON))


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


@dataclass
class _Held:
    """A layer, whether the constraint holds for it, its top and second singular vectors where they are followed, and
    `scale`: its weight in use over the one that is learned.
    """

    layer: Layer
    constrained: bool
    top: TopSingular | None = None
    second: TopSingular | None = None
    scale: float = 1.0

    def matrix(self) -> Tensor:
        """The weight in use; under a spectral norm, which bounds that already, the learned one."""
        return self.scale * matrix(self.layer, raw(self.layer))


class Weights:
    """The weights of one player: what is learned, what is used, what they are drawn to.

    `constraint`: "none", "spectral_norm", "weight_norm", or "clip" or "sigma_clamp" with its `bound`; of a clip,
    `parameters` other than weights may be meant too; that of a sigma clamp, where `relative`, is a multiple of the
    second singular value.
    It holds for every layer but `free`, and but those of rank 1 where it is relative. `regularization`: "none", or what
    they are drawn to with this `weight`. `equalized`: the learning rate of all layers is; it is anyway of one with an
    `lr_multiplier`.
    """

    def __init__(
        self,
        network: nn.Module,
        rng: torch.Generator,
        *,
        constraint: str = "none",
        bound: Scalar = 1.0,
        parameters: bool = False,
        relative: bool = False,
        free: nn.Module | None = None,
        regularization: str = "none",
        weight: Scalar = 1.0,
        equalized: bool = False,
    ) -> None:
        self._network, self._equalized = network, equalized
        self._constraint, self._bound, self._parameters = constraint, bound, parameters
        self._relative = relative
        self._drawn, self._weight = regularization, weight
        self._held = [self._hold(layer, layer is not free, rng) for _, layer in layers(network)]

    def _hold(self, layer: Layer, constrained: bool, rng: torch.Generator) -> _Held:
        if constrained and self._constraint == "spectral_norm":  # a scale would cancel
            spectral = SpectralNorm(layer, rng)
            parametrize.register_parametrization(layer, "weight", spectral)
            return _Held(layer, constrained, spectral.top)
        w = matrix(layer, layer.weight.detach())
        held = _Held(layer, constrained and not (self._relative and min(w.shape) == 1))
        if (held.constrained and self._constraint == "sigma_clamp") or self._drawn == "spectral":
            held.top = layer.top = TopSingular(w, rng)
            if held.constrained and self._relative:
                held.second = layer.second = TopSingular(held.top.others(w), rng)
        if held.constrained and self._constraint == "weight_norm":  # where a scale would cancel, too
            parametrize.register_parametrization(layer, "weight", WeightNorm(layer))
        elif self._equalized or hasattr(layer, "lr_multiplier"):
            equalized = Equalized(layer)
            parametrize.register_parametrization(layer, "weight", equalized)
            held.scale = equalized.scale
        return held

    def regularization(self) -> Mapping[str, Tensor]:
        """The term that draws them, times its weight; {} if nothing does."""
        if self._drawn == "none":
            return {}
        weight = now(self._weight)
        with torch.autocast(raw(self._held[0].layer).device.type, enabled=False):
            return {"regularization": weight * torch.stack([self._pull(held) for held in self._held]).sum()}

    def _pull(self, held: _Held) -> Tensor:
        w = held.matrix()
        match self._drawn:
            case "spectral":
                assert held.top is not None
                return held.top.sigma(w).square() / 2
            case "spectral_exact":
                largest: Tensor = torch.linalg.eigvalsh(products(w))[-1]
                return largest / 2
            case "orthogonal":
                return _gram(w, 1.0)
            case "off_diagonal":
                return _gram(w, 0.0) - w.square().sum(1).square().sum()
            case _:
                return w.square().sum() / 2

    @torch.no_grad()
    def after_step(self) -> None:
        """Follow the singular vectors, and bound what is bounded."""
        for held in self._held:
            if held.top is not None:
                self._follow(held, held.top)
        if self._constraint == "clip":
            self._clip(now(self._bound))

    def _follow(self, held: _Held, top: TopSingular) -> None:
        w = matrix(held.layer, raw(held.layer))
        top.iterate(w)
        if held.constrained and self._constraint == "sigma_clamp":
            bound = now(self._bound) / held.scale
            if held.second is not None:
                others = top.others(w)
                held.second.iterate(others)
                bound = now(self._bound) * held.second.sigma(others)
            excess = (top.sigma(w) - bound).clamp(min=0) * torch.outer(top.u, top.v)
            raw(held.layer).sub_(_shaped_as(held.layer, excess))

    def _clip(self, most: Any) -> None:
        apart: set[Tensor] = set()  # from what is clipped as it is
        for held in self._held:
            weight = raw(held.layer)
            if held.constrained:
                weight.copy_(weight.clamp(-most / held.scale, most / held.scale))
            apart |= {weight} if held.constrained else set(held.layer.parameters())
        if self._parameters:
            for parameter in self._network.parameters():
                if parameter not in apart:
                    parameter.copy_(parameter.clamp(-most, most))


def _shaped_as(layer: Layer, matrix: Tensor) -> Tensor:
    """A matrix (out, rest) in the shape of the layer's weight."""
    shape = layer.weight.shape
    if isinstance(layer, nn.ConvTranspose2d):
        return matrix.view(shape[1], shape[0], *shape[2:]).transpose(0, 1)
    return matrix.view(shape)


def products(w: Tensor) -> Tensor:
    """WW' or W'W, whichever is smaller: its eigenvalues are the squares of W's singular values."""
    small = w if len(w) <= w.shape[1] else w.mT
    return small @ small.mT


def _gram(w: Tensor, diagonal: float) -> Tensor:
    """|WW' - d|^2, up to a constant, of the smaller side: |W'W - d|^2 differs by d^2 for every row or column more."""
    gram = products(w)
    return (gram - diagonal * torch.eye(len(gram), dtype=w.dtype, device=w.device)).square().sum()
