"""A genome: gene -> value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

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

    @property
    def changes(self) -> tuple[Change, ...]:
        """What changes during its training; of a schedule alone is there any."""
        return ()

    @property
    def prefixes(self) -> tuple[tuple[str, float], ...]:
        """The keys of the schedules that it begins as, the shortest first, and the share up to which it is each."""
        return ()

    @property
    def phases(self) -> Iterator[tuple[float, Genome]]:
        """From which share on it is which genome."""
        yield 0.0, self

    @property
    def now(self) -> Genome:
        """As it is after all changes."""
        return [genome for _, genome in self.phases][-1]


class Change(NamedTuple):
    """From this share of the budget on, in (0, 1), these genes are others."""

    at: float
    genes: Genome
