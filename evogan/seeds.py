"""Seed genomes: what a search begins with, as people name it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from evogan import shipped
from evogan.engine.history import RunHistory
from evogan.errors import UserError, unknown
from evogan.genome import Genome, Value
from evogan.place import IN_MEMORY, Place
from evogan.space import Move, Space

PUBLISHED = "published"
FROM_A_RUN = 5  # its best genomes


@dataclass(frozen=True)
class Seed:
    """A genome as it enters a space, and what had to move for it."""

    name: str
    genome: Genome
    moves: tuple[Move, ...]


def read_seeds(given: str | Sequence[str | Mapping[str, Value]], space: Space, place: Place = IN_MEMORY) -> list[Seed]:
    """Every seed that `given` names, snapped to the space's levels.

    `given`: genes themselves; "published" for every published genome that lies inside the space; the name of one;
    a TOML file; an earlier run in `place` for its best five.
    Errors: UserError naming seed and gene for one that lies outside the space.
    """
    seeds: list[Seed] = []
    for one in [given] if isinstance(given, str) else given:
        if one == PUBLISHED:
            seeds += _published(space)
        else:
            seeds += [_enter(name, genes, space) for name, genes in _read(one, space, place)]
    return seeds


def _published(space: Space) -> list[Seed]:
    inside, outside = [], []
    for name in shipped.names("genomes"):
        try:
            inside.append(_enter(name, shipped.read_genome(name, space.table).genome, space))
        except UserError as error:
            outside.append(str(error))
    if not inside:
        raise UserError(f"no published genome lies inside space '{space.name}': {outside[0]}")
    return inside


def _read(one: str | Mapping[str, Value], space: Space, place: Place) -> Iterator[tuple[str, Genome]]:
    if not isinstance(one, str):
        yield "seed", Genome(one) if space.table is None else space.table.read(one)
    elif one.endswith(".toml") or one in shipped.names("genomes"):
        yield one, shipped.read_genome(one, space.table).genome
    else:
        store = place.existing() if place.has_store else None
        runs = store.runs() if store else {}
        if store is None or one not in runs:
            raise unknown("seed genome", one, [PUBLISHED, *shipped.names("genomes"), *runs, "a .toml file"])
        for told in RunHistory(store, one).leaders(FROM_A_RUN):
            yield f"{one} #{told.row.number}", told.row.genome


def _enter(name: str, genes: Mapping[str, Value], space: Space) -> Seed:
    try:
        genome, moves = space.snap(genes)
    except UserError as error:
        raise UserError(f"seed genome '{name}': {error}") from None
    return Seed(name, genome, tuple(moves))
