"""A store as a thing that travels and is looked after: others are added, weights are freed, faults are found."""

from evogan.engine.upkeep.add import Added, add
from evogan.engine.upkeep.check import check
from evogan.engine.upkeep.prune import Pruned, prune

__all__ = ["Added", "Pruned", "add", "check", "prune"]
