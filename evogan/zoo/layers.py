"""Layers the networks are made of. Pure torch; no hidden state but registered buffers."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def norm(kind: str, channels: int, momentum: float = 0.2) -> nn.Module:
    """Normalisation of (N, C, H, W). `momentum` as torch counts it: Keras' 0.8 is 0.2 here."""
    if kind == "batch":
        return nn.BatchNorm2d(channels, momentum=momentum)
    if kind == "layer":  # over C, H, W of one sample
        return nn.GroupNorm(1, channels)
    if kind == "instance":  # unlike InstanceNorm2d this accepts 1x1 maps
        return nn.GroupNorm(channels, channels)
    return nn.Identity()


class SameConv(nn.Conv2d):
    """Convolution with Keras' `same` padding: what cannot be shared goes to the bottom and right."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, size: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride)
        self.size = math.ceil(size / stride)
        total = max((self.size - 1) * stride + kernel - size, 0)
        before, after = total // 2, total - total // 2
        self._pad = (before, after, before, after)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, self._pad))


class Upsample(nn.Module):
    """(N, C, H, W) -> (N, C', 2H, 2W), in one of the ways a generator doubles its image."""

    def __init__(self, kind: str, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.kind = kind
        if kind == "transposed":  # an even kernel: an odd one overlaps unevenly at stride 2
            self.conv: nn.Module = nn.ConvTranspose2d(inputs, outputs, kernel + 1, 2, padding=kernel // 2)
        else:
            wide = 4 * outputs if kind == "pixel_shuffle" else outputs
            self.conv = nn.Conv2d(inputs, wide, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "nearest":
            x = F.interpolate(x, scale_factor=2.0)
        elif self.kind == "bilinear":
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        x = self.conv(x)
        return F.pixel_shuffle(x, 2) if self.kind == "pixel_shuffle" else x


def initialise(network: nn.Module, std: float, rng: torch.Generator) -> None:
    """Weights N(0, std), biases 0, norms 1 and 0, drawn in the order of the modules.

    Pixel-shuffle convolutions start with four equal sub-kernels, so that they begin as nearest upsampling
    (Aitken et al., arXiv:1707.02937).
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, std, generator=rng)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
            module.reset_parameters()
    for module in network.modules():
        if isinstance(module, Upsample) and module.kind == "pixel_shuffle":
            assert isinstance(module.conv, nn.Conv2d)
            with torch.no_grad():
                module.conv.weight.copy_(module.conv.weight[::4].repeat_interleave(4, dim=0))


def draw_masks(shapes: list[tuple[int, int, int]], n: int, rate: float, rng: torch.Generator) -> tuple[Tensor, ...]:
    """Inverted-dropout masks (n, C, H, W), one a shape, from one draw; none at rate 0."""
    if rate == 0:
        return ()
    sizes = [n * math.prod(shape) for shape in shapes]
    flat = torch.empty(sum(sizes), device=rng.device).bernoulli_(1 - rate, generator=rng).div_(1 - rate)
    parts = flat.split(sizes)
    return tuple(  # channels-last in memory, as the activations are
        part.view(n, h, w, c).permute(0, 3, 1, 2) for part, (c, h, w) in zip(parts, shapes, strict=True)
    )
