"""What a user names, and is to leave: a published genome, a file of one, a trained GAN's file, or the best of a run."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evogan import shipped
from evogan.errors import UserError, unknown
from evogan.evaluation.artefacts import GENERATOR
from evogan.evaluation.players import read_players
from evogan.families import family_of
from evogan.files import expand
from evogan.genome import Genome
from evogan.report import facts
from evogan.runs.place import Place
from evogan.runs.run import Run
from evogan.settings import SearchSettings
from evogan.stable import derive_seed
from evogan.trial import PLAYERS

SIZE, CHANNELS, CLASSES = 32, 3, 10  # of images that are not known
KIMG = 100.0


@dataclass(frozen=True)
class Found:
    """A GAN by its genome, for images of this form, and what is known of its training: seed and budget. `name`: one
    that Python can import. `file`: with its generator's weights."""

    name: str
    title: str
    source: str
    genome: Genome
    image_size: int = SIZE
    channels: int = CHANNELS
    classes: int = CLASSES
    seed: int = 0
    kimg: float = KIMG
    file: Path | None = None

    def __post_init__(self) -> None:
        name = re.sub(r"\W", "_", self.name, flags=re.ASCII)
        name = f"gan_{name}" if name[:1].isdigit() or keyword.iskeyword(name) else name
        object.__setattr__(self, "name", name)


def find(name: str | Path, place: Place) -> Found:
    """Errors: UserError."""
    path = expand(name)
    if path.suffix == ".safetensors" or (path.is_dir() and (path / GENERATOR).is_file()):
        return _of_file(path)
    if str(name) in shipped.generators():
        return _of_file(shipped.generator(name))
    if (run := _run(name, place)) is not None:
        return _of_run(run)
    file = shipped.read_genome(name, others=lambda: _runs(place))
    return Found(file.name, file.title, file.source, file.genome)


def generator_of(name: str | Path, place: Place, *, whole: bool = False) -> Path:
    """The file of a trained generator: itself, in the folder of a training, of the best of a run, or a shipped one.

    `whole`: of a run, one that lies beside all players of its training, if there is one. Errors: UserError for what has
    none.
    """
    path = expand(name)
    if (path / GENERATOR).is_file():
        return path / GENERATOR
    known = path.suffix == ".safetensors" or path.is_file() or str(name) in shipped.generators()
    if not known and place.has_store:
        kept = place.existing()
        if str(name) in kept.names():
            return Run(kept, str(name)).file_of_best(whole=whole)
        if path.parent == Path():
            raise unknown("run or generator", str(name), [*kept.names(), *shipped.generators()])
    return shipped.generator(name)


def origin_of(name: str | Path, place: Place) -> Path:
    """The players that a training left: their file or folder, or of the best of a run; else a generator alone.

    Errors: UserError for what has none.
    """
    path = expand(name)
    if path.is_file() or (path / PLAYERS).is_file():
        return path
    file = generator_of(name, place, whole=True)
    return file.parent if file != path and (file.parent / PLAYERS).is_file() else file


def genome_of(name: str | Path, place: Place) -> tuple[Genome, dict[str, Any]]:
    """A published genome, that of a file, or, where nothing else has the name, a run's best, and what is known of the
    images that it was judged on. Errors: UserError."""
    if (run := _run(name, place)) is not None:
        if run.best is None:
            raise UserError(f"run '{name}' has no genome that completed")
        _, task = run.store.tasks().get(run.facts.task, ("", {}))
        return run.best.row.genome, {of: task[of] for of in ("image_size", "channels") if of in task}
    return shipped.read_genome(name, others=lambda: _runs(place)).genome, {}


def settings_of(name: str | Path | Mapping[str, Any] | None, place: Place) -> SearchSettings | None:
    """How a run trained and judged GANs; None for anything else that a user may name."""
    if not isinstance(name, str) or name in shipped.generators():
        return None
    path = expand(name)
    run = None if path.is_file() or any((path / kept).is_file() for kept in (PLAYERS, GENERATOR)) else _run(name, place)
    return None if run is None or run.settings.gan is None else run.settings


def _runs(place: Place) -> list[str]:
    return place.existing().names() if place.has_store else []


def _run(name: str | Path, place: Place) -> Run | None:
    """Where no published genome has the name."""
    if not isinstance(name, str) or name in shipped.names("genomes") or not place.has_store:
        return None
    kept = place.existing()
    return Run(kept, name) if name in kept.names() else None


def _of_file(path: Path) -> Found:
    players = read_players(path)
    known, genome = players.form.facts, players.form.genome
    if players.form.conditions is not None:
        raise UserError(
            f"'{path}' is told {players.form.conditions.kind}: code is written for GANs that are told classes"
        )
    about = f"{facts.about(genome)}, trained{_on(known)}".rstrip(", ")
    found = Found(
        path.stem if path.suffix else path.name,
        family_of(genome).title,
        f"{about}; FID {known['fid']:.4g}" if "fid" in known else about,
        genome,
        known["image_size"],
        known["channels"],
        len(players.form.tells_apart) or CLASSES,
        file=path / GENERATOR if path.is_dir() else None if players.whole else path,
    )
    if "key" in known and "task" in known:
        replicate = known.get("replicate", _replicate(path if path.is_dir() else path.parent))
        found = replace(found, seed=derive_seed(known["key"], known["task"], replicate))
    return replace(found, kimg=known["kimg"]) if known.get("kimg") else found


def _replicate(folder: Path) -> int:
    """Which a store's folder is of: files of before do not say it."""
    said = re.fullmatch(r"[0-9a-f]+-f[0-9.e-]+-r(\d+)(-.*)?", folder.resolve().name)
    return int(said[1]) if said else 0


def _on(known: dict[str, Any]) -> str:
    return f" on {known['data']}" if "data" in known else ""


def _of_run(run: Run) -> Found:
    training = None if run.best is None else run.best_training(run.best.row.key)
    if training is None or run.best is None:
        raise UserError(f"run '{run.name}' has no genome that completed")
    _, task = run.store.tasks().get(run.facts.task, ("", {}))
    genome, (key, task_key, _, replicate) = run.best.row.genome, training.identity
    kimg = training.evaluation.scores[-1].get("kimg", KIMG) / training.identity[2]  # of a budget that is said otherwise
    found = Found(
        f"best_of_{run.name}",
        f"The best GAN of {run.name}",
        f"{facts.about(genome)}; found by {run.settings.strategy} on {run.facts.data}",
        genome,
        task.get("image_size", SIZE),
        task.get("channels", CHANNELS),
        seed=derive_seed(key, task_key, replicate),
        kimg=task.get("kimg") or kimg,
    )
    path = run.store.files(training.identity, training.evaluation) / GENERATOR
    return replace(found, classes=_of_file(path).classes, file=path) if path.is_file() else found
