"""Generators of sequences, token by token: p(y_t | y_<t) = softmax(W h_t / T) of a recurrent cell.

One that fills in (MaskGAN, arXiv:1801.07736) is given tokens of which some are hidden. A second cell reads them from
the last to the first, and the first is told at every place what it has read by then; only what is hidden is written.

Where sequences end, nothing but ends follows the first one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evogan.zoo.gan import Network
from evogan.zoo.layers import precise
from evogan.zoo.recurrent import Cell

END = 0
RELAXATIONS = ("softmax", "gumbel", "straight_through")


class Form(NamedTuple):
    """Of sequences: how many tokens there are, how long a row is, whether it ends with its first 0."""

    tokens: int
    length: int
    ends: bool


class Hidden(NamedTuple):
    """Tokens (N, T), and which of them are hidden, (N, T)."""

    tokens: Tensor
    where: Tensor


class Written(NamedTuple):
    """`tokens` (N, T); as a critic is to see them, where they are `relaxed`, (N, 1, T, V); and the
    `states` (N, T, S) by which each was chosen, where they were wanted."""

    tokens: Tensor
    relaxed: Tensor | None
    states: Tensor | None


class Embedding(nn.Linear):
    """Tokens (...) of whole numbers, or (..., V) of shares -> (..., size)."""

    def __init__(self, tokens: int, size: int) -> None:
        super().__init__(tokens, size, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        return super().forward(tokens) if tokens.is_floating_point() else F.embedding(tokens, self.weight.T)


class Writer(Network):
    """`cell`: lstm or gru. `fills`: whether it is told what is not hidden."""

    def __init__(self, form: Form, cell: str, embedding: int, size: int, fills: bool = False) -> None:
        super().__init__()
        self.form = form
        self.embedding = Embedding(form.tokens, embedding)
        self.reader = Cell(cell, embedding + 1, size) if fills else None
        self.cell = Cell(cell, embedding + (size if fills else 0), size)
        self.last = nn.Linear(size, form.tokens)

    # --- how probable tokens are

    def forward(self, tokens: Tensor, hidden: Hidden | None = None) -> Tensor:
        """Logits (N, T, V) of every token (N, T), given those before it."""
        before = self.embedding(tokens[:, :-1])
        seen = torch.cat([torch.zeros_like(before[:, :1]), before], 1)
        told = self._told(len(tokens), hidden)
        logits: Tensor = self.last(self.cell.through(seen if told is None else torch.cat([seen, told], -1)))
        return logits

    def log_probabilities(self, tokens: Tensor, hidden: Hidden | None = None, temperature: float = 1.0) -> Tensor:
        """(N, T): of each token given those before it; 0 of what has no choice."""
        logs = F.log_softmax(precise(self(tokens, hidden)) / temperature, -1)
        own = logs.gather(-1, tokens[..., None])[..., 0]
        return own * self.chosen(tokens, hidden)

    def chosen(self, tokens: Tensor, hidden: Hidden | None = None) -> Tensor:
        """(N, T): 1 where a token was chosen: not after an end, and not where it was given."""
        free = torch.ones_like(tokens, dtype=torch.get_default_dtype())
        if self.form.ends:
            free[:, 1:] = (tokens[:, :-1] != END).cumprod(1).to(free.dtype)
        return free if hidden is None else free * hidden.where

    # --- tokens

    def write(
        self, uniform: Tensor, hidden: Hidden | None = None, temperature: float = 1.0, states: bool = False
    ) -> Written:
        """By numbers (N, T) in [0, 1), one a token: the first whose cumulated probability is above it."""

        def choose(logits: Tensor, t: int) -> tuple[Tensor, None]:
            return pick(logits / temperature, uniform[:, t]), None

        return self._write(len(uniform), choose, hidden, states)

    def relax(self, gumbel: Tensor, how: str, tau: float, hidden: Hidden | None = None) -> Written:
        """By Gumbel noise g (N, T, V): tokens argmax(l + g), which have the probabilities softmax(l) (Gumbel 1954).

        A critic sees softmax((l + g) / tau), which is read on, too; forward the token and backward that
        (`straight_through`); or softmax(l / tau) of what follows the token (`softmax`).  arXiv:1611.01144, 1611.00712
        """

        def choose(logits: Tensor, t: int) -> tuple[Tensor, Tensor]:
            noisy = logits + gumbel[:, t]
            tokens = noisy.argmax(-1)
            soft = F.softmax(precise(logits if how == "softmax" else noisy) / tau, -1)
            if how == "straight_through":
                soft = F.one_hot(tokens, self.form.tokens) + soft - soft.detach()
            return tokens, soft

        return self._write(len(gumbel), choose, hidden, reads_on=how != "softmax")

    def roll_out(self, written: Written, uniform: Tensor) -> Tensor:
        """Each beginning of tokens (N, T), of 1 to T - 1, ended K times, by numbers (N, K, T - 1, T): (N, K, T - 1, T).

        All beginnings go on together: at each place those that are as long join.
        """
        assert written.states is not None
        tokens, states = written.tokens, written.states
        n, k, _, length = uniform.shape
        made = tokens[:, None, None].expand(n, k, length - 1, length).clone()
        state = states.new_empty(n, k, 0, states.shape[-1])
        for t in range(1, length):
            joined = states[:, None, None, t].expand(n, k, 1, -1)
            state = torch.cat([state, joined], 2)  # of the beginnings of 1 to t
            new = pick(self.last(self.cell.hidden(state)), uniform[:, :, :t, t])
            if self.form.ends:
                new = torch.where(made[:, :, :t, t - 1] == END, END, new)
            made[:, :, :t, t] = new
            if t < length - 1:
                state = self.cell(self.cell.entry(self.embedding(new)), state)
        return made

    def _write(
        self,
        n: int,
        choose: Callable[[Tensor, int], tuple[Tensor, Tensor | None]],
        hidden: Hidden | None,
        keep: bool = False,
        reads_on: bool = False,
    ) -> Written:
        told, state = self._told(n, hidden), self.cell.begin(n)
        seen = state.new_zeros(n, self.embedding.out_features)
        made: list[Tensor] = []
        relaxed: list[Tensor] = []
        states: list[Tensor] = []
        for t in range(self.form.length):
            state = self.cell(self.cell.entry(seen if told is None else torch.cat([seen, told[:, t]], -1)), state)
            tokens, soft = choose(self.last(self.cell.hidden(state)), t)
            free = torch.ones_like(tokens, dtype=torch.bool) if hidden is None else hidden.where[:, t].bool()
            new = tokens if hidden is None else torch.where(free, tokens, hidden.tokens[:, t])
            if self.form.ends and made:
                over = made[-1] == END
                free, new = free & ~over, torch.where(over, END, new)
            made.append(new)
            if soft is not None:
                relaxed.append(torch.where(free[:, None], soft, F.one_hot(new, self.form.tokens).to(soft.dtype)))
            seen = self.embedding(relaxed[-1] if reads_on else new)
            states.append(state)
        return Written(
            torch.stack(made, 1),
            torch.stack(relaxed, 1)[:, None] if relaxed else None,
            torch.stack(states, 1) if keep else None,
        )

    def _told(self, n: int, hidden: Hidden | None) -> Tensor | None:
        """(N, T, size): what is read of each place and those after it; all is hidden where nothing else is said."""
        if self.reader is None:
            return None
        weight = self.last.weight
        if hidden is None:
            seen = weight.new_zeros(n, self.form.length, self.embedding.out_features)
            where = weight.new_ones(n, self.form.length, 1)
        else:
            where = hidden.where[..., None].to(weight.dtype)
            seen = self.embedding(hidden.tokens) * (1 - where)
        return self.reader.through(torch.cat([seen, where], -1).flip(1)).flip(1)


def pick(logits: Tensor, uniform: Tensor) -> Tensor:
    """Logits (..., V) and numbers (...) in [0, 1) -> tokens (...), by the inverse of the cumulated probabilities."""
    below = F.softmax(precise(logits.detach()), -1).cumsum(-1)
    last = below[..., -1:]
    return torch.searchsorted(below, uniform[..., None] * last, right=True)[..., 0].clamp(max=logits.shape[-1] - 1)


def gumbel_noise(uniform: Tensor) -> Tensor:
    """-log(-log u), finite at both ends."""
    tiny = torch.finfo(uniform.dtype).tiny
    return -(-uniform.clamp(min=tiny).log()).clamp(min=tiny).log()
