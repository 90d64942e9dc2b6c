"""The loop that searches, and what it stands on: executors and the store. No torch."""

from evogan.engine.broker import Broker, Event, Listener
from evogan.engine.confirm import Confirmation, confirm
from evogan.engine.executor import Evaluate, Executor, LocalExecutor
from evogan.engine.judge import Average, Judge, Replication
from evogan.engine.ledger import Ledger
from evogan.engine.loop import Loop, Outcome, Told
from evogan.engine.store import ProposalRow, Store

__all__ = [
    "Average",
    "Broker",
    "Confirmation",
    "Evaluate",
    "Event",
    "Executor",
    "Judge",
    "Ledger",
    "Listener",
    "LocalExecutor",
    "Loop",
    "Outcome",
    "ProposalRow",
    "Replication",
    "Store",
    "Told",
    "confirm",
]
