"""What runs say together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evogan.cli.common import Json, Runs, StoreURL, print_json, say
from evogan.errors import UserError

if TYPE_CHECKING:
    from evogan.comparison import Comparison


def compare(
    names: Annotated[list[str] | None, typer.Argument(metavar="RUN...", help="Runs (`evogan runs`).")] = None,
    every: Annotated[bool, typer.Option("--all", help="All runs of the store.")] = False,
    target: Annotated[
        float | None,
        typer.Option(
            help="Fitness to reach, as the metric has it; default: what the median run of random search had in the end."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write it: .md, or .html for one page with figures.")] = None,
    runs: Runs = None,
    store: StoreURL = None,
    as_json: Json = False,
) -> None:
    """Compare strategies over runs that differ in seed or problem, with statistics."""
    from evogan.comparison import Comparison
    from evogan.engine.history import RunHistory
    from evogan.runs.place import Place

    if bool(names) == every:
        raise UserError("name the runs to compare (`evogan runs` lists them), or --all")
    out = check_page(out)
    kept = Place.of(runs, store).existing()
    found = Comparison([RunHistory(kept, name) for name in dict.fromkeys(names or kept.names())], target)
    tell_comparison(found, out, as_json)


def check_page(out: Path | None) -> Path | None:
    """Where a comparison can be written. Errors: UserError."""
    from evogan.files import check_folder, expand

    if out is None:
        return None
    out = expand(out)
    if out.suffix not in (".md", ".html") or out.is_dir():
        raise UserError(f"--out '{out}': a file, .md or .html")
    check_folder(out.parent)
    return out


def tell_comparison(found: Comparison, out: Path | None, as_json: bool) -> None:
    """As tables or JSON, and into a file too."""
    from evogan.files import write_whole
    from evogan.report import comparison as told

    if out is not None:
        write_whole(out, (told.html(found) if out.suffix == ".html" else told.markdown(found)).encode())
    if as_json:
        print_json(told.as_document(found))
        return
    for table in told.tables(found):
        say(table)
    if out is not None:
        say(str(out))
