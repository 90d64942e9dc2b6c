"""The figures of a run's page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from evogan.engine import Confirmation, Told
from evogan.engine.history import RunHistory
from evogan.errors import UserError
from evogan.genome import Gene
from evogan.report.drawing import (
    BEST,
    DOT,
    FAILED,
    LINE,
    MUTED,
    REFERENCE,
    STYLE,
    TEXT,
    Drawn,
    drawn,
    log_where_wide,
    new_axes,
    visible,
)
from evogan.report.facts import best_reference, evaluations, metric_name, phenotype, short, trainings
from evogan.report.facts import generations as generations_of
from evogan.report.importance import REPEATS, Importance
from evogan.report.lineage import population
from evogan.trial import budget_unit, turned

LEARNING, GENES = 5, 15  # genomes whose curves are drawn, and genes whose importance is, at most
UPDATES = "updates of the generator (iterations)"


def best_so_far(run: RunHistory) -> Drawn | None:
    """Fitness of every proposal, the best so far, and the reference on fresh replicates."""
    history = sorted(run.history, key=lambda t: t.row.number)
    completed = [t for t in history if t.value is not None]
    told = [t for t in completed if t.fidelity == run.top_fidelity]
    lower = [t for t in completed if t.fidelity < run.top_fidelity]
    if not told:
        return None
    with mpl.rc_context(STYLE):
        figure, axes = new_axes(3.2)
        metric = run.judge.metric
        values = visible([turned(metric, t.value or 0.0) for t in told])
        reference = _reference(run)
        axes.plot([t.row.number for t in told], values, "o", ms=3.5, color=DOT, mew=0, label="evaluated")
        if lower:
            low = visible([turned(metric, t.value or 0.0) for t in lower])
            axes.plot([t.row.number for t in lower], low, ".", ms=2.5, color=MUTED, label="lower fidelity")
            values = [*values, *low]
        ends = [*(t.row.number for t in told), history[-1].row.number]
        bests = [turned(metric, best) for best in accumulate([t.value or 0.0 for t in (*told, told[-1])], min)]
        axes.step(ends, visible(bests), where="post", color=BEST, lw=1.8, label="best so far")
        failed = [t.row.number for t in history if t.value is None]
        if failed:
            top = axes.get_xaxis_transform()
            axes.plot(
                failed,
                [1.03] * len(failed),
                "x",
                ms=4,
                color=FAILED,
                label="failed",
                transform=top,
                clip_on=False,
            )
        if reference is not None and reference.values:
            _band(axes, reference)
            values = [*values, *visible([turned(metric, value) for value in reference.values])]
        _fitness_axis(axes, run, values)
        axes.set_xlabel("proposal")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(loc="outside upper center", ncols=4)
        caption = f"A dot is a proposal, judged on {trainings(run)}; the step line is the best so far."
        if reference is not None and reference.values:
            caption += (
                f" The band is {reference.name} on fresh replicates{_in_search(run, reference)}: mean and spread."
            )
        return drawn(figure, "best-so-far", caption)


def generations(run: RunHistory) -> Drawn | None:
    """Average, deviation, best and worst of each generation."""
    found = generations_of(run)
    if len(found) < 2:
        return None
    with mpl.rc_context(STYLE):
        figure, axes = new_axes(3.2)
        numbers = [one.number for one in found]
        best, average, worst = (visible([getattr(one, name) for one in found]) for name in ("best", "average", "worst"))
        ends = np.array([[one.average - one.deviation, one.average + one.deviation] for one in found])
        within = np.sort(np.array([best, worst]), axis=0)
        low, high = (np.clip(visible(ends[:, i].tolist()), *within) for i in range(2))
        axes.fill_between(numbers, low, high, color=DOT, alpha=0.25, lw=0)
        axes.plot(numbers, worst, "o", ms=3, mew=0, color=FAILED, label="worst")
        axes.plot(numbers, average, "o-", ms=3, lw=1.4, color=DOT, label="average")
        axes.plot(numbers, best, "o-", ms=3, lw=1.8, color=BEST, label="best")
        _fitness_axis(axes, run, [*best, *average, *worst])
        axes.set_xlabel("generation")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(loc="outside upper center", ncols=3)
        caption = f"{metric_name(run.judge.metric)} in each generation: the band is the average and a standard "
        caption += "deviation to both sides, as far as there are any GANs. Failures are left out."
        return drawn(figure, "generations", caption)


def lineage(run: RunHistory) -> Drawn | None:
    """Who came from whom: of populations that go on training, who goes on from whom, in that which the best is of."""
    rows = {told.row.number: told.row for told in run.history if told.row.generation is not None}
    best = rows.get(run.best.row.number) if run.best else None
    if best is None or not any(row.operator == "takeover" for row in rows.values()):
        return _population(run)
    line = [best]
    while line[-1].operator in ("takeover", "continuation") and line[-1].parents:
        line.append(rows[line[-1].parents[0]])
    first, last = line[-1].generation or 0, best.generation or 0
    steps = {step: [row.number for row in rows.values() if row.generation == step] for step in range(first, last + 1)}
    places = {number: place for numbers in steps.values() for place, number in enumerate(sorted(numbers), 1)}
    with mpl.rc_context(STYLE):
        figure, axes = new_axes(2.8)
        for row in (rows[number] for step in range(first + 1, last + 1) for number in steps[step]):
            origin = rows[(row.parents or (row.number,))[0]]
            ends = [origin.fidelity, row.fidelity], [places[origin.number], places[row.number]]
            taken, mine = row.operator == "takeover", row in line
            axes.plot(*ends, color=BEST if mine else TEXT if taken else DOT, lw=2.2 if mine else 1, zorder=2 + mine)
        axes.set_xlabel("share of the budget")
        axes.set_ylabel("member")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        caption = "Who goes on from whom: a slanted line is a member that takes over another's weights and genes. The "
        caption += f"thick one leads to the best, proposal {best.number}."
        return drawn(figure, "lineage", caption)


def _population(run: RunHistory) -> Drawn | None:
    known = {told.row.number: told for told in run.history}
    best = run.best.row.number if run.best else None
    caption = f"Lines lead from parents to children. Green: proposal {best}, the best, and all that it came from."
    svg = population({n: told.row for n, told in known.items()}, known, run.judge, best, caption)
    return Drawn(svg, caption) if svg else None


def front(run: RunHistory) -> Drawn | None:
    """The first two objectives of every genome, and the Pareto front."""
    if not run.judge.others or not run.ranking:
        return None
    names = [metric_name(name) for name in run.judge.metrics]
    with mpl.rc_context(STYLE):
        figure, axes = new_axes(3.2)
        points = np.array([visible(run.judge.shown(told.values or ())) for told in run.ranking])
        best = np.array([visible(run.judge.shown(v)) for v in sorted(told.values or () for told in run.front)])
        axes.plot(points[:, 0], points[:, 1], "o", ms=3.5, mew=0, color=DOT, label="evaluated")
        line = "o-" if len(names) == 2 else "o"  # of more objectives it is no line in these two
        axes.step(best[:, 0], best[:, 1], line, where="post", ms=4.5, lw=1.4, color=BEST, label="Pareto front")
        axes.set_xlabel(names[0])
        axes.set_ylabel(names[1])
        log_where_wide(axes, "x", points[:, 0])
        log_where_wide(axes, "y", points[:, 1])
        figure.legend(loc="outside upper center", ncols=2)
        others = f" (of {len(names)} objectives the first two)" if len(names) > 2 else ""
        every = "both" if len(names) == 2 else f"all {len(names)}"
        caption = (
            f"{names[0]} against {names[1]}{others}: nothing evaluated is better in {every} than one on the front."
        )
        return drawn(figure, "front", caption)


def _band(axes: Axes, reference: Confirmation) -> None:
    mean, spread = reference.shown, 0.0 if np.isnan(reference.spread) else reference.spread
    axes.axhspan(*visible([mean - spread, mean + spread]), color=REFERENCE, alpha=0.25, lw=0)
    axes.axhline(*visible([mean]), color=REFERENCE, lw=1.2, label=reference.name)


def learning_curves(run: RunHistory) -> Drawn | None:
    """Fitness at the score checkpoints: of the best of the search, and of the reference."""
    metric = run.judge.metric
    curves = [_curve(told.evaluation.scores, metric) for told in run.ranking[:LEARNING]]
    curves = [curve for curve in curves if curve]
    if not curves or len(curves[0]) < 2:
        return None
    with mpl.rc_context(STYLE):
        figure, axes = new_axes(3.2)
        for rank, curve in reversed(list(enumerate(curves))):
            color, label = (
                (BEST, f"#{run.ranking[0].row.number}, best of the search")
                if rank == 0
                else (DOT, "next best" if rank == 1 else None)
            )
            axes.plot(*zip(*curve, strict=True), "o-", ms=3, lw=1.8 - (rank > 0), color=color, label=label)
        values = [value for curve in curves for _, value in curve]
        reference = _reference(run)
        for i, evaluation in enumerate(reference.evaluations if reference else ()):
            curve = _curve(evaluation.scores, reference.judge.metric if reference else metric)
            label = reference.name if reference and i == 0 else None
            axes.plot([k for k, _ in curve], [v for _, v in curve], "s--", ms=3, lw=1, color=REFERENCE, label=label)
            values += [value for _, value in curve]
        _fitness_axis(axes, run, values)
        gan = run.settings.gan
        axes.set_xlabel(UPDATES if gan and gan.iterations else "thousands of real images shown (kimg)")
        figure.legend(loc="outside upper center", ncols=3)
        caption = f"{metric_name(metric)} at the score checkpoints of the best {len(curves)} of the search"
        caption += (
            f", and of each fresh replicate of {reference.name}{_in_search(run, reference)}." if reference else "."
        )
        return drawn(figure, "learning", caption)


def _in_search(run: RunHistory, reference: Confirmation) -> str:
    return "" if reference.judge == run.judge else ", judged by the validation part"


def _reference(run: RunHistory) -> Confirmation | None:
    """The best published genome, judged as the search judged its own."""
    reference = best_reference(run)
    return None if reference is None else reference.in_search


def _curve(scores: Sequence[Any], metric: str) -> list[tuple[float, float]]:
    points = [(point[budget_unit(point)], point[metric]) for point in scores if "kimg" in point and metric in point]
    return list(zip((at for at, _ in points), visible([value for _, value in points]), strict=True))


def best_genes(run: RunHistory, top: Sequence[Told], reference: Confirmation | None) -> Drawn | None:
    """Where the best genomes lie between the space's bounds, a row a gene."""
    if not top:
        return None
    genes = run.space.genes
    published = phenotype(run, reference.genome) if reference else {}
    with mpl.rc_context(STYLE):
        figure, axes = new_axes(0.5 + 0.42 * len(genes))
        axes.hlines(range(len(genes)), 0, 1, color=LINE, lw=1, zorder=0)
        for row, gene in enumerate(genes):
            _name_levels(axes, gene, row)
            value = published.get(gene.name)
            if value is not None and _inside(gene, value):
                axes.plot(gene.unit(value), row, "D", ms=5, mfc="none", mec=REFERENCE, mew=1.3)
        for rank, told in reversed(list(enumerate(top))):
            shown = [(row, gene) for row, gene in enumerate(genes) if gene.name in told.row.genome]
            xs = [gene.unit(told.row.genome[gene.name]) for _, gene in shown]
            ys = [row - 0.02 - 0.035 * (len(top) - rank) for row, _ in shown]
            size, color = (5.5, BEST) if rank == 0 else (3.5, DOT)
            axes.plot(xs, ys, "o", ms=size, mew=0, color=color, zorder=3 - rank / 99)
        axes.set_yticks(range(len(genes)), [gene.name for gene in genes])
        axes.tick_params(length=0, labelcolor=TEXT)
        axes.set_xticks([])
        axes.set_ylim(len(genes) - 0.4, -0.6)
        axes.set_xlim(-0.02, 1.02)
        for spine in axes.spines.values():
            spine.set_visible(False)
        caption = f"Genes of the best {len(top)} of the search, the best of them large"
        caption += f"; the diamond is {reference.name}." if reference else "."
        caption += " Best genes at a bound say that the space may be too narrow there."
        return drawn(figure, "genes", caption)


