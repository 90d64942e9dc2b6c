"""A schedule: a genome and, from shares of the budget on, changed genes, as population-based training finds them.

Wherever a genome goes a schedule can: its values are those of the genome that it begins with. Without its last change,
and up to that change's share, it is another training's schedule, whose state this one goes on from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from evogan.genome.genome import Change, Genome
from evogan.genome.values import Value
from evogan.stable import digest


class Schedule(Genome):
    """`first`: the key of the genome that it begins with. `changes`: one or more, their shares rise within (0, 1)."""

    __slots__ = ("_changes", "first")

    def __init__(self, values: Mapping[str, Value], first: str, changes: Iterable[Change]) -> None:
        super().__init__(values)
        self.first, self._changes = first, tuple(changes)

    @property
    def changes(self) -> tuple[Change, ...]:
        return self._changes

    @property
    def key(self) -> str:
        return digest([self.first, [[at, dict(genes)] for at, genes in self._changes]])

    @property
    def prefixes(self) -> tuple[tuple[str, float], ...]:
        keys = [self.first, *(Schedule(self, self.first, self._changes[:i]).key for i in range(1, len(self._changes)))]
        return tuple((key, change.at) for key, change in zip(keys, self._changes, strict=True))

    @property
    def phases(self) -> Iterator[tuple[float, Genome]]:
        yield 0.0, (now := Genome(self))
        for at, genes in self._changes:
            yield at, (now := Genome({**now, **genes}))

    def __eq__(self, other: object) -> bool:
        mine = dict(self), self._changes
        return isinstance(other, Schedule) and mine == (dict(other), other._changes)

    def __hash__(self) -> int:
        return hash((super().__hash__(), self._changes))

    def __repr__(self) -> str:
        return f"Schedule({dict(self)}, {self._changes})"

    @property
    def document(self) -> dict[str, Any]:
        """What it has beside the values that it begins with, as plain data."""
        changes = [{"at": at, "genes": dict(genes)} for at, genes in self._changes]
        return {"first": self.first, "changes": changes}


def then(genome: Genome, key: str, at: float, genes: Mapping[str, Value]) -> Genome:
    """`genome`, which has this key, and from share `at` on these genes; itself if there are none."""
    if not genes:
        return genome
    first = genome.first if isinstance(genome, Schedule) else key
    return Schedule(Genome(genome), first, [*genome.changes, Change(at, Genome(genes))])


def document(genome: Genome) -> dict[str, Any] | None:
    """None of a genome without changes."""
    return genome.document if isinstance(genome, Schedule) else None


def from_document(values: Mapping[str, Value], document: Mapping[str, Any] | None) -> Genome:
    """A genome, or a schedule with what `document` gave."""
    if document is None:
        return Genome(values)
    changes = [Change(change["at"], Genome(change["genes"])) for change in document["changes"]]
    return Schedule(values, document["first"], changes)


def in_words(genome: Genome) -> str:
    """What changes when: "0.25 learning_rate 0.002, clip 0.1; 0.5 ..."; empty if nothing does."""
    return "; ".join(
        f"{at:g} {', '.join(f'{name} {v:g}' if isinstance(v, float) else f'{name} {v}' for name, v in genes.items())}"
        for at, genes in genome.changes
    )
