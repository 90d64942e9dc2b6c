"""What the header of a file with networks says: the genome that they were built from, the form of the data, and what
they can be asked for. Written beside weights, and read with suspicion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evogan.data.captions import sentences
from evogan.data.dataset import Conditions, Dataset, Images, Plane
from evogan.errors import UserError
from evogan.evaluation.written import LANGUAGE, read_language
from evogan.families import Field, Fields, image_fields, sequence_fields
from evogan.families.domains.family import domain_fields
from evogan.genes import GENES
from evogan.genome import Genome
from evogan.options import read_option

LARGEST = 2**16  # side of an image, in pixels
CONDITIONS = 1000  # that it has at most
PLANE = "plane"  # of networks that make points: the centre and the scale of the data


def conditions_of(conditions: Conditions) -> dict[str, Any]:
    """For the header of a GAN that is asked for vectors: which there are, the first of very many, with their words."""
    table = [[round(number, 3) for number in row] for row in conditions.table[:CONDITIONS].tolist()]
    return {
        "classes": list(conditions.names[:CONDITIONS]),
        "conditions": {"kind": conditions.kind, "table": table},
    }


def read_pixels(images: Images | Tensor) -> Tensor:
    """Of images as a script gives them: uint8, or floats in [-1, 1] of 32 bits. Errors: UserError for other numbers."""
    given = torch.as_tensor(images)
    if given.dtype == torch.uint8:
        return given
    if not (given.is_floating_point() and (given.abs() <= 1 + 1e-3).all()):
        raise UserError("pixels must be uint8, 0 to 255, or floats in [-1, 1]")
    return given.float()


@dataclass(frozen=True)
class Form:
    """What a GAN was built from. `classes`: names of those that it can be asked for; `tells_apart`: that it was built
    for. `conditions`: those, where they are vectors. `facts`: what else is known.
    """

    genome: Genome
    fields: Fields
    classes: tuple[str, ...]
    tells_apart: tuple[str, ...]
    facts: dict[str, Any]
    conditions: Conditions | None = None

    @property
    def told(self) -> int:
        """How many numbers a condition has: as many as there are classes."""
        return len(self.tells_apart) if self.conditions is None else self.conditions.table.shape[1]


def read_form(header: Any) -> Form:
    """Errors: UserError, KeyError, TypeError, ValueError."""
    facts: dict[str, Any] = dict(header)
    genome = _genome(facts.pop("genome"))
    size = read_option("image_size", facts["image_size"], int, low=1, high=LARGEST)
    channels = read_option("channels", facts["channels"], int, low=1, high=3)
    classes = _names(facts.pop("classes", []))
    known = _names(facts.pop("tells_apart", [])) or classes
    fields = image_fields(size, channels, len(known))
    if LANGUAGE in facts:
        language = read_language(facts[LANGUAGE])
        fields = sequence_fields(len(language.tokens), size, language.ends)
    if "sources" in facts:
        fields["sources"] = Field(_shape(facts["sources"]))
    if "domains" in facts:
        fields |= dict.fromkeys(domain_fields(len(_names(facts["domains"]))), fields["images"])
    if "source_classes" in facts:
        classes_of = read_option("source_classes", facts["source_classes"], int, low=1, high=LARGEST)
        fields["source_labels"] = Field((), classes_of)
    if "conditions" not in facts:
        return Form(genome, fields, classes, known, facts)
    conditions = _conditions(facts["conditions"], classes)
    fields = {**image_fields(size, channels), "labels": Field(conditions.table.shape[1:])}
    return Form(genome, fields, classes, (), facts, conditions)


def _conditions(written: Any, names: tuple[str, ...]) -> Conditions:
    table = np.array(written["table"], dtype=np.float32)
    if table.ndim != 2 or len(table) != len(names) or not table.size or not np.isfinite(table).all():
        raise UserError("its conditions are no finite numbers, a row for each name")
    found = Conditions(str(written["kind"]), table, names)
    if found.are_captions and set(names) != set(sentences()):
        raise UserError("its captions are others than those of this version")
    return found


def check_language(facts: Mapping[str, Any], data: Dataset, does: str) -> None:
    """Errors: UserError for data of other tokens, or none, than those of the header of a file."""
    ours = read_language(facts[LANGUAGE]).identity() if LANGUAGE in facts else None
    if ours is not None and data.language is None:
        raise UserError(f"{does} sequences, and '{data.name}' has none")
    if ours is None and data.language is not None:
        raise UserError(f"{does} no sequences, and '{data.name}' has some")
    if data.language is not None and ours != data.language.identity():
        raise UserError(f"{does} sequences of other tokens than '{data.name}' has")


def read_plane(written: Any) -> Plane:
    x, y, scale = (read_option(PLANE, number, float, low=-1e300, high=1e300) for number in written)
    return Plane((x, y), read_option("scale", scale, float, above=0))


def _shape(written: Any) -> tuple[int, ...]:
    channels, height, width = written
    side = read_option("sources", height, int, low=1, high=LARGEST)
    if width != side:
        raise UserError("its sources are not square")
    return (read_option("sources", channels, int, low=1, high=3), side, side)


class OfAnother(UserError):
    """A genome of a plugin, or of another version."""


@contextmanager
def unless_damaged(path: str | Path, what: str) -> Iterator[None]:
    """Whatever is wrong in it is said of the file. Errors: UserError."""
    try:
        yield
    except OfAnother as error:
        raise UserError(f"'{path}' has what this process does not know: {error}: --plugin names a plugin") from None
    except UserError as error:
        raise UserError(f"'{path}' is damaged: {error}") from None
    except KeyError as error:
        raise UserError(f"'{path}' is damaged: {error} is missing in its header") from None
    except (ValueError, TypeError):
        raise UserError(f"'{path}' is damaged: its header does not describe {what}") from None
    except RuntimeError:
        raise UserError(f"'{path}' is damaged: its weights do not fit its genome") from None


def _names(written: Any) -> tuple[str, ...]:
    if not isinstance(written, list) or not all(isinstance(name, str) for name in written):
        raise UserError("the names of its classes are no list of text")
    return tuple(written)


def _genome(written: Any) -> Genome:
    try:
        return GENES.recorded(dict(written))
    except UserError as error:
        raise OfAnother(str(error)) from None


def check_finite(path: str | Path, state: Mapping[str, Tensor]) -> None:
    for name, weights in state.items():
        if not weights.float().isfinite().all():
            raise UserError(f"'{path}' is damaged: not all numbers of '{name}' are finite")
