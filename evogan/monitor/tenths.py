"""How far something is, where there is no bar: a line for every tenth."""

from __future__ import annotations


class Tenths:
    """Asked which share is done: whether a further tenth is."""

    def __init__(self) -> None:
        self._done = 0

    def __call__(self, share: float) -> bool:
        before, self._done = self._done, max(self._done, int(10 * share + 1e-9))
        return self._done > before
