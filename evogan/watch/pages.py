"""What pages show: contexts of their templates, and the parts that are drawn anew while somebody looks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment

from evogan.engine import Told
from evogan.engine.history import RunHistory
from evogan.engine.live import trial_name
from evogan.engine.store import ProposalRow
from evogan.evaluation.flags import explain, named
from evogan.genome import Genome, Value, same
from evogan.genome.schedule import in_words
from evogan.monitor import Status
from evogan.monitor.status import RunningTrial
from evogan.monitor.table import span
from evogan.report import charts, facts, lineage
from evogan.report.facts import metric_name, phenotype, short
from evogan.report.page import environment, genome_toml, train_command
from evogan.trial import PLAYERS, Evaluation, budget_unit, turned
from evogan.watch.run import ORDERS, Moment, Order, Tile, WatchedRun

TILES = 48  # on a page of the wall
CARDS = 6  # trials that train, shown with their curves
LOSSES = {"real": "best", "fake": "failed", "generator": "reference", "supervised": "dot"}
STRIP = "samples-{percent}.png"


@cache
def templates() -> Environment:
    made = environment("evogan.watch")
    made.filters |= {"span": span, "named": named, "quoted": lambda name: quote(str(name), safe="")}
    return made


def render(template: str, **context: Any) -> str:
    return templates().get_template(template).render(**context)


# --- a line about a run


@dataclass(frozen=True)
class Line:
    """A run among others. `best`: as the metric has it; `grid`: the evaluation whose images stand for it."""

    name: str
    data: str
    about: str
    state: str
    going: bool
    spent: float
    budget: float
    eta: float | None
    failed: int
    metric: str
    best: float | None
    grid: int | None

    @property
    def share(self) -> float:
        return min(1.0, self.spent / self.budget) if self.budget else 0.0


def line(run: WatchedRun, status: Status | None) -> Line:
    """What its driver last told, or else what the store has."""
    settings, leader, metric = run.settings, run.leader, run.judge.metric
    best = None if leader is None or leader.told.value is None else turned(metric, leader.told.value)
    if not run.complete and status is not None and status.best is not None:
        best = status.best["value"]
    going = status is not None and status.going
    return Line(
        name=run.name,
        data=run.facts.data,
        about=f"{settings.space['name']}, {settings.strategy}, seed {settings.seed}",
        state=state(run, status),
        going=going,
        spent=max(run.account.spent, status.spent if status else 0.0),
        budget=status.budget if status else settings.evaluations,
        eta=status.eta if status and going else None,
        failed=max(run.account.failed.total(), status.counts["failed"] if status else 0),
        metric=metric_name(metric),
        best=best,
        grid=None if leader is None else leader.told.evaluation.id,
    )


def state(run: RunHistory, status: Status | None) -> str:
    """In words, with what can be done about it."""
    if status is None:
        return "its driver told nothing"
    reason = f" ({status.reason})" if status.reason else ""
    if status.ended:
        on = f": evogan resume {run.name} goes on" if status.state == "stopped" else ""
        return f"{status.state}{reason} after {span(status.seconds)}{on}"
    if status.alive is False:
        return f"its driver is gone: evogan resume {run.name} goes on"
    heard = f", last heard of {span(status.age)} ago" if status.age > 10 else ""
    return f"{status.state}{reason} for {span(status.seconds)}{heard}"


# --- a run


def head(run: WatchedRun, moment: Moment) -> str:
    status = moment.status
    statuses: dict[str, int] = dict(status.failed if status else run.account.failed)
    counts = status.counts if status else {}
    return render(
        "head.html.j2",
        run=run,
        line=line(run, status),
        leader=run.leader,
        statuses=statuses,
        counts=counts,
        status=status,
        genomes=len(run.tiles),
        waiting=run.waiting,
        verdict=facts.verdict(run) if status and status.state == "finished" and run.history else "",
    )


@dataclass(frozen=True)
class Training:
    """A trial that trains. `done`: share of it; `said`: the last that was heard, in words; `drawn`: its curves."""

    trial: str
    key: str
    number: int | None
    where: str
    seconds: float
    done: float | None
    said: str
    drawn: str
    stamp: int

    @property
    def what(self) -> str:
        return "check" if self.number is None else f"#{self.number}"


def now(run: WatchedRun, moment: Moment, number: int | None = None) -> str:
    """What trains, or of it one proposal, and where: the longest running first, some with their curves."""
    status = moment.status
    there = status.running if status and status.going else []
    if number is not None:
        there = [trial for trial in there if trial["number"] == number]
    found = [_training(run, trial, moment, drawn=place < CARDS) for place, trial in enumerate(there)]
    more = 0 if status is None or number is not None else status.counts["running"] - len(there)
    return render("now.html.j2", run=run, trials=found, cards=found[:CARDS], more=max(0, more), status=status)


def _training(run: WatchedRun, running: RunningTrial, moment: Moment, *, drawn: bool) -> Training:
    name = trial_name((running["key"], run.facts.task, running["fidelity"], running["replicate"]))
    curve = moment.curves.get(name, [])
    known: dict[str, float] = {}
    for point in [*curve[-2:], {k: v for k, v in running["point"].items() if v is not None}]:
        known |= point
    unit, metric = budget_unit(known), run.judge.metric
    scored = next((point[metric] for point in reversed(curve) if metric in point), known.get(metric))
    said = [f"{short(known[unit])} {unit}"] if unit in known else []
    said += [f"{loss} {short(known[loss])}" for loss in LOSSES if loss in known]
    said += [] if scored is None else [f"{metric_name(metric)} {short(scored)}"]
    done = known.get("fidelity")
    return Training(
        trial=name,
        key=running["key"],
        number=running["number"],
        where=running["where"] or "this machine",
        seconds=running["seconds"],
        done=None if done is None else min(1.0, done / running["fidelity"]),
        said=", ".join(said),
        drawn=losses(curve, f"Losses of {running['key']}") if drawn else "",
        stamp=sum(metric in point or "fid" in point for point in curve),
    )


def losses(curve: Sequence[Mapping[str, float]], caption: str) -> str:
    """Of a training as far as it is; "" where there is no line yet."""
    unit = budget_unit(curve[-1]) if curve else "kimg"
    series = [
        charts.Series(name, "line", [(p[unit], p[name]) for p in curve if name in p and unit in p], colour)
        for name, colour in LOSSES.items()
    ]
    if not any(len(one.points) > 1 for one in series):
        return ""
    return charts.chart(series, unit, "loss", caption, height=190, whole=False)


def best_so_far(run: WatchedRun) -> str:
    """Fitness of every proposal and the best so far; "" where nothing completed."""
    metric = run.judge.metric
    scored = {fidelity: points for fidelity, points in run.scored.items() if points}
    if not scored:
        return ""
    top = max(scored)
    judged = [(float(n), turned(metric, value)) for n, value in scored[top]]
    lower = [
        (n, turned(metric, value)) for fidelity in sorted(scored) if fidelity < top for n, value in scored[fidelity]
    ]
    steps: list[charts.Point] = []
    for (n, _), so_far in zip(scored[top], accumulate((value for _, value in scored[top]), min), strict=True):
        if not steps or steps[-1][1] != turned(metric, so_far):
            steps.append((n, turned(metric, so_far)))
    steps.append((max(run.known), steps[-1][1]))
    failed = [(float(n), 0.0) for n in run.failed[:: 1 + len(run.failed) // 200]]
    return charts.chart(
        [
            charts.Series("lower fidelity" if lower else "", "dots", charts.thinned(lower), "line"),
            charts.Series("evaluated", "dots", charts.thinned(judged)),
            charts.Series("best so far", "step", steps, "best"),
            charts.Series("failed" if failed else "", "crosses", failed, "failed"),
        ],
        "proposal",
        metric_name(metric),
        f"{metric_name(metric)} of every proposal, and the best so far",
    )


def population(run: WatchedRun) -> str:
    """The last proposals with their parents, and the line of the best; "" where none has a parent."""
    best = run.leader.number if run.leader else None
    caption = "The population, lines from parents to children"
    return lineage.population(run.rows, run.known, run.judge, best, caption, lambda n: address(run, n))


def failures(run: WatchedRun) -> str:
    most = sorted(run.failures.values(), key=lambda failure: -failure.count)
    return render("failures.html.j2", run=run, failures=most[:30], more=max(0, len(most) - 30))


def wall(run: WatchedRun, order: Order, page: int) -> str:
    """A page of tiles, from 1."""
    tiles = run.wall(order)
    pages = max(1, math.ceil(len(tiles) / TILES))
    page = min(max(page, 1), pages)
    shown = tiles[(page - 1) * TILES : page * TILES]
    return render(
        "wall.html.j2",
        run=run,
        tiles=[TileShown.of(run, tile) for tile in shown],
        order=order,
        orders=ORDERS,
        page=page,
        pages=pages,
        total=len(tiles),
        here=lambda order, page: "?" + urlencode({"order": order, "page": page}) + "#wall",
    )


@dataclass(frozen=True)
class TileShown:
    """A tile in words. `grid`: the id of the evaluation that has one."""

    number: int
    key: str
    figure: str
    note: str
    flags: tuple[str, ...]
    failed: bool
    grid: int | None
    best: bool
    href: str

    @classmethod
    def of(cls, run: WatchedRun, tile: Tile) -> TileShown:
        told, leader = tile.told, run.leader
        evaluation = told.evaluation
        value = None if told.value is None else turned(run.judge.metric, told.value)
        failed = told.values is None
        said = evaluation.status.replace("_", " ") if failed else ""
        note = [f"at {told.fidelity:.0%}"] if told.fidelity < 1 else []
        note += [f"{len(told.evaluations)} trainings"] if len(told.evaluations) > 1 else []
        return cls(
            number=tile.number,
            key=told.row.key,
            figure=said if value is None else f"{metric_name(run.judge.metric)} {short(value)}",
            note=", ".join(note),
            flags=tuple(named(flag) for flag in evaluation.flags),
            failed=failed,
            grid=told.evaluation.id if has_grid(run, told) else None,
            best=leader is not None and leader.told.row.key == told.row.key,
            href=address(run, tile.number),
        )


def has_grid(run: RunHistory, told: Told) -> bool:
    return (run.store.files(told.identity(told.standing), told.evaluation) / "samples.png").is_file()


def address(run: RunHistory, number: int) -> str:
    return f"/runs/{quote(run.name, safe='')}/genomes/{number}"


# --- a genome


@dataclass(frozen=True)
class Still:
    """Of a film strip: the samples at a share of the training."""

    file: str
    percent: int
    figure: str


@dataclass(frozen=True)
class GeneRow:
    """A gene's value, and those that its parents have; `new`: whether none of them has it. `shown`: it is searched, or
    differs."""

    name: str
    values: tuple[str, ...]
    new: bool
    shown: bool


class GenomePage:
    """A proposal: where it came from, what became of it. `evaluations` are whole."""

    def __init__(self, run: WatchedRun, row: ProposalRow, told: Told | None) -> None:
        self.run, self.row, self.told = run, row, told
        self.parents = [p for p in row.parents or () if p in run.rows]
        self.children = run.children.get(row.number, [])
        ids = [evaluation.id for evaluation in told.evaluations if evaluation.id is not None] if told else []
        self.evaluations: Sequence[Evaluation] = run.store.evaluations_of(ids) if ids else ()

    @property
    def evaluation(self) -> Evaluation | None:
        """That which stands for all."""
        return self.evaluations[self.told.standing] if self.told and self.evaluations else None

    @property
    def folder(self) -> Path | None:
        told = self.told
        return self.run.store.files(told.identity(told.standing), told.evaluation) if told else None

    @property
    def figure(self) -> str:
        if self.told is None:
            return "not evaluated yet"
        if self.told.values is None:
            return self.told.evaluation.status.replace("_", " ")
        shown = zip(self.run.judge.metrics, self.run.judge.shown(self.told.values), strict=True)
        return ", ".join(f"{metric_name(metric)} {short(value)}" for metric, value in shown)

    @property
    def grid(self) -> int | None:
        return self.told.evaluation.id if self.told and has_grid(self.run, self.told) else None

    @property
    def strip(self) -> list[Still]:
        """Its samples through training, as far as they are kept."""
        evaluation, folder = self.evaluation, self.folder
        if evaluation is None or folder is None:
            return []
        metric, found = self.run.judge.metric, []
        for point in evaluation.scores:
            percent = round(100 * point.get("fidelity", 0.0))
            name = STRIP.format(percent=percent)
            if (folder / name).is_file():
                found.append(Still(name, percent, f"{metric_name(metric)} {short(point.get(metric))}"))
        return found

    @property
    def genes(self) -> list[GeneRow]:
        """All active ones, those first in which it differs from its parents."""
        return gene_rows(self.run, self.row.genome, [self.run.rows[p].genome for p in self.parents])

    @property
    def changes(self) -> str:
        return in_words(self.row.genome) if self.row.genome.changes else ""

    @property
    def toml(self) -> str:
        return genome_toml(f"proposal {self.row.number} of {self.run.name}", self.row.genome)

    @property
    def commands(self) -> list[tuple[str, str]]:
        """What to paste: to train it again, and on from its weights."""
        gan, folder, choice = self.run.settings.gan, self.folder, self.run.judge.choice
        if gan is None or self.run.facts.table:
            return []
        found = [("Train it anew, from its genes saved as genome.toml", train_command(gan, choice, "genome.toml"))]
        for name in (PLAYERS, "generator.safetensors"):
            if folder is not None and (folder / name).is_file():
                found.insert(
                    0, ("Train it on, from its weights", train_command(gan, choice, "--from", str(folder / name)))
                )
                break
        return found

    @property
    def troubles(self) -> list[str]:
        return facts.why(self.evaluation) if self.evaluation else []

    @property
    def flags(self) -> list[str]:
        return list(explain(self.evaluation)) if self.evaluation else []


def gene_rows(run: RunHistory, genome: Genome, others: Sequence[Genome]) -> list[GeneRow]:
    mine, theirs = phenotype(run, genome), [phenotype(run, other) for other in others]
    names = dict.fromkeys([*mine, *(name for other in theirs for name in other)])
    searched, rows = {gene.name for gene in run.space.genes}, list[GeneRow]()
    for name in names:
        new = bool(theirs) and not any(_alike(mine.get(name), other.get(name)) for other in theirs)
        values = tuple(_value(one.get(name)) for one in (mine, *theirs))
        rows.append(GeneRow(name, values, new, len(set(values)) > 1 or name in searched))
    return sorted(rows, key=lambda row: (not row.new, len(set(row.values)) == 1))


def _alike(a: Value | None, b: Value | None) -> bool:
    return a is b if a is None or b is None else same(a, b)


def _value(value: Value | None) -> str:
    return "" if value is None else short(value)


def score_rows(run: RunHistory, evaluation: Evaluation | None) -> tuple[list[str], list[list[str]]]:
    """Columns, and a row a metric: at each checkpoint."""
    scores = evaluation.scores if evaluation else ()
    names = list({name: None for point in scores for name in point})
    first = [run.judge.metric] if run.judge.metric in names else []
    names = [*first, *(name for name in names if name not in first)]
    rows = [[metric_name(name), *(short(point[name]) if name in point else "" for point in scores)] for name in names]
    return [f"{i}" for i in range(1, len(scores) + 1)], rows
