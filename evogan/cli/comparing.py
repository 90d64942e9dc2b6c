"""What runs say together, and runs for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evogan.cli.common import Json, Runs, StoreURL, print_json, say
from evogan.errors import UserError, public_url, unknown

if TYPE_CHECKING:
    from evogan.comparison import Comparison


def compare(
    names: Annotated[list[str] | None, typer.Argument(metavar="RUN...", help="Runs (`evogan runs`).")] = None,
    every: Annotated[bool, typer.Option("--all", help="All runs of the store.")] = False,
    target: Annotated[
        float | None,
        typer.Option(help="Fitness to reach; default: what the median run of random search had in the end."),
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


def export(
    kind: Annotated[str, typer.Argument(metavar="FORMAT", help="optuna, csv, parquet or json.")],
    name: Annotated[str, typer.Argument(metavar="RUN")],
    to: Annotated[str, typer.Option(help="File; for optuna a database, as in sqlite:///study.db.")],
    artifacts: Annotated[
        Path | None, typer.Option(help="optuna: folder for sample grids; optuna-dashboard takes it as --artifact-dir.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="optuna: keep the study up to date while the run goes on.")
    ] = False,
    runs: Runs = None,
    store: StoreURL = None,
) -> None:
    """Write a run as a table (csv, parquet, json), or as an Optuna study for its plots and dashboard."""
    from evogan.engine.history import RunHistory
    from evogan.files import expand
    from evogan.report.export import FORMATS, export_study, export_table
    from evogan.runs.place import Place

    if kind not in FORMATS:
        raise unknown("format", kind, FORMATS)
    if artifacts is not None and kind != "optuna":
        raise UserError(f"--artifacts: a {kind} file has none")
    if follow and kind != "optuna":
        raise UserError(f"--follow: a {kind} file is written once, an optuna study is kept up to date")
    kept = Place.of(runs, store).existing()
    if follow:
        from evogan.watch.study import follow as keep_up

        n = keep_up(kept, name, to, artifacts and expand(artifacts))
        say(f"{public_url(to)}  study '{name}' with {n} trials")
        return
    run = RunHistory(kept, name)
    if kind == "optuna":
        say(f"{public_url(to)}  study '{name}' with {export_study(run, to, artifacts and expand(artifacts))} trials")
    else:
        say(f"{to}  {export_table(run, kind, expand(to))} rows")
