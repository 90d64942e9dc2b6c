"""Where a search finds what is known of other tasks: shipped tables, files of them, earlier runs, all of a store."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from evogan import shipped
from evogan.engine import Judge
from evogan.engine.history import RunHistory
from evogan.errors import UserError, unknown
from evogan.genome import Genome
from evogan.options import names_of
from evogan.runs.own import Own
from evogan.runs.place import Place
from evogan.runs.table import ROOM, Table
from evogan.strategies.knowledge import Source, thinned
from evogan.trial import COSTS, Evaluation, turned

AUTO, TABLES, STORE, NONE = "auto", "tables", "store", "none"


def settle_sources(given: object, *, by_default: bool) -> tuple[str, ...]:
    """The sources that are asked for: "auto" stays where it means something. Errors: UserError."""
    named = names_of("learn_from", given, "runs, tables or files", alone=(AUTO, NONE))
    if named == (NONE,) or (named == (AUTO,) and not by_default):
        return ()
    return named


def read_sources(named: Sequence[str], judge: Judge, own: Own, place: Place) -> list[Source]:
    """What is named. Of the tables and the store as a whole, what is of the search's own data, or of GANs of other
    families, is left out.

    Errors: UserError for a source that does not exist, that did not measure what judges, or where nothing completed.
    """
    return [source for name in named for source in _read(name, judge, own, place)]


def _read(name: str, judge: Judge, own: Own, place: Place) -> Iterator[Source]:
    if name in (AUTO, TABLES):
        for shipped_one in shipped.names(ROOM):
            yield from _of_others(Table.described(shipped_one), judge, own)
    elif name == STORE:
        yield from _of_store(place, judge, own)
    elif name in shipped.names(ROOM) or Path(name).suffix == ".parquet":
        table = Table.read(name)
        if judge.metric not in table.metrics:
            raise UserError(f"learn_from: table '{table.name}' has no {judge.metric}: {', '.join(table.metrics)}")
        yield _completed(f"table '{table.name}'", of_table(table, judge))
    else:
        store = place.existing() if place.has_store else None
        runs = store.names() if store else []
        if store is None or name not in runs:
            raise unknown("source", name, [AUTO, TABLES, STORE, NONE, *shipped.names(ROOM), *runs, "a .parquet file"])
        run = RunHistory(store, name)
        _check_measured(run, judge)
        yield _completed(f"run '{name}'", _of_run(run, judge))


def _completed(what: str, source: Source) -> Source:
    if all(value is None for _, value in source.rows):
        raise UserError(f"learn_from: nothing completed of {what}")
    return source


def _check_measured(run: RunHistory, judge: Judge) -> None:
    measured = dict.fromkeys(m for told in run.history for e in told.evaluations for point in e.scores for m in point)
    if measured and judge.metric not in measured:
        raise UserError(f"learn_from: run '{run.name}' has no {judge.metric}: {', '.join(measured)}")


# --- tables


def _of_others(table: Table, judge: Judge, own: Own) -> Iterator[Source]:
    names = {table.facts["data"], table.facts["task"].get("fingerprint")}
    if judge.metric in table.metrics and own.is_akin(table.space.fixed) and not own.names & names:
        yield of_table(table, judge)


def of_table(table: Table, judge: Judge) -> Source:
    """A genome's value is the mean over its trainings that completed."""
    sign, curves = turned(judge.metric, 1.0), table.curves(judge.metric)
    there = np.isfinite(curves).any(axis=1)
    values = np.full(len(curves), math.nan)
    if judge.score == "last" or judge.metric in COSTS:
        values[there] = sign * curves[there, -1]
    else:
        values[there] = np.nanmin(sign * curves[there], axis=1)
    means = table.rows.assign(value=values).groupby("key", sort=False)["value"].mean()
    first = table.rows.drop_duplicates("key")
    chosen = thinned((i, None if math.isnan(value) else value) for i, value in enumerate(means.loc[first["key"]]))
    rows = table.rows.loc[first.index[[i for i, _ in chosen]]]
    genomes = Table(table.name, rows, table.space, table.facts, table.folder).genomes
    known = tuple((genome, value) for genome, (_, value) in zip(genomes, chosen, strict=True))
    return Source(table.name, table.facts["data"], known)


# --- runs and stores


def _of_run(run: RunHistory, judge: Judge) -> Source:
    """At the highest fidelity that a genome completed at. Schedules say nothing of a genome alone."""
    rows: dict[str, tuple[Genome, float | None]] = {}
    for told in run.history:
        if told.fidelity == run.top_fidelity and not told.row.genome.changes:
            found = judge.over(told.evaluations)
            rows[told.row.key] = told.row.genome, None if found is None else found[0]
    return Source(run.name, run.facts.data, tuple(thinned(rows.values())), run.top_fidelity)


def _of_store(place: Place, judge: Judge, own: Own) -> Iterator[Source]:
    """Of every other task, GANs of GANs and objectives of objectives, the full trainings that measured what judges: of
    several attempts at one the last."""
    if not place.has_store:
        return
    store, others = place.existing(), {}
    for key, (name, document) in store.tasks().items():
        of_a_gan, fingerprint = "fingerprint" in document, document.get("fingerprint")
        if of_a_gan == own.of_a_gan and not document.get("origin") and not own.names & {name, fingerprint}:
            others[key] = name
    found: dict[str, dict[str, tuple[Genome, dict[int, Evaluation]]]] = {key: {} for key in others}
    for (key, task, fidelity, replicate), genome, evaluation in store.evaluations():
        judged = evaluation.failed or evaluation.measured(judge.metrics)
        if task in found and fidelity == 1.0 and judged and not genome.changes and own.is_akin(genome):
            found[task].setdefault(key, (genome, {}))[1][replicate] = evaluation
    for task, genomes in found.items():
        rows = [(genome, judge.over([*trainings.values()])) for genome, trainings in genomes.values()]
        known = thinned((genome, None if values is None else values[0]) for genome, values in rows)
        if any(value is not None for _, value in known):
            yield Source(f"task {task}", others[task], tuple(known))
