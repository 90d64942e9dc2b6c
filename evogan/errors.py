"""Mistakes of the user's: one clear line each, exit code 2."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """A mistake the user can mend. The message is one line: what is wrong, where, what is allowed."""


def unknown(what: str, name: str, allowed: Iterable[str]) -> UserError:
    """The error for a name that is not in a list, with the nearest right one."""
    names = list(allowed)
    near = get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return UserError(f"unknown {what} '{name}': {hint}allowed: {', '.join(names)}")
