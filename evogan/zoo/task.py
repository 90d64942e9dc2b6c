"""Classifiers of images of two domains, which share nothing: C3 n s2, relu | C3 2n s2, relu | C3 4n s2, relu | F K.

What they see before the last layer are the features that a translation is to keep: DTN, arXiv:1611.02200.
"""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from evogan.zoo.gan import Network
from evogan.zoo.layers import precise

LAYERS = 3


class Task(Network):
    """Of the first domain, and with `both` of the last one, each told by its number, 0 or 1."""

    def __init__(self, size: int, channels: int, classes: int, *, filters: int, both: bool) -> None:
        super().__init__()
        widths = [channels, *(filters * 2**i for i in range(LAYERS))]
        last = widths[-1] * (-(-size // 2**LAYERS)) ** 2

        def layers() -> nn.Sequential:
            pairs = itertools.pairwise(widths)
            each = [(nn.Conv2d(inputs, outputs, 3, 2, 1), nn.ReLU()) for inputs, outputs in pairs]
            return nn.Sequential(*(layer for pair in each for layer in pair), nn.Flatten())

        self.before = nn.ModuleList(layers() for _ in range(1 + both))
        self.heads = nn.ModuleList(nn.Linear(last, classes) for _ in range(1 + both))

    def features(self, images: Tensor, which: int) -> Tensor:
        """(N, F)."""
        found: Tensor = precise(self.before[which](images))
        return found

    def forward(self, images: Tensor, which: int) -> Tensor:
        """Logits (N, K)."""
        return precise(self.heads[which](self.features(images, which)))
