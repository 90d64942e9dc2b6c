"""Many runs, and what they say together."""

from evogan.campaign.comparison import Comparison
from evogan.campaign.statistics import anytime

__all__ = ["Comparison", "anytime"]
