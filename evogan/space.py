"""Search spaces: TOML -> space, and unit cube <-> genome."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from evogan import shipped
from evogan.errors import UserError, unknown
from evogan.genome import Gene, GeneTable, Genome, Value, holds, same
from evogan.stable import digest


@dataclass(frozen=True)
class Move:
    """What snapping did to one gene."""

    gene: str
    old: Value
    new: Value


class Space:
    """An ordered set of genes, and the map between unit cube and genomes.

    `fixed` genes have one value in every genome. With a `table` (the zoo's), genes must be ones it allows and
    keys are its keys; without one, a genome is keyed on all its values and the space's name. `conditions` are those
    of the genes and of the table together; `parents_first` has the genes in an order in which they can be decided.
    `reference` names the published genomes that a search here is held against.
    Errors: UserError naming the gene for whatever does not fit together.
    """

    def __init__(
        self,
        name: str,
        genes: Iterable[Gene],
        *,
        fixed: Mapping[str, Value] | None = None,
        table: GeneTable | None = None,
        reference: Sequence[str] = (),
        description: str = "",
    ) -> None:
        self.name, self.genes, self.fixed = name, tuple(genes), dict(fixed or {})
        self.table, self.reference, self.description = table, tuple(reference), description
        if not self.genes:
            raise UserError(f"space '{name}' has no genes")
        if table is not None:
            self._check_against(table)
        self.conditions = {gene.name: dict(gene.when) for gene in self.genes}
        if table is not None:
            self._add_conditions_of(table)
        self.parents_first = self._sorted()

    def _check_against(self, table: GeneTable) -> None:
        self.fixed = {name: table[name].check(value) for name, value in self.fixed.items()}
        genes = []
        for gene in self.genes:
            entry = table[gene.name]
            if gene.name in self.fixed:
                raise UserError(f"gene '{gene.name}' is both fixed and searched")
            if gene.kind == "choice":  # any values may be listed, of a number's too
                gene = replace(gene, values=tuple(entry.check(value) for value in gene.values))
            elif gene.kind != entry.kind:
                raise UserError(f"gene '{gene.name}' is of kind {entry.kind}, not {gene.kind}")
            else:
                entry.check(gene.low)
                entry.check(gene.high)
            genes.append(gene)
        self.genes = tuple(genes)

    def _add_conditions_of(self, table: GeneTable) -> None:
        """A gene of the zoo is active only where the zoo says that it applies."""
        searched = {gene.name for gene in self.genes}
        settled = table.complete(self.fixed)
        for gene in self.genes:
            for parent, options in table[gene.name].when.items():
                if parent in searched:
                    mine = self.conditions[gene.name].get(parent, options)
                    self.conditions[gene.name][parent] = tuple(v for v in mine if any(same(v, o) for o in options))
                elif not any(same(settled[parent], option) for option in options):
                    raise UserError(
                        f"gene '{gene.name}' never applies: {parent} is {settled[parent]}, "
                        f"not {' or '.join(map(str, options))}"
                    )

    def _sorted(self) -> tuple[Gene, ...]:
        by_name = {gene.name: gene for gene in self.genes}
        if len(by_name) < len(self.genes):
            raise UserError(f"space '{self.name}' has the same gene twice")
        for name, when in self.conditions.items():
            for parent, options in when.items():
                if parent not in by_name:
                    raise UserError(f"gene '{name}': condition on the missing gene '{parent}'")
                for option in options:
                    by_name[parent].check(option)
                if not options:
                    raise UserError(f"gene '{name}' never applies: no value of '{parent}' allows it")
        order: dict[str, Gene] = {}
        while len(order) < len(by_name):
            ready = [n for n in by_name if n not in order and all(p in order for p in self.conditions[n])]
            if not ready:
                circle = ", ".join(name for name in by_name if name not in order)
                raise UserError(f"conditions go round in a circle: {circle}")
            order.update((name, by_name[name]) for name in ready)
        return tuple(order.values())

    @property
    def dimension(self) -> int:
        return len(self.genes)

    def _select(self, value_of: Mapping[str, Value]) -> Genome:
        """The genome of these values: fixed genes and the active ones, in the space's order."""
        active: dict[str, Value] = {}
        for gene in self.parents_first:
            if holds(self.conditions[gene.name], active):
                active[gene.name] = value_of[gene.name]
        ordered = {gene.name: active[gene.name] for gene in self.genes if gene.name in active}
        genome = self.fixed | ordered
        applies = genome if self.table is None else self.table.complete(genome)
        return Genome((name, value) for name, value in genome.items() if name in applies)

    def decode(self, vector: Sequence[float]) -> Genome:
        """The genome at a point of the unit cube, snapped to levels, with active genes only."""
        return self._select({gene.name: gene.level(u) for gene, u in zip(self.genes, vector, strict=True)})

    def encode(self, genome: Mapping[str, Value]) -> tuple[float, ...]:
        """A point of the unit cube that decodes to `genome` (snapped); inactive genes lie at 0.5."""
        return tuple(gene.unit(genome[gene.name]) if gene.name in genome else 0.5 for gene in self.genes)

    def snap(self, genome: Mapping[str, Value]) -> tuple[Genome, list[Move]]:
        """The genome of this space nearest to `genome`, and what had to move.

        A gene of the space that `genome` leaves out takes the table's default.
        Errors: UserError naming the gene that lies outside the space.
        """
        given = dict(genome) if self.table is None else self.table.complete(genome)
        settled = self.fixed if self.table is None else self.table.complete(self.fixed)
        mine = {gene.name: gene for gene in self.genes}
        for name, value in given.items():
            if name not in mine and not (name in settled and same(settled[name], value)):
                where = f"it is {settled[name]} there" if name in settled else "the space does not have it"
                raise UserError(f"gene '{name}' = {value} lies outside space '{self.name}': {where}")
        values: dict[str, Value] = {}
        for name, gene in mine.items():
            if name in given:
                gene.check(given[name])
                values[name] = gene.grid[gene.nearest(given[name])]
            else:
                values[name] = gene.grid[0]
        snapped = self._select(values)
        for name in mine:
            if name in snapped and name not in given:
                raise UserError(f"the genome has no value for gene '{name}' of space '{self.name}'")
        moves = [
            Move(name, given[name], snapped[name])
            for name in mine
            if name in snapped and not same(given[name], snapped[name])
        ]
        return snapped, moves

    def key(self, genome: Mapping[str, Value]) -> str:
        if self.table is not None:
            return self.table.key(genome)
        return digest([self.name, dict(genome)])

    def neighbour(self, genome: Genome, rng: Random) -> Genome:
        """`genome` with one active gene moved to a next level, or to another value of a choice."""
        movable = [gene for gene in self.genes if gene.name in genome and len(gene.grid) > 1]
        if not movable:
            return genome
        gene = rng.choice(movable)
        at, last = gene.nearest(genome[gene.name]), len(gene.grid) - 1
        if gene.kind == "choice":
            to = rng.choice([i for i in range(last + 1) if i != at])
        else:
            to = rng.choice([i for i in (at - 1, at + 1) if 0 <= i <= last])
        vector = list(self.encode(genome))
        vector[self.genes.index(gene)] = (to + 0.5) / (last + 1)
        return self.decode(vector)

    @property
    def size(self) -> int:
        """The number of different genomes."""
        parents = [g for g in self.parents_first if any(g.name in when for when in self.conditions.values())]
        rest = [gene for gene in self.parents_first if gene not in parents]
        total = 0
        for picked in itertools.product(*(gene.grid for gene in parents)):
            active: dict[str, Value] = {}
            for gene, value in zip(parents, picked, strict=True):
                if holds(self.conditions[gene.name], active):
                    active[gene.name] = value
                elif not same(value, gene.grid[0]):
                    break  # one stands for all values of an inactive gene
            else:
                total += math.prod(len(g.grid) for g in rest if holds(self.conditions[g.name], active))
        return total

    def document(self) -> dict[str, Any]:
        """The space as plain data, as its TOML file says it: `from_document` reads it back."""
        genes: dict[str, Any] = {}
        for gene in self.genes:
            entry: dict[str, Any] = {"kind": gene.kind}
            if gene.kind == "choice":
                entry["values"] = list(gene.values)
            else:
                entry |= {"low": gene.low, "high": gene.high, "scale": gene.scale}
                if gene.levels is not None:
                    entry["levels"] = gene.levels
            if gene.when:
                entry["when"] = {parent: list(options) for parent, options in gene.when.items()}
            genes[gene.name] = entry
        return {
            "name": self.name,
            "description": self.description,
            "reference": list(self.reference),
            "fixed": self.fixed,
            "genes": genes,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any], table: GeneTable | None = None) -> Space:
        try:
            read = _SpaceDocument.model_validate(document)
        except ValidationError as error:
            raise UserError(_one_line(error)) from None
        genes = [Gene(name=name, **gene.model_dump()) for name, gene in read.genes.items()]
        return cls(
            read.name,
            genes,
            fixed=read.fixed,
            table=table,
            reference=read.reference,
            description=read.description,
        )


