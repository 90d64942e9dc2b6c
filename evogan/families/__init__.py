"""The families of GANs. What stands here is plain data; `build` makes a GAN of a genome."""

from collections.abc import Mapping

from evogan.families.coupled.family import COUPLED
from evogan.families.domains.family import DOMAINS
from evogan.families.family import Family, Field, Fields, image_fields, sequence_fields
from evogan.families.inference.family import INFERENCE
from evogan.families.ladder.family import LADDER
from evogan.families.plain.family import PLAIN
from evogan.families.semi_supervised.family import SEMI_SUPERVISED
from evogan.families.sequences.family import SEQUENCES
from evogan.families.translation.family import TRANSLATION
from evogan.genome import Value

__all__ = ["FAMILIES", "Family", "Field", "Fields", "family_of", "image_fields", "sequence_fields"]

# the first is what a genome is that says nothing else
FAMILIES = {
    family.name: family
    for family in (PLAIN, INFERENCE, SEMI_SUPERVISED, TRANSLATION, DOMAINS, LADDER, COUPLED, SEQUENCES)
}


def family_of(genome: Mapping[str, Value]) -> Family:
    return FAMILIES[str(genome.get("family", next(iter(FAMILIES))))]
