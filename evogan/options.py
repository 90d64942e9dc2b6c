"""Options as they are declared: fields of a dataclass, whose types and bounds are checked in one place."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping
from dataclasses import field, fields
from pathlib import PurePath
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from evogan.errors import UserError, shown, unknown
from evogan.genome import plain

LARGEST_SEED = 2**63 - 1
MOST = sys.float_info.max


def number(default: Any, *, low: float = -MOST, high: float = MOST, above: float = -MOST) -> Any:
    """A field for a number from `low` (or just above `above`) to `high`."""
    bounds = {"low": low, "high": high, "above": above}
    if default is dataclasses.MISSING:
        return field(metadata=bounds)
    return field(default=default, metadata=bounds)


def check_options(options: Any) -> None:
    """Every field of a dataclass against its type and bounds; numbers of NumPy and paths become plain ones.

    Fields of other types than numbers, texts, choices (`Literal`) and None are left to their owner.
    Errors: UserError naming the field.
    """
    hints = get_type_hints(type(options))
    for declared in fields(options):
        value = getattr(options, declared.name)
        read = read_option(declared.name, value, hints[declared.name], **declared.metadata)
        if read is not value:
            object.__setattr__(options, declared.name, read)


def bounds(of: type, name: str) -> Mapping[str, float]:
    """Of a field of a dataclass, for a parameter of the same name."""
    return next(one.metadata for one in fields(of) if one.name == name)


def expect(name: str, value: object, what: type | tuple[type, ...], said: str) -> None:
    """Errors: UserError if `value` is none of the types, `said` in words."""
    if not isinstance(value, what):
        raise UserError(f"{name} must be {said}, not {shown(value)}")


def read_option(
    name: str,
    value: object,
    kind: Any,
    *,
    low: float = -MOST,
    high: float = MOST,
    above: float = -MOST,
) -> Any:
    """`value` as a plain one of the type `kind`, within bounds. Errors: UserError naming the option."""
    value = os.fspath(value) if isinstance(value, PurePath) else plain(value)
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    words = [word for one in kinds if get_origin(one) is Literal for word in get_args(one)]
    if (value is None and NoneType in kinds) or (isinstance(value, str) and value in words):
        return value
    if bool in kinds and isinstance(value, bool):
        return value
    if int in kinds or float in kinds:
        return _number(name, value, int in kinds and float not in kinds, words, low, high, above)
    if words:
        raise unknown(name, value if isinstance(value, str) else shown(value), words)
    if str in kinds:
        return _text(name, value)
    if bool in kinds:
        raise UserError(f"{name} must be True or False, not {shown(value)}")
    return value


def _number(
    name: str, value: object, whole: bool, words: list[str], low: float, high: float, above: float
) -> int | float:
    what = " or ".join(["a whole number" if whole else "a number", *words])
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"{name} must be {what}, not {shown(value)}")
    if whole and isinstance(value, float) and not value.is_integer():
        raise UserError(f"{name} must be {what}, not {shown(value)}")
    if value != value:
        raise UserError(f"{name} must be {what}, not nan")
    for right, bound in (
        (value >= low, f"at least {_said(low)}"),
        (value > above, f"above {_said(above)}"),
        (value <= high, f"at most {_said(high)}"),
    ):
        if not right:
            raise UserError(f"{name} must be {bound}, not {shown(value)}")
    return int(value) if whole else float(value)


def _said(bound: float) -> str:
    return str(bound) if isinstance(bound, int) else f"{bound:.15g}"


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise UserError(f"{name} must be a text, not {shown(value)}")
    if not value.strip():
        raise UserError(f"{name} is empty")
    return value
