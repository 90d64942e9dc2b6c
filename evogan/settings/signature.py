"""Python functions that take options as keywords: their signatures and docs, made from the declarations."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from inspect import Parameter
from typing import Any, TypeVar, cast

from evogan.errors import unknown
from evogan.options import Option

Function = TypeVar("Function", bound=Callable[..., Any])


def takes(options: Sequence[Option]) -> Callable[[Function], Function]:
    """A function with `**asked` takes these as keywords, shows them in its signature and its help, and no others."""

    def decorate(function: Function) -> Function:
        own = [p for p in inspect.signature(function).parameters.values() if p.kind is not Parameter.VAR_KEYWORD]
        names = {parameter.name for parameter in own}
        more = [one for one in options if one.name not in names]
        allowed = sorted(names | {one.name for one in more})

        @wraps(function)
        def call(*args: Any, **keywords: Any) -> Any:
            for keyword in keywords:
                if keyword not in allowed:
                    raise unknown("keyword", keyword, allowed)
            return function(*args, **keywords)

        shown = [Parameter(one.name, Parameter.KEYWORD_ONLY, default=one.default, annotation=one.kind) for one in more]
        call.__signature__ = inspect.signature(function).replace(parameters=[*own, *shown])  # type: ignore[attr-defined]
        lines = "\n".join(f"    {one.name}: {one.help}" for one in more)
        call.__doc__ = f"{inspect.cleandoc(function.__doc__ or '')}\n\nOptions:\n{lines}\n"
        return cast(Function, call)

    return decorate
