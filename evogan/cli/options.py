"""Declared options on the command line, in groups."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from inspect import Parameter
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from evogan.options import GROUPS, Option, texts_for_words

if TYPE_CHECKING:
    from typer._click import Context, HelpFormatter

Command = Callable[..., None]


def takes(options: Iterable[Option]) -> Callable[[Command], Command]:
    """A command with `**asked` takes these too, and is given the values of those that have one."""
    options = list(options)

    def decorate(command: Command) -> Command:
        @wraps(command)
        def call(**given: Any) -> None:
            texts = {one.name: given.pop(one.name) for one in options}
            asked = {one.name: _value(one, texts[one.name]) for one in options if texts[one.name] is not None}
            command(**given, **asked)

        own = [
            parameter.replace(kind=Parameter.KEYWORD_ONLY)
            for parameter in inspect.signature(command, eval_str=True).parameters.values()
            if parameter.kind is not Parameter.VAR_KEYWORD
        ]
        shown = [
            Parameter(one.name, Parameter.KEYWORD_ONLY, default=_default(one), annotation=_annotation(one))
            for one in options
        ]
        parameters = sorted([*own, *shown], key=lambda one: one.default is not Parameter.empty)
        call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        call.__annotations__ = {one.name: one.annotation for one in parameters}
        return call

    return decorate


def said(option: Option) -> Any:
    """What typer is to know of an option, beside its type."""
    return typer.Option(
        option.flag or f"--{option.name.replace('_', '-')}",
        help=f"{option.help} {f'({limits})' if (limits := str(option.bounds)) else ''}".strip(),
        envvar=option.variable or None,
        rich_help_panel=option.group or None,
    )


def _annotation(option: Option) -> Any:
    kind = list[str] if option.many else str if option.read else texts_for_words(option.kind)
    return Annotated[kind if kind is bool else kind | None, said(option)]


def _default(option: Option) -> Any:
    return None if option.many or (option.read and not isinstance(option.default, str)) else option.default


def _value(option: Option, said: Any) -> Any:
    return said if option.read is None else option.read(said)


class Grouped(TyperCommand):
    """Its help lists options by what they are about."""

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        """As click calls it."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                of = "arguments" if parameter.param_type_name == "argument" else "options"
                groups.setdefault(getattr(parameter, "rich_help_panel", None) or of, []).append(record)
        for group in dict.fromkeys(["arguments", "options", *GROUPS, *groups]):
            if group in groups:
                with formatter.section(group.capitalize()):
                    formatter.write_dl(groups[group])
