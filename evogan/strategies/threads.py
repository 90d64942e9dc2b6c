"""Numbers of models, whatever a script has set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
from threadpoolctl import ThreadpoolController


@cache
def _controller() -> ThreadpoolController:
    """Finding the libraries takes longer than a small model; SciPy's is there once this is imported."""
    import scipy.linalg  # noqa: F401

    return ThreadpoolController()


@contextmanager
def one_thread() -> Iterator[None]:
    """Linear algebra on one thread: more do not pay for small matrices, and change sums. What underflows is 0."""
    with _controller().limit(limits=1, user_api="blas"), np.errstate(under="ignore"):
        yield