def _name_levels(axes: Axes, gene: Gene, row: int) -> None:
    """Both bounds of a number; every value of a choice, cut where there is no room."""
    if gene.kind == "choice":
        room = max(3, 52 // len(gene.values))
        for value in gene.values:
            text = short(value)
            text = text if len(text) <= room else text[: room - 1] + "…"
            axes.text(gene.unit(value), row + 0.13, text, size=7.5, color=MUTED, ha="center", va="top")
        axes.vlines([gene.unit(value) for value in gene.values], row - 0.06, row + 0.06, color=LINE, lw=1, zorder=0)
        return
    for x, bound, side in ((0.0, gene.low, "left"), (1.0, gene.high, "right")):
        axes.text(x, row + 0.13, short(bound), size=7.5, color=MUTED, ha=side, va="top")
    if gene.scale == "log":
        axes.text(0.5, row + 0.13, "log", size=7.5, color=MUTED, ha="center", va="top")


def _inside(gene: Gene, value: Any) -> bool:
    """A published genome may lie outside the space."""
    try:
        gene.check(value)
    except UserError:
        return False
    return True


def importance(found: Importance) -> Drawn:
    """Permutation importance of the genes."""
    names, means, spreads = (each[:GENES] for each in (found.genes, found.means, found.spreads))
    with mpl.rc_context(STYLE):
        figure, axes = new_axes(0.6 + 0.24 * len(names))
        axes.barh(names, means, xerr=spreads, color=BEST, height=0.6, error_kw={"ecolor": MUTED, "lw": 1})
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0, labelcolor=TEXT)
        axes.set_xlim(left=0)
        axes.set_xlabel("drop of R² when the gene is shuffled")
        caption = (
            f"Permutation importance in a random forest fitted to the fitness of {found.evaluations} genomes: mean and "
            f"deviation over {REPEATS} shuffles, on genomes that it has not seen, of whose variance it explains R² = "
            f"{found.r2:.2f}."
        )
        return drawn(figure, "importance", caption)


