"""evogan: evolves GANs that work.

>>> import evogan
>>> run = evogan.search("wdcgan", "digits", evaluations=24)
>>> images = run.load_best().sample(64)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from evogan.caller import undrawn
from evogan.version import __version__

if TYPE_CHECKING:
    from evogan.api import (
        describe,
        evaluate,
        export_code,
        export_onnx,
        load,
        load_critic,
        model_card,
        open_run,
        resume,
        search,
        train,
    )
    from evogan.bench.bench import collect_tables, run_bench
    from evogan.bench.surrogate import load_table
    from evogan.campaigns.carry_out import report_campaign, run_campaign
    from evogan.errors import UserError
    from evogan.genome import Gene, Genome
    from evogan.runs.run import Run
    from evogan.space import Space, load_space

__all__ = [
    "Gene",
    "Genome",
    "Run",
    "Space",
    "UserError",
    "__version__",
    "collect_tables",
    "describe",
    "evaluate",
    "export_code",
    "export_onnx",
    "load",
    "load_critic",
    "load_space",
    "load_table",
    "model_card",
    "open_run",
    "report_campaign",
    "resume",
    "run_bench",
    "run_campaign",
    "search",
    "train",
]

_HOME = {
    "Gene": "genome",
    "Genome": "genome",
    "Run": "runs.run",
    "Space": "space",
    "UserError": "errors",
    "collect_tables": "bench.bench",
    "run_bench": "bench.bench",
    "load_space": "space",
    "load_table": "bench.surrogate",
    "report_campaign": "campaigns.carry_out",
    "run_campaign": "campaigns.carry_out",
}


if not TYPE_CHECKING:  # who checks types is told of a misspelt name

    def __getattr__(name: str) -> Any:
        """Import on first use: `evogan --help` and workers need not wait for what they do not touch."""
        if name not in __all__:
            raise AttributeError(f"module 'evogan' has no attribute '{name}'")
        with undrawn():
            return getattr(importlib.import_module(f"evogan.{_HOME.get(name, 'api')}"), name)

    def __dir__() -> list[str]:
        """What a notebook completes."""
        return __all__
