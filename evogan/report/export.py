"""A run for other programs: a table as CSV, Parquet or JSON, or a complete Optuna study."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import NAMESPACE_URL, uuid5

from evogan.engine import Told
from evogan.engine.history import RunHistory
from evogan.engine.store import ProposalRow
from evogan.errors import UserError, public_url, without_passwords
from evogan.files import write_whole
from evogan.genome import Gene
from evogan.genome.schedule import in_words
from evogan.trial import MAXIMISED, Evaluation, budget_unit

if TYPE_CHECKING:
    import pandas as pd
    from optuna.distributions import BaseDistribution
    from optuna.storages import RDBStorage
    from optuna.study import Study
    from optuna.trial import FrozenTrial, TrialState

TABLES = ("csv", "parquet", "json")


class Grid(NamedTuple):
    """A file of samples, and a name for it that is the same at every export."""

    name: str
    path: Path


def export_table(run: RunHistory, kind: str, path: Path) -> int:
    """Write `run.to_dataframe()`, a row a proposal that was told; how many. `kind`: one of TABLES.

    Errors: UserError if the file exists or nothing was told yet.
    """
    if path.exists():
        raise UserError(f"file '{path}' exists: name another one")
    _check_told(run)
    frame = run.to_dataframe()
    if kind == "csv":
        harmless = frame.map(_no_formula).rename(columns=_no_formula)
        content = harmless.to_csv(index=False, lineterminator="\r\n").encode()  # a cell with one of the two is quoted
    elif kind == "json":
        rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
        content = json.dumps(rows, indent=2, allow_nan=False, ensure_ascii=False).encode()
    else:
        content = _one_type_a_column(frame).to_parquet(index=False)
    write_whole(path, content)
    return len(frame)


def _no_formula(cell: Any) -> Any:
    """A text that a spreadsheet would take for a formula, and carry out, begins with an apostrophe."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def _one_type_a_column(frame: pd.DataFrame) -> pd.DataFrame:
    """Parquet's columns have one type: a choice between values of several becomes text."""
    mixed = [name for name in frame if frame[name].dropna().map(type).nunique() > 1]
    return frame.assign(**{str(name): frame[name].map(str, na_action="ignore") for name in mixed})


def export_study(run: RunHistory, storage: str, artifacts: Path | None = None) -> int:
    """Write the run as an Optuna study of its name; how many trials. `storage`: a database URL.

    artifacts: a folder for the trials' sample grids, an Optuna artifact store (`optuna-dashboard --artifact-dir`).

    A trial is a proposal that was told: failures are FAIL; what was pruned, or judged at a lower fidelity than the best
    was, is PRUNED, since its value is not comparable. Intermediate values are the first objective at the score
    checkpoints of replicate 0, by whole kimg or iterations, or else by the number of the checkpoint.
    Errors: UserError if the study exists, the storage cannot be opened, or nothing was told yet.
    """
    import optuna

    _check_told(run)
    grids = {} if artifacts is None else _grids(run)
    trials = _trials(run, grids)
    with written(storage) as kept:
        try:
            study = new_study(run, kept)
        except optuna.exceptions.DuplicatedStudyError:
            where = public_url(storage)
            raise UserError(f"study '{run.name}' exists in '{where}': name another file") from None
        try:
            for name, value in study_facts(run).items():
                study.set_user_attr(name, value)
            study.set_user_attr("step", _steps(run)[0])
            if artifacts is not None:
                copy_grids(grids.values(), artifacts)
            study.add_trials(trials)
        except BaseException:  # a study is whole, or not there
            optuna.delete_study(study_name=run.name, storage=kept)
            raise
    return len(trials)


@contextmanager
def written(storage: str) -> Iterator[RDBStorage]:
    """An Optuna storage, by its URL, quietly. Errors: UserError if it cannot be opened, or written within."""
    import optuna
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    where = public_url(storage)
    try:
        make_url(storage)
    except (ArgumentError, ValueError):
        raise UserError(f"storage '{where}' is no database URL: write sqlite:///FILE.db") from None
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield optuna.storages.RDBStorage(storage)
    except optuna.exceptions.DuplicatedStudyError:
        raise
    except (SQLAlchemyError, ImportError, optuna.exceptions.StorageInternalError, RuntimeError) as error:
        why = without_passwords(str(error.__cause__ or error).splitlines()[0])
        raise UserError(f"storage '{where}' cannot be written: {why}") from None
    finally:
        optuna.logging.set_verbosity(verbosity)


def new_study(run: RunHistory, storage: RDBStorage) -> Study:
    """Of the run's name and objectives. Errors: Optuna's DuplicatedStudyError if there is one."""
    import optuna

    direction = optuna.study.StudyDirection
    directions = [direction.MAXIMIZE if m in MAXIMISED else direction.MINIMIZE for m in run.judge.metrics]
    study = optuna.create_study(storage=storage, study_name=run.name, directions=directions)
    with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
        study.set_metric_names(list(run.judge.metrics))
    return study


def _grids(run: RunHistory) -> dict[int, Grid]:
    """By the number of a proposal, as far as there are any."""
    found = {told.row.number: grid_of(run, told) for told in run.history}
    return {number: grid for number, grid in found.items() if grid is not None}


def grid_of(run: RunHistory, told: Told) -> Grid | None:
    """Of the replicate that stands for all."""
    path = run.store.files(told.identity(told.standing), told.evaluation) / "samples.png"
    return Grid(str(uuid5(NAMESPACE_URL, "/".join(path.parts[-3:]))), path) if path.is_file() else None


