"""A live page."""

from __future__ import annotations

import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from evogan.cli.common import Runs, StoreURL, console, teller
from evogan.serving import WATCH_PORT


def watch(
    what: Annotated[
        str | None, typer.Argument(metavar="RUN|CAMPAIGN", help="A run, or a campaign file; default: all runs.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to serve on; one of another kind is open to others.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The first one that is tried.")] = WATCH_PORT,
    open_: Annotated[
        bool | None, typer.Option("--open/--no-open", help="Open it in the browser; default: where there is a screen.")
    ] = None,
    runs: Runs = None,
    store: StoreURL = None,
) -> None:
    """Show runs on a live page, of any store: the wall of galleries, what trains now, who came from whom, failures."""
    from evogan.serving.page import check_page, has_browser

    check_page()
    from evogan.runs.place import Place
    from evogan.watch.serve import serve

    say = teller(console())

    def at(address: str) -> None:
        say(f"watch  {address}")
        if has_browser() if open_ is None else open_:
            webbrowser.open(address)

    names, start, title = None, what or "", "evogan"
    if what is not None and what.endswith(".toml"):
        from evogan.campaigns.plan import read_campaign

        campaign = read_campaign(Path(what))
        names, start, title = [run.name for run in campaign.runs], "", campaign.name
    with suppress(KeyboardInterrupt):  # as it is to end
        serve(
            Place.of(runs, store).existing(),
            title=title,
            names=names,
            start=start,
            host=host,
            port=port,
            at=at,
            say=say,
        )
