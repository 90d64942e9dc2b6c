"""Campaigns: many runs from one file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Annotated

import typer

from evogan.cli.common import Json, Runs, StoreURL, Workers, console, output, print_json, say, teller
from evogan.errors import UserError

if TYPE_CHECKING:
    from evogan.campaigns.status import CampaignStatus

File = Annotated[Path, typer.Argument(help="A campaign file (TOML); docs/campaigns.md has what it may say.")]
EVERY = 2.0  # seconds between two looks
BETWEEN = 60.0  # seconds that may lie between two runs, in which none is going


@contextmanager
def looking(look: Callable[[], CampaignStatus]) -> Iterator[Callable[[str], None]]:
    """Shows what `look` gives, again and again, below the lines that are told meanwhile; without a terminal a line for
    every tenth."""
    from rich.live import Live

    from evogan.monitor.tenths import Tenths

    terminal, left, tenths = console(), Event(), Tenths()
    tell = teller(terminal)
    if terminal.is_terminal:
        with Live(
            get_renderable=lambda: look().table(), console=terminal, refresh_per_second=1 / EVERY, transient=True
        ):
            yield tell
        return

    def go_on_looking() -> None:
        while not left.wait(EVERY):
            with suppress(UserError, OSError):
                status = look()
                if tenths(status.share):
                    tell(status.headline)

    thread = Thread(target=go_on_looking, daemon=True)
    thread.start()
    try:
        yield tell
    finally:
        left.set()
        thread.join()


def run(file: File, workers: Workers = None, runs: Runs = None, store: StoreURL = None, as_json: Json = False) -> None:
    """Carry out a campaign, or go on with it: what is finished is left alone, what is new in the file is added."""
    from evogan.campaigns.carry_out import campaign_status, run_campaign
    from evogan.campaigns.plan import read_campaign
    from evogan.runs.place import Place

    campaign, place = read_campaign(file), Place.of(runs, store)
    with looking(lambda: campaign_status(campaign, place)) as tell:
        ran = run_campaign(file, runs=runs, store=store, workers=workers, say=tell)
    status = campaign_status(campaign, place)
    if as_json:
        print_json(status.as_document())
    else:
        say(status.table())
    raise typer.Exit(1 if ran.crashed else 0)


def status(
    file: File,
    watch: Annotated[bool, typer.Option("--watch", help="Go on looking while it runs.")] = False,
    runs: Runs = None,
    as_json: Json = False,
) -> None:
    """Show how far a campaign is, from any terminal: runs done, going and waiting, best so far, crashes, time left."""
    from rich.live import Live

    from evogan.campaigns.carry_out import campaign_status
    from evogan.campaigns.plan import read_campaign
    from evogan.runs.place import Place

    campaign, place = read_campaign(file), Place.of(runs, None)
    found = campaign_status(campaign, place)
    if as_json:
        print_json(found.as_document())
        return
    if not watch:
        say(found.table())
        return
    with suppress(KeyboardInterrupt), Live(found.table(), console=output(), refresh_per_second=1 / EVERY) as live:
        seen = time.monotonic()
        while found.going or (found.waiting and time.monotonic() - seen < BETWEEN):
            time.sleep(EVERY)
            found = campaign_status(campaign, place)
            seen = time.monotonic() if found.going else seen
            live.update(found.table())


def report(
    file: File,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the page; default: the campaign's name, in --runs.")
    ] = None,
    runs: Runs = None,
    store: StoreURL = None,
) -> None:
    """Write the HTML report of a campaign, as far as it is, with a page of each run."""
    from evogan.campaigns.carry_out import report_campaign

    say(str(report_campaign(file, out=out, runs=runs, store=store)))
