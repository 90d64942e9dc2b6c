"""A folder of image files -> a data set: which files are images, which folders are classes, which are parts.

Where every image lies in a sub-folder, the sub-folders are the classes, unless there is a `labels.csv`. `train` beside
`val` or `test` are no classes, but what is trained on and what is held out.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import __version__ as PIL

from evogan.data.dataset import Labels
from evogan.data.image import SUFFIXES
from evogan.data.labels import labels_file, read_labels
from evogan.data.parquet import PARQUET, load_parquet
from evogan.data.pictures import Named, Pictures
from evogan.data.source import Rows, Source
from evogan.errors import UserError
from evogan.files import STORE

NO_DATA = {"__macosx", "@eadir", "thumbs.db", "thumbs", "thumbnails", "desktop.ini", "$recycle.bin", "lost+found"}
HIDDEN, RUNS = "hidden or thumbnails", "with evogan's runs"
PARTS = re.compile(
    r"(?:(train|training)|val|valid|validation|test|testing)(?:[-_ ]?(?:set|data|images|imgs|\d+))?", re.IGNORECASE
)
DOMAINS = re.compile(r"(train|val|test)[-_]?([A-Z])", re.IGNORECASE)

Role = Literal["train", "held out", "domain"]


@dataclass(frozen=True)
class Layout:
    """Of each image, in order: whether it is held out (None: whoever loads decides), and the path below its part."""

    held_out: list[bool] | None
    inner: Sequence[Path]
    notes: tuple[str, ...] = ()


def load_folder(folder: Path, domains: bool = False) -> Source:
    """All images below `folder`; where there are none, those of its Parquet files. `domains`: those of `trainA`,
    `trainB`, ... are its classes.

    Errors: UserError for folders that could be classes or parts, and for a `labels.csv` that does not fit.
    """
    left_out: Counter[str] = Counter()
    paths = sorted(_walk(folder, left_out, SUFFIXES), key=_parts)
    if not paths and left_out[PARQUET]:
        shards = sorted(_walk(folder, Counter(), (PARQUET,)), key=_parts)
        return load_parquet(folder.resolve().name, folder, shards)
    listed = labels_file(folder)
    left_out[".csv"] -= listed is not None
    counts = sorted((what, n) for what, n in left_out.items() if n)
    without = [f"left out: {', '.join(f'{n:,} {what}' for what, n in counts)}"] if counts else []
    if not paths:
        raise UserError("; ".join([f"no images in folder '{folder}': allowed: {', '.join(SUFFIXES)}", *without]))
    layout = layout_of(folder, paths, domains)
    if listed is None:
        labels, class_names, said = _classes(folder, layout)
    else:
        labels, class_names = read_labels(listed, paths)
        said = [f"classes are those of {listed.name}"]

    def files(rows: Rows, together: int) -> Iterator[Named]:
        for start in range(0, len(rows), together):
            yield [(folder / paths[i], f"'{folder / paths[i]}'") for i in rows[start : start + together].tolist()]

    def identity() -> list[Any]:
        sha = hashlib.sha256()
        for name in map(str, paths):
            stat = os.stat(os.path.join(folder, name))
            sha.update(f"{name}\0{stat.st_size} {stat.st_mtime_ns}\0".encode(errors="surrogateescape"))
        return [str(folder.absolute()), PIL, sha.hexdigest()]

    pixels, notes = Pictures(files, len(paths), identity), [*layout.notes, *said, *without]
    out = None if layout.held_out is None else np.array(layout.held_out)
    name = folder.resolve().name
    return Source(name, len(paths), pixels, labels, class_names, out, notes, lambda i: str(folder / paths[i]), folder)


# --- which files


def _parts(path: Path) -> tuple[str, ...]:
    """The order of paths, which compare slowly themselves."""
    return path.parts


def _walk(folder: Path, left_out: Counter[str], suffixes: Sequence[str]) -> Iterator[Path]:
    """The files of these kinds below `folder`, as paths from there. Links are followed; others count in `left_out`."""
    waiting = [(folder, frozenset[tuple[int, int]]())]
    while waiting:
        place, above = waiting.pop()
        try:
            stat = place.stat()
            with os.scandir(place) as found:
                entries = list(found)
        except OSError as error:
            raise UserError(f"folder '{place}' cannot be read: {error.strerror}") from error
        here = (stat.st_dev, stat.st_ino)
        if here in above:
            left_out["links in a circle"] += 1
            continue
        if place != folder and any(entry.name == STORE for entry in entries):
            left_out[RUNS] += 1
            continue
        inner = place.relative_to(folder)
        for entry in entries:
            path = inner / entry.name
            true: Path | os.DirEntry[str] = place / path.name if entry.is_symlink() else entry  # links may lead nowhere
            if path.name.startswith(".") or path.name.lower() in NO_DATA:
                left_out[HIDDEN] += 1
            elif true.is_dir():
                waiting.append((place / path.name, above | {here}))
            elif path.suffix.lower() not in suffixes:
                left_out[path.suffix.lower() or "without a suffix"] += 1
            elif not true.is_file():
                left_out["that are no files"] += 1
            else:
                yield path


# --- which folders


def _role(name: str) -> Role | None:
    """What a folder of that name holds, unless it is a class."""
    if DOMAINS.fullmatch(name):
        return "domain"
    part = PARTS.fullmatch(name)
    return None if part is None else "train" if part[1] else "held out"


def layout_of(folder: Path, paths: Sequence[Path], domains: bool = False) -> Layout:
    tops = _folders(paths)
    roles = {top: _role(top) for top in tops}
    found = list(roles.values())
    if "domain" in found:
        if domains and set(found) == {"domain"}:
            return _of_domains(paths)
        raise UserError(
            f"folder '{folder}' holds domains, no classes: name one of its folders {_listed(tops)}, or say --domains "
            "classes"
        )
    if "held out" not in found and (None in found or not found):  # `train` beside `bus` and `car` is a class
        _check_below(folder, paths)
        return Layout(None, paths)
    if None in found or found.count("train") != 1 or any(len(path.parts) == 1 for path in paths):
        raise UserError(
            f"folder '{folder}': classes, or parts of a data set? Parts are one 'train' and beside it nothing but"
            f" 'val' and 'test': name one of its folders {_listed(tops)}"
        )
    words = {"train": "is trained on", "held out": "is held out"}
    note = ", ".join(f"'{top}' {words[role]}" for top, role in roles.items() if role in words)
    held_out = [roles[path.parts[0]] == "held out" for path in paths]
    inner = [path.relative_to(path.parts[0]) for path in paths]
    return Layout(held_out if any(held_out) else None, inner, (note,))


def _of_domains(paths: Sequence[Path]) -> Layout:
    """`trainA/1.png` as `A/1.png`."""
    found = [match for path in paths if (match := DOMAINS.fullmatch(path.parts[0]))]
    held_out = [match[1].lower() != "train" for match in found]
    inner = [Path(match[2].upper(), *path.parts[1:]) for match, path in zip(found, paths, strict=True)]
    return Layout(held_out if any(held_out) else None, inner, ())


def _check_below(folder: Path, paths: Sequence[Path]) -> None:
    """Errors: UserError for a sub-folder that has parts or domains of its own."""
    for top in _folders(paths):
        below = _folders([path.relative_to(top) for path in paths if path.parts[0] == top])
        roles = {_role(name) for name in below}
        if roles >= {"train", "held out"} or "domain" in roles:
            raise UserError(f"folder '{folder / top}' has parts of its own, {_listed(below)}: name it, or one of these")


def _folders(paths: Iterable[Path]) -> list[str]:
    """In which sub-folders they are."""
    return sorted({path.parts[0] for path in paths if len(path.parts) > 1})


def _classes(folder: Path, layout: Layout) -> tuple[Labels | None, tuple[str, ...] | None, list[str]]:
    """Labels, their names, and what to say where there are none though there are sub-folders.

    The order is that of text: in another one the labels, and so the fingerprints, of known data would change.
    """
    names = _folders(layout.inner)
    beside = sum(len(path.parts) == 1 for path in layout.inner)
    if layout.held_out is not None:
        _check_same_classes(folder, layout)
    if beside:
        return None, None, [f"no classes, since {beside:,} images lie beside the sub-folders"] if names else []
    number = {name: i for i, name in enumerate(names)}
    return np.array([number[path.parts[0]] for path in layout.inner], dtype=np.int64), tuple(names), []


def _check_same_classes(folder: Path, layout: Layout) -> None:
    train, held_out = (
        _folders(path for path, out in zip(layout.inner, layout.held_out or (), strict=True) if out is part)
        for part in (False, True)
    )
    if train != held_out:
        differ = sorted(set(train) ^ set(held_out))
        raise UserError(
            f"folder '{folder}': the images to train on and those held out have not the same classes, {_listed(differ)}"
            " in one of them only: name the folder to train on"
        )


def _listed(names: Sequence[str], most: int = 10) -> str:
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(f"'{name}'" for name in names[:most]) + more
