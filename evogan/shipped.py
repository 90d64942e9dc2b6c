"""Where genomes, trained generators, declared spaces and recorded tables lie, and how a name or a path finds one."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evogan.errors import UserError, shortened, unknown
from evogan.files import expand
from evogan.files.documents import read_toml
from evogan.genes import GENES
from evogan.genome import GeneTable, Genome

FIELDS = ("title", "source", "genes", "changes")  # of a genome's file
AT = "at"
GENERATOR = ".safetensors"
LONGEST_PATH = 1000  # characters that a line shows
EVOLVED = "evolved_"  # how the names of genomes begin that evogan found; their trained generators lie beside them
Names = Callable[[], Sequence[str]]  # that a user may say, too: read where none of ours was meant
_PACKAGE = Path(__file__).parent
_ROOMS = {  # beside the package in a checkout; what their files end in, and what one of them is
    "genomes": (".toml", "genome"),
    "search_spaces": (".toml", "space"),
    "benchmarks/tables": (".parquet", "table"),
}


def folder(room: str) -> Path:
    """A room of shipped files: inside an installed package, or beside it in a checkout."""
    inside = _PACKAGE / room
    return inside if inside.is_dir() else _PACKAGE.parent / room


def names(room: str) -> list[str]:
    return sorted(path.stem for path in folder(room).glob(f"*{_ROOMS[room][0]}"))


def published() -> list[str]:
    """The names of the genomes that have a source in the literature."""
    return [name for name in names("genomes") if not name.startswith(EVOLVED)]


def generators() -> list[str]:
    """The names of the trained generators that come with evogan."""
    return sorted(path.stem for path in folder("genomes").glob(f"*{GENERATOR}"))


def generator(name_or_path: str | Path) -> Path:
    """The file of a generator that a user means: a path, or the name of a shipped one, which a folder does not hide.

    Errors: UserError.
    """
    path = expand(name_or_path)
    if str(path) in generators() and not path.is_file():
        return folder("genomes") / f"{path}{GENERATOR}"
    if path.suffix or path.parent != Path() or path.exists():
        return path
    raise unknown("generator", str(path), [*generators(), f"a {GENERATOR} file"])


def find(room: str, name_or_path: str | Path, others: Names = tuple) -> Path:
    """The file that a user means: a path, or the name of a shipped one. `others`: names that would do, too."""
    path, (suffix, kind) = expand(name_or_path), _ROOMS[room]
    if path.suffix == suffix or path.parent != Path():
        if not os.path.exists(path):  # of a name that is too long as well
            raise UserError(f"no file '{shortened(str(path), LONGEST_PATH)}'")
        return path
    if str(path) not in names(room):
        raise unknown(kind, str(path), [*names(room), *others(), f"a {suffix} file"])
    return folder(room) / f"{name_or_path}{suffix}"


@dataclass(frozen=True)
class GenomeFile:
    """A genome as written: a published GAN, or a user's own."""

    name: str
    title: str
    source: str
    genome: Genome


def read_genome(name_or_path: str | Path, table: GeneTable | None = GENES, others: Names = tuple) -> GenomeFile:
    """Read `genomes/NAME.toml` or a file: `title`, `source` and a table `[genes]`; of a schedule also `[[changes]]`,
    each with the share `at` which its genes change.

    Without a `table` its genes are taken as they are, and without changes. `others`: names that would do, too.
    Errors: UserError naming the file for what does not parse, an unknown gene or a value not allowed.
    """
    path = find("genomes", name_or_path, others)
    document = read_toml(path)
    for field in document:
        if field not in FIELDS:
            raise UserError(f"{path}: {unknown('field', field, FIELDS)}")
    genes = document.get("genes", {})
    if not isinstance(genes, dict):
        raise UserError(f"{path}: 'genes' must be a table")
    try:
        changes = _changes(document.get("changes", []))
        genome = Genome(genes) if table is None else table.schedule(table.read(genes), changes)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    title, source = document.get("title", path.stem), document.get("source", "")
    if not isinstance(title, str) or not isinstance(source, str):
        raise UserError(f"{path}: 'title' and 'source' must be text")
    return GenomeFile(path.stem, title, source, genome)


def _changes(written: Any) -> list[tuple[float, dict[str, Any]]]:
    """Errors: UserError for what is no list of tables, each with a share of the budget."""
    if not isinstance(written, list) or not all(isinstance(change, dict) for change in written):
        raise UserError("'changes' must be tables: [[changes]]")
    for change in written:
        if isinstance(at := change.get(AT), bool) or not isinstance(at, int | float):
            raise UserError(f"changes: '{AT}' must be a share of the budget, such as 0.25")
    return [(float(change[AT]), {name: v for name, v in change.items() if name != AT}) for change in written]
