"""A campaign as declared: a TOML file -> its runs, in the order in which they are worked on."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model

from evogan.errors import UserError, unknown
from evogan.files import expand, file_name
from evogan.files.documents import read_toml
from evogan.options import Option, options_of, texts_for_words
from evogan.plugins import Plugins
from evogan.runs.knowledge import NONE
from evogan.settings import Resources, doors
from evogan.settings.reading import ATTRIBUTES, read_table
from evogan.settings.search import checks
from evogan.space import Space, load_space
from evogan.trial import BUDGETS

MOST_SEEDS = 10_000


@dataclass(frozen=True)
class PlannedRun:
    """A run of a campaign; `data` and `strategy` as the file calls them.

    `gan`: keywords of `GANSettings`; `search`: those of `SearchSettings` but for space, gan and resources.
    """

    name: str
    data: str
    space: Space
    strategy: str
    seed: int
    gan: Mapping[str, Any]
    search: Mapping[str, Any]

    @property
    def evaluations(self) -> int:
        """The budget of the search, in full trainings."""
        return int(self.search["evaluations"])

    def checks(self, references: int | None = None) -> int:
        """Full trainings that check the winners and the references, which a run that has begun knows the number of:
        some cannot make its images."""
        if references is None:
            references = len(set(self.search["references"] or self.space.reference) - {NONE})
        return checks(self.search["finalists"], references, self.search["confirm"])


@dataclass(frozen=True)
class Campaign:
    """`runs` go seed by seed, each over all data sets, spaces and strategies: a comparison exists after the first."""

    path: Path
    name: str
    runs: tuple[PlannedRun, ...]
    resources: Resources
    plugins: Plugins


def read_campaign(path: str | Path) -> Campaign:
    """Read a campaign file. Data sets, strategies and values are checked where they are used.

    Errors: UserError naming file and key for what does not parse, an unknown key or space, and two runs of one name.
    """
    path = expand(path)
    document = read_toml(path)
    try:
        file: Any = _File.model_validate({"name": path.stem} | document)
        plugins = Plugins(_beside(path, name) if name.endswith(".py") else name for name in file.plugins)
        return Campaign(
            path, file.name, _runs(path, file), Resources(**file.resources.model_dump(exclude_unset=True)), plugins
        )
    except ValidationError as error:
        raise UserError(f"{path}: {_one_line(error)}") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _runs(path: Path, file: Any) -> tuple[PlannedRun, ...]:
    spaces = {name: load_space(_beside(path, name)) for name in file.spaces}
    found: dict[str, tuple[object, ...]] = {}
    runs = []
    for point in product(file.seeds, file.data, spaces, file.strategies):
        seed, data, space, strategy = point
        name = "-".join([file_name(file.name), plain(data), plain(space), file_name(strategy), f"s{seed}"])
        if name in found:
            key, one, other = next(
                (key, one, other)
                for key, one, other in zip(("seeds", "data", "spaces", "strategies"), found[name], point, strict=True)
                if one != other
            )
            raise UserError(f"{key}: '{one}' and '{other}' give two runs of one name, {name}; call one otherwise")
        found[name] = point
        of_data = file.data[data].model_dump(exclude_unset=True)
        chosen = file.strategies[strategy]
        search = file.model_dump(include=set(_SEARCH))
        search |= chosen.model_dump(include=set(_SEARCH), exclude_unset=True)
        search |= {"strategy": chosen.strategy or strategy, "options": dict(chosen.model_extra or {}), "seed": seed}
        for files in ("seed_genomes", "learn_from", "references"):
            search[files] = [_beside(path, one) for one in search[files]]
        gan = file.model_dump(include=set(_GAN.model_fields), exclude_unset=True)
        if BUDGETS.keys() & of_data.keys():
            gan = {name: value for name, value in gan.items() if name not in BUDGETS}
        gan |= of_data
        if gan.get("features"):
            gan["features"] = _beside(path, gan["features"])
        for files in ("pairs", "domains", "conditions"):
            if gan.get(files):
                gan[files] = ",".join(_source_beside(path, part) for part in gan[files].split(","))
        if gan.get("data_dir"):
            gan["data_dir"] = str((path.parent / expand(gan["data_dir"])).resolve())
        gan["data"] = _beside(path, of_data.get("data", data))
        if file.total_kimg is not None:
            search["evaluations"] = _trainings(file, chosen, gan.get("kimg"))
        runs.append(PlannedRun(name, data, spaces[space], strategy, seed, gan, search))
    return tuple(runs)


def _trainings(file: Any, chosen: Any, kimg: float | None) -> int:
    """The full trainings in a budget of kimg."""
    if "evaluations" in file.model_fields_set | chosen.model_fields_set:
        raise UserError("total_kimg: evaluations are given, too; one of them is the budget")
    if kimg is None:
        raise UserError("total_kimg: say what a training has, in kimg")
    assert file.total_kimg is not None
    for name, value in (("kimg", kimg), ("total_kimg", file.total_kimg)):
        if not 0 < value < math.inf:
            raise UserError(f"{name} must be above 0, not {value:g}")
    if file.total_kimg < kimg:
        raise UserError(f"total_kimg: {file.total_kimg:g} is less than one training of {kimg:g}")
    if file.total_kimg / kimg == math.inf:
        raise UserError(f"total_kimg: {file.total_kimg:g} is too much for trainings of {kimg:g}")
    return int(file.total_kimg / kimg + 1e-9)


def _is_path(name: str) -> bool:
    return "/" in name or Path(name).suffix in (".toml", ".npz", ".npy", ".parquet", ".safetensors", ".py", ".txt")


def _beside(path: Path, name: str) -> str:
    """Files and folders that a campaign names are sought from where it lies."""
    return str((path.parent / expand(name)).resolve()) if _is_path(name) else name


def _source_beside(path: Path, name: str) -> str:
    """Of what images are made from, or told: `attributes:FILE`, with columns or without, names a file, too."""
    if not name.startswith(ATTRIBUTES):
        return _beside(path, name)
    file, columns = read_table(name)
    return ":".join([f"{ATTRIBUTES}{(path.parent / file).resolve()}", *(["+".join(columns)] if columns else [])])


def plain(name: str) -> str:
    """A name or a file as a part of a run's name."""
    return file_name(Path(name).stem if _is_path(name) else name)


