"""A comparison as tables, as Markdown and as one self-contained HTML page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from evogan.comparison import Comparison
from evogan.comparison.comparison import FEWEST, FRESH
from evogan.comparison.ranks import LEVEL
from evogan.comparison.statistics import quantile
from evogan.errors import one_line
from evogan.report.facts import duration, fitness_name, short

LACKING = "hypervolume lacking"


@dataclass(frozen=True)
class Section:
    """A table and what its numbers mean. Cells are text; the first `names` columns are names, the others numbers."""

    title: str
    note: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    names: int = 1


def sections(comparison: Comparison) -> list[Section]:
    """Everything that is said about finished runs, and who is left out."""
    made = [] if not comparison.entries else [_results(comparison), _targets(comparison), _counts(comparison)]
    if len(comparison.strategies) > 1:
        made[1:1] = [_ranks(comparison), _wins(comparison)]
    if comparison.left_out:
        note = "These runs are in no number above."
        made.append(Section("Left out", note, ("run", "why"), list(comparison.left_out.items()), names=2))
    return made


def _results(comparison: Comparison) -> Section:
    rows = []
    for problem in comparison.problems:
        for strategy in comparison.strategies:
            values = comparison.finals.loc[[problem], strategy].dropna().to_numpy(dtype=float)
            if len(values):
                low, median, high = (float(quantile(values[None], q)[0]) for q in (0.25, 0.5, 0.75))
                failed = int((~(values < math.inf)).sum())
                cells = (_number(median, "none"), _number(low, "none"), _number(high, "none"))
                rows.append((problem, strategy, *cells, str(len(values)), str(failed)))
    bases = {problem: comparison.basis(problem) for problem in comparison.problems}
    said = "; ".join(
        f"{problem} ({fitness_of(comparison, problem)}) on {basis}"
        + ("" if basis == FRESH else f" within {comparison.budget(problem)} evaluations")
        for problem, basis in bases.items()
    )
    note = f"Median and quartiles over seeds of each run's result, smaller is better. Judged: {said}."
    if FRESH not in bases.values():
        note += " The best of a search is the luckiest of noisy numbers: only fresh replicates tell how good it is."
    note += "".join(_alike(comparison, problem) for problem, basis in bases.items() if basis == FRESH)
    note += "".join(_several(comparison, problem) for problem in comparison.problems)
    columns = ("problem", "strategy", "median", "25 %", "75 %", "runs", "without result")
    return Section("Results", note, columns, rows, names=2)


def fitness_of(comparison: Comparison, problem: str) -> str:
    """What the runs of a problem are compared by, in words."""
    metrics = comparison.objectives(problem)
    return fitness_name(metrics[0]) if len(metrics) == 1 else f"{LACKING}: {', '.join(map(fitness_name, metrics))}"


def _alike(comparison: Comparison, problem: str) -> str:
    """How many winners are the same one: fresh replicates are of a genome and a task, whatever the seed of the run."""
    runs = [entry.run for entry in comparison.select(problem)]
    found = [(run.facts.task, run.best.row.key) for run in runs if run.best]
    different = len(set(found))
    if different == len(found):
        return ""
    return (
        f" On {problem} {len(found)} runs end with {different} genome{'s' if different > 1 else ''}: those that "
        "end with the same one have the same fresh replicates, so the tests below, which take seeds for independent, "
        "say too much."
    )


def _several(comparison: Comparison, problem: str) -> str:
    """How several objectives become one number; nothing for a single one."""
    union, judge = comparison.union(problem), comparison.select(problem)[0].run.judge
    if union is None:
        return ""
    points = zip(judge.metrics, judge.shown(union.reference), strict=True)
    reference = ", ".join(f"{fitness_name(name)} {short(value)}" for name, value in points)
    return (
        f" {problem}: the share that a run's front lacks of the hypervolume of all these runs together (0: none), with "
        f"objectives scaled from the best to the worst of their common front, up to {reference}: a tenth beyond it."
    )


def _ranks(comparison: Comparison) -> Section:
    ranking = comparison.ranking
    rows = [(str(name), f"{mean:.2f}") for name, mean in ranking.means.items()] if ranking.blocks else []
    note = f"Mean rank (1 is best) over {ranking.blocks} blocks: the problems and seeds that every strategy searched."
    if not math.isnan(ranking.p):
        note += f" Friedman: chi2 = {ranking.statistic:.2f}, p = {ranking.p:.2g}."
        if ranking.p < LEVEL:
            note += f" Nemenyi: ranks closer than {ranking.critical_difference:.2f} are not told apart."
            said = "; ".join(", ".join(group) for group in ranking.alike)
            note += f" No difference shown between: {said}." if said else ""
        else:
            note += " No difference shown."
    return Section("Mean ranks", note, ("strategy", "mean rank"), rows)


def _wins(comparison: Comparison) -> Section:
    rows = [
        (
            *(pair.one, pair.other, str(pair.wins), str(pair.ties), str(pair.losses)),
            *(_number(pair.probability, ""), f"{pair.p:.2g}", f"{pair.p_holm:.2g}"),
            "yes" if pair.p_holm < LEVEL else "no difference shown",
        )
        if pair.wins + pair.ties + pair.losses
        else (pair.one, pair.other, "0", "0", "0", "", "", "", "never met")
        for pair in _records(comparison.wins)
    ]
    note = (
        "The first against the second, on the same problem and seed; probability counts a tie as half a win. p: exact "
        "sign test; p (Holm): corrected for the number of pairs."
    )
    columns = ("strategy", "against", "wins", "ties", "losses", "probability", "p", "p (Holm)", "differs")
    return Section("Paired wins", note, columns, rows, names=2)


def _targets(comparison: Comparison) -> Section:
    rows = []
    for row in _records(comparison.targets):
        reached = f"{row.reached} of {row.runs}"
        ratio = "" if math.isnan(row.ratio) else _number(row.ratio, "not reached")
        interval = (
            "" if math.isnan(row.low) else f"{_number(row.low, 'not reached')} to {_number(row.high, 'not reached')}"
        )
        median = _number(row.median, "not reached")
        rows.append((row.problem, row.strategy, short(row.target), reached, median, ratio, interval))
    note = (
        "Evaluations (full trainings) until the best so far was the target or better: median over seeds, and its ratio "
        "to random search's (0.5: half as many) with a 95 % bootstrap interval. "
    )
    if comparison.given_target is None:
        note += "The target is what the median run of random search had in the end."
    if rows and not comparison.targets["reached"].any():
        note += " No run reached it."
    if any(row[5] and not row[6] for row in rows):
        note += f" Of fewer than {FEWEST} runs there is no interval."
    if any(row[5] for row in rows):
        note += " Where random search did not reach it, all that it had is counted: the ratio is at most this."
    for problem in comparison.problems:
        missing = "" if comparison.baseline(problem) else "no random search among these runs"
        if comparison.target(problem) is None:
            several = len(comparison.objectives(problem)) > 1
            nothing = "the median run of random search found nothing before the reference point"
            missing = missing or (nothing if several else "nothing of random search completed")
            note += f" No target on {problem}: {missing}; name one with --target."
        elif missing:
            note += f" No ratio on {problem}: {missing}."
        elif len(comparison.random_searches(problem)) > 1:
            note += f" Random search on {problem} is {comparison.baseline(problem)}."
    columns = ("problem", "strategy", "target", "reached", "evaluations", "ratio to random", "95 % interval")
    return Section("Evaluations to target", note, columns, rows, names=2)


def _counts(comparison: Comparison) -> Section:
    rows = [
        (
            *(row.problem, row.strategy, str(row.runs), short(float(row.evaluations)), str(row.proposals)),
            *(str(row.failed), str(row.repeated), str(row.shared), duration(row.seconds)),
        )
        for row in _records(comparison.counts)
    ]
    note = (
        "A failure costs what was asked for, and is never a best. Repeated: the run proposed what it knew already, "
        "which costs nothing. Shared: another of these runs was told the same recorded evaluation; it counts in full "
        "for both, trained or looked up."
    )
    columns = (
        *("problem", "strategy", "runs", "evaluations", "proposals", "failed", "repeated", "shared", "training time"),
    )
    return Section("What was counted", note, columns, rows, names=2)


def _records(frame: pd.DataFrame) -> list[Any]:
    """The rows, with a field a column."""
    return list(frame.itertuples(index=False))


def _number(value: float, infinite: str) -> str:
    return "" if math.isnan(value) else short(float(value)) if math.isfinite(value) else infinite


# --- as documents


def tables(comparison: Comparison) -> Iterator[Table | str]:
    """What the terminal shows."""
    yield comparison.verdict
    for section in sections(comparison):
        table = Table(
            title=Text(section.title), caption=Text(section.note), title_justify="left", caption_justify="left"
        )
        for i, column in enumerate(section.columns):
            table.add_column(Text(column), justify="left" if i < section.names else "right", overflow="fold")
        for row in section.rows:
            table.add_row(*map(Text, row))
        yield table


def markdown(comparison: Comparison) -> str:
    """One Markdown document."""
    lines = ["# Comparison", "", _escaped(comparison.verdict), ""]
    for section in sections(comparison):
        lines += [f"## {section.title}", ""]
        if section.rows:
            rule = ["---" if i < section.names else "--:" for i in range(len(section.columns))]
            for cells in (section.columns, rule, *section.rows):
                lines.append(f"| {' | '.join(map(_escaped, cells))} |")
            lines.append("")
        lines += [_escaped(section.note), ""]
    return "\n".join(lines)


def _escaped(text: str) -> str:
    """A name is a name: no cell ends early, nothing becomes markup, a link or an image from elsewhere."""
    text = one_line(text)
    for character in "\\|<>*_`[]&~#":
        text = text.replace(character, f"\\{character}")
    return text


def html(comparison: Comparison) -> str:
    """One page that needs nothing else."""
    from evogan.report.page import environment

    return environment().get_template("comparison.html.j2").render(shown(comparison))


def shown(comparison: Comparison) -> dict[str, Any]:
    """What `compared.html.j2` puts on a page."""
    from evogan.report.comparison_figures import anytime, critical_difference

    return {
        "comparison": comparison,
        "sections": sections(comparison),
        "curves": {problem: list(anytime(comparison, problem)) for problem in comparison.problems},
        "ranks": critical_difference(comparison.ranking) if len(comparison.strategies) > 1 else None,
    }


def as_document(comparison: Comparison) -> dict[str, Any]:
    """Plain JSON data: a record a row; what is not a finite number is None."""
    ranking = comparison.ranking
    finals = comparison.finals.reset_index().melt(["problem", "seed"]).dropna()
    frames = {"results": finals, "targets": comparison.targets, "wins": comparison.wins, "counts": comparison.counts}
    return {
        "verdict": comparison.verdict,
        "basis": {problem: comparison.basis(problem) for problem in comparison.problems},
        "objectives": {problem: list(comparison.objectives(problem)) for problem in comparison.problems},
        "reference_points": {
            problem: list(comparison.select(problem)[0].run.judge.shown(union.reference))
            for problem in comparison.problems
            if (union := comparison.union(problem)) is not None
        },
        "ranks": {name: _finite(mean) for name, mean in ranking.means.items()},
        "friedman": {"blocks": ranking.blocks, "statistic": _finite(ranking.statistic), "p": _finite(ranking.p)},
        "critical_difference": _finite(ranking.critical_difference),
        **{
            name: [{key: _finite(value) for key, value in row.items()} for row in frame.to_dict("records")]
            for name, frame in frames.items()
        },
        "left_out": comparison.left_out,
    }


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
