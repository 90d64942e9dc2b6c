"""A run as users hold it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from evogan.caller import undisturbed
from evogan.engine.history import RunHistory
from evogan.errors import UserError
from evogan.files import check_folder, expand, read_small
from evogan.report import facts
from evogan.runs.checks import check_name
from evogan.runs.looks import look

if TYPE_CHECKING:
    from evogan.evaluation.checkpoint import Generator


class Run(RunHistory):
    """A search and what it found: `best`, `history`, `confirmations`, `to_dataframe()`, `report()`."""

    def __repr__(self) -> str:
        return f"<Run '{self.name}': {facts.verdict(self)}>"

    @undisturbed()
    def report(self, folder: str | Path | None = None) -> Path:
        """Write the HTML report and sample grids, beside the store or into `folder`; the path of the page."""
        from evogan.report import write_report

        if folder is None and self.store.in_memory:
            raise UserError(f"run '{self.name}' is kept in memory: name a folder for its report")
        check_name(self.name)  # a store may be from anywhere
        where = self.store.folder / self.name if folder is None else expand(folder)
        check_folder(where)
        return write_report(self, where, look(self, self.load_best))

    @property
    def traceback(self) -> str:
        """Of the first evaluation that crashed: how it came to that."""
        path = facts.traceback_file(self)
        return "" if path is None else read_small(path).decode(errors="replace")

    def load_best(self) -> Generator:
        """The generator of the best genome's best training, at the checkpoint where the fitness is taken."""
        from evogan.evaluation.checkpoint import Generator

        return Generator(self.file_of_best())

    def file_of_best(self, *, whole: bool = False) -> Path:
        """Where `load_best` finds it; `whole`: of a training that left all players, if there is one.

        Errors: UserError if nothing completed, or nothing was trained.
        """
        training = None if self.best is None else self.best_training(self.best.row.key, whole=whole)
        if training is None:
            raise UserError(f"run '{self.name}' has no genome that completed: {facts.verdict(self)}")
        if self.facts.table:
            raise UserError(f"run '{self.name}' is a replay of table '{self.facts.table}': nothing was trained")
        if self.settings.gan is None:
            raise UserError(f"run '{self.name}' has an objective of its own: no GAN was trained")
        if not training.evaluation.keeps(self.judge.choice):
            warnings.warn(
                f"run '{self.name}' is of a version that kept the weights with the best FID, whatever judged",
                stacklevel=3,
            )
        return self.store.files(training.identity, training.evaluation) / "generator.safetensors"
