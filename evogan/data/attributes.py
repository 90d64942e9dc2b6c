"""A table of attributes, CSV or Parquet: a line for each image of a folder, with its file and what is true of it.

One column names the file, as in `labels.csv`; the others are attributes, whatever their values. Images of which the
same is true are of one domain.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from evogan.data.dataset import Labels
from evogan.data.labels import FILE, check_all_told, listed, numbers, plain, read_lines
from evogan.errors import UserError, unknown
from evogan.files import check_file
from evogan.settings.reading import ATTRIBUTES, read_table

NO, YES = frozenset({"0", "-1", "no", "false"}), frozenset({"1", "yes", "true"})
EMPTY = ("", "nan")
NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d*)?")


def read_attributes(text: str, images: Sequence[Path]) -> tuple[Labels, tuple[str, ...]]:
    """Of each of `images`, paths from their folder, the number of its domain, and the names of these.

    Errors: UserError as of `read_columns`.
    """
    _, columns = read_columns(text, images)
    found = [" ".join(f"{name}={cells[i]}" for name, cells in columns.items()) for i in range(len(images))]
    domains, labels = np.unique(found, return_inverse=True)
    return labels.astype(np.int64), tuple(domains.tolist())


def read_columns(text: str, images: Sequence[Path]) -> tuple[Path, dict[str, list[str]]]:
    """The file, and of each attribute the cells of each of `images`, paths from their folder.

    Errors: UserError for a table that cannot be read, lines without an image, images without a line, empty cells.
    """
    path, wanted = read_table(text)
    header, body = _table(path)
    names = [name.strip() for name in header]
    file = next((names.index(name) for name in names if name.lower() in FILE), None)
    if file is None:
        raise UserError(f"{path}: no column is called 'file': {listed(names)}")
    for name in wanted:
        if name not in names or name == names[file]:
            raise unknown(f"column of {path}", name, [other for other in names if other != names[file]])
    columns = [names.index(name) for name in wanted] or [i for i in range(len(names)) if i != file]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"{path}: two columns are called '{twice[0]}'")
    if not columns:
        raise UserError(f"{path}: there are no attributes beside the files")
    if unnamed := [i for i in columns if not names[i]]:
        said = f"name it, or the others, as in {ATTRIBUTES}{path.name}:hair+smile"
        raise UserError(f"{path}: column {unnamed[0] + 1} has no name: {said}")
    number, found = numbers(images), dict[int, list[str]]()
    absent, empty = list[str](), list[str]()
    for n, row in enumerate(body, 2):
        if len(row) < len(names) or any(map(str.strip, row[len(names) :])):
            raise UserError(f"{path}: line {n} has {len(row)} columns, not {len(names)}")
        image = number.get(plain(row[file]))
        told = [row[i].strip() for i in columns]
        empty += [f"line {n}, '{names[i]}'" for i, cell in zip(columns, told, strict=True) if cell.lower() in EMPTY]
        if image is None:
            absent.append(row[file].strip())
        elif found.setdefault(image, told) != told:
            raise UserError(f"{path}: '{row[file]}' has two lines that differ")
    check_all_told(path, len(body), absent, images, found)
    if empty:
        more = f" and {len(empty) - 1:,} more" if len(empty) > 1 else ""
        raise UserError(
            f"{path}: a cell is empty ({empty[0]}{more}): of each image all is to be said that is asked for"
        )
    return path, {names[i]: _alike(found[image][k] for image in range(len(images))) for k, i in enumerate(columns)}


def _alike(cells: Iterable[str]) -> list[str]:
    """Of one column: where a number is written in several ways, as 1 and 1.0, in the shortest; and where yes and no
    are, as the first."""
    told = list(cells)
    answers, low = dict[bool, str](), {cell.lower() for cell in told}
    if low <= NO | YES and not {"0", "-1"} <= low:  # which may be two numbers
        for cell in told:
            answers.setdefault(cell.lower() in YES, cell)
        return [answers[cell.lower() in YES] for cell in told]
    ways = dict[float, str]()
    for cell in sorted(set(told), key=lambda cell: (len(cell), cell)):
        if NUMBER.fullmatch(cell):
            ways.setdefault(float(cell), cell)
    return [ways[float(cell)] if NUMBER.fullmatch(cell) else cell for cell in told]


def _table(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header and lines. Errors: UserError."""
    if not path.is_file():
        raise UserError(f"attributes '{path}': no such file")
    check_file(path)
    if path.suffix.lower() == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(path)
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"cannot read '{path}': damaged, or not a Parquet file") from error
        columns = [
            ["" if value is None or value != value else str(value) for value in column.to_pylist()]
            for column in table.columns
        ]
        return list(table.column_names), [list(row) for row in zip(*columns, strict=True)]
    lines = read_lines(path)
    if len(lines) < 2:
        raise UserError(f"{path}: a header and a line for each image are needed, as in file,hair and cat1.png,black")
    return lines[0], lines[1:]
