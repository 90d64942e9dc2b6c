"""What a GPU would refuse is found where there is none: see `accelerator`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

CASES = ["alone", "together", "judged"]


@pytest.fixture(scope="module")
def found() -> Mapping[str, str]:
    """In a process of its own, whose torch has the device."""
    command, root = [sys.executable, "-m", "tests.on_accelerator"], Path(__file__).parents[1]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("how", CASES)
def test_gans_live_on_a_device_of_their_own(how: str, found: Mapping[str, str]) -> None:
    """Trained alone and together, and judged, in bfloat16; a training that goes on there ends as it would have."""
    these = {name: what for name, what in found.items() if name.startswith(how)}
    assert these and these == dict.fromkeys(these, "")
