"""Linear algebra on one thread: more do not pay for small matrices, and change sums."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController


@cache
def _controller() -> ThreadpoolController:
    """Finding the libraries takes longer than a small model; SciPy's is there once this is imported."""
    import scipy.linalg  # noqa: F401

    return ThreadpoolController()


def one_thread() -> AbstractContextManager[Any]:
    return _controller().limit(limits=1, user_api="blas")  # type: ignore[no-any-return]
