"""DataSpec -> Dataset."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from evogan.data import kept
from evogan.data.arrays import load_arrays, of_dataset
from evogan.data.attributes import read_attributes
from evogan.data.builtin import DATASETS, load_builtin
from evogan.data.conditions import captioned, check_conditions, of_table
from evogan.data.dataset import Dataset, DataSpec, Images, Labels, changed, image_dataset
from evogan.data.domains import CLASSES, by_classes, by_recipes, of_data_sets, recipes_of
from evogan.data.folder import load_folder
from evogan.data.gather import gather
from evogan.data.labels import listed
from evogan.data.pairs import SIDES, are_made, check_pairs, made, one_side, paired, sources_of
from evogan.data.parquet import PARQUET, load_parquet
from evogan.data.points import is_points, load_points
from evogan.data.recipes import RECIPES
from evogan.data.sequences import is_sequences, load_sequences
from evogan.data.source import Rows, Source, Tell
from evogan.errors import UserError, one_line, unknown
from evogan.files import expand
from evogan.settings.reading import ATTRIBUTES
from evogan.stable import derive_seed
from evogan.trial import IMAGE_SIZES

NUMBER = re.compile(r"[-+]?\d+(?:[.,]\d+)?")
LOOKED_AT, DARK = 1000, 16  # images, and the least that their brightest pixel should be, and their darkest below 255
ARRAYS = (".npz", ".npy")
TABLES = (".csv", ".tsv")
KINDS = "a folder of images, an .npz, .npy, .parquet or .txt file"


def load_dataset(spec: DataSpec, tell: Tell = lambda line, done: None, least: int = 2) -> Dataset:
    """Load, choose classes, resize. `tell` hears how far it is where that takes long. `least`: images to train on, and
    held out; with 0, where nothing is trained, they may be equal, too.

    Images that are many lie in a file, and are decoded once. Raises UserError, one line, for what the user can mend.
    """
    if is_points(spec):
        return load_points(spec)
    if is_sequences(spec):
        return load_sequences(spec)
    if spec.tokens is not None:
        raise UserError(f"data set '{spec.name}' has no text: --tokens is for a .txt")
    smallest, largest = IMAGE_SIZES
    if spec.image_size is not None and not smallest <= spec.image_size <= largest:
        raise UserError(f"image size {spec.image_size}: {smallest} to {largest} pixels a side are allowed")
    if spec.pairs is not None:
        check_pairs(spec.pairs)
    recipes_of(spec.domains or CLASSES)
    if spec.conditions is not None:
        check_conditions(spec.conditions)
    source = _find(spec)
    for text in (
        spec.name,
        spec.data_dir or "",
        spec.pairs or "",
        spec.domains or "",
        spec.conditions or "",
        source.name,
        *(source.class_names or ()),
    ):
        _check_text(text)
    chosen = _choose(source, spec.classes)
    if min(chosen.train, len(chosen.rows) - chosen.train) < least:
        raise UserError(
            f"data set '{spec.name}' has too few images: {chosen.train} to train on, {len(chosen.rows) - chosen.train}"
            f" held out: at least {least} of each are needed, and a file counts once, however many frames it has"
        )
    whole = source
    if spec.pairs in SIDES:
        source = one_side(source, SIDES[spec.pairs])
    data = _read(spec, source, chosen, tell)
    if least and all(np.array_equal(data.images[0], image) for image in data.images):
        raise UserError(f"data set '{spec.name}': all {len(data.images):,} images to train on are equal")
    if spec.domains is not None:
        return _in_domains(spec.domains, data, spec, whole, chosen, tell)
    if spec.conditions is not None:
        return _told(spec.conditions, data, spec, source, chosen, tell)
    return data if spec.pairs is None else _paired(spec.pairs, data, spec, whole, chosen, tell)


def _in_domains(domains: str, data: Dataset, spec: DataSpec, source: Source, chosen: _Chosen, tell: Tell) -> Dataset:
    if domains == CLASSES:
        return by_classes(data)
    if domains.startswith(ATTRIBUTES):
        labels, known_as = read_attributes(domains, _paths(f"domains '{domains}'", spec, source, chosen))
        n = chosen.train
        known = image_dataset(data.name, data.images, labels[:n], data.held_out, labels[n:], known_as, data.notes)
        return by_classes(known)
    if recipes_of(domains):
        return by_recipes(data, domains)
    names = domains.split(",")
    for name in names:
        if name not in DATASETS and not expand(name).exists():
            raise unknown("domains", name, [CLASSES, *RECIPES, *DATASETS, *KINDS.split(", ")])
    return of_data_sets(data, [load_dataset(replace(spec, name=name, domains=None), tell) for name in names])


def _told(conditions: str, data: Dataset, spec: DataSpec, source: Source, chosen: _Chosen, tell: Tell) -> Dataset:
    if conditions.startswith(ATTRIBUTES):
        return of_table(data, conditions, _paths(f"conditions '{conditions}'", spec, source, chosen))
    tell(f"{data.name}: digits are coloured, and their sentences coded", 0.0)
    return captioned(data if spec.name in DATASETS else _mixed(data), conditions)


def _mixed(data: Dataset) -> Dataset:
    """In an order that says nothing: what judges captions looks at the first, and files lie class by class."""
    found: dict[str, Any] = {}
    for images, labels in (("images", "labels"), ("held_out", "held_out_labels")):
        order = np.random.default_rng(derive_seed("mixed", images)).permutation(len(getattr(data, images)))
        found[images] = getattr(data, images)[order]
        found[labels] = None if getattr(data, labels) is None else getattr(data, labels)[order]
    return changed(data, **found)


def _paths(what: str, spec: DataSpec, source: Source, chosen: _Chosen) -> list[Path]:
    """Of the files, from the folder that the data set is. Errors: UserError if it is none."""
    if source.below is None:
        raise UserError(f"{what}: data set '{spec.name}' is no folder whose files it could name")
    return [Path(source.called(row)).relative_to(source.below) for row in chosen.rows.tolist()]


def _paired(pairs: str, data: Dataset, spec: DataSpec, source: Source, chosen: _Chosen, tell: Tell) -> Dataset:
    if are_made(pairs):
        return made(data, pairs)
    rows = chosen.rows
    if pairs in SIDES:
        source = one_side(source, pairs)
    elif source.below is None:
        raise UserError(f"pairs '{pairs}': data set '{spec.name}' is no folder whose images could have the same names")
    else:
        source, rows = sources_of([source.called(row) for row in rows.tolist()], source.below, pairs)
    sources = _read(spec, source, _Chosen(rows, chosen.train, None, None), tell)
    return paired(data, pairs, sources.images, sources.held_out)


def image_names(spec: DataSpec) -> list[str]:
    """Of all images, in the order in which they are loaded, those to train on first: paths, or else numbers.

    Errors: UserError for what has no images.
    """
    return called(spec)[0]


def called(spec: DataSpec) -> tuple[list[str], Rows]:
    """The same, and the rows of what is loaded in the order in which they were found: that of paths, or of an array."""
    if is_points(spec) or is_sequences(spec):
        raise UserError(f"data set '{spec.name}' has no images, but {'points' if is_points(spec) else 'sequences'}")
    source = _find(spec)
    rows = _choose(source, spec.classes).rows
    return [source.called(row) for row in rows.tolist()], np.argsort(rows)


class _Chosen(NamedTuple):
    """`rows` of the source, those to train on first, which are `train`; their labels, and the names of these."""

    rows: Rows
    train: int
    labels: Labels | None
    class_names: tuple[str, ...] | None

    def dataset(self, source: Source, images: Images, notes: Iterable[str]) -> Dataset:
        n, labels = self.train, self.labels
        ours, held_out = (None, None) if labels is None else (labels[:n], labels[n:])
        said = (*source.notes, *notes, *_plain(images), *self._unseen())
        return image_dataset(source.name, images[:n], ours, images[n:], held_out, self.class_names, said)

    def _unseen(self) -> Iterator[str]:
        """A GAN will be asked for what it was never shown."""
        if self.labels is None or self.class_names is None or self.labels.ndim > 1:
            return
        if alone := [self.class_names[i] for i in np.setdiff1d(self.labels[self.train :], self.labels[: self.train])]:
            yield f"held out, but never trained on: {listed(alone)}"


def _plain(images: Images) -> Iterator[str]:
    """Files of 0 and 1, for one, are not wrong, but hardly what is meant."""
    darkest, brightest = int(images[:LOOKED_AT].min(initial=255)), int(images[:LOOKED_AT].max(initial=0))
    if 0 < brightest < DARK:
        yield f"nearly black: no pixel is above {brightest} of 255"
    if 255 - DARK < darkest < 255:
        yield f"nearly white: no pixel is below {darkest} of 255"


def _read(spec: DataSpec, source: Source, chosen: _Chosen, tell: Tell) -> Dataset:
    """From the file where they are kept, if there is one."""
    rows, path = chosen.rows, None
    if source.pixels.most(len(rows), spec.image_size) > kept.LARGE:
        try:
            path = kept.place(_identity(spec, source, chosen))
        except OSError as error:
            raise UserError(f"data set '{spec.name}': {error.filename}: {error.strerror}") from error
        if data := _kept(path, source, chosen):
            return data

    def check(height: int, width: int) -> None:
        if spec.image_size is None and (height != width or height < IMAGE_SIZES[0]):
            wanted = "square" if height != width else f"of {IMAGE_SIZES[0]} pixels a side or more"
            raise UserError(
                f"data set '{spec.name}' has images of {width}x{height}: make them {wanted} with --image-size"
            )

    def fingerprint(images: Images) -> str:
        return chosen.dataset(source, images, ()).fingerprint

    images, notes = gather(source, rows, spec.image_size, path, check, fingerprint, tell)
    data = _kept(path, source, chosen, trusted=True) if isinstance(images, np.memmap) else None
    return data or chosen.dataset(source, np.ascontiguousarray(images), notes)


def _identity(spec: DataSpec, source: Source, chosen: _Chosen) -> list[Any]:
    arrays = [array for array in (chosen.rows, chosen.labels) if array is not None]
    shas = [hashlib.sha256(array.tobytes()).hexdigest() for array in arrays]
    return [source.pixels.identity(), spec.image_size, chosen.train, *shas]


def _kept(path: Path | None, source: Source, chosen: _Chosen, trusted: bool = False) -> Dataset | None:
    """What lies there, if its bits are those that were written; `trusted`: by us, just now."""
    known = kept.find(path) if path else None
    if known is None or len(known.images) != len(chosen.rows):
        return None
    data = chosen.dataset(source, known.images, known.notes)
    if trusted:
        vars(data)["fingerprint"] = known.fingerprint
    return data if data.fingerprint == known.fingerprint else None


def _find(spec: DataSpec) -> Source:
    if spec.name in DATASETS:
        return of_dataset(load_builtin(spec))
    path = expand(spec.name)
    try:
        if path.is_dir():
            return load_folder(path, domains=spec.domains == CLASSES)
        there = path.exists()
        if path.is_file() and path.suffix.lower() in ARRAYS:
            return load_arrays(path)
        if path.is_file() and path.suffix.lower() == PARQUET:
            return load_parquet(path.stem, path.parent, [Path(path.name)])
    except OSError as error:
        raise UserError(f"data set '{spec.name}': {error.strerror}") from error
    if there and path.suffix.lower() in TABLES:
        raise UserError(
            f"data set '{spec.name}' is a table: save points as an .npy of shape (N, 2), with np.save, "
            "and sequences as a .txt, one a line; of images name the folder"
        )
    if there:
        raise UserError(f"data set '{spec.name}' is a file of another kind: allowed: {KINDS}")
    if "/" in spec.name or path.suffix:
        raise UserError(f"data set '{spec.name}': no such file or folder")
    raise unknown("data set", spec.name, [*DATASETS, *KINDS.split(", ")])


def _check_text(text: str) -> None:
    """It is recorded and shown."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UserError(f"data set: the name '{one_line(text)}' is no UTF-8: rename it") from None


