"""A search seen from outside: listeners that show, log and publish what its engine does. No torch."""

from evogan.engine import Event, Listener
from evogan.monitor.live import LiveWriter
from evogan.monitor.log import LEVELS, Log
from evogan.monitor.mlflow import MLflow
from evogan.monitor.progress import SearchProgress
from evogan.monitor.status import Status, StatusWriter, read_status
from evogan.monitor.table import status_table
from evogan.monitor.tensorboard import TensorBoard

__all__ = [
    "LEVELS",
    "LiveWriter",
    "Log",
    "MLflow",
    "SearchProgress",
    "Status",
    "StatusWriter",
    "TensorBoard",
    "all_of",
    "read_status",
    "status_table",
]


def all_of(*listeners: Listener) -> Listener:
    """One listener that tells each of these, in their order."""

    def listen(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return listen
