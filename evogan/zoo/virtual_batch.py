"""A generator with virtual batch norm, and the batch that it compares with. Salimans et al., arXiv:1606.03498."""

from __future__ import annotations

import torch
from torch import Tensor

from evogan.zoo.gan import Draws, Network
from evogan.zoo.generator import Generator
from evogan.zoo.latents import Prior, draw_latents
from evogan.zoo.layers import REFERENCES


class WithReference(Network):
    """Puts a fixed batch of latents in front of every batch, and drops its images again.

    So each image depends on its own latent alone. `classes`: of a generator that is given labels; the batch has all.
    """

    references: Tensor

    def __init__(self, prior: Prior, generator: Generator, classes: int = 0) -> None:
        super().__init__()
        self.generator, self._prior, self._classes = generator, prior, classes
        self.register_buffer("references", torch.empty(REFERENCES, prior.size))

    def reset(self, rng: torch.Generator) -> None:
        self.references.copy_(draw_latents(self._prior, len(self.references), rng))

    def draws(self, n: int, rng: torch.Generator) -> Draws:
        return self.generator.draws(n, rng)

    def begin(self, progress: float) -> bool:
        return self.generator.begin(progress)

    def after_step(self, inputs: Tensor, *labels: Tensor) -> None:
        self.generator.after_step(inputs, *labels)

    def forward(self, latent: Tensor, draws: Draws = (), *labels: Tensor) -> Tensor:
        n = len(self.references)
        whole = tuple(torch.cat([torch.ones_like(mask[:1]).expand(n, *mask.shape[1:]), mask]) for mask in draws)
        classes = (torch.cat([torch.arange(n, device=own.device) % self._classes, own]) for own in labels)
        images: Tensor = self.generator(torch.cat([self.references, latent]), whole, *classes)  # of it nothing drops
        return images[n:]
