"""What a search is of, by which others' results are told from its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from evogan.families import FAMILIES, family_of
from evogan.genome import Value
from evogan.space import Space

CONDITION, NONE = "condition", "none"  # a gene, and its default


@dataclass(frozen=True)
class Own:
    """What a search is of: what its data are called, and their fingerprint; a GAN or an objective; of GANs the families
    that it may train, and whether they may be asked for classes."""

    names: frozenset[str]
    of_a_gan: bool
    families: frozenset[str] = frozenset({next(iter(FAMILIES))})
    conditional: bool = False

    def is_akin(self, genome: Mapping[str, Value]) -> bool:
        """Whether a genome is of such a family: what is good for one kind of GAN was not shown to be for another. Nor
        is what learns from classes for one that is told none."""
        if not self.of_a_gan:
            return True
        return family_of(genome).name in self.families and (self.conditional or genome.get(CONDITION, NONE) == NONE)

    def searching(self, space: Space) -> Own:
        """The same, of the GANs of a space."""
        freed = any(gene.name == CONDITION for gene in space.genes)
        conditional = freed or space.fixed.get(CONDITION, NONE) != NONE
        return replace(self, families=families_of(space), conditional=conditional)


def families_of(space: Space) -> frozenset[str]:
    """Those that a space of GANs has: freed, or the one that it fixes."""
    freed = [gene.values for gene in space.genes if gene.name == "family"]
    return frozenset(map(str, freed[0])) if freed else frozenset({family_of(space.fixed).name})
