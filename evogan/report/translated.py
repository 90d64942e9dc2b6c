"""What winners make of images of another kind: how like the true images it is, and what comes back of it, beside their
twins and what takes no training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from evogan.engine.confirm import Confirmation
from evogan.engine.history import RunHistory
from evogan.extremes import deviation, mean

METRICS = ("fid", "l1", "psnr", "ssim")
OF_SOME = ("reduced_l1", "psnr_hole")  # kinds of pairs
OF_DOMAINS = ("truth_distance", "gan_test_error", "cycle_error", "cycle_error_noise", "identity_error", "back_fid")
ALL = (*METRICS, *OF_SOME, *OF_DOMAINS)
UNTRAINED = {"copy": "the source itself, bicubic if it is smaller", "mean": "the mean image"}
TWIN = "of pixels alone"  # after a genome's name

Figures = Mapping[str, tuple[float, float]]  # of each metric the mean and the spread over replicates


@dataclass(frozen=True)
class Translated:
    name: str
    figures: Figures
    replicates: int


def columns(found: Sequence[Translated], metrics: Sequence[str] = ALL) -> tuple[str, ...]:
    """Of `metrics` those that there are of any."""
    return tuple(m for m in metrics if any(m in one.figures for one in found))


def translated(run: RunHistory) -> list[Translated]:
    """Genomes that were trained on fresh replicates and make images of images, each before its twin; then what takes
    no training. Nothing of others."""
    found: list[Translated] = []
    untrained: Mapping[str, float] = {}
    for one in run.confirmations:
        points = _points(run, one)
        if not points:
            continue
        untrained = points[0]
        found += _rows(one.name, points)
        if twin := run.twins.get(one.key):
            found += _rows(f"{one.name}, {TWIN}", _points(run, twin))
    for kind, name in UNTRAINED.items():
        figures = {m: (untrained[f"{m}_{kind}"], 0.0) for m in ALL if f"{m}_{kind}" in untrained}
        found += [Translated(name, figures, 0)] if figures else []
    return found


def _points(run: RunHistory, one: Confirmation) -> list[Mapping[str, float]]:
    points = (run.judge.point(e) for e in one.evaluations if not e.failed)
    return [point for point in points if {"psnr", "cycle_error"} & point.keys()]


def _rows(name: str, points: Sequence[Mapping[str, float]]) -> Iterator[Translated]:
    if points:
        found = {m: [point[m] for point in points] for m in ALL if m in points[0]}
        yield Translated(name, {m: (mean(v), deviation(v)) for m, v in found.items()}, len(points))
