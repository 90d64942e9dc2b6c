"""A live page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evogan.cli.common import Runs, StoreURL, console, teller
from evogan.errors import UserError

PORT = 8686


def watch(
    what: Annotated[
        str | None, typer.Argument(metavar="RUN|CAMPAIGN", help="A run, or a campaign file; default: all runs.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to serve on; one of another kind is open to others.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The first one that is tried.")] = PORT,
    open_: Annotated[
        bool | None, typer.Option("--open/--no-open", help="Open it in the browser; default: where there is a screen.")
    ] = None,
    runs: Runs = None,
    store: StoreURL = None,
) -> None:
    """Show runs on a live page, of any store: the wall of galleries, what trains now, who came from whom, failures."""
    try:
        from evogan.watch.serve import has_browser, serve
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn"):
            raise
        raise UserError(f"a live page needs {error.name}: pip install 'evogan[watch]'") from None
    from evogan.runs.place import Place

    names, start, title = None, what or "", "evogan"
    if what is not None and what.endswith(".toml"):
        from evogan.campaigns.plan import read_campaign

        campaign = read_campaign(Path(what))
        names, start, title = [run.name for run in campaign.runs], "", campaign.name
    serve(
        Place.of(runs, store).existing(),
        title=title,
        names=names,
        start=start,
        host=host,
        port=port,
        say=teller(console()),
        opened=has_browser() if open_ is None else open_,
    )
