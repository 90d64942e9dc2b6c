"""An Optuna study that is kept up to date while a run goes on, for `optuna-dashboard`.

Trials that train are RUNNING, with what is measured of them so far; then they end as those of a whole export do, with
two differences: only a full training is COMPLETE, whatever was reached so far; and steps are percents of a training,
which are whole numbers from the start (checkpoints by their number, where an objective has several).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from optuna.exceptions import DuplicatedStudyError
from optuna.storages import RDBStorage
from optuna.study import Study, load_study
from optuna.trial import TrialState, create_trial

from evogan.engine import Told
from evogan.engine.live import trial_name
from evogan.engine.store import Store
from evogan.errors import UserError
from evogan.report import export
from evogan.watch.run import Moment, WatchedRun

PAUSE = 1.0  # seconds between two looks
FOLLOWS = "follows"  # in a study's attributes: the task of the run that it goes with


def follow(store: Store, name: str, storage: str, artifacts: Path | None = None) -> int:
    """Until the run ends, or does not go on; how many trials there are then. Done again, it goes on.

    Errors: UserError as `export_study` has them; a study of this name that is none of a run that was followed is left
    as it is.
    """
    run = WatchedRun(store, name)
    with export.written(storage) as kept:
        followed = FollowedStudy(run, kept, artifacts)
        while True:
            moment = Moment.of(store, name)  # first: what came before its end is seen
            run.refresh()
            followed.update(moment)
            status = moment.status
            if status is None or not status.going:
                return len(run.rows)
            time.sleep(PAUSE)


class FollowedStudy:
    """The study of a run. A proposal's number is its trial's."""

    def __init__(self, run: WatchedRun, storage: RDBStorage, artifacts: Path | None) -> None:
        self._run, self._storage, self._artifacts = run, storage, artifacts
        self._study = self._opened()
        self._distributions = export.distributions_of(run)
        self._trials: dict[int, int] = {}
        self._running: dict[int, dict[int, float]] = {}  # numbers, and what is known of them
        for trial in self._study.get_trials(deepcopy=False):
            number = trial.user_attrs.get("number")
            if isinstance(number, int):  # else somebody else's
                self._trials[number] = trial._trial_id
                if not trial.state.is_finished():
                    self._running[number] = dict(trial.intermediate_values)

    def _opened(self) -> Study:
        run = self._run
        try:
            study = export.new_study(run, self._storage)
            for name, value in {**export.study_facts(run), "step": "percent", FOLLOWS: run.facts.task}.items():
                study.set_user_attr(name, value)
        except DuplicatedStudyError:
            study = load_study(study_name=run.name, storage=self._storage)
            if study.user_attrs.get(FOLLOWS) != run.facts.task:
                raise UserError(f"study '{run.name}' exists and follows no such run: name another file") from None
        return study

    def update(self, moment: Moment) -> None:
        """With all that was read of the run."""
        run = self._run
        told = (
            {one.row.number: one for one in run.history} if self._running or len(self._trials) < len(run.rows) else {}
        )
        for number in sorted(self._running.keys() & told.keys()):
            self._end(told[number])
            del self._running[number]
        for number in sorted(run.rows.keys() - self._trials.keys()):
            self._trials[number] = self._add(number, told.get(number))
        for number in self._running:
            self._measured(number, self._live(number, moment))

    def _add(self, number: int, told: Told | None) -> int:
        row = self._run.rows[number]
        if told is not None:
            grid = self._grid(told)
            trial = export.ended_trial(
                self._run, told, self._distributions, self._points(told.evaluation.scores), grid, 1.0
            )
        else:
            self._running[number] = {}
            params = {name: value for name, value in row.genome.items() if name in self._distributions}
            trial = create_trial(
                state=TrialState.RUNNING,
                params=params,
                distributions={name: self._distributions[name] for name in params},
                user_attrs=export.origin_facts(row),
            )
        return self._storage.create_new_trial(self._study._study_id, template_trial=trial)

    def _end(self, told: Told) -> None:
        number, values = told.row.number, told.values and self._run.judge.shown(told.values)
        self._measured(number, self._points(told.evaluation.scores))
        for name, fact in export.trial_facts(told).items():
            self._storage.set_trial_user_attr(self._trials[number], name, fact)
        grid = self._grid(told)
        if grid is not None:
            self._storage.set_trial_system_attr(self._trials[number], *export.attached(grid))
        self._storage.set_trial_state_values(self._trials[number], export.state_of(told, 1.0), values)

    def _measured(self, number: int, points: Mapping[int, float]) -> None:
        known = self._running[number]
        for step, value in points.items():
            if known.get(step) != value:
                self._storage.set_trial_intermediate_value(self._trials[number], step, value)
                known[step] = value

    def _live(self, number: int, moment: Moment) -> dict[int, float]:
        """What was heard of it at its checkpoints."""
        row = self._run.rows[number]
        return self._points(moment.curves.get(trial_name(row.identity()), ()))

    def _points(self, points: Iterable[Mapping[str, Any]]) -> dict[int, float]:
        metric, found = self._run.judge.metric, {}
        measured = [point for point in points if math.isfinite(point.get(metric, math.nan))]
        for place, point in enumerate(measured, 1):
            found[round(100 * point["fidelity"]) if "fidelity" in point else place] = float(point[metric])
        return found

    def _grid(self, told: Told) -> export.Grid | None:
        grid = export.grid_of(self._run, told) if self._artifacts is not None else None
        if grid is not None and self._artifacts is not None:
            export.copy_grids([grid], self._artifacts)
        return grid
