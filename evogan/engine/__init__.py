"""The loop that searches, and what it stands on: executors and the store. No torch."""

from evogan.engine.account import Account
from evogan.engine.broker import Broker, Event, Interrupted, Listener
from evogan.engine.carry_out import carry_out
from evogan.engine.confirm import Confirmation, confirm
from evogan.engine.executors import Evaluate, Executor, LocalExecutor
from evogan.engine.judge import Average, Judge, Replication
from evogan.engine.loop import Loop, Told
from evogan.engine.pruner import Pruner
from evogan.engine.store import ProposalRow, Store

__all__ = [
    "Account",
    "Average",
    "Broker",
    "Confirmation",
    "Evaluate",
    "Event",
    "Executor",
    "Interrupted",
    "Judge",
    "Listener",
    "LocalExecutor",
    "Loop",
    "ProposalRow",
    "Pruner",
    "Replication",
    "Store",
    "Told",
    "carry_out",
    "confirm",
]
