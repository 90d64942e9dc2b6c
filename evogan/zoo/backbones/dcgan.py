"""DCGAN, arXiv:1511.06434: strided convolutions alone, normalised everywhere but at the image.

With n = filters, images of side m * 2^k (m from 3 to 7) and kernels of side kernel_size, or one more where strided:

    generator  F n*2^(k-1)*m^2, norm, relu | up, C n*2^(k-2), norm, relu | ... | up, C n, norm, relu | up, C c, tanh
    critic     C n s2 | C 2n s2, norm | ... | C n*2^(k-1) s2, norm | F 1     each with leaky ReLU and dropout

The dense layers at both ends are the published 4x4 convolutions. A network with norms has no biases. In place of a
strided convolution (s2) the critic may have one of stride 1 and a pooling of 2x2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from evogan.zoo import critic, generator
from evogan.zoo.backbones.sizes import doublings
from evogan.zoo.gan import Draws
from evogan.zoo.layers import Chain, LeakyReLU, Upsample, norm, pool

WITHOUT_SHIFT = ("none", "pixel")  # norms that add nothing, so that a network needs biases


class Generator(generator.Generator):
    def __init__(self, genes: Mapping[str, Any], size: int, channels: int) -> None:
        super().__init__()
        m, k = doublings(size, genes["first_side"])
        n, kind, act = genes["filters"], genes["generator_norm"], LeakyReLU(genes["generator_slope"])
        bias = kind in WITHOUT_SHIFT
        self.width = n * 2 ** (k - 1)

        def up(inputs: int, outputs: int) -> nn.Module:
            even = genes["strided_kernel"] == "even"
            return Upsample(genes["upsampling"], inputs, outputs, genes["kernel_size"], bias=bias, even=even)

        self.dense = nn.Linear(genes["latent"], self.width * m * m, bias=bias)
        given = genes.get("norm_condition")
        blocks: list[nn.Module] = [norm(kind, self.width, given), act]
        for i in reversed(range(1, k)):
            outputs = n * 2 ** (i - 1)
            blocks += [up(2 * outputs, outputs), norm(kind, outputs, given), act]
        blocks += [up(n, channels)]
        self.blocks = Chain(*blocks)

    def forward(self, latent: Tensor, draws: Draws = (), *condition: Tensor) -> Tensor:
        return torch.tanh(self.blocks(generator.maps(self.dense(latent), self.width), *condition))


class Critic(critic.DroppingCritic):
    def __init__(self, genes: Mapping[str, Any], size: int, channels: int) -> None:
        super().__init__(genes)
        m, k = doublings(size, genes["first_side"])
        kernel, kind, down = genes["kernel_size"], genes["critic_norm"], genes["critic_downsampling"]
        bias = kind in WITHOUT_SHIFT

        def halve(inputs: int, outputs: int) -> list[nn.Module]:
            if down != "strided":
                return [nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=bias), pool(down)]
            side = kernel + (genes["strided_kernel"] == "even")
            return [nn.Conv2d(inputs, outputs, side, 2, kernel // 2, bias=bias)]

        widths = [genes["filters"] * 2**i for i in range(k)]
        self.blocks = nn.ModuleList(
            nn.Sequential(*halve(inputs, outputs), norm(kind if i else "none", outputs))
            for i, (inputs, outputs) in enumerate(zip([channels, *widths], widths, strict=False))
        )
        self.shapes = [(outputs, size >> i, size >> i) for i, outputs in enumerate(widths, 1)]
        self.end_with(widths[-1], m, bias=bias)
