"""Many runs, and what they say together."""

from evogan.campaign.statistics import anytime

__all__ = ["anytime"]
