"""How the genes of a table are written down."""

from __future__ import annotations

from typing import Any

from evogan.genome.table import Acts, TableGene
from evogan.genome.values import Value, When


def choice(
    name: str,
    values: tuple[Value, ...],
    default: Value,
    meaning: str,
    source: str,
    *,
    acts: Acts = "form",
    changes: bool = False,
    **when: Any,
) -> TableGene:
    """`when`: each parent with the value, or values, that it must have."""
    return TableGene(
        name=name,
        kind="choice",
        values=values,
        default=default,
        meaning=meaning,
        source=source,
        acts=acts,
        changes=changes,
        when=_conditions(when),
    )


def number(
    name: str,
    low: float,
    high: float,
    default: float,
    meaning: str,
    source: str,
    *,
    log: bool = False,
    acts: Acts = "form",
    switch: bool = False,
    changes: bool = False,
    **when: Any,
) -> TableGene:
    """A float gene, or an int gene if all three numbers are written without a point."""
    return TableGene(
        name=name,
        kind="int" if all(isinstance(x, int) for x in (low, high, default)) else "float",
        low=low,
        high=high,
        scale="log" if log else "linear",
        switch=switch,
        default=default,
        meaning=meaning,
        source=source,
        acts=acts,
        changes=changes,
        when=_conditions(when),
    )


def only(parent: str, *values: Value) -> dict[str, Any]:
    """`when`, of a parent whose name is put together."""
    return {parent: values}


def _conditions(when: dict[str, Any]) -> When:
    return {parent: options if isinstance(options, tuple) else (options,) for parent, options in when.items()}
