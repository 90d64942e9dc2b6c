"""Where a run is kept, and what is written of it meanwhile: nothing that it depends on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evogan.options import option


@dataclass(frozen=True, kw_only=True)
class Output:
    """What is said of a run's place and of how it is watched."""

    name: str | None = option(None, group="output", help="Name of the run; an existing one goes on.")
    runs: str | None = option(
        None, group="output", help="Folder of the store and of reports; default ./runs.", variable="EVOGAN_RUNS"
    )
    store: str | None = option(None, group="output", help="PostgreSQL URL of a shared store.", variable="EVOGAN_STORE")
    log_level: Literal["debug", "info", "warning"] = option(
        "info", group="output", help="Of the run's log.jsonl: debug, info or warning."
    )
    watch: bool = option(False, group="output", help="Serve a live page of the run while it goes on.")
    tensorboard: bool = option(False, group="output", help="Write TensorBoard files, too.")
    mlflow: str | None = option(
        None, group="output", help="Write to MLflow, too: its tracking URI, as in sqlite:///mlflow.db."
    )
