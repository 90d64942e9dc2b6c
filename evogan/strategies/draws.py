"""Random numbers of DEAP's operators, which draw from the generators that all of a process shares.

Here each strategy has its own, and a thread draws from those that it installed: what others draw meanwhile changes no
search, and no search what they draw.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from threading import local
from typing import Any

import numpy as np
from deap.tools import crossover, emo, mutation, selection


class _Here(local):
    """The generators of this thread."""

    python: Any = random
    numpy: Any = np.random


class _Python:
    def __getattr__(self, name: str) -> Any:
        return getattr(_here.python, name)


class _NumPy:
    @property
    def random(self) -> Any:
        return _here.numpy

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


_here = _Here()
draws: Any = _Python()  # as the module `random`
for module in (crossover, emo, mutation, selection):
    module.random = draws
emo.numpy = _NumPy()


class DEAPRandom:
    """Generators of a strategy's own: inside `with state.installed():` DEAP's operators draw from them, and `draws`."""

    def __init__(self, seed: int) -> None:
        self._python, self._numpy = random.Random(seed), np.random.RandomState(np.random.MT19937(seed))

    @contextmanager
    def installed(self) -> Iterator[None]:
        outside = _here.python, _here.numpy
        _here.python, _here.numpy = self._python, self._numpy
        try:
            yield
        finally:
            _here.python, _here.numpy = outside
