"""What users ask for, as plain data: every option is declared here once (docs/options.md has them all).

Command line, Python signatures, campaign files, the records of runs and docs take them from here.
"""

from evogan.settings.bench import BenchSettings
from evogan.settings.extensions import Extensions
from evogan.settings.gan import GANSettings
from evogan.settings.output import Output
from evogan.settings.resources import FUSE, Resources
from evogan.settings.search import MAY_CHANGE, Order, Rule, SearchSettings

__all__ = [
    "FUSE",
    "MAY_CHANGE",
    "BenchSettings",
    "Extensions",
    "GANSettings",
    "Order",
    "Output",
    "Resources",
    "Rule",
    "SearchSettings",
]
