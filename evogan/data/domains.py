"""Domains: sets of images without pairs, a stream each, of images of one form.

Where they come from: by one recipe or more (`evogan.data.recipes`), each of images of its own, so that in training
nothing has its counterpart, while of what is held out every domain has all, in one order: the truth of a translation is
known. Or the `classes` of a data set, such as a folder for each domain, or `trainA` and `trainB`; or what a table says
of each image (`evogan.data.attributes`). Or other data sets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from evogan.data.dataset import Dataset, Images
from evogan.data.recipes import RECIPES, read_recipe
from evogan.errors import UserError
from evogan.families.domains.family import SOURCE_LABELS, domain_fields
from evogan.stable import derive_seed

CLASSES = "classes"
LEAST = 2  # images of a domain, to train on and held out
MOST = 20  # domains

Stream = Mapping[str, npt.NDArray[Any]]


def recipes_of(text: str) -> list[str]:
    """The recipes that it names, in their order; of classes and data sets none. Errors: UserError."""
    parts = text.split(",")
    if not all(part.partition(":")[0] in RECIPES for part in parts):
        return []
    for part in parts:
        read_recipe(part)
    if len(set(parts)) < len(parts):
        raise UserError(f"domains '{text}': each recipe once")
    return parts


def by_recipes(data: Dataset, text: str) -> Dataset:
    """The images of `data`, then a domain for each recipe. Errors: UserError for what does not fit, or is too few."""
    made = [None, *map(read_recipe, recipes_of(text))]
    rng = np.random.default_rng(derive_seed("domains", len(data.images)))
    own = [np.sort(part) for part in np.array_split(rng.permutation(len(data.images)), len(made))]
    train = [
        data.images[rows] if one is None else one.of(data.images[rows]) for one, rows in zip(made, own, strict=True)
    ]
    unseen = [data.held_out if one is None else one.of(data.held_out) for one in made]
    labels, held_out = (
        [None if all_of is None else all_of[rows] for rows in which]
        for all_of, which in ((data.labels, own), (data.held_out_labels, [slice(None)] * len(made)))
    )
    names = (data.name, *(one.text for one in made if one is not None))
    note = f"each of {len(names)} domains has other images to train on, and all that are held out: the truth is known"
    found = joined(data, names, list(zip(_alike(train), labels)), list(zip(_alike(unseen), held_out)), note)  # noqa: B905
    return replace(found, truth=True)


def by_classes(data: Dataset) -> Dataset:
    """A domain for each class that there is, in their order. Errors: UserError without classes."""
    labels, held_out, names = data.labels, data.held_out_labels, data.class_names
    if labels is None or held_out is None or names is None:
        raise UserError(f"domains 'classes': data set '{data.name}' has no classes")
    present = [i for i in range(len(names)) if (labels == i).any()]
    train = [(data.images[labels == i], None) for i in present]
    unseen = [(data.held_out[held_out == i], None) for i in present]
    return joined(data, [names[i] for i in present], train, unseen, "domains are its classes")


def of_data_sets(data: Dataset, others: Sequence[Dataset]) -> Dataset:
    """A domain each. Errors: UserError for images of other forms."""
    every = [data, *others]
    same = all(one.class_names == data.class_names for one in others)
    train = [(one.images, one.labels if same else None) for one in every]
    unseen = [(one.held_out, one.held_out_labels if same else None) for one in every]
    return joined(data, [one.name for one in every], train, unseen, "domains are data sets")


Part = tuple[Images, npt.NDArray[np.int64] | None]  # of a domain: images, and their classes


def joined(data: Dataset, names: Sequence[str], train: Sequence[Part], unseen: Sequence[Part], note: str) -> Dataset:
    """`data` with these domains in place of its images; classes are those of the first and of the last.

    Errors: UserError for one domain alone, for too many, and for some that are too small or of different forms.
    """
    if not 2 <= len(names) <= MOST:
        raise UserError(f"data set '{data.name}': domains are 2 to {MOST}, here there {_are(names)}")
    for name, (images, _), (held_out, _) in zip(names, train, unseen, strict=True):
        if min(len(images), len(held_out)) < LEAST:
            raise UserError(
                f"domain '{name}' has {len(images)} images to train on and {len(held_out)} held out: "
                f"{LEAST} at least are needed of each"
            )
    forms = [images.shape[1:] for images, _ in train]
    if len({*forms}) > 1:
        told = zip(names, forms, strict=True)  # two may be called the same
        said = ", ".join(f"'{name}' {w}x{h} {'grey' if c == 1 else 'colour'}" for name, (c, h, w) in told)
        sizes = len({form[1:] for form in forms}) > 1
        raise UserError(
            f"domains must be of one form, not {said}{': --image-size makes them of one size' if sizes else ''}"
        )
    fields = domain_fields(len(names))
    said = "; ".join(f"'{name}' ({len(images):,})" for name, (images, _) in zip(names, train, strict=True))
    return replace(
        data,
        train=dict(map(_stream, fields, train)),
        unseen=dict(map(_stream, fields, unseen)),
        domains=tuple(names),
        class_names=data.class_names if train[-1][1] is not None else None,
        notes=(*data.notes, f"{note}: {said}"),
    )


def _stream(field: str, part: Part) -> tuple[str, Stream]:
    """Its name, and what it holds."""
    images, labels = part
    name = {"images": "labels", "sources": SOURCE_LABELS}.get(field)
    return field, {field: images} if labels is None or name is None else {field: images, name: labels}


def _alike(domains: Sequence[Images]) -> list[Images]:
    """Grey ones in colour where others are in colour."""
    channels = max(images.shape[1] for images in domains)
    return [np.repeat(x, channels, axis=1) if x.shape[1] < channels else x for x in domains]


def _are(names: Sequence[str]) -> str:
    return f"is one, '{names[0]}'" if len(names) == 1 else f"are {len(names)}"
