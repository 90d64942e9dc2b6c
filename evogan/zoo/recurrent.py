"""Recurrent cells, step by step: a step of one's own can be differentiated twice, on any device.

lstm  i, f, o = sigmoid, g = tanh of U x + W h + b;  c' = f c + i g,  h' = o tanh(c')     Hochreiter 1997
gru   r, z = sigmoid of U x + W h + b;  n = tanh(U_n x + b_n + r W_n h);  h' = n + z (h - n)    arXiv:1406.1078
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

GATES = {"lstm": 4, "gru": 3}


class Cell(nn.Module):
    """`entry` is applied to what is seen before a step, so that it can be to all at once. A state is (N, `state`)."""

    def __init__(self, kind: str, inputs: int, size: int) -> None:
        super().__init__()
        self.kind, self.size, self.state = kind, size, size * (2 if kind == "lstm" else 1)
        self.entry = nn.Linear(inputs, GATES[kind] * size)
        self.recurrent = nn.Linear(size, GATES[kind] * size, bias=False)

    def begin(self, n: int) -> Tensor:
        """The first state, all zero."""
        weight = self.entry.weight
        return torch.zeros(n, self.state, dtype=weight.dtype, device=weight.device)

    def forward(self, entered: Tensor, state: Tensor) -> Tensor:
        """`entered`: (N, ...), what `entry` made of what is seen -> the next state."""
        h = state[..., : self.size]
        if self.kind == "lstm":
            i, f, o, g = (entered + self.recurrent(h)).chunk(4, -1)
            c = f.sigmoid() * state[..., self.size :] + i.sigmoid() * g.tanh()
            return torch.cat([o.sigmoid() * c.tanh(), c], -1)
        (r, z, n), (r_h, z_h, n_h) = entered.chunk(3, -1), self.recurrent(h).chunk(3, -1)
        new = (n + (r + r_h).sigmoid() * n_h).tanh()
        after: Tensor = new + (z + z_h).sigmoid() * (h - new)
        return after

    def hidden(self, state: Tensor) -> Tensor:
        """What is shown of a state, (N, size)."""
        return state[..., : self.size]

    def through(self, seen: Tensor, state: Tensor | None = None) -> Tensor:
        """Rows (N, T, inputs) -> what is shown after each, (N, T, size)."""
        state = self.begin(len(seen)) if state is None else state
        shown = []
        for entered in self.entry(seen).unbind(1):
            state = self(entered, state)
            shown.append(self.hidden(state))
        return torch.stack(shown, 1)
