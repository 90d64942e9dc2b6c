"""What the command line prints: tables for people, documents for machines."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from evogan.engine import Told
from evogan.engine.history import RunHistory
from evogan.evaluation.flags import named
from evogan.genes import GENES
from evogan.genome import GeneTable, Genome, any_of
from evogan.genome.schedule import in_words
from evogan.report import facts
from evogan.report.facts import metric_name, short, trainings
from evogan.report.lineage import descent
from evogan.report.translated import Translated, columns, translated
from evogan.report.written import METRICS, written
from evogan.shipped import GenomeFile
from evogan.space import Space
from evogan.strategies import AUTO, STRATEGIES, strategy_options
from evogan.trial import Evaluation

if TYPE_CHECKING:  # torch, where it is wanted
    from evogan.evaluation.architecture import Player

TOP = 10  # genomes that tables and figures show


# --- documents


def as_document(run: RunHistory) -> dict[str, Any]:
    """A run and its outcome as plain JSON data; what is not a number is None."""
    settings, best = run.settings, run.best
    return {
        "name": run.name,
        "data": run.facts.data,
        "space": settings.space["name"],
        "strategy": settings.strategy,
        "seed": settings.seed,
        "fitness": settings.fitness,
        "counts": facts.counts(run),
        "ended_early": run.ended_early,
        "learned_from": [source.name for source in run.knowledge.sources],
        "flags": {flag: found.count for flag, found in facts.flagged(facts.evaluations(run)).items()},
        "best": best
        and {
            "number": best.row.number,
            "key": best.row.key,
            **_genome(best.row.genome),
            "value": facts.fitness(run, best),
        },
        "lineage": [
            {
                "number": step.row.number,
                "generation": step.row.generation,
                "operator": step.row.operator,
                "parents": list(step.row.parents or ()),
                "value": step.value,
            }
            for step in descent(run)
        ],
        "front": [
            {
                "number": told.row.number,
                "key": told.row.key,
                "values": dict(zip(run.judge.metrics, run.judge.shown(told.values or ()), strict=True)),
                **_genome(told.row.genome),
            }
            for told in run.front
        ],
        "confirmations": [
            {
                "name": c.name,
                "key": c.key,
                "mean": _finite(c.shown),
                "spread": _finite(c.spread),
                "replicates": len(c.values),
                "failures": c.failures,
                **_genome(c.genome),
            }
            for c in run.confirmations
        ],
        "classified": [
            {
                "name": c.name,
                **{name: e[0] for name, e in _errors(c).items()},
                **{f"{name}_spread": _finite(e[1]) for name, e in _errors(c).items()},
                "replicates": c.replicates,
                "twins_failed": c.failed,
                "images": c.images,
            }
            for c in facts.classified(run)
        ],
        "translated": [*map(_figures, translated(run))],
        "written": [*map(_figures, written(run))],
    }


def _figures(found: Translated) -> dict[str, Any]:
    return {
        "name": found.name,
        **{metric: figure[0] for metric, figure in found.figures.items()},
        **{f"{metric}_spread": _finite(figure[1]) for metric, figure in found.figures.items() if found.replicates},
        "replicates": found.replicates,
    }


def _errors(found: facts.Classified) -> dict[str, tuple[float, float]]:
    errors = {"error": found.error, "twin": found.twin, "nearest": found.nearest}
    return {name: error for name, error in errors.items() if error is not None}


def _genome(genome: Genome) -> dict[str, Any]:
    changes = [{"at": at, "genes": dict(genes)} for at, genes in genome.changes]
    return {"genome": dict(genome), **({"changes": changes} if changes else {})}


def evaluation_document(evaluation: Evaluation) -> dict[str, Any]:
    """An evaluation as plain JSON data, without its files."""
    return {
        "status": evaluation.status,
        "reason": evaluation.reason,
        "flags": list(evaluation.flags),
        "why": facts.why(evaluation),
        "estimate": facts.estimate(evaluation),
        "scores": [_finite_all(point) for point in evaluation.scores],
        "curve": [_finite_all(point) for point in evaluation.curve],
        "diagnostics": [
            {
                player: {layer: _finite_all(numbers) for layer, numbers in layers.items()}
                for player, layers in found.items()
            }
            for found in evaluation.diagnostics
        ],
        "cost": _finite_all(evaluation.cost),
        "provenance": dict(evaluation.provenance),
    }


def _finite(value: float) -> float | None:
    """JSON knows no NaN."""
    return value if math.isfinite(value) else None


def _finite_all(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: _finite(value) for name, value in values.items()}


# --- tables


def _table(
    title: str,
    columns: Iterable[str],
    rows: Iterable[Sequence[object]],
    caption: str = "",
    right: Container[str] = (),
) -> Table:
    """Cells are text as it is: names of users' are no markup. Columns of numbers are aligned to the right."""
    body = [list(row) for row in rows]
    table = Table(title=Text(title) if title else None, caption=Text(caption) if caption else None)
    for i, column in enumerate(columns):
        numbers = body and all(isinstance(row[i], int | float) or row[i] == "" for row in body)
        table.add_column(Text(column), justify="right" if numbers or column in right else "left", overflow="fold")
    for row in body:
        table.add_row(*(cell if isinstance(cell, Text) else Text(short(cell)) for cell in row))
    return table


