"""The loop that searches, and what it stands on: executors and the store. No torch."""

from evogan.engine.broker import Broker, Event, Listener
from evogan.engine.confirm import Confirmation, confirm
from evogan.engine.executor import Evaluate, Executor, LocalExecutor
from evogan.engine.loop import Judge, Loop, Outcome, Told
from evogan.engine.store import ProposalRow, Store

__all__ = [
    "Broker",
    "Confirmation",
    "Evaluate",
    "Event",
    "Executor",
    "Judge",
    "Listener",
    "LocalExecutor",
    "Loop",
    "Outcome",
    "ProposalRow",
    "Store",
    "Told",
    "confirm",
]
