"""Seed genomes: what a search begins with, as people name it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

from evogan import shipped
from evogan.engine.history import RunHistory
from evogan.errors import UserError, shown, unknown
from evogan.genome import Genome, Value, plain
from evogan.runs.place import IN_MEMORY, Place
from evogan.space import Move, Space

PUBLISHED = "published"
FROM_A_RUN = 5  # its best genomes
Given = str | PathLike[str] | Mapping[str, Value]


@dataclass(frozen=True)
class Seed:
    """A genome as it enters a space, and what had to move for it."""

    name: str
    genome: Genome
    moves: tuple[Move, ...]


def read_seeds(given: Given | Sequence[Given], space: Space, place: Place = IN_MEMORY) -> list[Seed]:
    """Every seed that `given` names, snapped to the space's levels.

    `given`: genes themselves, also as rows of `Run.to_dataframe()`; "published" for every published genome that lies
    inside the space; the name of one; a TOML file; an earlier run in `place` for its best five.
    Errors: UserError naming seed and gene for one that lies outside the space.
    """
    seeds: list[Seed] = []
    for one in _each(given):
        if isinstance(one, Mapping):
            seeds.append(_written(one, space))
        elif not isinstance(one, str | PathLike):
            raise UserError(f"a seed genome is a name, a file or genes, not {shown(one)}")
        elif one == PUBLISHED:
            seeds += _published(space)
        else:
            seeds += [_enter(name, genes, space) for name, genes in _named(str(one), space, place)]
    return seeds


def names_in(given: Given | Sequence[Given]) -> tuple[str, ...]:
    """What `given` names; empty where genes are among it."""
    each = list(_each(given))
    return tuple(map(str, each)) if all(isinstance(one, str | PathLike) for one in each) else ()


def _each(given: Any) -> Iterable[object]:
    if isinstance(given, str | PathLike | Mapping):
        return [given]
    if hasattr(given, "to_dict"):  # of pandas: a table, or a row of one
        rows: list[object] = given.to_dict("records") if given.ndim > 1 else [given.to_dict()]
        return rows
    try:
        each = list(given)
    except TypeError:
        raise UserError(f"seed genomes must be a list, not {shown(given)}") from None
    return [one.to_dict() if hasattr(one, "to_dict") else one for one in each]


def _written(given: Mapping[str, Any], space: Space) -> Seed:
    """Genes, or a row of a run's table, which has more columns, and holes where a gene does not apply."""
    names = [*(gene.name for gene in space.genes), *space.fixed]
    row = {name: given[f"gene_{name}"] for name in names if f"gene_{name}" in given}
    values = {name: plain(value) for name, value in (row or given).items()}
    holes = [
        name for name, value in values.items() if value is None or (isinstance(value, float) and math.isnan(value))
    ]
    there = {name: value for name, value in values.items() if name not in holes}
    seed = _enter("seed", there if space.table is None else space.table.read(there), space)
    for name in holes:
        if name in seed.genome:
            raise UserError(f"seed genome 'seed': gene '{name}' is {values[name]}, although it applies")
    return seed


def _published(space: Space) -> list[Seed]:
    inside, outside = [], []
    for name in shipped.published():
        try:
            inside.append(_enter(name, shipped.read_genome(name, space.table).genome, space))
        except UserError as error:
            outside.append(str(error))
    if not inside:
        raise UserError(f"no published genome lies inside space '{space.name}': {outside[0]}")
    return inside


def _named(one: str, space: Space, place: Place) -> Iterator[tuple[str, Genome]]:
    if one.endswith(".toml") or one in shipped.names("genomes"):
        yield one, shipped.read_genome(one, space.table).genome
    else:
        store = place.existing() if place.has_store else None
        runs = store.names() if store else []
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
