"""The figures of a comparison: anytime curves with bands, and the critical-difference plot."""

from __future__ import annotations

import math
from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from evogan.comparison import Comparison
from evogan.comparison.ranks import LEVEL, Ranking
from evogan.comparison.statistics import Against
from evogan.report.drawing import (
    COLORS,
    LINE,
    MUTED,
    STYLE,
    TEXT,
    WIDTH,
    Drawn,
    drawn,
    log_where_wide,
    new_axes,
    visible,
)
from evogan.report.facts import fitness_name

DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)))
AXES: dict[Against, str] = {
    "evaluations": "evaluations (full trainings)",
    "seconds": "seconds of training, summed",
    "clock": "seconds on the simulated clock",
}


def anytime(comparison: Comparison, problem: str) -> Iterator[Drawn]:
    """Median and interquartile range of best-so-far, a line a strategy: against evaluations, against seconds, and
    against the simulated clock of a replay with several workers.
    """
    number = comparison.problems.index(problem)
    entries = comparison.select(problem)
    gan = entries[0].run.settings.gan
    metrics = comparison.objectives(problem)
    label = f"best {fitness_name(metrics[0])} so far" if len(metrics) == 1 else "hypervolume lacking so far"
    workers = {entry.run.settings.resources.workers or 1 for entry in entries}
    for against, axis in AXES.items():
        if against == "clock" and workers == {1}:  # it is that of the summed seconds
            continue
        with mpl.rc_context(STYLE):
            figure, axes = new_axes(3.4)
            shown = []
            for i, strategy in enumerate(comparison.strategies):
                table = comparison.anytime(problem, strategy, against)
                table = table[(table["runs"] == table["runs"].max()) & np.isfinite(table["median"])]
                if len(table):
                    color, style = COLORS[i % len(COLORS)], DASHES[i // len(COLORS) % len(DASHES)]
                    high = table["high"].replace(math.inf, table["high"][np.isfinite(table["high"])].max())
                    at, low, high = table.index.to_numpy(dtype=float), visible(table["low"]), visible(high)
                    axes.fill_between(at, low, high, step="post", color=color, alpha=0.15, lw=0)
                    median = visible(table["median"])
                    axes.step(at, median, where="post", color=color, ls=style, lw=1.6, label=strategy)
                    shown += [*low, *high]
            if not shown:
                continue
            log_where_wide(axes, "y", [value for value in shown if math.isfinite(value)])
            target = comparison.target(problem)
            if target is not None and against == "evaluations":
                axes.axhline(*visible([target]), color=MUTED, lw=1, ls=":", label="target")
            axes.set_xlabel(axis)
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=against == "evaluations"))
            axes.set_ylabel(label)
            figure.legend(loc="outside upper center", ncols=3 if max(map(len, comparison.strategies)) < 14 else 1)
            caption = f"{problem}: median and quartiles over seeds, as far as all runs of a strategy went."
            if gan and against == "evaluations":
                caption += f" An evaluation is {gan.budget}."
            if against == "clock":
                caption += f" The clock has {', '.join(map(str, sorted(workers)))} workers."
            yield drawn(figure, f"anytime-{against}-{number}", caption)


def critical_difference(ranking: Ranking) -> Drawn | None:
    """Mean ranks on a line; a bar joins what Nemenyi's test does not tell apart (Demsar 2006, figure 1)."""
    if not ranking.blocks or math.isnan(ranking.p):
        return None
    names, means = [str(name) for name in ranking.means.index], ranking.means.to_numpy()
    k, half = len(names), (len(names) + 1) // 2
    groups = ranking.alike if ranking.p < LEVEL else [names]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 0.9 + 0.14 * len(groups) + 0.24 * half))
        axes = figure.subplots()
        margin = 0.012 * k * max(map(len, names)) + 0.12 * k  # room for the names beside the line
        axes.set_xlim(1 - margin, k + margin)
        bottom = 0.5 + 0.35 * len(groups) + 0.6 * half
        axes.set_ylim(bottom + 0.2, -1.6)
        axes.set_axis_off()
        axes.plot([1, k], [0, 0], color=TEXT, lw=1)
        for tick in range(1, k + 1):
            axes.plot([tick, tick], [0, -0.15], color=TEXT, lw=1)
            axes.text(tick, -0.25, str(tick), ha="center", va="bottom", size=8, color=MUTED)
        axes.plot([1, 1 + min(ranking.critical_difference, k - 1)], [-1.1, -1.1], color=TEXT, lw=1.6)
        axes.text(1, -1.2, f"critical difference {ranking.critical_difference:.2f}", va="bottom", size=8, color=MUTED)
        for i, (name, mean) in enumerate(zip(names, means, strict=True)):
            left = i < half
            row = 0.6 + 0.35 * len(groups) + 0.6 * (i if left else k - 1 - i)
            edge = 1 - 0.02 * k if left else k + 0.02 * k
            axes.plot([mean, mean, edge], [0, row, row], color=LINE, lw=0.8)
            text = f"{name} {mean:.2f} " if left else f" {mean:.2f} {name}"
            axes.text(edge, row, text, ha="right" if left else "left", va="center", size=8, color=TEXT)
        for level, group in enumerate(groups):
            ends = [means[names.index(group[0])], means[names.index(group[-1])]]
            axes.plot([ends[0] - 0.04, ends[1] + 0.04], [0.3 + 0.35 * level] * 2, color=COLORS[0], lw=3)
        found = "a bar joins what is not told apart" if groups else "all of them differ"
        test = (
            f"Nemenyi, level {LEVEL:g}" if ranking.p < LEVEL else f"no difference shown, Friedman p = {ranking.p:.2g}"
        )
        caption = f"Mean ranks over {ranking.blocks} blocks, 1 is best; {found} ({test})."
        return drawn(figure, "critical-difference", caption)
