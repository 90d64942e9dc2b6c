"""The parts of the zoo can be used without genes: the examples in their docstrings run."""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest

PARTS = ("", ".layers", ".losses", ".divergences", ".latents", ".memory", ".number")


@pytest.mark.parametrize("part", PARTS)
def test_the_examples_run(part: str) -> None:
    module = import_module(f"evogan.zoo{part}")
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0
