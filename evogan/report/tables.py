"""What the command line prints: tables for people, documents for machines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from evogan.engine import Told
from evogan.engine.history import RunHistory
from evogan.genes import GENES
from evogan.genome import GeneTable
from evogan.report import facts
from evogan.report.facts import metric_name, short
from evogan.shipped import GenomeFile
from evogan.space import Space
from evogan.strategies import AUTO, STRATEGIES, strategy_options
from evogan.trial import Evaluation

TOP = 10  # genomes that tables and figures show


# --- documents


def as_document(run: RunHistory) -> dict[str, Any]:
    """A run and its outcome as plain JSON data; what is not a number is None."""
    document, best = run.document, run.best
    return {
        "name": run.name,
        "data": document["data"],
        "space": document["space"]["name"],
        "strategy": document["strategy"],
        "seed": document["seed"],
        "fitness": document["fitness"],
        "counts": facts.counts(run),
        "best": best
        and {
            "number": best.row.number,
            "key": best.row.key,
            "genome": dict(best.row.genome),
            "value": best.value,
        },
        "front": [
            {
                "number": told.row.number,
                "key": told.row.key,
                "values": dict(zip(run.judge.metrics, told.values or (), strict=True)),
                "genome": dict(told.row.genome),
            }
            for told in run.front
        ],
        "confirmations": [
            {
                "name": c.name,
                "key": c.key,
                "mean": _finite(c.mean),
                "spread": _finite(c.spread),
                "replicates": len(c.values),
                "failures": c.failures,
                "genome": dict(c.genome),
            }
            for c in run.confirmations
        ],
    }


def evaluation_document(evaluation: Evaluation) -> dict[str, Any]:
    """An evaluation as plain JSON data, without its files."""
    return {
        "status": evaluation.status,
        "reason": evaluation.reason,
        "scores": [_finite_all(point) for point in evaluation.scores],
        "curve": [_finite_all(point) for point in evaluation.curve],
        "cost": _finite_all(evaluation.cost),
        "provenance": dict(evaluation.provenance),
    }


def _finite(value: float) -> float | None:
    """JSON knows no NaN."""
    return value if math.isfinite(value) else None


def _finite_all(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: _finite(value) for name, value in values.items()}


# --- tables


def _table(title: str, columns: Iterable[str], rows: Iterable[Sequence[object]], caption: str = "") -> Table:
    """Cells are text as it is: names of users' are no markup. Columns of numbers are aligned to the right."""
    body = [list(row) for row in rows]
    table = Table(title=Text(title) if title else None, caption=Text(caption) if caption else None)
    for i, column in enumerate(columns):
        numbers = body and all(isinstance(row[i], int | float) or row[i] == "" for row in body)
        table.add_column(Text(column), justify="right" if numbers else "left", overflow="fold")
    for row in body:
        table.add_row(*(cell if isinstance(cell, Text) else Text(short(cell)) for cell in row))
    return table


def verdict(run: RunHistory) -> Table:
    """The best evolved genomes beside the published ones, all retrained with fresh seeds."""
    columns = ("", "genome", metric_name(run.judge.metric), "spread", "replicates", "failed", "", "genes")
    rows = [
        (
            "best" if s.best else "",
            s.confirmation.name,
            _number(s.confirmation.mean),
            _number(s.confirmation.spread),
            len(s.confirmation.values),
            s.confirmation.failures,
            s.against,
            s.genes if s.evolved else "published",
        )
        for s in facts.standings(run)
    ]
    table = _table(run.name, columns, rows, facts.verdict(run))
    for row, standing in zip(table.rows, facts.standings(run), strict=True):
        row.style = "bold green" if standing.best else None
    return table


def _number(value: float | None) -> float | str:
    return value if value is not None and math.isfinite(value) else ""


def best_genomes(run: RunHistory) -> Table:
    """The best of the search, a column each, with the genes in which they differ: a space may have many."""
    top = run.ranking[:TOP]
    rows: list[Sequence[object]] = [
        ("proposal", *(told.row.number for told in top)),
        *(
            (metric_name(metric), *(_number((told.values or (None,))[i]) for told in top))
            for i, metric in enumerate(run.judge.metrics)
        ),
    ]
    if run.judge.others:
        rows.append(("Pareto front", *("yes" if told in run.front else "" for told in top)))
    for gene in varying_genes(run, top):
        rows.append((gene, *(told.row.genome.get(gene, "") for told in top)))
    trainings = "one training" if run.document["replicates"] == 1 else f"up to {run.document['replicates']} trainings"
    title = f"best {len(top)} of the search, {trainings} each"
    return _table(title, ("rank", *(str(rank) for rank in range(1, len(top) + 1))), rows)


def varying_genes(run: RunHistory, top: Sequence[Told]) -> list[str]:
    """The genes of the space in which `top` differ; a gene that some lack differs."""
    names = [gene.name for gene in run.space.genes]
    return [name for name in names if len({str(told.row.genome.get(name)) for told in top}) > 1]


def runs(found: Iterable[RunHistory]) -> Table:
    """A row a run, oldest first."""
    columns = ("name", "data", "space", "strategy", "seed", "evaluations", "failed", "fitness", "best")
    rows = []
    for run in found:
        document, counted = run.document, facts.counts(run)
        rows.append(
            (
                run.name,
                document["data"],
                document["space"]["name"],
                document["strategy"],
                document["seed"],
                f"{counted['spent']:g}/{document['evaluations']}",
                counted["failed"],
                metric_name(document["fitness"]),
                _number(run.best.value) if run.best else "",
            )
        )
    return _table("", columns, rows, "" if rows else "no runs yet")


def scores(evaluation: Evaluation) -> Table:
    """A row a score checkpoint."""
    columns = list({name: None for point in evaluation.scores for name in point})
    rows = [[point.get(name, "") for name in columns] for point in evaluation.scores]
    return _table("", map(metric_name, columns), rows, "" if rows else "no checkpoint was reached")


def zoo(genomes: Iterable[GenomeFile]) -> Table:
    """The published GANs."""
    shown = ("backbone", "loss")
    rows = []
    for file in genomes:
        phenotype = GENES.complete(file.genome)
        rows.append((file.name, file.title, file.source, *(phenotype[g] for g in shown), len(file.genome)))
    return _table("", ("name", "title", "source", *shown, "genes set"), rows)


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
            "\n".join(f"{parent} = {' or '.join(map(short, options))}" for parent, options in gene.when.items()),
            gene.meaning,
            gene.source,
        )
        for gene in table.values()
    ]
    return _table("", ("gene", "allowed", "default", "when", "meaning", "source"), rows)


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
    """The shipped feature networks: a column a field."""
    columns = list({name: None for row in rows for name in row})
    return _table("", columns, [[row.get(name, "") for name in columns] for row in rows])
