"""The twin of a genome: the GAN that it is to be compared with, as its family says."""

from __future__ import annotations

from evogan.families import family_of
from evogan.genes import GENES
from evogan.genome import Genome


def twin_of(genome: Genome) -> Genome | None:
    """With its family's genes of a twin, without what does not apply then; None where it is its own, or has none."""
    family = family_of(genome)
    wanted = {**genome, **family.twin(GENES.complete(genome))}
    active = GENES.complete(wanted)
    first = GENES.read({name: value for name, value in wanted.items() if name in active})
    changes = [(at, {name: value for name, value in genes.items() if name in active}) for at, genes in genome.changes]
    twin = GENES.schedule(first, changes)
    return None if GENES.key(twin) == GENES.key(genome) else twin
