"""A code: parts of what a generator starts from that have a meaning each, beside noise. InfoGAN, arXiv:1606.03657.

With K categories and C numbers a start is [one-hot of c ~ U{1..K}, u ~ U[-1, 1)^C, noise].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

CATEGORY, CONTINUOUS = "category", "continuous"


@dataclass(frozen=True)
class Code:
    """`categories`: values of a choice, 0 for none. `continuous`: how many numbers.

    >>> Code(3, 1).draw(2, torch.Generator().manual_seed(0)).shape
    torch.Size([2, 4])
    """

    categories: int = 0
    continuous: int = 0

    @property
    def size(self) -> int:
        return self.categories + self.continuous

    @property
    def parts(self) -> dict[str, int]:
        """Those that there are, and how long each is."""
        sizes = {CATEGORY: self.categories, CONTINUOUS: self.continuous}
        return {name: size for name, size in sizes.items() if size}

    def draw(self, n: int, rng: torch.Generator) -> Tensor:
        """(n, size), on the device of `rng`."""
        drawn = []
        if self.categories:
            chosen = torch.randint(self.categories, (n, 1), generator=rng, device=rng.device)
            drawn.append((chosen == torch.arange(self.categories, device=rng.device)).float())
        if self.continuous:
            drawn.append(torch.rand(n, self.continuous, generator=rng, device=rng.device) * 2 - 1)
        return torch.cat(drawn, 1)

    def split(self, start: Tensor) -> dict[str, Tensor]:
        """The parts of what begins with a code, (N, size or more)."""
        return dict(zip(self.parts, start[:, : self.size].split(list(self.parts.values()), 1), strict=True))

    def join(self, parts: Mapping[str, Tensor]) -> Tensor:
        """(N, size)."""
        return torch.cat([parts[name] for name in self.parts], 1)
