"""Where results are kept."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from evogan.engine import Store
from evogan.errors import UserError, shown
from evogan.files import STORE, expand


@dataclass(frozen=True)
class Place:
    """Where results are kept: a folder for files, and in it the database, unless `url` names one elsewhere.

    Without a folder: in memory, gone at the end.
    """

    folder: Path | None
    url: str | None = None

    @classmethod
    def of(cls, runs: str | Path | None, store: str | None) -> Place:
        """What is named, or EVOGAN_RUNS and EVOGAN_STORE, or ./runs."""
        folder = expand(runs or os.environ.get("EVOGAN_RUNS") or "runs").absolute()  # a notebook may go elsewhere
        url = store or os.environ.get("EVOGAN_STORE") or None
        if url is not None and not isinstance(url, str):
            raise UserError(f"store must be the URL of a database, not {shown(url)}")
        return cls(folder, url)

    def open(self) -> Store:
        return Store(self.folder, self.url)

    @property
    def features(self) -> Path | None:
        """Where networks are kept that learned from data."""
        return None if self.folder is None else self.folder / "features"

    @property
    def has_store(self) -> bool:
        """Whether there may be one to read."""
        return self.url is not None or (self.folder is not None and (self.folder / STORE).is_file())

    def existing(self) -> Store:
        """UserError if there is none."""
        assert self.folder is not None
        return Store.existing(self.folder, self.url)

    def knows(self, run: str) -> bool:
        """Whether there is a run of this name."""
        try:
            return self.has_store and run in self.existing().names()
        except UserError:  # a database without a store, or none: opening it will tell
            return False

    @property
    def is_wrong(self) -> bool:
        """Whether a URL leads to no store that can be read; or there is none yet."""
        try:
            if self.url is not None:
                self.existing()
        except UserError:
            return True
        return False

    def status(self, run: str) -> Path:
        """Where a run keeps its status."""
        assert self.folder is not None
        return self.folder / run / "status.json"


IN_MEMORY = Place(None)
