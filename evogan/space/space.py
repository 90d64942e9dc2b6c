"""Search spaces: unit cube <-> genome."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

from evogan import shipped
from evogan.errors import UserError, shown
from evogan.files.documents import read_toml
from evogan.genes import GENES
from evogan.genome import Conflict, Gene, GeneTable, Genome, Schedule, Value, When, a_value, holds, plain, same
from evogan.genome.schedule import then
from evogan.genome.values import any_of
from evogan.space.document import SpaceDocument
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
        if not isinstance(name, str) or not name:
            raise UserError(f"a space's name must be text, not {shown(name)}")
        if not isinstance(description, str):
            raise UserError(f"space '{name}': 'description' must be text, not {shown(description)}")
        self.name, self.table, self.description = name, table, description
        self.genes = self._read_genes(genes)
        self.fixed = self._read_fixed({} if fixed is None else fixed)
        if not isinstance(reference, list | tuple) or not all(isinstance(one, str) for one in reference):
            raise UserError(f"space '{name}': 'reference' must be a list of genomes' names, not {shown(reference)}")
        self.reference = tuple(reference)
        if table is not None:
            self._check_against(table)
        self.conditions = {gene.name: dict(gene.when) for gene in self.genes}
        self.conflicts: list[Conflict] = []
        if table is not None:
            self._add_conditions_of(table)
        self.parents_first = self._sorted()

    def _read_genes(self, given: Iterable[Gene]) -> tuple[Gene, ...]:
        try:
            genes = tuple(given)
        except TypeError:
            raise UserError(f"space '{self.name}': its genes must be a list, not {shown(given)}") from None
        if not genes:
            raise UserError(f"space '{self.name}' has no genes")
        for gene in genes:
            if not isinstance(gene, Gene):
                raise UserError(f"space '{self.name}': {shown(gene)} is no Gene")
        return genes

    def _read_fixed(self, given: Mapping[str, object]) -> dict[str, Value]:
        if not isinstance(given, Mapping):
            raise UserError(f"space '{self.name}': 'fixed' must map genes to their values, not {shown(given)}")
        for gene in self.genes:
            if gene.name in given:
                raise UserError(f"gene '{gene.name}' is both fixed and searched")
        return {name: a_value(value, f"gene '{name}'") for name, value in given.items()}

    def _check_against(self, table: GeneTable) -> None:
        self.fixed = {name: table[name].check(value) for name, value in self.fixed.items()}
        genes = []
        for gene in self.genes:
            entry = table[gene.name]
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
        """A gene of the zoo is active only where the zoo says that it applies.

        A fixed one that never is says nothing, unless it is of another family.
        """
        for name in self.fixed:
            family = {parent: options for parent, options in table[name].when.items() if parent == "family"}
            if never := on_searched(family, self.genes, self.fixed, table)[1]:
                raise UserError(f"gene '{name}' never applies: {never}")
        for gene in self.genes:
            when, never = on_searched(table[gene.name].when, self.genes, self.fixed, table)
            if never:
                raise UserError(f"gene '{gene.name}' never applies: {never}")
            mine = self.conditions[gene.name]
            for parent, options in when.items():
                mine[parent] = _common(mine.get(parent, options), options)
        self.conflicts = [
            Conflict(values, conflict.reason)
            for conflict in table.conflicts
            for values, never in [on_searched(conflict.values, self.genes, self.fixed, table)]
            if not never
        ]
        for conflict in self.conflicts:
            if not self.outside(conflict):
                raise UserError(f"space '{self.name}': {conflict.reason}")

    def _sorted(self) -> tuple[Gene, ...]:
        by_name = {gene.name: gene for gene in self.genes}
        if len(by_name) < len(self.genes):
            raise UserError(f"space '{self.name}' has the same gene twice")
        for name, when in self.conditions.items():
            for parent, options in when.items():
                if parent not in by_name:
                    raise UserError(f"gene '{name}': condition on the missing gene {shown(parent)}")
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
        for name, when in self.conditions.items():
            for parent, options in when.items():
                if not (gene := by_name[parent]).among(options):
                    near = gene.grid[gene.nearest(options[0])]
                    raise UserError(
                        f"gene '{name}' never applies: {options[0]} is no level of '{parent}', the nearest is {near:g}"
                    )
        return tuple(order.values())

    def without(self, values: Mapping[str, Sequence[Value]], why: str) -> Space:
        """The space without some values of its choices, nor genes that apply only with those.

        Errors: UserError, saying `why`, where a gene would have none left, or a fixed one has it.
        """

        def left(name: str, given: Iterable[Value]) -> tuple[Value, ...]:
            return tuple(value for value in given if not any(same(value, v) for v in values.get(name, ())))

        for name in values:
            if name in self.fixed and not left(name, (self.fixed[name],)):
                raise UserError(f"{name} = {self.fixed[name]} {why}")
        gone = [f"{gene.name} = {v}" for gene in self.genes for v in gene.values if not left(gene.name, (v,))]
        genes: dict[str, Gene] = {}
        for gene in self.parents_first:
            stay = left(gene.name, gene.values)
            if gene.kind == "choice" and not stay:
                raise UserError(f"{gene.name} = {' or '.join(map(str, gene.values))} {why}")
            needed = {parent: left(parent, options) for parent, options in self.conditions[gene.name].items()}
            if all(parent in genes and options for parent, options in needed.items()):
                when = {parent: left(parent, options) for parent, options in gene.when.items()}
                genes[gene.name] = replace(gene, values=stay, when=when)
        if not gone:
            return self
        description = f"{self.description} (without {', '.join(gone)}: {why})"
        return self._with(
            genes=[genes[gene.name] for gene in self.genes if gene.name in genes], description=description
        )

    def held_against(self, reference: Sequence[str]) -> Space:
        """The same, with other references."""
        return self._with(reference=reference)

    def _with(self, **changed: Any) -> Space:
        mine = {name: getattr(self, name) for name in ("genes", "fixed", "table", "reference", "description")}
        return Space(self.name, **mine | changed)

    @property
    def dimension(self) -> int:
        return len(self.genes)

    def _select(self, value_of: Mapping[str, Value]) -> Genome:
        """The genome of these values: fixed genes and the active ones, in the space's order."""
        repairs = Repairs(self)
        while True:
            active: dict[str, Value] = {}
            for gene in self.parents_first:
                if holds(self.conditions[gene.name], active):
                    active[gene.name] = repairs.settled.get(gene.name, value_of[gene.name])
            if repairs(active):
                break
        ordered = {gene.name: active[gene.name] for gene in self.genes if gene.name in active}
        genome = self.fixed | ordered
        applies = genome if self.table is None else self.table.complete(genome)
        return Genome((name, value) for name, value in genome.items() if name in applies)

    def outside(self, conflict: Conflict) -> list[tuple[Gene, list[int]]]:
        """The genes of a conflict with the levels that are not part of it."""
        genes = [gene for name in conflict.values for gene in self.genes if gene.name == name]
        free = [
            [i for i, v in enumerate(gene.grid) if not any(same(v, b) for b in conflict.values[gene.name])]
            for gene in genes
        ]
        return [(gene, levels) for gene, levels in zip(genes, free, strict=True) if levels]

    def decode(self, vector: Sequence[float]) -> Genome:
        """The genome at a point of the unit cube, snapped to levels, with active genes only."""
        return self._select({gene.name: gene.level(u) for gene, u in zip(self.genes, vector, strict=True)})

    def repaired(self, vector: Sequence[float]) -> tuple[float, ...]:
        """The point itself, but for active genes that `Repairs` gave another level: these lie in its middle."""
        genome = self.decode(vector)
        return tuple(
            u if same(genome.get(gene.name, level := gene.level(u)), level) else gene.unit(genome[gene.name])
            for gene, u in zip(self.genes, vector, strict=True)
        )

    def encode(self, genome: Mapping[str, Value]) -> tuple[float, ...]:
        """A point of the unit cube that decodes to `genome` (snapped); inactive genes lie at 0.5."""
        return tuple(gene.unit(genome[gene.name]) if gene.name in genome else 0.5 for gene in self.genes)

    def snap(self, genome: Mapping[str, Value]) -> tuple[Genome, list[Move]]:
        """The genome of this space nearest to `genome`, and what had to move.

        A gene of the space that `genome` leaves out takes the table's default.
        Errors: UserError naming the gene that lies outside the space.
        """
        given = {name: plain(value) for name, value in genome.items()}
        if self.table is not None:
            given = self.table.complete(given)
        mine = {gene.name: gene for gene in self.genes}
        for name, value in given.items():
            if name in mine:
                continue
            default = self.table[name].default if self.table is not None and name in self.table else None
            settled = self.fixed.get(name, default)
            if settled is None or not same(settled, value):
                where = "the space does not have it" if settled is None else f"it is {settled} there"
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
        """A schedule has its own."""
        if isinstance(genome, Schedule):
            return genome.key
        if self.table is not None:
            return self.table.key(genome)
        return digest([self.name, dict(genome)])

    @cached_property
    def changing(self) -> tuple[Gene, ...]:
        """The genes that may change during a training: of the zoo's those that its table says, of others all that no
        condition names."""
        if self.table is not None:
            free = {gene.name for gene in self.table.values() if gene.changes}
        else:
            named = {parent for when in self.conditions.values() for parent in when}
            free = {gene.name for gene in self.genes} - named
        return tuple(gene for gene in self.genes if gene.name in free and len(gene.grid) > 1)

    def may_change(self, gene: str, old: Value, new: Value) -> bool:
        """Whether one of these may change so."""
        return self.table is None or self.table[gene].may_change(old, new)

    def changed(self, genome: Genome, at: float, vector: Sequence[float]) -> Genome:
        """The schedule that goes on from `genome` at share `at` with those genes of a point that may change."""
        now, wanted = genome.now, self.decode(vector)
        genes = {
            gene.name: wanted[gene.name]
            for gene in self.changing
            if gene.name in now and gene.name in wanted and not same(now[gene.name], wanted[gene.name])
        }
        return then(genome, self.key(genome), at, genes)

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
        vector[self.genes.index(gene)] = gene.cells.at(to)
        return self.decode(vector)

    @cached_property
    def size(self) -> int:
        """The number of different genomes."""
        return self._count(self.parents_first, {})

    def _count(self, genes: Sequence[Gene], decided: Mapping[str, Value | None]) -> int:
        """How many ways there are to choose `genes`, after those `decided` (None: inactive)."""
        links = [{gene.name, *self.conditions[gene.name]} for gene in genes]
        links += [set(conflict.values) for conflict in self.conflicts if not _failed(conflict.values, decided)]
        total = 1
        for part in _parts([gene.name for gene in genes], links):
            first, *rest = (gene for gene in genes if gene.name in part)
            if _failed(self.conditions[first.name], decided):
                total *= self._count(rest, {**decided, first.name: None})
            elif not rest and not any(first.name in link for link in links[len(genes) :]):
                total *= len(first.grid)
            else:
                ways = [(alike, {**decided, first.name: value}) for value, alike in self._told_apart(first)]
                total *= sum(alike * self._count(rest, way) for alike, way in ways if not self._clash(way))
        return total

    def _told_apart(self, gene: Gene) -> list[tuple[Value, int]]:
        """The levels that a condition or conflict names, and one for all the others, with how many it stands for."""
        named = [options for when in self.conditions.values() for name, options in when.items() if name == gene.name]
        named += [conflict.values[gene.name] for conflict in self.conflicts if gene.name in conflict.values]
        levels = sorted({i for options in named for i in gene.among(options)})
        other = next((i for i in range(len(gene.grid)) if i not in levels), None)
        several = [(gene.grid[i], 1) for i in levels]
        return several if other is None else [*several, (gene.grid[other], len(gene.grid) - len(levels))]

    def _clash(self, decided: Mapping[str, Value | None]) -> bool:
        known = {name: value for name, value in decided.items() if value is not None}
        return any(holds(conflict.values, known) for conflict in self.conflicts)

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
        read = SpaceDocument.read(document)
        genes = [Gene(name=name, **gene.model_dump()) for name, gene in read.genes.items()]
        return cls(
            read.name,
            genes,
            fixed=read.fixed,
            table=table,
            reference=read.reference,
            description=read.description,
        )


