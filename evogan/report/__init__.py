"""Tables, figures and HTML pages of runs and campaigns. Only reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evogan.engine.history import RunHistory
    from evogan.report.looks import Looks
    from evogan.report.training import Training

__all__ = ["write_report", "write_training"]


def write_report(run: RunHistory, folder: Path, looks: Looks | None = None) -> Path:
    """Write `folder/report.html`, one self-contained page, and the sample grids beside it; the page's path."""
    from evogan.report.page import (
        write_report,
    )  # matplotlib and scikit-learn: a second that tables need not pay

    return write_report(run, folder, looks)


def write_training(training: Training) -> Path:
    """Write `train.html`, one self-contained page, into the training's folder; the page's path."""
    from evogan.report.training import write_training

    return write_training(training)
