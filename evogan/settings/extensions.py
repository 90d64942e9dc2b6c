"""What is imported before anything is read."""

from __future__ import annotations

from dataclasses import dataclass

from evogan.options import option


@dataclass(frozen=True, kw_only=True)
class Extensions:
    """Plugins, by name: recorded with a run where there are any."""

    plugins: tuple[str, ...] = option(
        (),
        group="plugins",
        help="Module, or .py file, that enters parts of yours (docs/extending.md).",
        flag="--plugin",
        many=True,
        written=list[str],
    )
