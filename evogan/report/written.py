"""What winners write, beside what the same generator writes that learned by likelihood alone, at temperatures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from evogan.engine.confirm import Confirmation
from evogan.engine.history import RunHistory
from evogan.extremes import deviation, mean
from evogan.report.translated import Translated

METRICS = ("nll_oracle", "nll_test", "exact_kl", "valid", "distinct", "bleu4", "self_bleu4")
TEMPERATURES, AT = ("0.9", "0.8", "0.7", "0.6"), "_at_"
RIVAL = "by likelihood alone"  # after a genome's name


def written(run: RunHistory) -> list[Translated]:
    """Genomes that were trained on fresh replicates and make sequences, each before its rival. Nothing of others."""
    found: list[Translated] = []
    for one in run.confirmations:
        if not (points := _points(run, one)):
            continue
        found.append(_row(one.name, points))
        twin = run.twins.get(one.key)
        if twin and (theirs := _points(run, twin)):
            name = f"{one.name}, {RIVAL}"
            found += [_row(name, theirs), *_cooled(name, twin)]
        elif twin is None:
            found += _cooled(one.name, one)
    return found


def _points(run: RunHistory, one: Confirmation) -> list[Mapping[str, float]]:
    points = (run.judge.point(e) for e in one.evaluations if not e.failed)
    return [point for point in points if "nll_test" in point]


def _cooled(name: str, one: Confirmation) -> Iterator[Translated]:
    """As they were at the end, when other temperatures are tried."""
    points = [evaluation.scores[-1] for evaluation in one.evaluations if not evaluation.failed]
    for temperature in TEMPERATURES:
        end = f"{AT}{temperature}"
        these = [{m.removesuffix(end): v for m, v in point.items() if m.endswith(end)} for point in points]
        if these and all(these):
            yield _row(f"{name}, temperature {temperature}", these)


def _row(name: str, points: Sequence[Mapping[str, float]]) -> Translated:
    found = {m: [point[m] for point in points if m in point] for m in METRICS}
    return Translated(name, {m: (mean(v), deviation(v)) for m, v in found.items() if v}, len(points))
