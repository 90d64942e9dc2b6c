"""What `--strategy auto` stands for: the strategy that did best where docs/strategies.md compares them.

The choice is made once, when a run begins, and recorded by its own name: a run does not change when the choice does.
"""

from __future__ import annotations

from typing import Any

AUTO = "auto"
FEW = 10  # evaluations below which a ladder of fidelities would end before anything was trained in full
MANY = 1000  # evaluations above which a model of all results costs more than it saves


def choose(*, evaluations: int, objectives: int = 1, early: bool = True) -> tuple[str, dict[str, Any]]:
    """Strategy and options for a budget. `early`: whether a training can be judged before its end."""
    if evaluations > MANY:
        return "shade" if objectives == 1 else "nsga2", {}
    early = early and objectives == 1  # what a ladder is worth with several was not measured
    return "assisted", {"fidelities": [0.25, 1.0], "initial": 20} if early and evaluations >= FEW else {}
