"""The lab."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from evogan.cli.common import console, teller
from evogan.serving import LAB_PORT


def lab(
    genome: Annotated[str, typer.Argument(help="A published genome's name, or a TOML file.")] = "points_gan",
    data: Annotated[str, typer.Option(help="ring, grid, moons, spiral, or an .npy or .npz file of points.")] = "ring",
    seed: Annotated[int, typer.Option(min=0, help="Of weights, order and noise.")] = 0,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The first one that is tried.")] = LAB_PORT,
    open_: Annotated[
        bool | None, typer.Option("--open/--no-open", help="Open it in the browser; default: where there is a screen.")
    ] = None,
) -> None:
    """Watch a GAN think: it trains on points in the plane, step by step, and its genes change while it does."""
    from evogan.serving.page import check_page, has_browser

    check_page()
    from evogan import shipped
    from evogan.data import DataSpec, load_dataset
    from evogan.lab.app import serve
    from evogan.lab.session import Session

    say, read = teller(console()), shipped.read_genome(genome)
    session = Session(read.genome, load_dataset(DataSpec(data)), seed)

    def at(address: str) -> None:
        say(f"lab  {address}")
        if has_browser() if open_ is None else open_:
            webbrowser.open(address)

    serve(session, title=Path(genome).stem, port=port, at=at, say=say)
