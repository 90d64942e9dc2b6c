"""What a family of GANs says of itself. Plain data: its networks are in the module that `model` names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from evogan.errors import UserError
from evogan.genome import Conflict, TableGene, Value, When


@dataclass(frozen=True)
class Field:
    """What a GAN must know of a field of the data to be built for it.

    `shape`: of one row. `values`: how many there are of a field of integers, 0 .. values-1; None for other fields.
    `ends`: whether a row of integers ends with its first 0, which is repeated to fill it.
    """

    shape: tuple[int, ...]
    values: int | None = None
    ends: bool = False


Fields = Mapping[str, Field]


def image_fields(size: int, channels: int, classes: int = 0) -> dict[str, Field]:
    """Those of square images: side in pixels; channels 1 or 3; without labels, many or few, if there are no classes;
    sources have the form of images."""
    images, labels = Field((channels, size, size)), Field((), classes)
    few = {"few_images": images, "few_labels": labels}
    labelled = {"labels": labels, "source_labels": labels, **few} if classes else {}
    return {"images": images, "sources": images, **labelled}


def told(fields: Fields) -> int:
    """How many numbers tell what is asked for: the classes, or the size of conditions that are vectors; 0: neither."""
    field = fields.get("labels")
    if field is None or field.shape:
        return field.shape[0] if field is not None and field.values is None else 0
    return field.values or 0


def are_vectors(fields: Fields) -> bool:
    """Whether what is asked for are vectors of numbers, and no classes."""
    return told(fields) > 0 and bool(fields["labels"].shape)


def sequence_fields(tokens: int = 500, length: int = 10, ends: bool = False) -> dict[str, Field]:
    """Those of sequences, in the place of images; by default the oracle's."""
    return {"images": Field((length,), tokens, ends)}


ASKED = {  # what data do not have of themselves, how a user says it, and what for
    "few_labels": ("--labels", "learns from few labels: say of how many images with"),
    "domains": ("--domains", "translates between domains without pairs: say which with"),
    "pairs": ("--pairs", "makes images from images: say from what with"),
}


def no_code(genes: Mapping[str, Value]) -> Mapping[str, int]:
    """Of a family without an encoder."""
    return {}


def no_twin(genes: Mapping[str, Value]) -> Mapping[str, Value]:
    """Of a family whose GANs are compared with the published ones alone."""
    return {}


@dataclass(frozen=True, kw_only=True)
class Family:
    """A kind of GAN: its players, the data it needs, its genes, its measures.

    `players`: each has the genes of an optimiser beside `genes`. `sometimes`: players that not every one of its GANs
    has, and the genes with which they are there. `counted`: whose real rows are the budget. `needs`:
    kinds of data beyond rows of their own: labels, few_labels, pairs, domains, sequences. `measures`: names of
    metrics, the first is the default fitness. `model`: a module of the form of `build.Model`, imported when one is
    built. `sampled`: the player whose network, or an average of it, samples come from. `stackable`: whether its GANs
    are (`zoo.gan.Stackable`). `code`: of a complete phenotype, the parts of the code that its encoder gives, and how
    long each is (`zoo.gan.Encodes`); none without an encoder. `twin`: of a complete phenotype, genes that make of it
    the GAN that it is to be compared with. `makes_points`: in the plane, too, by the networks that can.
    """

    name: str
    title: str
    source: str
    players: tuple[str, ...]
    counted: str
    genes: tuple[TableGene, ...]
    measures: tuple[str, ...]
    model: str
    conflicts: tuple[Conflict, ...] = ()
    needs: frozenset[str] = frozenset()
    sometimes: Mapping[str, When] = field(default_factory=dict)
    sampled: str = "generator"
    stackable: bool = False
    code: Callable[[Mapping[str, Value]], Mapping[str, int]] = no_code
    twin: Callable[[Mapping[str, Value]], Mapping[str, Value]] = no_twin
    makes_points: bool = False

    def rows_per_iteration(self, genes: Mapping[str, Value]) -> int:
        """Real rows that the counted player is shown in one round of the schedule of a complete phenotype."""
        return int(genes["batch_size"]) * self.steps(self.counted, genes)

    def steps(self, player: str, genes: Mapping[str, Value]) -> int:
        """That the player makes in one round of the schedule of a complete phenotype."""
        return int(genes.get(f"{player}_steps", 1))

    def check_served(self, kinds: frozenset[str], data: str) -> None:
        """Errors: UserError if data set `data`, which has these kinds of data, has not all that the family needs."""
        if "points" in kinds and not self.makes_points:
            of = "sequences" if "sequences" in self.needs else "images"
            raise UserError(f"family '{self.name}' is of {of}, and '{data}' has points")
        if "sequences" in kinds and "sequences" not in self.needs:
            raise UserError(f"family '{self.name}' is of images, and '{data}' has sequences: family = sequences")
        missing = sorted(self.needs - kinds)
        if len(missing) == 1 and missing[0] in ASKED:
            option, why = ASKED[missing[0]]
            raise UserError(f"family '{self.name}' {why} {option}")
        if missing:
            needs = " and ".join(name.replace("_", " ") for name in missing)
            raise UserError(f"family '{self.name}' needs {needs}, which data set '{data}' does not have")

    def check_used(self, kinds: frozenset[str]) -> None:
        """Errors: UserError for what was asked of the data, and it has no use for."""
        for kind in sorted(kinds & ASKED.keys() - self.needs):
            option, _ = ASKED[kind]
            raise UserError(f"family '{self.name}' has no use for {option}: leave it out, or take another family")
