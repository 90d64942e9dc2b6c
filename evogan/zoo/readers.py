"""Critics of sequences. They read tokens (N, T), or rows of shares of tokens (N, 1, T, V), which one-hot codes are.

cnn   convolutions of widths 1 to k over the embedded tokens, relu, the maximum over places; then a highway layer
      t g(W x) + (1 - t) x, t = sigmoid(U x - 2) (SeqGAN, arXiv:1609.05473; Kim, arXiv:1408.5882; arXiv:1505.00387)
rnn   a recurrent cell, and a score of its last state, or one after each token (MaskGAN, arXiv:1801.07736). A second
      head tells after each token how much is to be expected of the next ones: the actor's baseline
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evogan.zoo.gan import Critique, Draws, Network
from evogan.zoo.layers import draw_masks, precise
from evogan.zoo.recurrent import Cell
from evogan.zoo.writers import Embedding, Form

CLOSED = -2.0  # bias of a highway's gates


class Read(NamedTuple):
    """After each token: `scores` (N, T), and what is `expected` (N, T) before it."""

    scores: Tensor
    expected: Tensor


class Highway(nn.Module):
    """(N, F) -> (N, F)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.gate, self.change = nn.Linear(size, size), nn.Linear(size, size)

    def forward(self, x: Tensor) -> Tensor:
        t = (self.gate(x) + CLOSED).sigmoid()
        through: Tensor = t * F.relu(self.change(x)) + (1 - t) * x
        return through


class Reader(Network):
    """What both have in common; a row's mask, (N, T), is told where something is filled in."""

    head: nn.Linear

    def __init__(self, form: Form, embedding: int, fills: bool) -> None:
        super().__init__()
        self.form = form
        self.embedding = Embedding(form.tokens, embedding)
        self.inputs = embedding + fills

    def embedded(self, x: Tensor, where: tuple[Tensor, ...]) -> Tensor:
        """(N, T, inputs)."""
        seen = self.embedding(x[:, 0] if x.is_floating_point() else x)
        return torch.cat([seen, *(one[..., None].to(seen.dtype) for one in where)], -1)


class CNNReader(Reader):
    """`filters` of each of the widths 1 to `widths`; `dropout` of what the head is given."""

    def __init__(
        self, form: Form, embedding: int, filters: int, widths: int, highways: int, dropout: float, fills: bool = False
    ) -> None:
        super().__init__(form, embedding, fills)
        self.dropout = dropout
        self.convolutions = nn.ModuleList(
            nn.Conv2d(self.inputs, filters, (1, width)) for width in range(1, min(widths, form.length) + 1)
        )
        self.size = filters * len(self.convolutions)
        self.highways = nn.Sequential(*(Highway(self.size) for _ in range(highways)))
        self.head = nn.Linear(self.size, 1)

    def draws(self, n: int, rng: torch.Generator) -> Draws:
        return draw_masks([(self.size,)], n, self.dropout, rng)

    def forward(self, x: Tensor, draws: Draws = (), *where: Tensor) -> Critique:
        seen = self.embedded(x, where).mT[:, :, None]  # (N, inputs, 1, T)
        best = [F.relu(convolution(seen)).amax((2, 3)) for convolution in self.convolutions]
        features = self.highways(torch.cat(best, 1))
        for mask in draws:
            features = features * mask
        return Critique(precise(self.head(features))[:, 0], features)


class RNNReader(Reader):
    """`each`: whether it scores each token: (N * T,) one row after another."""

    def __init__(
        self, form: Form, embedding: int, cell: str, size: int, each: bool, dropout: float, fills: bool = False
    ) -> None:
        super().__init__(form, embedding, fills)
        self.each, self.dropout, self.size = each, dropout, size
        self.cell = Cell(cell, self.inputs, size)
        self.head = nn.Linear(size, 1)
        self.baseline = nn.Linear(size, 1) if each else None

    def draws(self, n: int, rng: torch.Generator) -> Draws:
        return draw_masks([(self.size,)], n, self.dropout, rng)

    def forward(self, x: Tensor, draws: Draws = (), *where: Tensor) -> Critique:
        shown = self.shown(x, draws, where)
        last = shown[:, -1]
        if self.each:
            return Critique(precise(self.head(shown)).flatten(), last)
        return Critique(precise(self.head(last))[:, 0], last)

    def read(self, x: Tensor, draws: Draws = (), *where: Tensor) -> Read:
        """What is expected before a token depends on those before it alone."""
        assert self.baseline is not None
        shown = self.shown(x, draws, where)
        before = torch.cat([torch.zeros_like(shown[:, :1]), shown[:, :-1]], 1)
        return Read(precise(self.head(shown))[..., 0], precise(self.baseline(before.detach()))[..., 0])

    def shown(self, x: Tensor, draws: Draws, where: tuple[Tensor, ...]) -> Tensor:
        shown = self.cell.through(self.embedded(x, where))
        for mask in draws:
            shown = shown * mask[:, None]
        return shown
