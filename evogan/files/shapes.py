"""Plain data from outside are believed once they have the shape that they should have."""

from __future__ import annotations

from collections.abc import Hashable
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from evogan.errors import UserError, shown

T = TypeVar("T")


def fit(shape: type[T], data: object) -> T:
    """`data` as a model or dataclass of types. Errors: UserError that says what in it does not fit, in one line."""
    try:
        fitting: T = _adapter(cast(Hashable, shape)).validate_python(data)
    except ValidationError as error:
        raise UserError(_first(error)) from None
    return fitting


@cache
def _adapter(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)


def _first(error: ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    place = ".".join(map(str, fault["loc"]))
    if fault["type"] == "missing":
        return f"{place} is missing"
    said = fault["msg"][0].lower() + fault["msg"][1:]
    return f"{place}{': ' if place else ''}{said}, not {shown(fault['input'])}"
