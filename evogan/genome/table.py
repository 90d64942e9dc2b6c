"""The gene table: every gene that a zoo understands, and the key of a genome."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from evogan.errors import UserError, unknown
from evogan.genome.gene import Gene
from evogan.genome.genome import Genome
from evogan.genome.schedule import Schedule, then
from evogan.genome.values import Value, When, any_of, holds, same
from evogan.stable import digest

Acts = Literal["form", "loss", "number", "input"]


@dataclass(frozen=True, kw_only=True)
class TableGene(Gene):
    """A gene as the zoo understands it: with its default, its meaning and its source.

    `acts`: where it does. "form": on what is built, or how it is computed. "loss": on which function of the scores is
    the loss. "number": as a number in a network, in a loss or after a step. "input": on nothing but what goes into a
    step, such as first weights, draws and rates. GANs whose genes of form are the same can be trained as one program.
    `switch`: at 0 there is nothing to compute, so that being 0 or not is of form.
    `changes`: whether it may change during a training. No shape, no state of an optimiser, no order of the data and no
    other gene depends on it.
    """

    default: Value
    meaning: str
    source: str = ""
    acts: Acts = "form"
    switch: bool = False
    changes: bool = False

    def may_change(self, old: Value, new: Value) -> bool:
        """Whether it may from one value to another while a GAN is trained."""
        return self.changes and not (self.switch and (old == 0) != (new == 0))


@dataclass(frozen=True)
class Conflict:
    """Values of several genes that cannot live together, and why."""

    values: When
    reason: str


class GeneTable(Mapping[str, TableGene]):
    """Every gene a zoo understands, parents before the genes they switch on.

    Validation, defaults, keys and the documentation of genes come from here.
    """

    def __init__(self, genes: Iterable[TableGene], conflicts: Iterable[Conflict] = ()) -> None:
        self._genes = {gene.name: gene for gene in genes}
        self.conflicts = tuple(conflicts)

    def become(self, other: GeneTable) -> None:
        """The same as another, for all that know this one."""
        self._genes, self.conflicts = other._genes, other.conflicts

    def __getitem__(self, name: str) -> TableGene:
        try:
            return self._genes[name]
        except KeyError:
            raise unknown("gene", name, self._genes) from None

    def __contains__(self, name: object) -> bool:
        return name in self._genes

    def __iter__(self) -> Iterator[str]:
        return iter(self._genes)

    def __len__(self) -> int:
        return len(self._genes)

    def complete(self, genome: Mapping[str, Value]) -> dict[str, Value]:
        """The phenotype: every active gene of the table with its value, defaults filled in."""
        values: dict[str, Value] = {}
        for gene in self._genes.values():
            if holds(gene.when, values):
                values[gene.name] = genome.get(gene.name, gene.default)
        return values

    def read(self, values: Mapping[str, object]) -> Genome:
        """A genome from what a user wrote.

        Errors: UserError for an unknown gene, a value that is not allowed, a gene that does not apply, values that
        cannot live together.
        """
        genome = Genome({name: self[name].check(value) for name, value in values.items()})
        active = self.complete(genome)
        for name in genome:
            if name not in active:
                needs = " and ".join(f"{parent} is {any_of(options)}" for parent, options in self[name].when.items())
                raise UserError(f"gene '{name}' applies only when {needs}")
        for conflict in self.conflicts:
            if holds(conflict.values, active):
                both = " with ".join(f"{name} = {active[name]}" for name in conflict.values)
                raise UserError(f"{both}: {conflict.reason}")
        return genome

    def recorded(self, values: Mapping[str, object]) -> Genome:
        """A genome that was read before, whatever applies and can live together by now: what does not apply is left
        out. Errors: UserError for an unknown gene, and a value that is not allowed.
        """
        genome = Genome({name: self[name].check(value) for name, value in values.items()})
        active = self.complete(genome)
        return Genome((name, value) for name, value in genome.items() if name in active)

    def changed(self, genome: Mapping[str, object], change: Mapping[str, object]) -> Genome:
        """With these genes; those of `genome` that then do not apply are left out. Errors: UserError as in `read`."""
        before = self.read(genome)
        checked = {name: self[name].check(value) for name, value in change.items()}
        active = self.complete({**before, **checked})
        return self.read({name: value for name, value in before.items() if name in active} | checked)

    def schedule(self, first: Genome, changes: Iterable[tuple[float, Mapping[str, object]]]) -> Genome:
        """The genome with these changes from shares of the budget on; those that change nothing are left out.

        Errors: UserError for shares that do not rise within (0, 1), and a gene that may not change, or not so.
        """
        scheduled, now, before = first, self.complete(first), 0.0
        for at, genes in changes:
            if not before < at < 1:
                raise UserError(f"a change at {at:g}: shares of the budget rise within (0, 1)")
            other = {name: self[name].check(value) for name, value in genes.items()}
            for name, value in other.items():
                self._check_change(name, now, value)
            other = {name: value for name, value in other.items() if not same(now[name], value)}
            scheduled = then(scheduled, self.key(first), at, other)
            now, before = now | other, at
        return scheduled

    def _check_change(self, name: str, now: Mapping[str, Value], new: Value) -> None:
        gene = self[name]
        if not gene.changes:
            free = ", ".join(gene.name for gene in self._genes.values() if gene.changes and gene.name in now)
            raise UserError(f"gene '{name}' cannot change during a training; these can: {free}")
        if name not in now:
            raise UserError(f"gene '{name}' does not apply to this genome")
        if not gene.may_change(now[name], new):
            raise UserError(f"gene '{name}' cannot change from {now[name]} to {new} during a training: 0 is off")

    def key(self, genome: Mapping[str, Value]) -> str:
        """The hash of the phenotype: the active genes that differ from their defaults.

        The same GAN has one key, written short or long, and keeps it when the table grows. A schedule has its own.
        """
        if isinstance(genome, Schedule):
            return genome.key
        return digest(
            {name: value for name, value in self.complete(genome).items() if not same(value, self._genes[name].default)}
        )
