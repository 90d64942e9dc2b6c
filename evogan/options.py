"""Options as they are declared: fields of a dataclass, with all that is to be said of them.

Types and bounds are checked here. Command line, Python signatures, campaign files, records and docs/options.md are made
from the declarations, so that an option stands in one place.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import cache
from pathlib import Path, PurePath
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, cast, get_args, get_origin, get_type_hints

from evogan.errors import UserError, shown, unknown
from evogan.genome import plain

LARGEST_SEED = 2**63 - 1
MOST = sys.float_info.max
GROUPS = ("budget", "strategy", "data", "judging", "resources", "output", "plugins")  # of help and docs, in order


class Bounds(NamedTuple):
    """Of a number: from `low` (or just above `above`) to `high`."""

    low: float = -MOST
    high: float = MOST
    above: float = -MOST

    def __str__(self) -> str:
        """As in '1 to 100'; empty where anything goes."""
        lowest = f"above {_said(self.above)}" if self.above > -MOST else _said(self.low) if self.low > -MOST else ""
        return f"{lowest} to {_said(self.high)}" if lowest and self.high < MOST else lowest


ANY = Bounds()


@dataclass(frozen=True, kw_only=True)
class Option:
    """What is said of a field that users set. Without `help` it is none of theirs.

    `group`: where help and docs list it. `asked`: its default where it is asked for, if the record has another.
    A command line has it as `flag` (--NAME, if empty), and may take it from the environment variable `variable`.
    `read`: makes a value of what a command line
    says, which is a text, or with `many` all texts that the option is given with. `written`: the type in a
    campaign file, if that is not the field's.
    """

    help: str = ""
    group: str = ""
    bounds: Bounds = ANY
    asked: Any = ...
    flag: str = ""
    variable: str = ""
    read: Callable[[Any], Any] | None = None
    many: bool = False
    written: Any = None
    name: str = ""
    kind: Any = str
    default: Any = None


def option(
    default: Any = MISSING,
    *,
    low: float = -MOST,
    high: float = MOST,
    above: float = -MOST,
    factory: Any = MISSING,
    **said: Any,
) -> Any:
    """Declares a field of a dataclass; `said` as in `Option`."""
    metadata = {"option": Option(bounds=Bounds(low, high, above), **said)}
    if factory is not MISSING:
        return field(default_factory=factory, metadata=metadata)
    return field(metadata=metadata) if default is MISSING else field(default=default, metadata=metadata)


def declared(of: type) -> Mapping[str, Option]:
    """Every field of a dataclass, by name, as it is declared."""
    return _declared(cast(Hashable, of))


@cache
def _declared(of: Any) -> Mapping[str, Option]:
    hints = get_type_hints(of)
    found = {}
    for one in fields(of):
        said = one.metadata.get("option", Option())
        default = one.default_factory() if one.default_factory is not MISSING else one.default
        default = default if said.asked is ... else said.asked
        found[one.name] = replace(said, name=one.name, kind=hints[one.name], default=default)
    return found


def options_of(*of: type) -> dict[str, Option]:
    """What users set of these dataclasses, by name."""
    return {name: one for each in of for name, one in declared(each).items() if one.help}


def check_options(options: Any) -> None:
    """Every field of a dataclass against its type and bounds; numbers of NumPy and paths become plain ones.

    Fields of other types than numbers, texts, choices (`Literal`) and None are left to their owner.
    Errors: UserError naming the field.
    """
    for name, one in declared(type(options)).items():
        value = getattr(options, name)
        read = read_option(name, value, one.kind, **one.bounds._asdict())
        if read is not value:
            object.__setattr__(options, name, read)


def read_as(of: type, name: str, value: object) -> Any:
    """`value` as the field `name` of a dataclass has it. Errors: UserError."""
    one = declared(of)[name]
    return read_option(name, value, one.kind, **one.bounds._asdict())


def texts_for_words(kind: Any) -> Any:
    """A type with `str` in the place of words to choose from, where numbers are none of its choices."""
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    if not any(get_origin(one) is Literal for one in kinds) or {int, float} & {*kinds}:
        return kind
    return str | None if NoneType in kinds else str


def expect(name: str, value: object, what: type | tuple[type, ...], said: str) -> None:
    """Errors: UserError if `value` is none of the types, `said` in words."""
    if not isinstance(value, what):
        raise UserError(f"{name} must be {said}, not {shown(value)}")


def read_option(
    name: str, value: object, kind: Any, *, low: float = -MOST, high: float = MOST, above: float = -MOST
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
        return _number(name, value, int in kinds and float not in kinds, words, Bounds(low, high, above))
    if words:
        raise unknown(name, value if isinstance(value, str) else shown(value), words)
    if str in kinds:
        return _text(name, value)
    if bool in kinds:
        raise UserError(f"{name} must be True or False, not {shown(value)}")
    return value


def _number(name: str, value: object, whole: bool, words: list[str], bounds: Bounds) -> int | float:
    what = " or ".join(["a whole number" if whole else "a number", *words])
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"{name} must be {what}, not {shown(value)}")
    if whole and isinstance(value, float) and not value.is_integer():
        raise UserError(f"{name} must be {what}, not {shown(value)}")
    if value != value:
        raise UserError(f"{name} must be {what}, not nan")
    low, high, above = bounds
    if abs(value) == math.inf and (high if value > 0 else -low) == MOST:
        raise UserError(f"{name} must be a finite number, not {shown(value)}")
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


def names_of(option: str, given: object, of: str, alone: Sequence[str]) -> tuple[str, ...]:
    """One name, or several, of what the option names; words that stand `alone` have none beside them.

    Errors: UserError.
    """
    names = [given] if isinstance(given, str | Path) else given
    if not isinstance(names, Sequence) or not all(isinstance(name, str | Path) and str(name) for name in names):
        raise UserError(f"{option} must be names of {of}, not {shown(given)}")
    named = tuple(dict.fromkeys(map(str, names)))
    for word in alone:
        if word in named and len(named) > 1:
            raise UserError(f"{option}: '{word}' stands alone")
    return named
