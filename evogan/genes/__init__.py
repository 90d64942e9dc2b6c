"""The gene table: every gene of every family. Plain data; nothing here builds a network.

Genes that cannot live together mostly cannot be written together, since each says when it applies; the conflicts are
the rest. The defaults are those of the published WDCGAN.
"""

from __future__ import annotations

from evogan.errors import UserError
from evogan.families import FAMILIES, Family
from evogan.families.shared.losses import AUTOENCODING, LABELLED, SCORED
from evogan.genes.gather import gathered

__all__ = ["AUTOENCODING", "GENES", "LABELLED", "SCORED", "add_family"]

GENES = gathered(FAMILIES.values())


def add_family(family: Family) -> None:
    """For plugins: its genes are part of the table from then on; what genomes of other families are called stays.

    Errors: UserError for the name of one that is there, and for a gene that another family means otherwise.
    """
    if family.name in FAMILIES:
        raise UserError(f"family '{family.name}' exists already")
    GENES.become(gathered([*FAMILIES.values(), family]))
    FAMILIES[family.name] = family
