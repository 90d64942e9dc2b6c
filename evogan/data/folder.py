"""A folder of image files -> a data set: which files are images, which folders are classes, which are parts.

Where every image lies in a sub-folder, the sub-folders are the classes. `train` beside `val` or `test` are no classes,
but what is trained on and what is held out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from evogan.data.dataset import Dataset, Images, Labels, check_fits, hold_out, split
from evogan.data.image import SUFFIXES, read_image
from evogan.data.resize import resize
from evogan.errors import UserError

NO_DATA = {"__macosx", "@eadir", "thumbs.db", "thumbs", "thumbnails", "desktop.ini", "$recycle.bin", "lost+found"}
HIDDEN = "hidden or thumbnails"
PARTS = re.compile(
    r"(?:(train|training)|val|valid|validation|test|testing)(?:[-_ ]?(?:set|data|images|imgs|\d+))?", re.IGNORECASE
)
DOMAINS = re.compile(r"(train|val|test)[-_]?[AB]", re.IGNORECASE)

Role = Literal["train", "held out", "domain"]


@dataclass(frozen=True)
class _Layout:
    """Of each image, in order: whether it is held out (None: whoever loads decides), and the path below its part."""

    held_out: list[bool] | None
    inner: Sequence[Path]
    notes: tuple[str, ...] = ()


def load_folder(folder: Path, image_size: int | None) -> Dataset:
    """All images below `folder`. Grey images stay one channel unless others are in colour. All are of one size, or
    cropped and resized to `image_size`.

    Errors: UserError for files that cannot be read, sizes that differ, and folders that could be classes or parts.
    """
    left_out: Counter[str] = Counter()
    paths = sorted(_walk(folder, left_out))
    without = [f"left out: {', '.join(f'{n:,} {what}' for what, n in sorted(left_out.items()))}"] if left_out else []
    if not paths:
        raise UserError("; ".join([f"no images in folder '{folder}': allowed: {', '.join(SUFFIXES)}", *without]))
    layout = _layout(folder, paths)
    labels, class_names, unlabelled = _classes(folder, layout)
    images, frames = _read(folder, paths, image_size)
    notes = (*layout.notes, *unlabelled, *frames, *without)
    name = folder.resolve().name
    if layout.held_out is None:
        return hold_out(name, images, labels, class_names, notes)
    return split(name, images, labels, np.array(layout.held_out), class_names, notes)


# --- which files


def _walk(folder: Path, left_out: Counter[str]) -> Iterator[Path]:
    """The images below `folder`, as paths from there. Links are followed; what is no image is counted in `left_out`."""
    waiting = [(folder, frozenset[tuple[int, int]]())]
    while waiting:
        place, above = waiting.pop()
        try:
            stat, entries = place.stat(), list(place.iterdir())
        except OSError as error:
            raise UserError(f"folder '{place}' cannot be read: {error.strerror}") from error
        here = (stat.st_dev, stat.st_ino)
        if here in above:
            left_out["links in a circle"] += 1
            continue
        for path in entries:
            if path.name.startswith(".") or path.name.lower() in NO_DATA:
                left_out[HIDDEN] += 1
            elif path.is_dir():
                waiting.append((path, above | {here}))
            elif path.suffix.lower() not in SUFFIXES:
                left_out[path.suffix.lower() or "without a suffix"] += 1
            elif not path.is_file():
                left_out["that are no files"] += 1
            else:
                yield path.relative_to(folder)


# --- which folders


def _role(name: str) -> Role | None:
    """What a folder of that name holds, unless it is a class."""
    if DOMAINS.fullmatch(name):
        return "domain"
    part = PARTS.fullmatch(name)
    return None if part is None else "train" if part[1] else "held out"


def _layout(folder: Path, paths: Sequence[Path]) -> _Layout:
    tops = _folders(paths)
    roles = {top: _role(top) for top in tops}
    found = list(roles.values())
    if "domain" in found:
        raise UserError(f"folder '{folder}' holds domains, no classes: name one of its folders {_listed(tops)}")
    if "held out" not in found and (None in found or not found):  # `train` beside `bus` and `car` is a class
        _check_below(folder, paths)
        return _Layout(None, paths)
    if None in found or found.count("train") != 1 or any(len(path.parts) == 1 for path in paths):
        raise UserError(
            f"folder '{folder}': classes, or parts of a data set? Parts are one 'train' and beside it nothing but"
            f" 'val' and 'test': name one of its folders {_listed(tops)}"
        )
    words = {"train": "is trained on", "held out": "is held out"}
    note = ", ".join(f"'{top}' {words[role]}" for top, role in roles.items() if role in words)
    held_out = [roles[path.parts[0]] == "held out" for path in paths]
    inner = [path.relative_to(path.parts[0]) for path in paths]
    return _Layout(held_out if any(held_out) else None, inner, (note,))


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


def _classes(folder: Path, layout: _Layout) -> tuple[Labels | None, tuple[str, ...] | None, list[str]]:
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


def _check_same_classes(folder: Path, layout: _Layout) -> None:
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


# --- what is in them


def _read(folder: Path, paths: Sequence[Path], image_size: int | None) -> tuple[Images, list[str]]:
    """All of one size, with as many channels as the most colourful has; and what to say of files with more frames."""
    images: list[Images] = []
    frames = 0
    for path in paths:
        image, more = read_image(folder / path)
        frames += more
        if image_size is not None:
            image = resize(image[None], image_size)[0]
        elif image.shape[1:] != (images[0] if images else image).shape[1:]:
            raise UserError(
                f"images of different sizes: '{folder / paths[0]}' is {_size(images[0])}, '{folder / path}'"
                f" is {_size(image)}: choose one with --image-size"
            )
        if not images:
            check_fits(f"{len(paths):,} images of {_size(image)}", len(paths) * image.nbytes)
        images.append(image)
    channels = max(len(image) for image in images)
    stacked = np.stack([np.broadcast_to(image, (channels, *image.shape[1:])) for image in images])
    return stacked, [f"of {frames:,} images with several frames the first is taken"] if frames else []


def _size(image: Images) -> str:
    return f"{image.shape[2]}x{image.shape[1]}"