def verdict(run: RunHistory) -> Table | Text:
    """The best evolved genomes beside the published ones, all retrained with fresh seeds."""
    columns = ("", "genome", metric_name(run.judge.metric), "spread", "replicates", "failed", "", "genes")
    rows = [
        (
            "best" if s.best else "",
            s.confirmation.name,
            _number(s.confirmation.shown),
            _number(s.confirmation.spread),
            len(s.confirmation.values),
            s.confirmation.failures,
            s.against,
            s.genes if s.evolved else "published",
        )
        for s in facts.standings(run)
    ]
    said = "\n".join(filter(None, (facts.verdict(run), facts.knowledge(run))))
    if not rows:
        return Text(f"{run.name}: {said}")
    table = _table(run.name, columns, rows, said)
    for row, standing in zip(table.rows, facts.standings(run), strict=True):
        row.style = "bold green" if standing.best else None
    return table


def classified(run: RunHistory) -> Table:
    """How well those tell classes apart that learned from few labels."""
    found = facts.classified(run)
    rows = [(c.name, facts.percent(c.error), facts.of_twin(c), facts.percent(c.nearest), c.replicates) for c in found]
    title = f"error on {found[0].images}" if found else ""
    return _table(title, ("genome", "error", "its supervised twin", "1-NN on pixels", "replicates"), rows)


def translations(run: RunHistory) -> Table:
    """How like the true images what they make of held-out sources is."""
    found = translated(run)
    return _figures_table("made of held-out sources", found, columns(found))


def sequences(run: RunHistory) -> Table:
    """How good the sequences are that they write, beside those of their rivals."""
    found = written(run)
    return _figures_table("sequences, beside likelihood alone", found, columns(found, METRICS))


def _figures_table(title: str, found: Sequence[Translated], metrics: Sequence[str]) -> Table:
    rows = [
        (t.name, *(facts.figured(*t.figures[m]) if m in t.figures else "" for m in metrics), t.replicates or "")
        for t in found
    ]
    return _table(title, ("", *map(metric_name, metrics), "replicates"), rows)


def _number(value: float | None) -> float | str:
    return value if value is not None and math.isfinite(value) else ""


def best_genomes(run: RunHistory) -> Table:
    """The best of the search, a column each, with the genes in which they differ: a space may have many."""
    top = run.ranking[:TOP]
    rows: list[Sequence[object]] = [
        ("proposal", *(told.row.number for told in top)),
        *([("generation", *map(_generation, top))] if any(told.row.generation is not None for told in top) else []),
        *(
            (metric_name(metric), *map(_number, values))
            for metric, *values in zip(run.judge.metrics, *(run.judge.shown(t.values or ()) for t in top), strict=True)
        ),
    ]
    if run.judge.others:
        rows.append(("Pareto front", *("yes" if told in run.front else "" for told in top)))
    for gene in varying_genes(run, top):
        rows.append((gene, *(told.row.genome.get(gene, "") for told in top)))
    if any(told.row.genome.changes for told in top):
        rows.append(("changes", *(in_words(told.row.genome) for told in top)))
    title = f"best {len(top)} of the search, {trainings(run)} each"
    return _table(title, ("rank", *(str(rank) for rank in range(1, len(top) + 1))), rows)