def copy_grids(grids: Iterable[Grid], folder: Path) -> None:
    """Into an Optuna artifact store. Errors: UserError."""
    from optuna.artifacts import FileSystemArtifactStore

    try:
        folder.mkdir(parents=True, exist_ok=True)
        store = FileSystemArtifactStore(folder)
        for grid in grids:
            with grid.path.open("rb") as file:
                store.write(grid.name, file)
    except OSError as error:
        raise UserError(f"artifacts '{folder}' cannot be written: {error.strerror}") from None


def _check_told(run: RunHistory) -> None:
    if not run.history:
        raise UserError(f"run '{run.name}' has nothing to export yet: no result was told")


def study_facts(run: RunHistory) -> dict[str, Any]:
    settings = run.settings
    facts = {name: getattr(settings, name) for name in ("strategy", "options", "seed", "fitness", "score")}
    facts |= {"data": run.facts.data, "space": settings.space["name"]}
    return facts | {"fixed": dict(run.space.fixed)}


def _trials(run: RunHistory, grids: Mapping[int, Grid]) -> list[FrozenTrial]:
    """In the order of the proposals' numbers."""
    distributions = distributions_of(run)
    _, step_of = _steps(run)
    return [
        ended_trial(
            run,
            told,
            distributions,
            {step_of[place]: value for place, value in _points(run, told.evaluation)},
            grids.get(told.row.number),
            run.top_fidelity,
        )
        for told in sorted(run.history, key=lambda told: told.row.number)
    ]


def distributions_of(run: RunHistory) -> dict[str, BaseDistribution]:
    return {gene.name: _distribution(gene) for gene in run.space.genes}


def ended_trial(
    run: RunHistory,
    told: Told,
    distributions: Mapping[str, BaseDistribution],
    points: Mapping[int, float],
    grid: Grid | None,
    top: float,
) -> FrozenTrial:
    """What was told of a proposal. `top`: the fidelity whose values compare. The duration is that of training; the date
    is now."""
    from optuna.trial import create_trial

    params = {name: value for name, value in told.row.genome.items() if name in distributions}
    trial = create_trial(
        state=state_of(told, top),
        values=told.values and run.judge.shown(told.values),
        params=params,
        distributions={name: distributions[name] for name in params},
        user_attrs=trial_facts(told),
        system_attrs=dict([attached(grid)] if grid is not None else []),
        intermediate_values=dict(points),
    )
    assert trial.datetime_complete is not None
    trial.datetime_start = trial.datetime_complete - timedelta(seconds=trial.user_attrs["seconds"])
    return trial


def state_of(told: Told, top: float) -> TrialState:
    from optuna.trial import TrialState

    if told.values is None:
        return TrialState.FAIL
    return TrialState.PRUNED if told.pruned or told.fidelity < top else TrialState.COMPLETE


def attached(grid: Grid) -> tuple[str, str]:
    """As Optuna notes an artifact of a trial that still runs."""
    from optuna.artifacts import ArtifactMeta

    return f"artifacts:{grid.name}", json.dumps(asdict(ArtifactMeta(grid.name, grid.path.name, "image/png", None)))


def origin_facts(row: ProposalRow) -> dict[str, Any]:
    """What is known of a proposal before its training: number and key, and where it came from."""
    came = {"generation": row.generation, "parents": row.parents and list(row.parents), "operator": row.operator}
    return {"number": row.number, "key": row.key, **{name: fact for name, fact in came.items() if fact is not None}}


def trial_facts(told: Told) -> dict[str, Any]:
    return {
        **origin_facts(told.row),
        "status": told.evaluation.status,
        "reason": told.evaluation.reason,
        "flags": sorted({flag for evaluation in told.evaluations for flag in evaluation.flags}),
        "fidelity": told.fidelity,
        **({"changes": in_words(told.row.genome)} if told.row.genome.changes else {}),
        "replicates": len(told.evaluations),
        "seconds": sum(evaluation.cost.get("seconds", 0.0) for evaluation in told.evaluations),
    }


def _distribution(gene: Gene) -> BaseDistribution:
    """Where the gene's values lie. Levels of a float are no steps to Optuna, which would round them otherwise. Errors:
    UserError for a choice that Optuna cannot have."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if gene.kind == "choice":
        gene.check_told_apart()
        return CategoricalDistribution(gene.values)
    assert gene.low is not None and gene.high is not None
    if gene.kind == "int":
        return IntDistribution(int(gene.low), int(gene.high), log=gene.scale == "log")
    ends = [*map(float, (gene.low, gene.high, gene.grid[0], gene.grid[-1]))]  # rounding may put a level outside
    return FloatDistribution(min(ends), max(ends), log=gene.scale == "log")


def _points(run: RunHistory, evaluation: Evaluation) -> Iterable[tuple[float, float]]:
    """Where the first objective was measured (kimg, iterations, or the checkpoint's number), and what it was."""
    for number, point in enumerate(evaluation.scores, 1):
        value = point.get(run.judge.metric, math.nan)
        if not math.isnan(value):
            yield float(point.get(budget_unit(point), number)), value


def _steps(run: RunHistory) -> tuple[str, dict[float, int]]:
    """What Optuna's steps, which are whole numbers, mean; and the step of every place where something was measured."""
    places = sorted({place for told in run.history for place, _ in _points(run, told.evaluation)})
    if run.settings.gan is not None and all(place.is_integer() for place in places):
        return "kimg" if run.settings.gan.iterations is None else "iterations", {place: int(place) for place in places}
    return "checkpoint", {place: number for number, place in enumerate(places, 1)}