def _choose(source: Source, classes: tuple[str | int, ...] | None) -> _Chosen:
    """All rows, or those of these classes. Classes without an image are none: nobody could learn them."""
    out, labels, names = source.parts(), source.labels, source.class_names
    if classes is None:
        rows = np.concatenate([np.flatnonzero(~out), np.flatnonzero(out)])
        if labels is None or names is None or labels.ndim > 1:
            return _Chosen(rows, int((~out).sum()), None if labels is None else labels[rows], names)
        present, numbers = np.unique(labels[rows], return_inverse=True)
        return _Chosen(rows, int((~out).sum()), numbers.astype(np.int64), tuple(names[i] for i in present))
    if labels is None or names is None:
        raise UserError(f"data set '{source.name}' has no labels to choose classes by")
    number = _numbered(source.name, classes, labels[~out], names)
    wanted = np.isin(labels, list(number))
    rows = np.concatenate([np.flatnonzero(wanted & ~out), np.flatnonzero(wanted & out)])
    renumbered = np.array([number[label] for label in labels[rows].tolist()], dtype=np.int64)
    return _Chosen(rows, int((wanted & ~out).sum()), renumbered, tuple(names[label] for label in number))


def _numbered(data: str, classes: tuple[str | int, ...], labels: Labels, names: tuple[str, ...]) -> dict[int, int]:
    """The labels of these classes, and what they become: their place in the order given."""
    if not classes:
        raise UserError(f"classes of data set '{data}': name at least one")
    present = {names[label]: label for label in np.unique(labels).tolist()}
    by_text = present if any(map(NUMBER.fullmatch, present)) else {str(i): i for i in present.values()} | present
    chosen: dict[int, int] = {}
    for name in classes:
        label = by_text.get(name, -1) if isinstance(name, str) else name
        if label not in present.values():
            raise UserError(one_line(f"data set '{data}': {unknown('class', str(name), present)}"))
        if label in chosen:
            raise UserError(f"class '{name}' of data set '{data}' is named twice")
        chosen[label] = len(chosen)
    return chosen