def lineage(run: RunHistory) -> Table:
    """How the best came about: its line from parent to child, as far as the strategy says."""
    steps = descent(run)
    rows = [
        (
            step.row.number,
            "" if step.row.generation is None else step.row.generation,
            (step.row.operator or "").replace("_", " "),
            " ".join(f"#{parent}" for parent in step.row.parents or ()),
            _number(step.value),
            step.new,
        )
        for step in steps[-TOP:]
    ]
    more = f"and {len(steps) - TOP} before" if len(steps) > TOP else ""
    title = f"how the best, #{steps[-1].row.number}, came about" if steps else ""
    columns = ("proposal", "generation", "by", "parents", metric_name(run.judge.metric), "new against the one above")
    return _table(title, columns, rows, more)


def _generation(told: Told) -> int | str:
    return "" if told.row.generation is None else told.row.generation


def varying_genes(run: RunHistory, top: Sequence[Told]) -> list[str]:
    """The genes of the space in which `top` differ; a gene that some lack differs. All that a single one has."""
    names = [gene.name for gene in run.space.genes]
    if len(top) == 1:
        return [name for name in names if name in top[0].row.genome]
    return [name for name in names if len({str(told.row.genome.get(name)) for told in top}) > 1]


def runs(found: Iterable[RunHistory]) -> Table:
    """A row a run, oldest first."""
    columns = ("name", "data", "space", "strategy", "seed", "evaluations", "failed", "fitness", "best")
    rows = []
    for run in found:
        settings, counted = run.settings, facts.counts(run)
        rows.append(
            (
                run.name,
                run.facts.data,
                settings.space["name"],
                settings.strategy,
                settings.seed,
                f"{counted['spent']:g}/{settings.evaluations}",
                counted["failed"],
                metric_name(settings.fitness),
                _number(facts.fitness(run, run.best)),
            )
        )
    caption = "best: in the search, where it is the luckiest of noisy numbers; `evogan show` says how it held"
    return _table("", columns, rows, caption if rows else "no runs yet")


def scores(evaluation: Evaluation) -> Table:
    """A column a score checkpoint."""
    names = list({name: None for point in evaluation.scores for name in point})
    rows = [(metric_name(name), *(point.get(name, "") for point in evaluation.scores)) for name in names]
    columns = ("checkpoint", *map(str, range(1, len(evaluation.scores) + 1)))
    return _table("", columns, rows, "" if rows else "no checkpoint was reached")


def troubles(run: RunHistory) -> Table:
    """What went wrong in the search: failures with their reasons, and flags."""
    searched = facts.evaluations(run)
    rows = [(trouble.status.replace("_", " "), trouble.count, trouble.reason) for trouble in facts.troubles(searched)]
    rows += [(named(flag), found.count, found.example) for flag, found in facts.flagged(searched).items()]
    return _table(f"what went wrong in {len(searched)} evaluations", ("", "evaluations", "the first one"), rows)


def zoo_row(file: GenomeFile, parameters: Mapping[str, int]) -> dict[str, Any]:
    """A published GAN in a line. `parameters`: of each player."""
    genes = GENES.complete(file.genome)
    return {
        "name": file.name,
        "title": file.title,
        "backbone": genes.get("backbone", genes.get("translator", "")),
        "loss": facts.loss(genes),
        "penalty": facts.penalty(genes),
        **parameters,
        "source": file.source,
    }


