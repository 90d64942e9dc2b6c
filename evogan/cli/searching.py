"""Search, go on with a search, look on."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evogan.cli.common import Json, Runs, console, output, print_json, say
from evogan.cli.options import takes
from evogan.errors import UserError
from evogan.options import read_as
from evogan.settings import Resources
from evogan.settings.doors import RESUME, SEARCH
from evogan.settings.reading import read_changes

if TYPE_CHECKING:
    from evogan.runs.run import Run


@takes(SEARCH)
def search(
    named_space: Annotated[
        str | None, typer.Argument(metavar="SPACE", help="A shipped space (`evogan spaces`) or a TOML file.")
    ] = None,
    space: Annotated[str | None, typer.Option(help="The same, by name.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Change a gene of the space: name=value fixes it, name=low..high or name=one,other frees it."
        ),
    ] = None,
    as_json: Json = False,
    **asked: Any,
) -> None:
    """Evolve a GAN: search a space on a data set, check the winners, write the report."""
    from evogan import api
    from evogan.monitor import SearchProgress
    from evogan.plugins import Plugins
    from evogan.runs.place import Place
    from evogan.runs.seeds import read_seeds
    from evogan.space import altered, load_space

    if (named_space is None) == (space is None):
        raise UserError("name one space to search (`evogan spaces` lists them)")
    Plugins(asked.get("plugins", ()))
    searched = altered(load_space(named_space or space or ""), read_changes(set_ or []))
    place = Place.of(asked.get("runs"), asked.get("store"))
    for seed_genome in read_seeds(asked.get("seed_genomes", ()), searched, place):
        for move in seed_genome.moves:
            console().print(
                f"seed {seed_genome.name}: {move.gene} {move.old} -> {move.new}", highlight=False, markup=False
            )
    workers, window = read_as(Resources, "workers", asked.get("workers")), asked["window"]
    if workers is not None and workers > window > 0:
        console().print(f"a window of {window} keeps at most {window} of {workers} workers busy", highlight=False)
    with SearchProgress(asked["evaluations"], console()) as progress:
        run = api.search(searched, listener=progress, **asked)
    _tell(run, as_json)


@takes(RESUME)
def resume(name: str, as_json: Json = False, **asked: Any) -> None:
    """Go on with a run exactly where it stopped, with what it was given before unless said otherwise."""
    from evogan import api
    from evogan.monitor import SearchProgress

    run = api.open_run(name, asked.get("runs"), asked.get("store"))
    total = asked.get("evaluations", run.settings.evaluations)
    with SearchProgress(total, console(), run.judge.metric) as progress:
        run = api.resume(name, listener=progress, **asked)
    _tell(run, as_json)


def status(
    name: str,
    watch: Annotated[bool, typer.Option("--watch", help="Go on looking until the run ends.")] = False,
    runs: Runs = None,
    as_json: Json = False,
) -> None:
    """Show what a run is doing now, from any terminal: what runs where, best so far, time left."""
    from rich.live import Live

    from evogan.monitor import read_status, status_table
    from evogan.runs.checks import check_name
    from evogan.runs.place import Place

    check_name(name)
    path = Place.of(runs, None).status(name)
    found = read_status(path)
    if found is None:
        raise UserError(f"run '{name}' has no status in '{path.parent}': it was not started there")
    if as_json:
        print_json(found.as_document())
        return
    if not watch:
        say(status_table(found))
        return
    with suppress(KeyboardInterrupt), Live(status_table(found), console=output(), refresh_per_second=2) as live:
        while found is not None and found.going:
            time.sleep(1)
            found = read_status(path)
            if found is not None:
                live.update(status_table(found))


def _tell(run: Run, as_json: bool) -> None:
    from evogan.report import facts, tables

    page = run.report()
    if as_json:
        print_json(tables.as_document(run) | {"report": str(page)})
    else:
        say(tables.verdict(run))
        if not run.ranking and (traceback := facts.traceback_file(run)):
            say(f"the first traceback  {traceback}")
        say(f"report  {page}")
        for image in sorted(page.parent.glob("*.png")):
            say(f"grid    {image}")
    raise typer.Exit(0 if run.ranking or not run.history else 1)
