"""The gene table: every gene of every family. Plain data; nothing here builds a network.

Genes that cannot live together mostly cannot be written together, since each says when it applies; the conflicts are
the rest. The defaults are those of the published WDCGAN.
"""

from __future__ import annotations

from evogan.families import FAMILIES
from evogan.families.shared.losses import AUTOENCODING, LABELLED, SCORED
from evogan.genes.gather import gathered

__all__ = ["AUTOENCODING", "GENES", "LABELLED", "SCORED"]

GENES = gathered(FAMILIES.values())
