"""The gene table: every gene of every family. Plain data; nothing here builds a network.

Genes that cannot live together mostly cannot be written together, since each says when it applies; the conflicts are
the rest. The defaults are those of the published WDCGAN.
"""

from __future__ import annotations

from evogan.families import FAMILIES, Family
from evogan.families.shared.losses import AUTOENCODING, LABELLED, SCORED
from evogan.genes.gather import gathered
from evogan.plugins import check_new, enter

__all__ = ["AUTOENCODING", "GENES", "LABELLED", "SCORED", "add_family", "add_value"]

GENES = gathered(FAMILIES.values())
ADDED: dict[str, tuple[str, ...]] = {}  # values that plugins gave to genes of ours


def add_family(family: Family) -> None:
    """For plugins; the keys of other genomes stay.

    Errors: UserError for the name of one that is there, and a gene that another family defines differently.
    """
    check_new(FAMILIES, "family", family.name)
    GENES.become(gathered([*FAMILIES.values(), family], ADDED))
    enter(FAMILIES, "family", family.name, family)


def add_value(gene: str, value: str) -> None:
    """One more that a choice allows; what it means is entered where the others' meanings are.

    Errors: UserError for one that is there.
    """
    check_new(GENES[gene].values, gene, value)
    ADDED[gene] = (*ADDED.get(gene, ()), value)
    GENES.become(gathered(FAMILIES.values(), ADDED))