def layers(player: Player) -> Table:
    """Of a network, with what they add up to."""
    rows: list[Sequence[object]] = [
        (layer.name, layer.what, facts.shape(layer.shape), f"{layer.parameters:,}", facts.many(layer.flops))
        for layer in player.layers
    ]
    rows.append((Text("in all", "bold"), "", "", f"{player.parameters:,}", facts.many(player.flops)))
    return _table(player.name, ("layer", "", "gives", "parameters", "FLOPs"), rows, right=("parameters", "FLOPs"))


def layers_document(player: Player) -> dict[str, Any]:
    """The same as plain JSON data."""
    return {"layers": [asdict(layer) for layer in player.layers]} | {
        "parameters": player.parameters,
        "flops": player.flops,
    }


def zoo(rows: Sequence[Mapping[str, Any]]) -> Table:
    """The published GANs."""
    return _table("", rows[0], [[*row.values()] for row in rows])


def spaces(found: Iterable[Space]) -> Table:
    """The search spaces."""
    rows = [(s.name, s.dimension, f"{s.size:.2g}", ", ".join(s.reference), s.description) for s in found]
    return _table("", ("name", "genes", "genomes", "reference", "description"), rows)


def genes(table: GeneTable) -> Table:
    """Every gene the zoo understands."""
    rows = [
        (
            gene.name,
            gene.domain,
            gene.default,
            "\n".join(f"{parent} = {any_of(options)}" for parent, options in gene.when.items()),
            gene.meaning,
            gene.source,
        )
        for gene in table.values()
    ]
    return _table("", ("gene", "allowed", "default", "when", "meaning", "source"), rows)


def genes_document(table: GeneTable) -> dict[str, Any]:
    return {
        gene.name: {
            "kind": gene.kind,
            "allowed": gene.domain,
            "default": gene.default,
            "when": {parent: list(options) for parent, options in gene.when.items()},
            "meaning": gene.meaning,
            "source": gene.source,
        }
        for gene in table.values()
    }


def genes_page(table: GeneTable) -> str:
    """docs/genes.md: every gene, and what cannot live together."""
    lines = [
        "# Genes",
        "",
        "Every gene that the zoo understands, as `evogan genes --markdown` lists them. The defaults are those of the",
        "published WDCGAN; a gene is part of a genome, and of its key, only where it applies.",
        "",
        "| gene | allowed | default | applies when | meaning | source |",
        "|---|---|---|---|---|---|",
    ]
    for gene in table.values():
        when = "; ".join(f"`{parent}` is {any_of(options)}" for parent, options in gene.when.items())
        cells = (f"`{gene.name}`", gene.domain, short(gene.default), when, gene.meaning, gene.source)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    lines += ["", "## What may change during a training", "", "By a [schedule](strategies.md#schedules), but not to 0"]
    lines += ["or from it where that turns something off or on:", ""]
    lines += [", ".join(f"`{gene.name}`" for gene in table.values() if gene.changes) + "."]
    lines += ["", "## What cannot live together", ""]
    for conflict in table.conflicts:
        both = " with ".join(f"`{name}` = {' or '.join(map(short, v))}" for name, v in conflict.values.items())
        lines.append(f"- {both}: {conflict.reason}.")
    return "\n".join(lines) + "\n"


def strategies() -> Table:
    """The search strategies and their options."""
    rows = [
        (
            name,
            entry.meaning,
            entry.source,
            "\n".join(f"{option} = {short(default)}" for option, default in strategy_options(name).items()),
        )
        for name, entry in STRATEGIES.items()
    ]
    rows.insert(0, (AUTO, "the one that did best on recorded GANs, by budget and objectives", "docs/strategies.md", ""))
    return _table("", ("name", "meaning", "source", "options"), rows)


def features(rows: Sequence[Mapping[str, Any]]) -> Table:
    """The shipped feature networks: a column a field, as far as anything is in it."""
    noise = {
        row["name"]: ", ".join(f"{n:,}: {mean:.3g} ± {sd:.2g}" for n, mean, sd in row.get("noise", ())) for row in rows
    }
    rows = [{**row, "noise": noise[row["name"]]} for row in rows]
    columns = list({name: None for row in rows for name, value in row.items() if value})
    return _table("", columns, [[row.get(name, "") for name in columns] for row in rows])
