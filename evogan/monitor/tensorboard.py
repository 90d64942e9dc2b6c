"""Curves, sample grids and hyperparameters for TensorBoard, in its own file format."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from PIL import Image

from evogan.engine import Event, Judge
from evogan.errors import UserError
from evogan.files import read_small, write_whole
from evogan.monitor.tally import Tally
from evogan.trial import FRESH, Evaluation, Identity, Trial, turned

NAME = "events.out.tfevents"  # TensorBoard looks for it
AXES = ("kimg", "iterations", "fidelity")  # what metrics are drawn over


class TensorBoard:
    """A listener that writes below `folder`: `best`, the best fitness so far against evaluations; and a folder for each
    trial, named by its number and key, with metrics and losses against images seen, its genes, and its sample grid.

    A trial's file comes whole, and stays as it is when a run goes on; `best` is written anew. `files`: where the files
    of an evaluation lie. What cannot be written stops nothing.
    Errors: UserError if tensorboard is not installed.
    """

    def __init__(self, folder: Path, judge: Judge, files: Callable[[Identity, Evaluation], Path]) -> None:
        self.check()
        self._folder, self._judge, self._files = folder, judge, files
        self._tally, self._known = Tally(), 0
        self._best = folder / "best" / f"{NAME}.{time.time():.0f}.{os.getpid()}"

    @staticmethod
    def check() -> None:
        """Errors: UserError if tensorboard is not installed."""
        try:
            import tensorboard.summary.writer.record_writer  # noqa: F401
        except ImportError:
            raise UserError("tensorboard is not installed: pip install 'evogan[tensorboard]'") from None

    def __enter__(self) -> TensorBoard:
        with suppress(OSError):
            for old in self._best.parent.glob(f"{NAME}*"):
                old.unlink()
            write_whole(self._best, _records([_header()]))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left to be written."""

    def __call__(self, event: Event) -> None:
        if event.kind == "progress":
            return
        new = self._tally.add(event)
        if event.kind == "told":
            self._add_best()
        if not new:
            return
        assert event.trial is not None and event.evaluation is not None
        path = self._folder / trial_name(event.trial) / f"{NAME}.evogan"
        with suppress(OSError, UserError):  # the disk is full: what is missing is written when the run goes on again
            if not path.exists():
                write_whole(path, self._trial(event.trial, event.evaluation))

    def _add_best(self) -> None:
        self._known += 1
        metric = self._judge.metric
        if self._tally.best is not None:
            best = {f"best_{metric}": turned(metric, self._tally.best.value)}
            with suppress(OSError), self._best.open("ab") as file:
                file.write(_records([_scalars(self._known, best)]))

    def _trial(self, trial: Trial, evaluation: Evaluation) -> bytes:
        """The content of its file."""
        events = [_header(), _genes(trial)]
        for prefix, points in (("", evaluation.scores), ("losses/", evaluation.curve)):
            for i, point in enumerate(points):
                metrics = {f"{prefix}{name}": value for name, value in point.items() if name not in AXES}
                events.append(_scalars(step_of(point, i), metrics))
        recorded = (trial.key, trial.task.key, evaluation.fidelity or trial.fidelity, trial.replicate)
        grid = self._files(recorded, evaluation) / "samples.png"
        if grid.is_file():
            events.append(_image(step_of(self._judge.point(evaluation), 0), "samples", read_small(grid)))
        return _records([*events, _end(evaluation)])


def trial_name(trial: Trial) -> str:
    replicate = trial.replicate - FRESH if trial.replicate >= FRESH else trial.replicate
    number = "check" if trial.number is None else f"{trial.number:06d}"
    fidelity = "" if trial.fidelity == 1 else f"-f{trial.fidelity:g}"
    return f"{number}-{trial.key}{fidelity}" + (f"-r{replicate}" if trial.replicate else "")


def step_of(point: Mapping[str, float], i: int) -> int:
    """The step of a point: images seen, or iterations; an objective's points are counted."""
    if "iterations" in point:
        return round(point["iterations"])
    return round(1000 * point["kimg"]) if "kimg" in point else i


# --- TensorBoard's records


def _records(events: list[Any]) -> bytes:
    from tensorboard.summary.writer.record_writer import RecordWriter

    buffer = io.BytesIO()
    writer = RecordWriter(buffer)
    for event in events:
        writer.write(event.SerializeToString())
    return buffer.getvalue()


def _event(**content: Any) -> Any:
    from tensorboard.compat.proto.event_pb2 import Event

    return Event(wall_time=time.time(), **content)


def _header() -> Any:
    return _event(file_version="brain.Event:2")


def _scalars(step: int, values: Mapping[str, float]) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary

    found = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
    return _event(step=step, summary=Summary(value=found))


def _image(step: int, tag: str, png: bytes) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary

    width, height = Image.open(io.BytesIO(png)).size
    image = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=png)
    return _event(step=step, summary=Summary(value=[Summary.Value(tag=tag, image=image)]))


def _genes(trial: Trial) -> Any:
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb

    return _event(summary=hparams_pb(dict(trial.genome), trial_id=trial_name(trial)))


def _end(evaluation: Evaluation) -> Any:
    """The hyperparameter table's word for how the trial ended."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams.api_pb2 import Status
    from tensorboard.plugins.hparams.metadata import NULL_TENSOR, SESSION_END_INFO_TAG, create_summary_metadata
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo

    status = Status.Value("STATUS_FAILURE" if evaluation.failed else "STATUS_SUCCESS")
    data = HParamsPluginData(session_end_info=SessionEndInfo(status=status, end_time_secs=time.time()))
    value = Summary.Value(tag=SESSION_END_INFO_TAG, metadata=create_summary_metadata(data), tensor=NULL_TENSOR)
    return _event(summary=Summary(value=[value]))
