"""Options as a command line says them: texts -> values."""

from __future__ import annotations

import csv
import tomllib
from pathlib import Path
from typing import Any

from evogan.errors import UserError, shortened, shown
from evogan.files import expand
from evogan.files.documents import parse_toml
from evogan.genome import plain
from evogan.options import LARGEST_SEED

ATTRIBUTES = "attributes:"  # what a table of them begins with, where it is named


def read_table(text: str) -> tuple[Path, list[str]]:
    """`attributes:FILE` or `attributes:FILE:one+other` -> the file, and the columns that are named, if any."""
    path, _, columns = text.removeprefix(ATTRIBUTES).partition(":")
    return expand(path), columns.split("+") if columns else []


def read_classes(given: object) -> tuple[str, ...] | None:
    """Names of classes: a list of them, of numbers too, or a text with commas between. Errors: UserError."""
    if given is None:
        return None
    if isinstance(given, str):
        try:
            return tuple(name.strip() for name in next(csv.reader([given], skipinitialspace=True), []))
        except csv.Error:
            raise UserError(f"classes {shown(given)}: names with commas between, as in 3,5") from None
    given = plain(given)
    names = given if isinstance(given, list | tuple) else [given]
    if not all(isinstance(name, str) or (type(name) is int and 0 <= name <= LARGEST_SEED) for name in names):
        raise UserError(f"classes must be names or numbers, as in ['cat', 'dog'] or [3, 5], not {shown(given)}")
    return tuple(str(name) for name in names)


def read_pairs(what: str, texts: list[str]) -> dict[str, Any]:
    """`name=value` pairs; values read as TOML where that is possible, else as text. Errors: UserError."""
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


def read_changes(texts: list[str]) -> dict[str, Any]:
    """What `altered` takes: `name=value`, `name=low..high` and `name=one,other`. Errors: UserError."""

    def read(name: str, value: Any) -> Any:
        for between, kind in (("..", tuple), (",", list)):
            if isinstance(value, str) and between in value:
                return kind(read_pairs("gene", [f"{name}={part.strip()}"])[name] for part in value.split(between))
        return value

    return {name: read(name, value) for name, value in read_pairs("gene", texts).items()}


def read_gpus(text: str) -> float | str:
    """Errors: UserError."""
    if text == "auto":
        return text
    try:
        gpus = float(text)
    except ValueError:
        gpus = 0.0
    if not gpus > 0:
        raise UserError(f"--gpus-per-trial '{shortened(text)}': a share as 0.125, a whole number, or auto")
    return gpus


def read_fuse(text: str) -> int | str:
    """Errors: UserError."""
    if text in ("auto", "off"):
        return text if text == "auto" else 1
    if not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise UserError(f"--fuse '{shortened(text)}': auto, off, or a number of trials")
    return int(text)
