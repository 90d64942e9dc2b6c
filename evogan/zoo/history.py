"""A pool of images made earlier, shown to a critic for half of the new ones. Shrivastava et al., arXiv:1612.07828.

The first `capacity` images fill it, and are shown themselves. Of those after it, one after the other, each with
probability 1/2 takes the place of a random one of the pool, which is shown for it; else it is shown itself.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from evogan.zoo.gan import Draws


class HistoryPool(nn.Module):
    """Like running statistics, a forward pass moves it. `image`: channels, height, width; `capacity`: 1 or more."""

    images: Tensor
    filled: Tensor

    def __init__(self, image: tuple[int, ...], capacity: int) -> None:
        super().__init__()
        self.capacity = capacity
        self.register_buffer("images", torch.zeros(capacity, *image))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))

    def draws(self, n: int, rng: torch.Generator) -> Draws:
        """Of n images: a place in the pool, and U[0, 1)."""
        places = torch.randint(self.capacity, (n,), generator=rng, device=rng.device)
        return places, torch.rand(n, generator=rng, device=rng.device)

    @torch.no_grad()
    def forward(self, made: Tensor, draws: Draws) -> Tensor:
        """New images (N, C, H, W) -> those that are shown."""
        places, chance = draws
        order = torch.arange(len(made), device=made.device)
        fills = self.filled + order < self.capacity
        place = torch.where(fills, self.filled + order, places.long())
        enters = fills | (chance < 0.5)
        # who entered last at a place: before this image, and in all
        at_one = enters & (place[:, None] == place)
        before = torch.where(at_one & (order < order[:, None]), order, -1).amax(1)
        at_each = enters & (torch.arange(self.capacity, device=made.device)[:, None] == place)
        last = torch.where(at_each, order, -1).amax(1)
        made = made.to(self.images.dtype)
        kept = torch.where(_as(before >= 0, made), made[before.clamp(min=0)], self.images[place])
        shown = torch.where(_as(enters & ~fills, made), kept, made)
        self.images.copy_(torch.where(_as(last >= 0, made), made[last.clamp(min=0)], self.images))
        self.filled.copy_((self.filled + len(made)).clamp(max=self.capacity))
        return shown


def _as(mask: Tensor, like: Tensor) -> Tensor:
    return mask.view(-1, *[1] * (like.dim() - 1))
