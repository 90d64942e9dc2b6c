"""What a search is of, by which others' results are told from its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evogan.families import FAMILIES, family_of
from evogan.genome import Value
from evogan.space import Space


@dataclass(frozen=True)
class Own:
    """What a search is of: what its data are called, and their fingerprint; a GAN or an objective; of GANs the families
    that it may train."""

    names: frozenset[str]
    of_a_gan: bool
    families: frozenset[str] = frozenset({next(iter(FAMILIES))})

    def is_akin(self, genome: Mapping[str, Value]) -> bool:
        """Whether a genome is of such a family: what is good for one kind of GAN was not shown to be for another."""
        return not self.of_a_gan or family_of(genome).name in self.families


def families_of(space: Space) -> frozenset[str]:
    """Those that a space of GANs has: freed, or the one that it fixes."""
    freed = [gene.values for gene in space.genes if gene.name == "family"]
    return frozenset(map(str, freed[0])) if freed else frozenset({family_of(space.fixed).name})
