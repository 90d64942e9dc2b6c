"""Fixed threads: their number changes sums."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import torch

from evogan.files.processes import cores


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Inside, torch computes in as many threads; afterwards, in as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def one_each(most: int) -> Iterator[Executor]:
    """Workers on as many cores, `most` at most, each with one thread of torch: several threads of torch round sums
    otherwise on some processors, and wait for each other, which takes longest where something else runs."""
    with threads(1), ThreadPoolExecutor(min(most, cores()), initializer=partial(torch.set_num_threads, 1)) as pool:
        yield pool
