"""Parquet files with a column of images, as of the Hugging Face hub -> a data set.

An image is a struct with the `bytes` of an image file, or these bytes alone. Names of classes are those that the
schema's metadata have. Files that are called `train-...` beside `test-...`, or lie in such folders, are parts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import __version__ as PIL

from evogan.data.arrays import classes_of, column, identity
from evogan.data.dataset import Labels
from evogan.data.pictures import Named, Pictures
from evogan.data.source import Rows, Source
from evogan.errors import UserError

PARQUET = ".parquet"
TRAIN, HELD_OUT = re.compile(r"train(ing)?"), re.compile(r"val|valid|validation|dev|test|testing")
IMAGE, LABEL = ("image", "img", "images"), ("label", "labels", "class", "target")


@dataclass(frozen=True)
class _Table:
    """One file: its images' column, as it is read, its labels' if it has one, the others, and what the hub says of
    its columns."""

    path: Path
    rows: int
    image: str
    label: str | None
    others: tuple[str, ...]
    features: dict[str, Any]


def load_parquet(name: str, folder: Path, files: Sequence[Path]) -> Source:
    """`files` below `folder`, which are one data set, or its parts. Errors: UserError for what is none."""
    held_out = _parts(folder, files)
    tables = [_guarded(folder / file) for file in files]
    columns = {(table.image, table.label) for table in tables}
    if len(columns) > 1:
        raise UserError(f"the Parquet files of '{folder}' have different columns: name one of them")
    ends = np.cumsum([table.rows for table in tables])

    def chunks(rows: Rows, together: int) -> Iterator[Named]:
        begin = 0
        for table, end in zip(tables, ends.tolist(), strict=True):
            own = rows[(rows >= begin) & (rows < end)] - begin
            begin = end
            if len(own):
                yield from _images(table, own, together)

    pixels = Pictures(chunks, int(ends[-1]), lambda: [PIL, [identity(table.path) for table in tables]])
    source = Source(name, int(ends[-1]), pixels)
    source.labels, source.class_names = _labels(tables)
    if left := tables[0].others:
        known = "" if tables[0].label else f"; labels are called '{LABEL[0]}'"
        source.notes.append(f"left out: {', '.join(left)}{known}")
    if held_out is not None:
        source.held_out = np.repeat(held_out, [table.rows for table in tables])
        source.notes.append(f"{held_out.count(False):,} files are trained on, {held_out.count(True):,} held out")
    return source


def _parts(folder: Path, files: Sequence[Path]) -> list[bool] | None:
    """Of each file whether it is held out; None where there are no parts."""
    roles = [next(filter(None, map(_role, (*file.parts[:-1], re.split(r"[-_.]", file.stem)[0]))), "") for file in files]
    if {*roles} == {"train", "held out"}:
        return [role == "held out" for role in roles]
    if len({*roles}) > 1:
        raise UserError(f"folder '{folder}': Parquet files of parts, 'train' and 'test', beside others: name one file")
    return None


def _role(name: str) -> str:
    return "train" if TRAIN.fullmatch(name.lower()) else "held out" if HELD_OUT.fullmatch(name.lower()) else ""


def _guarded(path: Path) -> _Table:
    try:
        return _table(path)
    except UserError:
        raise
    except Exception as error:  # Arrow's, of damaged files
        raise UserError(f"cannot read '{path}': damaged, or not a Parquet file") from error


def _table(path: Path) -> _Table:
    import pyarrow.parquet as pq
    from pyarrow import types

    with pq.ParquetFile(path) as file:
        schema, rows = file.schema_arrow, file.metadata.num_rows
    binary = [types.is_binary, types.is_large_binary]
    images = []
    for field in schema:
        kind, column = field.type, field.name
        if types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            kind, column = kind.field("bytes").type, f"{column}.bytes"
        if any(is_binary(kind) for is_binary in binary):
            images.append(column)
    named = [column for column in images if column.partition(".")[0].lower() in IMAGE]
    if len(images) != 1:
        images = named
    if len(images) != 1:
        what = "several columns of images" if named else "no column of images (a struct with 'bytes')"
        raise UserError(f"'{path}' has {what}: its columns are {', '.join(schema.names)}")
    known = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    features = known.get("info", {}).get("features", {})
    classes = [
        name for name, about in features.items() if isinstance(about, dict) and about.get("_type") == "ClassLabel"
    ]
    wanted = [name.lower() for name in (*LABEL, *classes)]
    there = [name for name in schema.names if name.lower() in wanted]
    label = min(there, key=lambda n: (n not in (*LABEL, *classes), wanted.index(n.lower())), default=None)
    read = (images[0].removesuffix(".bytes"), label)
    return _Table(path, rows, images[0], label, tuple(name for name in schema.names if name not in read), features)


def _images(table: _Table, rows: Rows, together: int) -> Iterator[Named]:
    import pyarrow.parquet as pq

    wanted, begin = np.zeros(table.rows, dtype=bool), 0
    wanted[rows] = True
    with pq.ParquetFile(table.path) as file:
        for batch in file.iter_batches(together, columns=[table.image]):
            column = batch.column(0)
            if table.image.endswith(".bytes"):
                (column,) = column.flatten()
            numbers = np.flatnonzero(wanted[begin : begin + len(batch)])
            if len(numbers):
                yield [_named(table, begin + i, column[i].as_py()) for i in numbers.tolist()]
            begin += len(batch)


def _named(table: _Table, row: int, content: bytes | None) -> tuple[bytes, str]:
    return content or b"", f"in row {row} of '{table.path}'"


def _labels(tables: Sequence[_Table]) -> tuple[Labels | None, tuple[str, ...] | None]:
    import pyarrow.parquet as pq

    name = tables[0].label
    if name is None:
        return None, None
    where = f"'{name}' in '{tables[0].path}'"
    found = [pq.read_table(table.path, columns=[name]).column(0) for table in tables]
    if missing := sum(values.null_count for values in found):
        raise UserError(f"{where}: {missing:,} rows have no label")
    try:
        values = [np.array(chunked.to_pylist()) for chunked in found]
    except ValueError as error:
        raise UserError(f"{where}: rows are of different lengths") from error
    labels, names = classes_of(where, np.concatenate([column(where, some) for some in values]))
    abouts = [table.features.get(name) for table in tables]
    given = [about["names"] for about in abouts if isinstance(about, dict) and isinstance(about.get("names"), list)]
    if any(one != given[0] for one in given):
        raise UserError(f"{where} and the other files have different names for its classes: name one of the files")
    if given and len(given[0]) >= len(names) and all(some.dtype.kind in "iu" for some in values):
        names = tuple(map(str, given[0][: len(names)]))
    return labels, names
