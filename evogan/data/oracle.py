"""A language whose every probability is known: a random LSTM (Yu et al., SeqGAN, arXiv:1609.05473, 5.1).

All of its weights are drawn from N(0, 1); of length T and a vocabulary of V tokens, it begins with token 0 as input:

    i, f, o = sigmoid(...),  g = tanh(...)  of  U e(y_(t-1)) + W h_(t-1) + b,    c = f c + i g,   h = o tanh(c)
    p(y_t | y_<t) = softmax(O h + a)
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from evogan.stable import derive_seed

HIDDEN = 32  # and size of embeddings
AT_ONCE = 1_000_000  # numbers of one step's probabilities

Tokens = npt.NDArray[np.int32]  # (N, T)
Numbers = npt.NDArray[np.float64]


class Oracle:
    """In double precision, so that other machines draw the same tokens."""

    def __init__(self, vocabulary: int, length: int) -> None:
        self.vocabulary, self.length = vocabulary, length

    @cached_property
    def _weights(self) -> tuple[Numbers, Numbers, Numbers, Numbers]:
        """What a token adds to the gates, (V, 4H), what the hidden state does, and the last layer with its bias."""
        rng = np.random.default_rng(derive_seed("oracle", self.vocabulary, self.length))
        embedding, entry = rng.standard_normal((self.vocabulary, HIDDEN)), rng.standard_normal((HIDDEN, 4 * HIDDEN))
        table = embedding @ entry + rng.standard_normal(4 * HIDDEN)
        recurrent, last = rng.standard_normal((HIDDEN, 4 * HIDDEN)), rng.standard_normal((HIDDEN, self.vocabulary))
        return table, recurrent, last, rng.standard_normal(self.vocabulary)

    def draw(self, n: int, rng: np.random.Generator) -> Tokens:
        """(n, T)."""
        at_once = max(1, AT_ONCE // self.vocabulary)
        return np.concatenate([self._draw(min(at_once, n - i), rng) for i in range(0, n, at_once)])

    def log_probability(self, tokens: npt.NDArray[np.integer]) -> Numbers:
        """(N,): in nats, of rows (N, T)."""
        at_once = max(1, AT_ONCE // self.vocabulary)
        return np.concatenate([self._told(tokens[i : i + at_once]) for i in range(0, len(tokens), at_once)])

    def _draw(self, n: int, rng: np.random.Generator) -> Tokens:
        made = np.zeros((n, self.length), dtype=np.int32)
        before, state = np.zeros(n, dtype=np.int32), self._begin(n)
        for t in range(self.length):
            logs, state = self._step(before, state)
            below = np.exp(logs).cumsum(1)
            made[:, t] = before = (below < rng.random((n, 1)) * below[:, -1:]).sum(1)
        return made

    def _told(self, tokens: npt.NDArray[np.integer]) -> Numbers:
        n = len(tokens)
        before: npt.NDArray[np.integer] = np.zeros(n, dtype=np.int64)
        state, total = self._begin(n), np.zeros(n)
        for t in range(self.length):
            logs, state = self._step(before, state)
            before = tokens[:, t]
            total += logs[np.arange(n), before]
        return total

    def _begin(self, n: int) -> tuple[Numbers, Numbers]:
        return np.zeros((n, HIDDEN)), np.zeros((n, HIDDEN))

    def _step(
        self, before: npt.NDArray[np.integer], state: tuple[Numbers, Numbers]
    ) -> tuple[Numbers, tuple[Numbers, Numbers]]:
        """Logarithms of probabilities (n, V), and the state."""
        table, recurrent, last, bias = self._weights
        h, c = state
        i, f, o, g = np.split(table[before] + h @ recurrent, 4, axis=1)
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
        h = _sigmoid(o) * np.tanh(c)
        scores = h @ last + bias
        scores -= scores.max(1, keepdims=True)
        return scores - np.log(np.exp(scores).sum(1, keepdims=True)), (h, c)


def _sigmoid(x: Numbers) -> Numbers:
    found: Numbers = 0.5 * (1 + np.tanh(0.5 * x))
    return found
