"""The HTML page of a run: one file that needs nothing else, and the sample grids beside it."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from evogan.engine.history import RunHistory
from evogan.files import check_folder, write_whole
from evogan.genome import Genome, Value
from evogan.genome.schedule import in_words
from evogan.report import facts, figures
from evogan.report.grids import Grid, best_code_grids, best_level_grids, generation_grids, sample_grids, training_grids
from evogan.report.importance import Importance, gene_importance
from evogan.report.lineage import descent
from evogan.report.looks import Looks
from evogan.report.tables import TOP, varying_genes
from evogan.report.translated import columns, translated
from evogan.report.written import METRICS, written
from evogan.settings import GANSettings
from evogan.shipped import AT
from evogan.trial import Choice, Evaluation, budget_of


def write_report(run: RunHistory, folder: Path, looks: Looks | None = None) -> Path:
    """Write `folder/report.html` and the grids beside it, each whole or not at all; the page's path."""
    check_folder(folder)
    grids = list(sample_grids(run))
    folder.mkdir(parents=True, exist_ok=True)
    for grid in grids:
        write_whole(folder / f"{grid.name}.png", grid.png)
    page = folder / "report.html"
    write_whole(page, render(run, grids, looks or Looks()).encode())
    return page


def environment(*packages: str) -> Environment:
    """Of every page's template: text is escaped, a missing name is an error. `packages` have some of their own."""
    made = Environment(
        loader=ChoiceLoader([PackageLoader(package, ".") for package in (*packages, "evogan.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"short": facts.short, "metric": facts.metric_name, "duration": facts.duration}
    made.filters |= {"figured": lambda figure: facts.figured(*figure)}
    made.filters |= {"shape": facts.shape, "many": facts.many, "percent": facts.percent, "of_twin": facts.of_twin}
    return made


def render(run: RunHistory, grids: list[Grid], looks: Looks) -> str:
    """The page as text."""
    generations = facts.generations(run)
    searched, checked, twins = facts.evaluations(run), facts.checks(run), facts.twins(run)
    top, best = run.ranking[:TOP], run.best
    importance = gene_importance(run)
    drawn = {
        "best_so_far": figures.best_so_far(run),
        "generations": figures.generations(run),
        "lineage": figures.lineage(run),
        "front": figures.front(run),
        "learning": figures.learning_curves(run),
        "genes": figures.best_genes(run, top, facts.best_reference(run)),
        "importance": figures.importance(importance) if isinstance(importance, Importance) else None,
        "ranks": figures.loss_against_fid(run),
        "seconds": figures.seconds(run),
        "truncation": figures.truncation(looks.truncation),
    }
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            run=run,
            settings=run.settings,
            facts=run.facts,
            counts=facts.counts(run),
            verdict=facts.verdict(run),
            knowledge=facts.knowledge(run),
            standings=facts.standings(run),
            classified=facts.classified(run),
            translated=translated(run),
            likenesses=columns(translated(run)),
            written=written(run),
            of_written=columns(written(run), METRICS),
            grids=grids,
            generations=generations,
            nearest=Grid("nearest", "", "", looks.nearest) if looks.nearest else None,
            architectures=looks.architectures,
            widest=facts.widest(looks.architectures),
            looks_missing=looks.missing,
            strip=list(generation_grids(run, generations)) if len(generations) > 1 else [],
            through_training=list(training_grids(run)),
            codes=list(best_code_grids(run)),
            levels=list(best_level_grids(run)),
            figures=drawn,
            no_importance=importance if isinstance(importance, str) else "",
            top=top,
            descent=descent(run)[-TOP:],
            estimate=facts.estimate(best.evaluation) if best else "",
            trainings=facts.trainings(run),
            varying=varying_genes(run, top),
            changes=[in_words(told.row.genome) for told in top],
            statuses=Counter(evaluation.status for evaluation in searched),
            troubles=facts.troubles(searched),
            check_troubles=facts.troubles([*checked, *twins]),
            flagged=facts.flagged(searched),
            check_flagged=facts.flagged(checked),
            checks=len(checked),
            times=[
                (what, time)
                for what, time in (
                    ("search", facts.Time.of(searched)),
                    ("fresh replicates", facts.Time.of(checked)),
                    ("twins", facts.Time.of(twins)),
                )
                if time.seconds
            ],
            best_toml=genome_toml(f"evolved #{best.row.number} of {run.name}", best.row.genome) if best else "",
            train_command=train_command(run.settings.gan, run.judge.choice, "best.toml") if run.settings.gan else "",
            provenance=_provenance([*searched, *checked]),
        )
    )


# --- what to paste


def genome_toml(title: str, genome: Genome) -> str:
    """The genome, or schedule, as a file that `evogan train` reads."""
    lines = [f"title = {_toml(title)}", "", "[genes]", *_assignments(genome)]
    for at, genes in genome.changes:
        lines += ["", "[[changes]]", f"{AT} = {at!r}", *_assignments(genes)]
    return "\n".join(lines)


def _assignments(genome: Genome) -> list[str]:
    return [f"{_toml_key(name)} = {_toml(value)}" for name, value in genome.items()]


def _toml(value: Value) -> str:
    """JSON's strings, booleans and numbers are TOML's too."""
    return json.dumps(value, ensure_ascii=False)


def _toml_key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _toml(name)


def train_command(gan: GANSettings, choice: Choice, *what: str) -> str:
    """The protocol under which the run judged its genomes, and chose checkpoints."""
    words = ["evogan", "train", *what]
    named = ("data", "data_dir", "image_size", "classes", "labels", "pairs", "domains", "conditions", "tokens")
    for option in (*named, budget_of(vars(gan)), "features", "samples", "precision", "threads"):
        value = getattr(gan, option)
        if value is not None:
            text = f"{value:.12g}" if isinstance(value, float) else str(value)
            if option == "classes":
                text = _row(value)
            words += [f"--{option.replace('_', '-')}", text]
    if choice.metrics != Choice().metrics:
        words += ["--fitness", ",".join(choice.metrics)]
    if choice.score != Choice().score:
        words += ["--score", choice.score]
    return shlex.join(words)


def _row(values: Iterable[object]) -> str:
    """Quoted where a name has a comma in it."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(values)
    return line.getvalue()


def _provenance(evaluations: list[Evaluation]) -> list[tuple[dict[str, Any], int]]:
    """Different provenances, and how many evaluations have each."""
    known = Counter(json.dumps(e.provenance, sort_keys=True) for e in evaluations if e.provenance)
    return [(json.loads(text), n) for text, n in known.most_common()]
