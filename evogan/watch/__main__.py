"""`python -m evogan.watch FOLDER RUN`: the page beside a run. It says where it is, and ends when its stdin does."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from evogan.engine.store import Store
from evogan.errors import UserError
from evogan.serving import WATCH_PORT
from evogan.watch.serve import serve


def main(folder: str, run: str) -> None:
    """A URL of the store comes by the environment."""
    try:
        store = Store.existing(Path(folder), os.environ.get("EVOGAN_STORE") or None)
        serve(store, start=run, port=WATCH_PORT, at=lambda address: print(address, flush=True), until=sys.stdin.read)
    except UserError as error:
        raise SystemExit(f"evogan: {error}") from None


if __name__ == "__main__":
    main(*sys.argv[1:])
