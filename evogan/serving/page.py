"""Whether a page can be served, and seen."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec

from evogan.errors import UserError

NEEDS = ("starlette", "uvicorn")


def check_page() -> None:
    """Errors: UserError if what serves it is not installed."""
    for name in NEEDS:
        if find_spec(name) is None:
            raise UserError(f"a live page needs {name}: pip install 'evogan[watch]'")


def has_browser() -> bool:
    """Whether one can be opened that is no program of this terminal's."""
    there = sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    return there and sys.stderr.isatty()