def loss_against_fid(run: RunHistory) -> Drawn | None:
    """How the losses' own fitness would have ranked what FID ranks."""
    pairs = [
        (t.evaluation.metric("normalized_loss", run.judge.score), t.evaluation.metric("fid", run.judge.score))
        for t in run.ranking
    ]
    both = np.array([pair for pair in pairs if None not in pair], dtype=float).reshape(-1, 2)
    both = both[np.isfinite(both).all(axis=1)]
    if len(both) < 3 or (np.ptp(both, axis=0) == 0).any():
        return None
    from scipy.stats import rankdata, spearmanr

    rho = float(spearmanr(both[:, 0], both[:, 1]).statistic)
    loss, fid = rankdata(both[:, 0]), rankdata(both[:, 1])
    with mpl.rc_context(STYLE):
        figure, axes = new_axes(3.6)
        axes.plot([1, len(both)], [1, len(both)], color=LINE, lw=1)
        axes.plot(loss, fid, "o", ms=4, mew=0, color=DOT)
        picked, best = int(np.argmin(loss)), int(np.argmin(fid))
        axes.plot(loss[picked], fid[picked], "o", ms=6, color=FAILED, label="what the losses would pick")
        axes.plot(loss[best], fid[best], "o", ms=6, color=BEST, label="what FID picks")
        axes.set_xlabel("rank by normalised loss")
        axes.set_ylabel("rank by FID")
        figure.legend(loc="outside upper center", ncols=2)
        caption = (
            f"Rank by normalised loss against rank by FID of {len(both)} genomes (1 is best): Spearman correlation "
            f"{rho:.2f}. The genome that the losses would pick has FID {both[picked, 1]:.4g}, rank {fid[picked]:.4g}."
        )
        return drawn(figure, "ranks", caption)


