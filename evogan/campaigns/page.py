"""The HTML page of a campaign: the best GANs, the comparison, why trainings failed, and every run."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from textwrap import shorten
from typing import Any
from urllib.parse import quote

from evogan.campaigns.plan import Campaign
from evogan.campaigns.status import CampaignStatus
from evogan.comparison import Comparison
from evogan.comparison.comparison import Entry
from evogan.engine.history import RunHistory
from evogan.files import write_whole
from evogan.report import facts
from evogan.report.comparison import Section, shown
from evogan.report.grids import Grid, best_grid, real_grid, reference_grid
from evogan.report.page import environment

REASON = 80  # characters of a reason that the page shows


@dataclass(frozen=True)
class Winner:
    """The best run of a problem, among `runs`, with its images beside real and published ones."""

    problem: str
    run: RunHistory
    runs: int
    verdict: str
    genes: str
    grids: list[Grid]


def write_campaign(
    campaign: Campaign, status: CampaignStatus, begun: Sequence[RunHistory], folder: Path, pages: Path
) -> Path:
    """Write `folder/campaign.html`, whole or not at all; its path. It links to the runs' pages, in `pages`."""
    page = folder / "campaign.html"
    links = {run.name: _link(pages / run.name / "report.html", folder) for run in begun}
    write_whole(page, _render(campaign, status, begun, links).encode())
    return page


def _render(campaign: Campaign, status: CampaignStatus, begun: Sequence[RunHistory], links: Mapping[str, str]) -> str:
    planned = campaign.runs
    comparison = Comparison(begun, called={run.name: (f"{run.data}/{run.space.name}", run.strategy) for run in planned})
    drawn = shown(comparison)
    drawn["sections"] += list(_failures(comparison.runs))
    return (
        environment()
        .get_template("campaign.html.j2")
        .render(
            drawn,
            campaign=campaign,
            status=status,
            states=Counter(run.state for run in status.runs),
            links=links,
            data=_different(run.data for run in planned),
            spaces=_different(run.space.name for run in planned),
            strategies=_different(run.strategy for run in planned),
            seeds=_different(str(run.seed) for run in planned),
            budgets=_different(str(run.evaluations) for run in planned),
            finalists=_different(f"{run.settings.finalists} on {run.settings.confirm} fresh seeds" for run in begun),
            fitness=_different(facts.metric_name(m) for run in begun for m in run.settings.fitness.split(",")),
            trainings=_different(run.settings.gan.budget for run in begun if run.settings.gan),
            winners=_winners(comparison.runs),
            rows=_rows(status, begun),
        )
    )


def _different(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _link(page: Path, folder: Path) -> str:
    return quote(Path(os.path.relpath(page, folder)).as_posix())


# --- the best


def _winners(runs: Sequence[Entry]) -> list[Winner]:
    """Of every problem in which something completed."""
    winners = []
    for problem in _different(entry.problem for entry in runs):
        found = [entry.run for entry in runs if entry.problem == problem and entry.run.best]
        if found:
            winners.append(_winner(problem, min(found, key=_order), len(found)))
    return winners


def _order(run: RunHistory) -> tuple[bool, int, float]:
    """What was checked on fresh replicates comes first: a search's own best is the luckiest of many."""
    checked = facts.checked_best(run)
    return (True, 0, run.ranking[0].value or 0.0) if checked is None else (False, *checked.order)


def _winner(problem: str, run: RunHistory, runs: int) -> Winner:
    assert run.best is not None
    reference = facts.best_reference(run)
    beside = reference_grid(run, reference.name, reference.key) if reference else ()
    return Winner(
        problem=problem,
        run=run,
        runs=runs,
        verdict=facts.verdict(run),
        genes=facts.differences(run, run.best.row.genome, reference.genome if reference else None),
        grids=[*real_grid(run), *beside, *best_grid(run)],
    )


# --- failures


def _failures(runs: Sequence[Entry]) -> Iterator[Section]:
    """How trainings of the searches ended that failed: a row a kind, a column a strategy. Nothing if none did."""
    strategies = sorted({entry.strategy for entry in runs})
    rows: list[Sequence[str]] = []
    for problem in _different(entry.problem for entry in runs):
        searched: dict[str, list[Any]] = {strategy: [] for strategy in strategies}
        for entry in runs:
            if entry.problem == problem:
                searched[entry.strategy] += facts.evaluations(entry.run)
        kinds = {strategy: Counter(map(facts.kind, found)) for strategy, found in searched.items()}
        troubles = facts.troubles(chain(*searched.values()))
        if troubles:
            rows.append((problem, "all", "", *(str(len(found)) for found in searched.values())))
        for trouble in troubles:
            counts = [str(kinds[strategy][facts.kind(trouble)] or "") for strategy in strategies]
            reason = shorten(trouble.reason, REASON, placeholder=" ...")
            rows.append((problem, trouble.status.replace("_", " "), reason, *counts))
    if not rows:
        return
    note = (
        "Evaluations of the searches, over all seeds; one that several runs were told counts for each. Of reasons that "
        "differ in numbers the first is shown. What completed is listed where training broke after a score checkpoint."
    )
    columns = ("problem", "status", "reason", *strategies)
    yield Section("Why it failed", note, columns, rows, names=3)


# --- every run


def _rows(status: CampaignStatus, begun: Sequence[RunHistory]) -> list[dict[str, Any]]:
    known = {run.name: run for run in begun}
    rows = []
    for state in status.runs:
        run = known.get(state.name)
        checked = facts.checked_best(run) if run else None
        rows.append(
            {
                "name": state.name,
                "state": state.state,
                "budget": state.evaluations,
                "spent": facts.short(run.spent[-1]) if run and run.spent else "0",
                "failed": facts.counts(run)["failed"] if run else "",
                "best": facts.short(facts.fitness(run, run.ranking[0])) if run and run.ranking else "",
                "checked": facts.figure(checked) if checked else "",
                "seconds": facts.Time.of(facts.evaluations(run)).seconds if run else 0.0,
            }
        )
    return rows
