"""Tables of recorded trainings: made, and searched."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evogan.cli.common import Json, Runs, StoreURL, Workers, console, print_json, say, teller
from evogan.cli.options import takes
from evogan.settings import GANSettings
from evogan.settings.doors import BENCH

if TYPE_CHECKING:
    from evogan.engine import Event

STRATEGIES = "random,ga,es-plus,de,cma-es,dehb,tpe,auto"


def collect(
    file: Annotated[Path, typer.Argument(help="A campaign file (TOML); docs/bench.md says what makes a good one.")],
    to: Annotated[Path, typer.Option(help="Folder for the tables.")] = Path(),
    workers: Workers = None,
    runs: Runs = None,
    store: StoreURL = None,
) -> None:
    """Carry out a campaign, or go on with it, and make tables of its trainings, one for each data set and space."""
    from evogan.bench.bench import collect_tables
    from evogan.campaigns.carry_out import campaign_status
    from evogan.campaigns.plan import read_campaign
    from evogan.cli.campaigns import looking
    from evogan.runs.place import Place

    campaign, place = read_campaign(file), Place.of(runs, store)
    with looking(lambda: campaign_status(campaign, place)) as tell:
        found = collect_tables(file, to, runs=runs, store=store, workers=workers, say=tell)
    for name, reason in found.crashed.items():
        say(f"{name} crashed: {reason}")
    for path in found.tables:
        say(str(path))
    raise typer.Exit(1 if found.crashed else 0)


@takes(BENCH)
def run(
    tables: Annotated[list[str], typer.Argument(help="Shipped tables (`evogan bench list`), or .parquet files.")],
    strategies: Annotated[str, typer.Option(help="Strategies, with commas between.")] = STRATEGIES,
    out: Annotated[Path | None, typer.Option(help="Also write it: .md, or .html for one page with figures.")] = None,
    runs: Annotated[Path, typer.Option(help="Folder where the searches are kept.")] = Path("runs/bench"),
    as_json: Json = False,
    **asked: Any,
) -> None:
    """Compare strategies on tables of recorded trainings, in minutes instead of days."""
    from rich.markup import escape
    from rich.progress import Progress

    from evogan.bench.bench import run_bench
    from evogan.cli.comparing import check_page, tell_comparison
    from evogan.monitor.tenths import Tenths

    names = [name.strip() for name in strategies.split(",")]
    out = check_page(out)
    terminal = console()
    with Progress(console=terminal, transient=True, disable=not terminal.is_terminal) as progress:
        said = escape(", ".join(tables))
        searches = asked["seeds"] * len(dict.fromkeys(names)) * len(dict.fromkeys(tables))
        bar = progress.add_task(said, total=searches)
        trained: Counter[str] = Counter()
        tell, tenths = teller(terminal), Tenths()

        def hear(event: Event) -> None:
            trained[event.kind] += 1
            progress.update(bar, description=f"{said}, {trained['evaluated']} trainings")

        def ended(name: str) -> None:
            trained["searches"] += 1
            progress.advance(bar)
            if not terminal.is_terminal and tenths(trained["searches"] / searches):
                tell(f"{trained['searches']} of {searches} searches")

        found = run_bench(tables, names, runs=runs, say=ended, listener=hear, **asked)
    tell_comparison(found, out, as_json)
    raise typer.Exit(1 if any(why.startswith("crashed") for why in found.left_out.values()) else 0)


def list_tables(as_json: Json = False) -> None:
    """List the shipped tables."""
    from rich.table import Table as Listing

    from evogan import shipped
    from evogan.runs.table import ROOM, Table

    found = [Table.described(name) for name in shipped.names(ROOM)]
    if as_json:
        print_json([{"name": table.name, **table.facts} for table in found])
        return
    listing = Listing("table", "data", "space", "budget", "genomes", "trainings", "failed", "R²", "Kendall's tau")
    for table in found:
        facts, gan = table.facts, GANSettings.recorded(table.gan)
        model = facts.get("model", {})
        explained = " of ".join(f"{model[part]:.2f}" for part in ("r2", "r2_ceiling") if part in model)
        numbers = (facts["genomes"], facts["rows"], facts["failed"], explained, model.get("kendall_tau", ""))
        listing.add_row(table.name, facts["data"], table.space.name, gan.budget, *map(str, numbers))
    say(listing)
