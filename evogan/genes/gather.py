"""Families -> the gene table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from evogan.errors import UserError
from evogan.families import Family
from evogan.families.shared.players import optimizer
from evogan.genome import GeneTable, TableGene
from evogan.genome.define import choice

FAMILY = "family"
NONE: Mapping[str, tuple[str, ...]] = {}


def gathered(families: Iterable[Family], added: Mapping[str, tuple[str, ...]] = NONE) -> GeneTable:
    """The genes of all families, and the gene `family`, whose default is the first.

    A gene that some families have and others have not applies with those alone, unless its conditions imply that.
    `added`: further values of choices.
    Errors: UserError for a gene that two families define differently.
    """
    families = list(families)
    names = tuple(family.name for family in families)
    found: dict[str, TableGene] = {}
    owners: dict[str, list[str]] = {}
    for family in families:
        for gene in (*family.genes, *_optimizers(family)):
            if found.setdefault(gene.name, gene) != gene:
                other = owners[gene.name][0]
                raise UserError(f"gene '{gene.name}': families '{other}' and '{family.name}' define it differently")
            owners.setdefault(gene.name, []).append(family.name)
    sources = "; ".join(f"{family.name} {family.source}" for family in families)
    kind = choice(FAMILY, names, names[0], "what kind of GAN it is", sources)
    genes = [
        gene
        if {*names} <= {*owners[name]} or any({*owners[parent]} <= {*owners[name]} for parent in gene.when)
        else replace(gene, when={FAMILY: tuple(owners[name]), **gene.when})
        for name, gene in found.items()
    ]
    genes = [replace(gene, values=(*gene.values, *added[gene.name])) if gene.name in added else gene for gene in genes]
    conflicts = {str(conflict): conflict for family in families for conflict in family.conflicts}  # each once
    return GeneTable([kind, *genes], conflicts.values())


def _optimizers(family: Family) -> Iterator[TableGene]:
    """Genes of all players' optimisers."""
    for player in family.players:
        for gene in optimizer(player):
            yield replace(gene, when={**family.sometimes.get(player, {}), **gene.when})