# --- the file


def _table(given: Any) -> Any:
    """`["ga", "random"]` is short for two empty tables of these names."""
    if isinstance(given, dict) and given:
        return given
    return {name: {} for name in _several(given)}


def _several(given: Any) -> Any:
    """At least one, none of them twice."""
    if not isinstance(given, list) or not given:
        raise ValueError("must be a list with at least one entry")
    for one in given:
        if isinstance(one, dict | list):
            raise ValueError(f"must be a list of names, or a table for each, not {one!r}")
        if given.count(one) > 1:
            raise ValueError(f"'{one}' is there twice, which would be two runs of one name")
    return given


def _seeds(given: Any) -> Any:
    """`3` is short for 0, 1, 2."""
    if isinstance(given, int) and not isinstance(given, bool):
        if not 1 <= given <= MOST_SEEDS:
            raise ValueError(f"must be from 1 to {MOST_SEEDS}, not {given}")
        return list(range(given))
    if not isinstance(given, list):
        raise ValueError("must be how many, or a list of them")
    return _several(given)


def _keys(options: Iterable[Option]) -> dict[str, Any]:
    """What a file may say, for pydantic: types, and the defaults that a search has."""
    return {
        one.name: (one.written or texts_for_words(one.kind), [] if one.written == list[str] else one.default)
        for one in options
    }


def _name(given: str) -> str:
    """Folders are named by it."""
    if not re.match(r"\w", given):
        raise ValueError(f"must begin with a letter, a digit or '_', not '{given}'")
    return given


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


# how GANs are trained and judged, on all data sets or on one
_GAN = create_model("_GAN", __base__=_Strict, **_keys(doors.FILE_GAN))
_DataSet = create_model("_DataSet", __base__=_GAN, data=(str | None, None))
# what every run has in common, and what those of a strategy do otherwise; further keys of it are its options
_SEARCH = _keys(doors.FILE_SEARCH)
_Strategy = create_model("_Strategy", __base__=_Open, strategy=(str | None, None), **_SEARCH)
# as the options of `evogan search`, memory in GB
_Resources = create_model("_Resources", __base__=_Strict, **_keys(options_of(Resources).values()))

_COMBINED: dict[str, Any] = {
    "name": Annotated[str, AfterValidator(_name)],
    **_keys(doors.EXTENSIONS),
    "total_kimg": (float | None, None),
    "data": Annotated[dict[str, _DataSet], BeforeValidator(_table)],  # type: ignore[valid-type]
    "spaces": Annotated[list[str], BeforeValidator(_several)],
    "strategies": Annotated[dict[str, _Strategy], BeforeValidator(_table)],  # type: ignore[valid-type]
    "seeds": Annotated[list[Annotated[int, Field(ge=0)]], BeforeValidator(_seeds)],
    "resources": (_Resources, _Resources()),
}
_File = create_model("_File", __base__=_GAN, **_SEARCH, **_COMBINED)


def _one_line(error: ValidationError) -> str:
    """The first thing that pydantic found wrong; an unknown key before all, since another may be missing for it."""
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    *tables, key = (str(part) for part in first["loc"])
    where = "".join(f"{table}." for table in tables)
    if first["type"] == "extra_forbidden":
        models: dict[str, type[BaseModel]] = {"data": _DataSet, "resources": _Resources}
        model = models[tables[0]] if tables else _File
        return f"{where[:-1]}{': ' if where else ''}{unknown('key', key, model.model_fields)}"
    if first["type"] == "missing":
        return f"key '{key}' is missing"
    message = first["msg"].removeprefix("Value error, ")
    told = "" if first["type"] == "value_error" else f", not {first['input']!r}"
    return f"{where}{key}: {message[0].lower()}{message[1:]}{told}"
