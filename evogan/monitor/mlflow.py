"""The same for MLflow, through its client: a run of MLflow for the search, and in it one for every training."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from evogan.engine import Event, Judge
from evogan.errors import UserError, one_line, without_passwords
from evogan.monitor.tally import Tally
from evogan.monitor.tensorboard import AXES, step_of, trial_name
from evogan.trial import Evaluation, Identity, Trial, turned

EXPERIMENT = "evogan"
SEARCH, IDENTITY, TRIAL = "evogan.run", "evogan.identity", "evogan.trial"  # tags; runs are found again by the last two
PARENT = "mlflow.parentRunId"  # MLflow's own
SAID = {  # to its client, if the user says nothing: not to tell its makers, not to try for minutes
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
AT_ONCE = 100  # of parameters and metrics, what a server takes in one request
LONGEST = 500  # characters of a parameter


class MLflow:
    """A listener that writes to the tracking server, or the database, `uri`: the run `name` with `facts` as parameters
    and the best fitness so far; nested in it, for each trial, its genes, metrics and losses against images seen, and
    its sample grid.

    A run that goes on goes on there, too: what is there is not written again. What cannot be written stops nothing: it
    is tried once, `say` gets a line, and the rest is written when the run goes on again. No thread writes: a client
    draws from Python's generator, which DEAP's operators draw from. `identity`: tells the run from those of its name in
    other stores. `files`: where the files of an evaluation lie.
    Errors: UserError if mlflow is not installed, and if nothing can be written to `uri` when it begins.
    """

    def __init__(
        self,
        uri: str,
        name: str,
        identity: str,
        judge: Judge,
        files: Callable[[Identity, Evaluation], Path],
        facts: Mapping[str, object],
        say: Callable[[str], None],
    ) -> None:
        self.check()
        self._uri, self._name, self._identity = uri, name, identity
        self._judge, self._files, self._facts = judge, files, facts
        self._say = say
        self._tally, self._told = Tally(), 0
        self._known: set[str] = set()  # trials that are there
        self._writes = True

    @staticmethod
    def check() -> None:
        """Errors: UserError if mlflow is not installed."""
        for name, value in SAID.items():
            os.environ.setdefault(name, value)
        try:
            import mlflow.tracking  # noqa: F401
        except ImportError:
            raise UserError("mlflow is not installed: pip install 'evogan[track]'") from None
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)

    def __enter__(self) -> MLflow:
        from mlflow.tracking import MlflowClient

        try:
            self._client: Any = MlflowClient(tracking_uri=self._uri)
            self._experiment = self._the_experiment()
            self._parent, self._steps = self._the_run()
            for run in list(self._runs(f"tags.`{PARENT}` = '{self._parent}'")):
                if run.info.status == "RUNNING":  # it came to harm halfway
                    self._client.delete_run(run.info.run_id)
                else:
                    self._known.add(run.data.tags[TRIAL])
        except Exception as error:  # of its client, of databases, of the network
            said = without_passwords(one_line(str(error)))[:300]
            raise UserError(f"mlflow '{without_passwords(self._uri)}' cannot be written: {said}") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        status = "FINISHED" if kind is None else "KILLED"
        self._try(self._client.set_terminated, self._parent, status)

    def __call__(self, event: Event) -> None:
        if event.kind == "progress":
            return
        new = self._tally.add(event)
        if event.kind == "told":
            self._told += 1
            if self._tally.best is not None and self._told > self._steps:
                value = turned(self._judge.metric, self._tally.best.value)
                self._try(self._log, self._parent, [(f"best_{self._judge.metric}", value, self._told)])
        if new and event.trial is not None and event.evaluation is not None:
            self._try(self._write, event.trial, event.evaluation)

    def _try(self, write: Callable[..., None], *given: object) -> None:
        if self._writes:
            try:
                write(*given)
            except Exception as error:  # the network, a full disk
                self._writes = False
                why = without_passwords(one_line(str(error)))[:300]
                self._say(f"mlflow is written no more ({why}): what is missing comes when the run goes on")

    # --- what is there

    def _the_experiment(self) -> str:
        found = self._client.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            return str(found.experiment_id)
        return str(self._client.create_experiment(EXPERIMENT, artifact_location=_beside(self._uri)))

    def _the_run(self) -> tuple[str, int]:
        """The search's own, and how many best values it has."""
        metric = f"best_{self._judge.metric}"
        for run in self._runs(f"tags.`{IDENTITY}` = '{self._identity}'"):
            self._client.set_terminated(run.info.run_id, "RUNNING")
            history = self._client.get_metric_history(run.info.run_id, metric)
            return run.info.run_id, max((point.step for point in history), default=0)
        tags = {SEARCH: self._name, IDENTITY: self._identity}
        made = self._client.create_run(self._experiment, run_name=self._name, tags=tags)
        self._set(made.info.run_id, self._facts)
        return made.info.run_id, 0

    def _runs(self, which: str) -> Iterator[Any]:
        token = None
        while True:
            page = self._client.search_runs([self._experiment], which, page_token=token)
            yield from page
            if not (token := page.token):
                return

    # --- what is written

    def _write(self, trial: Trial, evaluation: Evaluation) -> None:
        name = trial_name(trial)
        if name in self._known:
            return
        self._known.add(name)
        tags = {PARENT: self._parent, TRIAL: name, "key": trial.key, "status": evaluation.status}
        tags |= {"reason": evaluation.reason, "flags": " ".join(evaluation.flags)}
        run = self._client.create_run(self._experiment, run_name=name, tags=tags).info.run_id
        self._set(run, {"fidelity": trial.fidelity, "replicate": trial.replicate, **trial.genome})
        points = []
        for prefix, found in (("", evaluation.scores), ("losses/", evaluation.curve)):
            for i, point in enumerate(found):
                points += [(f"{prefix}{k}", v, step_of(point, i)) for k, v in point.items() if k not in AXES]
        self._log(run, points)
        recorded = (trial.key, trial.task.key, evaluation.fidelity or trial.fidelity, trial.replicate)
        grid = self._files(recorded, evaluation) / "samples.png"
        if grid.is_file():
            self._client.log_artifact(run, str(grid))
        self._client.set_terminated(run, "FAILED" if evaluation.failed else "FINISHED")

    def _log(self, run: str, points: Sequence[tuple[str, float, int]]) -> None:
        from mlflow.entities import Metric

        now = round(time.time() * 1000)
        metrics = [Metric(name, value, now, step) for name, value, step in points]
        for first in range(0, len(metrics), AT_ONCE):
            self._client.log_batch(run, metrics=metrics[first : first + AT_ONCE])

    def _set(self, run: str, values: Mapping[str, object]) -> None:
        from mlflow.entities import Param

        params = [Param(name, str(value)[:LONGEST]) for name, value in values.items()]
        for first in range(0, len(params), AT_ONCE):
            self._client.log_batch(run, params=params[first : first + AT_ONCE])


def _beside(uri: str) -> str | None:
    """Where files go: beside a database in a file; a server knows by itself."""
    path = uri.removeprefix("sqlite:///")
    return None if path == uri else (Path(path).absolute().parent / "mlartifacts").as_uri()
