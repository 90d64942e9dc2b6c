"""The dense networks that learned MNIST from 100 labels: Salimans et al., arXiv:1606.03498.

With n = filters (there 250), S = softplus, noise N(0, hidden_noise) on what leaves each hidden layer of the critic:

    generator  F 2n, S, norm | F 2n, S, norm | F c*H*H, tanh
    critic     F 4n, act | F 2n, act | F n, act | F n, act | F n, act | F 1

In their code images are in [0, 1], by a sigmoid, and the weights of the last layer of the generator are normalised.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from evogan.zoo import critic, generator
from evogan.zoo.gan import Draws
from evogan.zoo.layers import ConditionalBatchNorm, dense_norm


class Generator(generator.Generator):
    def __init__(self, genes: Mapping[str, Any], size: int, channels: int) -> None:
        super().__init__()
        wide, kind, given = 2 * genes["filters"], genes["generator_norm"], genes.get("norm_condition")
        self.image = (channels, size, size)
        self.layers = nn.ModuleList(nn.Linear(inputs, wide) for inputs in (genes["latent"], wide))
        self.norms = nn.ModuleList(dense_norm(kind, wide, given) for _ in self.layers)
        self.last = nn.Linear(wide, channels * size * size)

    def forward(self, latent: Tensor, draws: Draws = (), *condition: Tensor) -> Tensor:
        x = latent
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = softplus(layer(x))
            x = norm(x, *condition) if isinstance(norm, ConditionalBatchNorm) else norm(x)
        images: Tensor = torch.tanh(self.last(x)).unflatten(1, self.image)
        return images


class Critic(critic.Critic):
    def __init__(self, genes: Mapping[str, Any], size: int, channels: int) -> None:
        super().__init__(genes)
        n: int = genes["filters"]
        self.noise: float = genes["hidden_noise"]
        self.widths = [4 * n, 2 * n, n, n, n]
        self.layers = nn.ModuleList(
            nn.Linear(inputs, outputs)
            for inputs, outputs in zip([channels * size * size, *self.widths], self.widths, strict=False)
        )
        self.end_with(n)

    def draws(self, n: int, rng: torch.Generator) -> Draws:
        if self.noise == 0:
            return ()
        return tuple(self.noise * torch.randn((n, width), generator=rng, device=rng.device) for width in self.widths)

    def trunk(self, x: Tensor, draws: Draws) -> Tensor:
        x = x.flatten(1)
        for i, layer in enumerate(self.layers):
            x = self.activate(layer(x))
            if draws:
                x = x + draws[i].to(x.dtype)
        return x
