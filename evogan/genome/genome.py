"""A genome: gene -> value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from evogan.genome.values import Value


class Genome(Mapping[str, Value]):
    """Gene -> value, only the genes that are active. Immutable."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Value] | Iterable[tuple[str, Value]] = ()) -> None:
        self._values = dict(values)

    def __getitem__(self, gene: str) -> Value:
        return self._values[gene]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(frozenset(self._values.items()))

    def __repr__(self) -> str:
        return f"Genome({self._values})"
