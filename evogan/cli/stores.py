"""Stores as things that travel and are looked after."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evogan.cli.common import Json, Runs, StoreURL, console, print_json, say, teller
from evogan.errors import UserError
from evogan.files import expand

if TYPE_CHECKING:
    from evogan.engine import Store


def add(
    other: Annotated[str, typer.Argument(help="Folder of another store, or its PostgreSQL URL.")],
    files: Annotated[Path | None, typer.Option(help="Where the files of a store by URL lie.")] = None,
    runs: Runs = None,
    store: StoreURL = None,
    as_json: Json = False,
) -> None:
    """Take another store's evaluations in, with their files; its runs stay there. Interrupted, it can be run again."""
    from rich.progress import Progress

    from evogan.engine import upkeep
    from evogan.runs.place import Place

    by_url = "://" in other
    if by_url and files is None:
        raise UserError("--files must name the folder where the files of a store by URL lie")
    if files is not None and not by_url:
        raise UserError("--files is for a store by URL: in a folder, files lie beside the database")
    if files is not None and not expand(files).is_dir():
        raise UserError(f"--files '{files}': no such folder")
    theirs, mine = Place(expand(files or other), other if by_url else None), Place.of(runs, store)

    def opened() -> Store:
        kept = mine.open()
        kept.database.on_wait = lambda reason: teller(console())(f"waiting: {reason}")
        return kept

    with Progress(console=console(), disable=not console().is_terminal, transient=True) as progress:
        bar = progress.add_task("adding evaluations", total=None)
        added = upkeep.add(
            opened,
            theirs.existing(),
            lambda done, of: progress.update(bar, completed=done, total=of),
        )
    if as_json:
        print_json(vars(added))
    else:
        say(f"{added.new} evaluations added, {added.known} known before")


def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Delete nothing, and say what would be freed.")] = False,
    runs: Runs = None,
    store: StoreURL = None,
    as_json: Json = False,
) -> None:
    """Free weights that no run needs: of the runs that are through, the best, the finalists and references stay."""
    from evogan.engine import upkeep
    from evogan.runs.place import Place

    pruned = upkeep.prune(Place.of(runs, store).existing(), dry_run)
    if as_json:
        print_json(vars(pruned))
    else:
        freed = "would be freed" if dry_run else "freed"
        say(
            f"{pruned.files} files of weights {freed}, {_size(pruned.bytes)}; "
            f"{pruned.kept} are needed, {_size(pruned.kept_bytes)}"
        )


def check(runs: Runs = None, store: StoreURL = None, as_json: Json = False) -> None:
    """Find rows and files that do not fit, and say each in a line; exit code 1 if there are any."""
    from evogan.engine import upkeep
    from evogan.runs.place import Place

    kept = Place.of(runs, store).existing()
    faults = list(upkeep.check(kept))
    if as_json:
        print_json(faults)
    else:
        for fault in faults:
            say(fault)
        say(f"store '{kept.database.name}': {len(faults) or 'no'} fault{'s' * (len(faults) != 1)}")
    raise typer.Exit(1 if faults else 0)


def _size(n: float) -> str:
    return f"{n / 1e9:.1f} GB" if n >= 1e9 else f"{n / 1e6:.1f} MB" if n >= 1e6 else f"{n / 1e3:.0f} kB"
