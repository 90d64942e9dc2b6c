"""What the commands share: options, and ways to say things."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evogan.errors import UserError, shortened

if TYPE_CHECKING:
    from rich.console import Console

Runs = Annotated[Path, typer.Option(help="Folder of the store and of reports.", envvar="EVOGAN_RUNS")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Workers = Annotated[int | None, typer.Option(help="Parallel workers (Ray); default: all cores. 1 needs no Ray.")]
Data = Annotated[str, typer.Option(help="Data set: a built-in name, an image folder or an .npz.")]
ImageSize = Annotated[int | None, typer.Option(help="Resize images to this side, in pixels.")]
Classes = Annotated[str | None, typer.Option(help="Only these classes, by name, as in '5' or 'cat,dog'.")]
DataDir = Annotated[str | None, typer.Option(help="Where data sets lie; default EVOGAN_DATA or ./data.")]
Download = Annotated[bool, typer.Option("--download", help="Download the data set if it is missing.")]
Kimg = Annotated[float, typer.Option(help="Training budget: thousands of real images shown to the critic.")]
Features = Annotated[str | None, typer.Option(help="Feature network; default: the one that suits the data.")]
Samples = Annotated[int, typer.Option(help="Generated images per score.")]
Precision = Annotated[str, typer.Option(help="fp32, or bf16 (autocast).")]
Device = Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")]
StoreURL = Annotated[
    str | None, typer.Option("--store", help="PostgreSQL URL of a shared store.", envvar="EVOGAN_STORE")
]


def console() -> Console:
    from evogan.cli.terminal import on_stderr

    return on_stderr()


def output() -> Console:
    from evogan.cli.terminal import on_stdout

    return on_stdout()


def teller(terminal: Console) -> Callable[[str], None]:
    """Prints lines to it as they are."""
    return lambda line: terminal.print(line, highlight=False, markup=False, soft_wrap=True)


def say(text: Any) -> None:
    """Print a table or a line to stdout."""
    output().print(text, soft_wrap=isinstance(text, str))


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, default=str))


def pairs(what: str, texts: list[str]) -> dict[str, Any]:
    """`name=value` pairs; values read as TOML where that is possible, else as text."""
    import tomllib

    from evogan.files.documents import parse_toml

    pairs: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"{what} '{shortened(text)}': write name=value")
        try:
            pairs[name] = parse_toml(f"x = {value}")["x"]
        except tomllib.TOMLDecodeError:
            pairs[name] = value
        except UserError as error:
            raise UserError(f"{what} '{name}': {error}") from None
    return pairs
