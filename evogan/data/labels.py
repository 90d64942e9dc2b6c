"""`labels.csv` in a folder of images: a line for each, with its file and its class."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Container, Iterable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from evogan.data.dataset import Labels
from evogan.errors import UserError
from evogan.files import read_small

NAME = "labels.csv"
FILE = (
    *("file", "filename", "file_name", "path", "filepath", "file_path"),
    *("image", "image_path", "img", "image_id", "id"),
)
LABEL = ("label", "labels", "class", "class_name", "category", "target", "y")
MOST = 2**30  # bytes
LISTED = 3


def labels_file(folder: Path) -> Path | None:
    found = sorted(name for name in os.listdir(folder) if name.lower() == NAME)
    return folder / found[0] if found and (folder / found[0]).is_file() else None


def read_labels(path: Path, images: Sequence[Path]) -> tuple[Labels, tuple[str, ...]]:
    """The class of each of `images`, which are paths from the file's folder, and the names of the classes.

    Files may be written without their suffix. Errors: UserError for lines without an image and images without a line.
    """
    lines = read_lines(path)
    number = numbers(images)
    if not lines:
        raise UserError(f"{path}: empty: a line for each image is needed, as in cat1.png,cat")
    file, label, body = _columns(path, lines, number)
    found: dict[int, str] = {}
    absent: list[str] = []
    for n, row in enumerate(body, len(lines) - len(body) + 1):
        if len(row) <= max(file, label) or not row[label].strip():
            raise UserError(f"{path}: line {n} has no label")
        if any(map(str.strip, row[len(lines[0]) :])):
            raise UserError(f"{path}: line {n} has {len(row)} columns, not {len(lines[0])}")
        image, name = number.get(plain(row[file])), row[label].strip()
        if image is None:
            absent.append(row[file].strip())
        elif found.setdefault(image, name) != name:
            raise UserError(f"{path}: '{row[file]}' has two labels, '{found[image]}' and '{name}'")
    check_all_told(path, len(body), absent, images, found)
    names, labels = np.unique([found[i] for i in range(len(images))], return_inverse=True)
    return labels.astype(np.int64), tuple(names.tolist())


def read_lines(path: Path) -> list[list[str]]:
    """The rows of a CSV file in which there is anything. Errors: UserError for one that cannot be read."""
    try:
        text = read_small(path, MOST).decode("utf-8-sig")
        return [row for row in csv.reader(io.StringIO(text), delimiter=delimiter(text)) if any(map(str.strip, row))]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: {'no UTF-8' if isinstance(error, UnicodeDecodeError) else error}") from error


def check_all_told(
    path: Path, lines: int, absent: Sequence[str], images: Sequence[Path], found: Container[int]
) -> None:
    """Errors: UserError for lines whose images are `absent`, and for images whose number was not `found`."""
    if absent:
        raise UserError(f"{path}: {len(absent):,} of {lines:,} lines name no image that is there: {listed(absent)}")
    if without := [str(image) for i, image in enumerate(images) if i not in found]:
        raise UserError(f"{path}: {len(without):,} of {len(images):,} images have no line: {listed(without)}")


def _columns(path: Path, lines: list[list[str]], number: dict[str, int]) -> tuple[int, int, list[list[str]]]:
    """Which column has the file, which the label, and the lines without a header, which names no image."""
    first = [cell.strip().lower() for cell in lines[0]]
    suffixes = {PurePosixPath(name).suffix.lower() for name in number} - {""}
    unknown_file = len(first) == 2 and PurePosixPath(first[0]).suffix in suffixes
    if any(plain(cell) in number for cell in lines[0]) or unknown_file:
        if len(first) != 2:
            raise UserError(f"{path}: without a header there are two columns, the file and its label, not {len(first)}")
        return 0, 1, lines
    file, label = (next((first.index(name) for name in names if name in first), None) for names in (FILE, LABEL))
    if len(first) == 2:
        file = file if file is not None else 0 if label is None else 1 - label
        label = 1 - file
    if file is None or label is None or file == label:
        raise UserError(f"{path}: name the columns of files and labels 'file' and 'label', not {listed(first)}")
    return file, label, lines[1:]


def numbers(images: Sequence[Path]) -> dict[str, int]:
    """Of each image by its path, and by its path without suffix where only one has it."""
    stems: dict[str, list[int]] = {}
    for i, image in enumerate(images):
        stems.setdefault(image.with_suffix("").as_posix(), []).append(i)
    short = {stem: which[0] for stem, which in stems.items() if len(which) == 1}
    return short | {image.as_posix(): i for i, image in enumerate(images)}


def plain(cell: str) -> str:
    return PurePosixPath(cell.strip().replace("\\", "/")).as_posix()


def delimiter(text: str) -> str:
    line = text.lstrip().partition("\n")[0]
    return max(",;\t", key=line.count)


def listed(names: Iterable[str]) -> str:
    given = list(names)
    more = f" and {len(given) - LISTED:,} more" if len(given) > LISTED else ""
    return ", ".join(f"'{name}'" for name in given[:LISTED]) + more
