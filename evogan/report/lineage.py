"""Who came from whom: the line of the best, and a drawing of the population with lines from parents to children."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice

from evogan.engine import Judge, Told
from evogan.engine.history import RunHistory
from evogan.engine.store import ProposalRow
from evogan.genome import same
from evogan.report import charts, facts
from evogan.report.facts import metric_name
from evogan.trial import turned

RECENT = 300  # proposals in a drawing, beside the best and its ancestors
Rows = Mapping[int, ProposalRow]


@dataclass(frozen=True)
class Step:
    """A proposal on the way to the best. `value`: as the metric has it; `new`: the genes that its nearest parent has
    not, in words."""

    row: ProposalRow
    value: float | None
    new: str


def ancestors(rows: Rows, number: int) -> list[int]:
    """All of them, nearest first."""
    found, front = dict[int, None](), [number]
    while front:
        front = [p for n in front if n in rows for p in rows[n].parents or () if p in rows and p not in found]
        found |= dict.fromkeys(front)
    found.pop(number, None)
    return list(found)


def descent(run: RunHistory) -> list[Step]:
    """From the first to the best, each the parent of the next that is nearest to it in genes; empty without parents."""
    known = {told.row.number: told for told in run.history}
    if run.best is None:
        return []
    line = [run.best.row.number]
    while parents := [p for p in known[line[-1]].row.parents or () if p in known and p not in line]:
        genome = known[line[-1]].row.genome
        line.append(min(parents, key=lambda p: _distance(genome, known[p].row.genome)))
    if len(line) < 2:
        return []
    steps = []
    for n, parent in zip(line, [*line[1:], None], strict=True):
        before = None if parent is None else known[parent].row.genome
        new = "" if before is None else facts.differences(run, known[n].row.genome, before)
        steps.append(Step(known[n].row, facts.fitness(run, known[n]), new))
    return steps[::-1]


def _distance(a: Mapping[str, object], b: Mapping[str, object]) -> int:
    """Genes that differ."""
    return sum(not (name in a and name in b and same(a[name], b[name])) for name in {**a, **b})  # type: ignore[arg-type]


def population(
    rows: Rows,
    known: Mapping[int, Told],
    judge: Judge,
    best: int | None,
    caption: str,
    link: Callable[[int], str] | None = None,
) -> str:
    """The last proposals that completed, with their parents, and the line of the best as an SVG; "" without parents."""
    judged = (n for n in sorted(known, reverse=True) if known[n].value is not None)
    recent = set(islice(judged, RECENT))
    line = [best, *ancestors(rows, best)[:RECENT]] if best is not None else []
    ours = {n for n in line if n in known and known[n].value is not None}
    shown = sorted(recent | ours)
    pairs = [(parent, n) for n in shown for parent in rows[n].parents or () if parent in recent | ours]
    if not pairs:
        return ""
    by_generation = all(rows[n].generation is not None for n in shown)

    def place(n: int) -> charts.Point:
        at = rows[n].generation if by_generation else n
        return float(at or 0), turned(judge.metric, known[n].value or 0.0)

    def dots(label: str, colour: str, numbers: list[int]) -> charts.Series:
        return charts.Series(
            label, "dots", [place(n) for n in numbers], colour, [link(n) for n in numbers] if link else []
        )

    lines = [(place(p), place(n), "best" if p in ours and n in ours else "dot") for p, n in pairs]
    return charts.chart(
        [
            dots("GANs", "dot", [n for n in shown if n not in ours]),
            dots("the best and its ancestors", "best", [n for n in shown if n in ours]),
        ],
        "generation" if by_generation else "proposal",
        metric_name(judge.metric),
        caption,
        lines=sorted(lines, key=lambda one: one[2] == "best"),
        height=290,
    )
