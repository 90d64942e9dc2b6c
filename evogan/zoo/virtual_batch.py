"""Networks with virtual batch norm, and the batch that they compare with. Salimans et al., arXiv:1606.03498."""

from __future__ import annotations

import torch
from torch import Tensor

from evogan.zoo.critic import AroundCritic
from evogan.zoo.gan import Critique, Draws, Network
from evogan.zoo.generator import AroundGenerator, Generator
from evogan.zoo.latents import Prior, draw_latents
from evogan.zoo.layers import REFERENCES, VirtualBatchNorm


class WithReference(AroundGenerator):
    """Puts a fixed batch of latents in front of every batch, and drops its images again.

    So each image depends on its own latent alone. `classes`: of a generator that is given labels; the batch has all.
    """

    references: Tensor

    def __init__(self, prior: Prior, generator: Generator, classes: int = 0) -> None:
        super().__init__(generator)
        self._prior, self._classes = prior, classes
        self.register_buffer("references", torch.empty(REFERENCES, prior.whole))

    def reset(self, rng: torch.Generator) -> None:
        self.references.copy_(draw_latents(self._prior, len(self.references), rng))

    def forward(self, latent: Tensor, draws: Draws = (), *labels: Tensor) -> Tensor:
        n = len(self.references)
        whole = _with_whole(n, draws)
        classes = (torch.cat([torch.arange(n, device=own.device) % self._classes, own]) for own in labels)
        images: Tensor = self.generator(torch.cat([self.references, latent]), whole, *classes)  # of it nothing drops
        return images[n:]


class CriticWithReference(AroundCritic):
    """A critic that compares every batch with some of the first real images of its training.

    So what it says of an image depends on that image alone. The references, of side `size`, are `rows` or fewer, and
    have labels too, for a critic that is given some.
    """

    references: Tensor
    labels: Tensor
    known: Tensor  # whether there are any yet

    def __init__(self, critic: Network, rows: int, channels: int, size: int) -> None:
        super().__init__(critic)
        rows = min(REFERENCES, rows)
        for module in critic.modules():
            if isinstance(module, VirtualBatchNorm):
                module.references = rows
        self.register_buffer("references", torch.empty(rows, channels, size, size))
        self.register_buffer("labels", torch.empty(rows, dtype=torch.long))
        self.register_buffer("known", torch.empty((), dtype=torch.bool))

    def reset(self, rng: torch.Generator) -> None:
        for buffer in (self.references, self.labels, self.known):
            buffer.zero_()

    @torch.no_grad()
    def meet(self, images: Tensor, *labels: Tensor) -> None:
        """A device is not asked whether these are the first."""
        rows = torch.arange(len(self.references), device=images.device) % len(images)
        for kept, new in zip((self.references, self.labels), (images, *labels), strict=False):
            kept.copy_(torch.where(self.known, kept, new[rows]))
        self.known.fill_(True)

    def forward(self, x: Tensor, draws: Draws = (), *labels: Tensor) -> Critique:
        n = len(self.references)
        given = (torch.cat([self.labels, own]) for own in labels)
        said: Critique = self.critic(torch.cat([self.references.to(x.dtype), x]), _with_whole(n, draws), *given)
        return Critique(said.score[n:], said.features[n:], None if said.classes is None else said.classes[n:])


def _with_whole(n: int, masks: Draws) -> Draws:
    """Dropout masks, in front of each n rows of which nothing drops."""
    return tuple(torch.cat([torch.ones_like(mask[:1]).expand(n, *mask.shape[1:]), mask]) for mask in masks)
