"""Where evaluations are carried out: in this process, or on Ray."""

from evogan.engine.executors.base import Evaluate, Executor, Report, Watch, evaluate_safely
from evogan.engine.executors.local import LocalExecutor

__all__ = ["Evaluate", "Executor", "LocalExecutor", "Report", "Watch", "evaluate_safely"]
