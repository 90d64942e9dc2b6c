"""What the value of a gene may be, and when values meet conditions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from evogan.errors import UserError, shown

Value = bool | int | float | str
When = Mapping[str, tuple[Value, ...]]

LARGEST = 2**63  # of other whole numbers, as tables and databases have it


def plain(given: object) -> Any:
    """NumPy's numbers, strings and arrays as Python's own, and so what is a kind of int, float or str; else what was
    given.
    """
    if hasattr(given, "tolist"):
        given = given.tolist()
    if isinstance(given, list | tuple):
        return [plain(one) for one in given] if isinstance(given, list) else tuple(plain(one) for one in given)
    for kind in (int, float, str):
        if isinstance(given, kind) and not isinstance(given, bool):
            return kind.__str__(given) if kind is str else kind(given)
    return given


def same(a: Value, b: Value) -> bool:
    """Equality that tells True from 1, but not 1 from 1.0."""
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def holds(when: When, values: Mapping[str, Value]) -> bool:
    """Whether every condition is met; a gene that is absent (inactive) meets none."""
    for name, options in when.items():  # a table asks hundreds of times a genome
        value = values.get(name)
        if value is None or value not in options:
            return False
        if not isinstance(value, str) and not any(same(value, option) for option in options):
            return False
    return True


def any_of(options: Sequence[Value]) -> str:
    """In words: "a or b", or "1 to 1000" of whole numbers without a gap."""
    if len(options) > 2 and all(type(value) is int for value in options):
        low, high = int(min(options)), int(max(options))
        if sorted(options) == list(range(low, high + 1)):
            return f"{low} to {high}"
    return " or ".join(f"{value:.4g}" if isinstance(value, float) else str(value) for value in options)


def a_value(given: object, where: str) -> Value:
    """`given` as what a gene's value may be, which every store, table and file keeps as it is.

    Errors: UserError that begins with `where`, and says what to write instead.
    """
    value = plain(given)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise UserError(f"{where}: {value} is no value: numbers are finite")
        return value + 0.0  # there is one zero
    if isinstance(value, int):
        if not -LARGEST <= value < LARGEST:
            raise UserError(f"{where}: a whole number of more than 64 bits is no value")
        return value
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
            raise UserError(f"{where}: {shown(value)} is no value: text is valid Unicode without NUL")
        return value
    what = "None" if value is None else f"a {type(value).__name__}"
    raise UserError(
        f"{where}: {what} is no value: true and false, numbers and text are; "
        "give it a name, such as 'none', and let the objective look up what that stands for"
    )


def some_values(given: object, where: str) -> tuple[Value, ...]:
    """A list of values. Errors: UserError."""
    given = plain(given)
    if not isinstance(given, list | tuple | range):
        raise UserError(f"{where} must be a list, not {shown(given)}")
    return tuple(a_value(value, where) for value in given)
