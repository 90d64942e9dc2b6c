"""TOML and JSON that others wrote, within limits: nesting, and numbers that a computer can hold."""

from __future__ import annotations

import json
import tomllib
from itertools import chain
from pathlib import Path
from typing import Any

from evogan.errors import UserError
from evogan.files import read_small
from evogan.genome import LARGEST

DEEPEST = 30  # tables and lists within each other


def parse_toml(text: str) -> dict[str, Any]:
    """Errors: tomllib.TOMLDecodeError for what is no TOML, UserError for what is beyond the limits."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError:
        raise _too_deep() from None
    except ValueError:  # Python's own limit
        raise _too_large() from None
    _check(document)
    return document


def parse_json(text: str | bytes) -> Any:
    """Errors: UserError for what is no JSON, or beyond the limits. NaN and infinity are numbers, as in Python."""
    try:
        document = json.loads(text)
    except RecursionError:
        raise _too_deep() from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"no JSON: {error}") from None
    except ValueError:
        raise _too_large() from None
    _check(document)
    return document


def read_toml(path: Path) -> dict[str, Any]:
    """Errors: UserError naming the file."""
    content = read_small(path)
    try:
        return parse_toml(content.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, UserError) as error:
        raise UserError(f"{path}: {error}") from None


def read_json(path: Path) -> Any:
    """Errors: UserError naming the file."""
    content = read_small(path)
    try:
        return parse_json(content)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _check(document: Any) -> None:
    level = [document]
    for _ in range(DEEPEST):
        kinds = {*map(type, level)}  # first, for speed: a curve has thousands of other numbers
        if int in kinds:
            whole = [value for value in level if type(value) is int]
            if min(whole) < -LARGEST or max(whole) >= LARGEST:
                raise _too_large()
        if not kinds & {dict, list}:
            return
        inner = [v.values() if isinstance(v, dict) else v for v in level if isinstance(v, dict | list)]
        level = list(chain.from_iterable(inner))
    if level:
        raise _too_deep()


def _too_deep() -> UserError:
    return UserError(f"nested deeper than {DEEPEST} levels")


def _too_large() -> UserError:
    return UserError("a whole number of more than 64 bits")
