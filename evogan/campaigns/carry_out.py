"""Campaigns are carried out here: many runs, one after the other, in one store."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from evogan.caller import undisturbed
from evogan.campaigns.plan import Campaign, PlannedRun, read_campaign
from evogan.campaigns.status import CampaignStatus, RunState
from evogan.engine import Event
from evogan.errors import UserError, without_passwords
from evogan.files import expand, file_name, read_small, write_whole
from evogan.monitor import read_status
from evogan.runs.checks import check, check_images, check_same
from evogan.runs.gans import GANProblem, Tell, lines
from evogan.runs.launch import Outside, launch
from evogan.runs.place import Place
from evogan.runs.plan import Plan, settle
from evogan.runs.run import Run
from evogan.settings import GANSettings, Resources
from evogan.settings.gan import AUTO as AUTO_FEATURES
from evogan.strategies import AUTO, strategy_options
from evogan.trial import GANTask

CRASHED = "crashed.txt"  # in the folder of a run: why it ended


@dataclass(frozen=True)
class Ran:
    """`runs` that ended as they should, in the campaign's order; `crashed`: the names of the others, and why."""

    runs: list[Run]
    crashed: dict[str, str]


@undisturbed()
def run_campaign(
    path: str | Path,
    *,
    runs: str | Path | None = None,
    store: str | None = None,
    workers: int | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Ran:
    """Carry out the campaign in a file, or go on with it: what is finished is left alone, what is new is added.

    Its runs take turns, and share the store, so that none trains what another one has. One that crashes does not stop
    the others. runs, store: as of `evogan.search`. workers: in place of the file's. `say` gets a line about
    each data set, and one as a run ends, or waits for a store or a disk. Errors: UserError, before anything is trained,
    for every mistake in the file.
    """
    campaign, place = read_campaign(path), Place.of(runs, store)
    resources = campaign.resources if workers is None else replace(campaign.resources, workers=workers)
    try:
        settled = _settle(campaign, place, resources, lines(say))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    problems = [plan.problem for plan in settled.values()]
    for line in dict.fromkeys(line for problem in problems for line in problem.lines):
        say(line)
    for planned in campaign.runs:
        if planned.name in settled:
            _carry_out(place, planned.name, settled[planned.name], say)
            say(campaign_status(campaign, place).line(planned.name))
    status = campaign_status(campaign, place)
    done: list[Run] = []
    if status.done:
        kept = place.existing()
        done = [Run(kept, run.name) for run in status.done]
    return Ran(done, {run.name: run.crashed for run in status.crashed})


def report_campaign(
    path: str | Path, *, out: str | Path | None = None, runs: str | Path | None = None, store: str | None = None
) -> Path:
    """Write the HTML page of the campaign in a file, as far as it is, and those of its runs that are not up to date.

    The path of the page, `campaign.html` in the folder `out`, by default `runs/NAME` (a run may have that name too: it
    writes no such file). The runs' pages lie beside the store, or in `out` where that cannot be written.
    Errors: UserError for mistakes in the file, and if none of its runs has begun.
    """
    from evogan.campaigns.page import write_campaign

    campaign, place = read_campaign(path), Place.of(runs, store)
    kept = place.existing()
    known = kept.names()
    begun = [Run(kept, run.name) for run in campaign.runs if run.name in known]
    if not begun:
        raise UserError(f"{path}: none of its {len(campaign.runs)} runs has begun in '{kept.folder}'")
    folder = kept.folder / file_name(campaign.name) if out is None else expand(out)
    pages = folder if kept.database.read_only else kept.folder
    for run in begun:
        if not _has_report(place, run.name, pages / run.name / "report.html"):
            run.report(pages / run.name)
    return write_campaign(campaign, campaign_status(campaign, place), begun, folder, pages)


def _has_report(place: Place, name: str, page: Path) -> bool:
    """Whether it was written after whatever the run did last."""
    status = place.status(name)
    return page.is_file() and status.is_file() and page.stat().st_mtime >= status.stat().st_mtime


def campaign_status(campaign: Campaign, place: Place) -> CampaignStatus:
    """How far a campaign is, from the files of its runs."""
    return CampaignStatus(campaign.name, [_state(run, place) for run in campaign.runs])


def _state(run: PlannedRun, place: Place) -> RunState:
    path = place.status(run.name)
    status, crash = read_status(path), path.with_name(CRASHED)
    return RunState(
        name=run.name,
        data=run.data,
        space=run.space.name,
        strategy=run.strategy,
        evaluations=run.evaluations,
        checks=run.checks(status.references if status else None),
        status=status,
        crashed=_why(crash),
        total_seconds=run.search["total_seconds"],
    )


def _why(crash: Path) -> str:
    """The last line of what was kept; empty where nothing crashed."""
    if not crash.exists():
        return ""
    lines = read_small(crash).decode(errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "for a reason that is not known")


def _settle(campaign: Campaign, place: Place, resources: Resources, tell: Tell) -> dict[str, Plan]:
    """All that is not finished, checked as far as it can be without training."""
    store = place.existing() if place.has_store else None
    known = store.names() if store else []
    judged_on: dict[str, tuple[GANProblem, GANTask]] = {}
    found = {}
    for run in campaign.runs:
        before = store.run(run.name) if store and run.name in known else None
        if run.data not in judged_on:
            gan = GANSettings.of(**run.gan)
            if before and gan.features == AUTO_FEATURES:
                gan = replace(gan, features=before["gan"].get("features"))  # what that meant when it began
            problem = GANProblem(gan, place.features, tell)
            if store and before:
                check_images(store, run.name, problem)
            judged_on[run.data] = problem, problem.prepare(here=resources.ray is None)[0]
        problem, task = judged_on[run.data]
        search = dict(run.search) | _begun_with(run, before)
        plan = settle(run.space, problem, place, resources, search, campaign.plugins).going_on(before or {})
        check(run.name, plan)
        if before is None:
            plan.sources(place)
        if store is not None and before is not None:
            check_same(store, run.name, before | asdict(plan.settings) | {"task": task.key, "features": task.features})
        grown = before is not None and any(
            before.get(name) != getattr(plan.settings, name) for name in ("total_seconds", "target", "patience")
        )
        if before is None or grown or not _state(run, place).is_done:
            found[run.name] = plan
    return found


def _begun_with(run: PlannedRun, before: Mapping[str, Any] | None) -> dict[str, Any]:
    """What follows from the budget that a run began with, and stays when that grows: `auto`'s choice, and a plan."""
    options, strategy = dict(run.search["options"]), run.search["strategy"]
    if before is None:
        return {}
    if strategy == AUTO:
        return {"strategy": before["strategy"], "options": before["options"] | options}
    if "evaluations" not in strategy_options(strategy):
        return {}
    return {"options": {"evaluations": before["options"].get("evaluations", run.evaluations)} | options}


def _carry_out(place: Place, name: str, plan: Plan, say: Callable[[str], None]) -> None:
    """Whatever ends a run but the user is kept beside it, and the next run's turn comes."""

    def hear(event: Event) -> None:
        if event.kind == "waiting":
            say(f"{name} is waiting: {event.reason}")

    crash = place.status(name).with_name(CRASHED)
    crash.unlink(missing_ok=True)
    try:
        launch(place, name, plan, Outside(hear)).close()
    except Exception as error:
        why = str(error) if isinstance(error, UserError) else traceback.format_exc()
        write_whole(crash, without_passwords(why.strip()).encode())