def load_space(name_or_path: str, table: GeneTable | None = None) -> Space:
    """Read a shipped space by name, or a TOML file.

    Errors: UserError naming file and gene.
    """
    path = shipped.find("search_spaces", name_or_path)
    document = shipped.read_toml(path)
    try:
        return Space.from_document({"name": path.stem} | document, table)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


class _GeneDocument(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    kind: Literal["float", "int", "choice"]
    low: int | float | None = None
    high: int | float | None = None
    scale: Literal["linear", "log"] = "linear"
    levels: int | None = None
    values: tuple[bool | int | float | str, ...] = ()
    when: dict[str, tuple[bool | int | float | str, ...]] = {}

    @field_validator("values", mode="before")
    @classmethod
    def _values(cls, given: Any) -> Any:
        return tuple(given) if isinstance(given, list) else given

    @field_validator("when", mode="before")
    @classmethod
    def _when(cls, given: Any) -> Any:
        """`when = { optimizer = "adam" }` is short for a list of one."""
        if not isinstance(given, dict):
            return given
        return {name: tuple(v) if isinstance(v, list | tuple) else (v,) for name, v in given.items()}


class _SpaceDocument(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    description: str = ""
    reference: tuple[str, ...] = ()
    fixed: dict[str, bool | int | float | str] = {}
    genes: dict[str, _GeneDocument]


def _one_line(error: ValidationError) -> str:
    """The first thing that pydantic found wrong, with the nearest right name for an unknown field."""
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    where = f"gene '{place[1]}'" if place[0] == "genes" and len(place) > 1 else ".".join(place)
    if first["type"] == "extra_forbidden":
        model = _GeneDocument if place[0] == "genes" else _SpaceDocument
        return f"{where}: {unknown('field', place[-1], model.model_fields)}"
    field = f": '{place[2]}'" if place[0] == "genes" and len(place) > 2 else ""
    message = first["msg"][0].lower() + first["msg"][1:]
    return (
        f"{where}{field} {message}, not {first['input']!r}"
        if first["type"] != "missing"
        else f"{where}{field} is missing"
    )
