"""Whether a function can be sent to worker processes, and if not, which part of it is in the way."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from typing import Any

from ray import cloudpickle

from evogan.errors import UserError, shortened, summary


def check_sendable(function: Callable[..., Any]) -> None:
    """Errors: UserError naming the innermost part that cannot be pickled."""
    error = _obstacle(function)
    if error is None:
        return
    name, part = "", function
    seen = {id(function)}
    while (found := next(_obstacles(name, part, seen), None)) is not None:
        name, part = found
        seen.add(id(part))
    what = f"'{name}' in it, a {type(part).__name__}" if name else "it"
    raise UserError(
        f"the objective cannot be sent to worker processes because of {what} ({shortened(summary(error))}): "
        "make that within the objective, or use workers=1, which sends nothing"
    )


def _obstacle(thing: object) -> Exception | None:
    """What pickling it ends with; large arrays are looked at, not copied."""
    try:
        cloudpickle.dumps(thing, protocol=5, buffer_callback=lambda buffer: None)
    except Exception as error:  # whatever a user's class raises
        return error
    return None


def _obstacles(name: str, whole: object, seen: Set[int]) -> Iterator[tuple[str, Any]]:
    for part_name, part in _parts(name, whole):
        if id(part) not in seen and _obstacle(part) is not None:
            yield part_name, part


def _parts(name: str, whole: Any) -> Iterator[tuple[str, Any]]:
    """What hangs on it: of a function what it closes over, of an object its attributes, of a container its items."""
    if inspect.ismethod(whole):
        yield f"{name}.__self__".lstrip("."), whole.__self__
    elif inspect.isfunction(whole):
        with suppress(ValueError):  # a variable that has no value yet
            used = inspect.getclosurevars(whole)
            yield from {**used.nonlocals, **used.globals}.items()
        yield from ((parameter.name, parameter.default) for parameter in inspect.signature(whole).parameters.values())
    elif isinstance(whole, functools.partial):
        yield "func", whole.func
        yield from whole.keywords.items()
        yield from ((f"args[{i}]", part) for i, part in enumerate(whole.args))
    elif isinstance(whole, Mapping):
        yield from ((f"{name}[{key!r}]", part) for key, part in whole.items())
    elif isinstance(whole, Sequence | Set) and not isinstance(whole, str | bytes):
        yield from ((f"{name}[{i}]", part) for i, part in enumerate(whole))
    elif hasattr(whole, "__dict__"):
        yield from ((f"{name}.{attribute}".lstrip("."), part) for attribute, part in vars(whole).items())
