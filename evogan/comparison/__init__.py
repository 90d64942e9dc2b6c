"""Many runs, and what they say together."""

from evogan.comparison.comparison import Comparison
from evogan.comparison.statistics import anytime

__all__ = ["Comparison", "anytime"]