def truncation(points: Sequence[Mapping[str, float]]) -> Drawn | None:
    """FID, precision and recall of the best generator against psi; the last point is of samples as they are."""
    if len(points) < 2:
        return None
    with mpl.rc_context(STYLE):
        figure, axes = new_axes(2.9)
        places = range(len(points))
        fids = visible([point["fid"] for point in points])
        axes.plot(places, fids, "o-", ms=3, lw=1.8, color=BEST, label="FID")
        log_where_wide(axes, "y", fids)
        axes.set_ylabel("FID")
        shares = axes.twinx()
        for name, color in (("precision", REFERENCE), ("recall", FAILED)):
            values = [point[f"manifold_{name}"] for point in points]
            shares.plot(places, values, "s--", ms=3, lw=1.2, color=color, label=name)
        shares.set_ylim(0, 1)
        shares.set_ylabel("precision, recall")
        axes.set_xticks(places, [f"{point['psi']:g}" if "psi" in point else "as it is" for point in points])
        axes.set_xlabel("truncation psi")
        figure.legend(loc="outside upper center", ncols=3)
        caption = "What truncation does to samples of the best: less is better and less varied, so precision rises and "
        caption += "recall falls. FIDs of 1,000 samples are higher than those of more; they compare with each other."
        return drawn(figure, "truncation", caption)


def seconds(run: RunHistory) -> Drawn | None:
    """How long trials took."""
    found = [evaluation.cost["seconds"] for evaluation in evaluations(run) if "seconds" in evaluation.cost]
    if len(found) < 2:
        return None
    with mpl.rc_context(STYLE):
        figure, axes = new_axes(2.4)
        axes.hist(found, bins=min(30, max(5, len(found) // 3)), color=DOT)
        axes.axvline(float(np.mean(found)), color=BEST, lw=1.5, label="mean")
        axes.set_xlabel("seconds per trial")
        axes.set_ylabel("trials")
        axes.set_xlim(left=0)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(loc="outside upper center")
        caption = f"Seconds per trial: {min(found):.3g} to {max(found):.3g}, median {np.median(found):.3g}."
        return drawn(figure, "seconds", caption)


def _fitness_axis(axes: Axes, run: RunHistory, values: Sequence[float]) -> None:
    axes.set_ylabel(metric_name(run.judge.metric))
    log_where_wide(axes, "y", values)