def _common(some: tuple[Value, ...], others: tuple[Value, ...]) -> tuple[Value, ...]:
    return tuple(value for value in some if any(same(value, other) for other in others))


def _failed(when: When, decided: Mapping[str, Value | None]) -> bool:
    """Whether what is decided rules the condition out already."""
    return any(
        name in decided and not any(value is not None and same(value, option) for option in options)
        for name, options in when.items()
        for value in [decided.get(name)]
    )


def _parts(names: Sequence[str], links: Iterable[set[str]]) -> list[set[str]]:
    """The names in groups, joined where a link has several of them."""
    parts: list[set[str]] = []
    for link in [{name} for name in names] + [link & set(names) for link in links]:
        touched = [part for part in parts if part & link]
        parts = [part for part in parts if not part & link] + [link.union(*touched)] if link else parts
    return parts


class Repairs:
    """Finds values of genes that are feasible together: `settled`, in place of those that were asked for.

    Of the first conflict the first gene that can takes its next feasible level, and so on; where that leads back, the
    last choice that there was is taken otherwise.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self.settled: dict[str, Value] = {}
        self._untried: list[dict[str, Value]] = []
        self._tried = {"[]"}

    def __call__(self, values: Mapping[str, Value]) -> bool:
        """Whether these values of active genes are feasible; if not, others are settled.

        Errors: UserError where none are left.
        """
        conflict = next((conflict for conflict in self._space.conflicts if holds(conflict.values, values)), None)
        if conflict is None:
            return True
        for gene, free in reversed(self._space.outside(conflict)):
            at, levels = gene.nearest(values[gene.name]), len(gene.grid)
            nearest_last = sorted(free, key=lambda i: (at - i) % levels)
            self._untried += [{**self.settled, gene.name: gene.grid[i]} for i in nearest_last]
        while self._untried:
            self.settled = self._untried.pop()
            if (state := repr(sorted(self.settled.items()))) not in self._tried:
                self._tried.add(state)
                return False
        raise UserError(f"space '{self._space.name}' has points that no genome is near: {conflict.reason}")


def on_searched(
    when: When, genes: Iterable[Gene], fixed: Mapping[str, Value], table: GeneTable
) -> tuple[dict[str, tuple[Value, ...]], str]:
    """The condition on searched `genes` alone, those of the others' parents included; or why it is never met."""
    found: dict[str, tuple[Value, ...]] = {}
    for parent, options in when.items():
        gene = next((gene for gene in genes if gene.name == parent), None)
        if gene is not None:
            listed = tuple(option for option in options if _allows(gene, option))
            if not listed:
                return {}, f"no value of {parent} here is {any_of(options)}"
            more: Mapping[str, tuple[Value, ...]] = {parent: listed}
        else:
            settled = fixed.get(parent, table[parent].default)
            if not any(same(settled, option) for option in options):
                return {}, f"{parent} is {settled}, not {any_of(options)}"
            more, never = on_searched(table[parent].when, genes, fixed, table)
            if never:
                return {}, never
        for name, allowed in more.items():
            found[name] = _common(found.get(name, allowed), allowed)
    return found, ""


def _allows(gene: Gene, value: Value) -> bool:
    if gene.kind == "choice":
        return any(same(value, one) for one in gene.values)
    low, high = gene.low, gene.high
    return low is not None and high is not None and not isinstance(value, str) and low <= value <= high


def load_space(name_or_path: str | Path, table: GeneTable | None = GENES) -> Space:
    """Read a shipped space by name, or a TOML file: of GANs, or of an objective's own genes, which no `table` knows.

    Errors: UserError naming file and gene.
    """
    path = shipped.find("search_spaces", name_or_path)
    document = read_toml(path)
    try:
        return Space.from_document({"name": path.stem} | document, table)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
