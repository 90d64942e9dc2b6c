"""What sequences of tokens mean, and what is known of the language that they are of."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from evogan.data.oracle import Numbers, Oracle, Tokens

END = 0  # the token of a language whose sequences end


@dataclass(frozen=True, eq=False)
class Truth:
    """All strings of a language, as rows of tokens (K, T), and the probability of each, (K,)."""

    rows: Tokens
    probabilities: Numbers

    @cached_property
    def _place(self) -> dict[bytes, int]:
        return {row.tobytes(): i for i, row in enumerate(self.rows)}

    def places(self, rows: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """(N,): which of the strings each row is; -1 for none."""
        wanted = np.ascontiguousarray(rows, dtype=self.rows.dtype)
        return np.array([self._place.get(row.tobytes(), -1) for row in wanted], dtype=np.int64)

    @property
    def entropy(self) -> float:
        """In nats."""
        return -float((self.probabilities * np.log(self.probabilities)).sum())


@dataclass(frozen=True, eq=False)
class Language:
    """`tokens`: what is written for 0, 1, ... `between`: what parts them. `ends`: whether sequences end with token 0,
    which is repeated up to the length of all. `oracle` or `truth`: where all probabilities are known.
    """

    tokens: tuple[str, ...]
    between: str
    ends: bool
    oracle: Oracle | None = None
    truth: Truth | None = None

    def texts(self, rows: npt.NDArray[Any]) -> list[str]:
        """Of rows (N, T), without their ends."""
        return [self.between.join(self.tokens[int(i)] for i in row[:n]) for row, n in self._ended(rows)]

    def numbers(self, rows: npt.NDArray[Any]) -> list[str]:
        """The same, with a token's number in its place, parted by spaces."""
        return [" ".join(map(str, row[:n].tolist())) for row, n in self._ended(rows)]

    def lengths(self, rows: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """(N,): tokens that were chosen: up to the first end, which is one of them."""
        if not self.ends:
            return np.full(len(rows), rows.shape[1], dtype=np.int64)
        found: npt.NDArray[np.int64] = np.minimum((np.asarray(rows) != END).cumprod(1).sum(1) + 1, rows.shape[1])
        return found

    def rows(self, sequences: Iterable[Iterable[str]], length: int) -> Tokens:
        """Sequences of tokens, none longer, as rows (N, length)."""
        number = {token: i for i, token in enumerate(self.tokens)}
        told = [[number[token] for token in sequence] for sequence in sequences]
        made = np.full((len(told), length), END, dtype=np.int32)
        for row, known in zip(made, told, strict=True):
            row[: len(known)] = known
        return made

    def identity(self) -> bytes:
        """What rows do not say themselves."""
        return json.dumps({"tokens": self.tokens, "between": self.between, "ends": self.ends}).encode()

    def _ended(self, rows: npt.NDArray[Any]) -> Iterable[tuple[npt.NDArray[Any], int]]:
        if not self.ends:
            return ((row, rows.shape[1]) for row in rows)
        return zip(rows, (np.asarray(rows) != END).cumprod(1).sum(1).tolist(), strict=True)
