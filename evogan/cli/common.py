"""What the commands share: options, and ways to say things."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evogan.cli.options import said
from evogan.options import options_of
from evogan.settings import Output, Resources

if TYPE_CHECKING:
    from rich.console import Console

_OUTPUT = options_of(Output)
Runs = Annotated[str | None, said(_OUTPUT["runs"])]
StoreURL = Annotated[str | None, said(_OUTPUT["store"])]
Workers = Annotated[
    int | None,
    said(replace(options_of(Resources)["workers"], help="Trials at once, in place of the file's; 1 needs no Ray.")),
]
Trained = Annotated[
    str,
    typer.Argument(
        metavar="GENERATOR",
        help="A generator.safetensors, the folder of a training, a run (its best), or one that comes with evogan.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.", rich_help_panel="output")]


def console() -> Console:
    from evogan.cli.terminal import on_stderr

    return on_stderr()


def output() -> Console:
    from evogan.cli.terminal import on_stdout

    return on_stdout()


def teller(terminal: Console) -> Callable[[str], None]:
    """Prints lines to it as they are."""
    return lambda line: terminal.print(line, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def learning(terminal: Console) -> Iterator[Callable[[str, float | None], None]]:
    """What hears how far something has learned: a bar on a terminal, else a line as it begins."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from evogan.monitor.preparation import Preparation

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=terminal, transient=True, disable=not terminal.is_terminal) as bar:
        yield Preparation(bar, teller(terminal))


def say(text: Any) -> None:
    """Print a table or a line to stdout."""
    output().print(text, soft_wrap=isinstance(text, str))


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, default=str))
