"""What all workers of a machine need: one copy, whole, that nobody can write to."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import torch

from evogan.engine.executors.in_file import InFile


def test_a_thing_comes_out_as_it_went_in(tmp_path: Path) -> None:
    odd, even = np.arange(7, dtype=np.uint8), np.arange(12.0).reshape(3, 4).T
    weight = torch.arange(6.0).reshape(2, 3)
    factor = 2
    thing = {"arrays": [odd, even, odd], "call": lambda x: factor * x, "weight": weight, "empty": np.empty(0)}
    found = pickle.loads(pickle.dumps(InFile(thing, tmp_path / "thing")))
    assert found.keys() == thing.keys()
    for one, other in zip(thing["arrays"], found["arrays"], strict=True):
        np.testing.assert_array_equal(one, other)
    assert found["arrays"][0] is found["arrays"][2] and found["empty"].size == 0
    assert found["call"](21) == 42
    assert torch.equal(found["weight"], weight)


def test_its_arrays_are_in_the_file_and_cannot_be_written(tmp_path: Path) -> None:
    sent = pickle.dumps(InFile(np.zeros(1_000_000), tmp_path / "thing"))
    assert len(sent) < 1000
    found = pickle.loads(sent)
    assert not found.flags.owndata and not found.flags.writeable and found.ctypes.data % 64 == 0
