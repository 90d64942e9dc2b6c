"""Looks at the best generator of a run, for its report: what is dear lies beside the generator afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evogan.engine.history import RunHistory
from evogan.errors import UserError
from evogan.files import read_small, write_whole
from evogan.genome import Genome
from evogan.report.looks import Looks
from evogan.runs.code_map import keep_code_map
from evogan.runs.gans import GANProblem
from evogan.runs.place import Place

if TYPE_CHECKING:
    from evogan.evaluation.architecture import Player
    from evogan.evaluation.checkpoint import Generator

NEAREST, TRUNCATION = "nearest.png", "truncation.json"
CHEAP = 1e12  # FLOPs of all samples of a truncation curve, up to which it is drawn: half a minute
CLASSES = 10  # where a published GAN is given some, and the best is not


def look(run: RunHistory, load_best: Callable[[], Generator]) -> Looks:
    """As much as there is to be seen. Nothing is wrong with a run of which nothing is."""
    training = run.best_training(run.best.row.key) if run.best and run.settings.gan and run.genes else None
    if training is None or run.best is None or run.facts.table:
        return Looks()
    _, task = run.store.tasks().get(run.facts.task, ("", {}))
    folder = run.store.files(training.identity, training.evaluation)
    if not (folder / "generator.safetensors").is_file() or not {"image_size", "channels"} <= task.keys():
        return Looks(missing="the weights of the best genome's best training are not there")
    try:
        architectures = list(_architectures(run, load_best, task))
    except UserError as error:
        return Looks(missing=str(error))
    try:
        nearest, truncation = _dear(run, load_best, task, folder, architectures[0][1])
    except (UserError, OSError) as error:
        return Looks(architectures, missing=str(error))
    return Looks(architectures, nearest, truncation)


def _architectures(
    run: RunHistory, load_best: Callable[[], Generator], task: Mapping[str, Any]
) -> Iterator[tuple[str, Sequence[Player]]]:
    """The best, then the published ones, each once."""
    from evogan.evaluation.architecture import architecture
    from evogan.families import image_fields

    assert run.best is not None
    named: dict[str, tuple[str, Genome]] = {run.best.row.key: (f"evolved #{run.best.row.number}", run.best.row.genome)}
    for name, key, genome in run.facts.reference:
        named.setdefault(key, (Path(name).stem, genome))
    best = load_best()
    classes = best.told or CLASSES
    fields = best.fields if best.language else image_fields(task["image_size"], task["channels"], classes)
    for name, genome in named.values():
        yield name, architecture(genome, fields)


def _dear(
    run: RunHistory,
    load_best: Callable[[], Generator],
    task: Mapping[str, Any],
    folder: Path,
    players: Sequence[Player],
) -> tuple[bytes, list[dict[str, float]]]:
    """The neighbours and the truncation curve. Errors: UserError where the data or their features are not there."""
    from evogan.evaluation.neighbours import POINTS, POOL, SHOWN, neighbours, truncation_curve

    if (folder / NEAREST).is_file() and (folder / TRUNCATION).is_file():
        with suppress(ValueError):
            return read_small(folder / NEAREST), _curve(read_small(folder / TRUNCATION))
    generator = load_best()
    if generator.language:
        return b"", []
    too_few = task["samples"] < POOL
    if too_few and not generator.code:
        raise UserError(_too_few(task["samples"], POOL))
    from evogan.evaluation.grid import grid_png
    from evogan.fitness.threads import threads

    assert run.settings.gan is not None
    gan = replace(run.settings.gan, download=False)  # a report waits for no network

    def tell(line: str, done: float | None) -> None:
        if done is not None and "dataset" in vars(problem):  # data may take their time, features do not learn anew
            raise UserError("the features that judged it are not in the store any more")

    problem = GANProblem(gan, Place(run.store.folder).features, tell)
    with threads(task["threads"]):
        dataset, features = problem.dataset, problem.features
        if (dataset.fingerprint, features.id) != (task["fingerprint"], task["features"]):
            raise UserError("the data, or their features, are not those that the run was judged on any more")
        keep_code_map(folder, generator, dataset)
        if too_few:
            raise UserError(_too_few(task["samples"], POOL))
        png = grid_png(neighbours(generator, features, dataset), SHOWN)
        curve: list[dict[str, float]] = []
        if players[0].flops * POOL * POINTS <= CHEAP:
            with suppress(UserError):  # of latents that are not truncated
                curve = list(truncation_curve(generator, features, dataset))
    with suppress(OSError, UserError):  # it may be a store that is read only
        write_whole(folder / NEAREST, png)
        write_whole(folder / TRUNCATION, json.dumps(curve).encode())
    return png, curve


def _too_few(samples: int, pool: int) -> str:
    return f"scores of {samples} samples are too few for a look at them, which takes {pool:,}"


def _curve(content: bytes) -> list[dict[str, float]]:
    """What lies there from an earlier report. Errors: ValueError for anything else."""
    points = json.loads(content)
    numbers = isinstance(points, list) and all(
        isinstance(point, dict) and all(isinstance(value, int | float) for value in point.values()) for point in points
    )
    if not numbers or not all({"fid", "manifold_precision", "manifold_recall"} <= point.keys() for point in points):
        raise ValueError("no curve")
    return list(points)
