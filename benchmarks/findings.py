"""What the landscapes say: which genes matter, what an early FID tells, what a loss tells, and what carries over.

    python benchmarks/findings.py

Of every shipped table, into `results/findings.json` and the figures `docs/images/findings-*.png` of docs/findings.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from _record import record
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from evogan import shipped
from evogan.bench.surrogate import Surrogate
from evogan.runs.table import Table

Array = npt.NDArray[np.float64]
IMAGES = Path(__file__).parent.parent / "docs" / "images"
POINTS = 2000  # random genomes, over which a model's variance is shared out
MARGINAL = 100  # of them, over which an effect of two genes is averaged
TOP = 6  # genes, of which interactions are told
LOSSES = ("normalized_loss", "critic_accuracy", "critic_accuracy_held_out", "critic_gradient", "generator_gradient")
OTHERS = ("kid", "coverage", "diversity", "class_distance", "duplicates", "memorisation")


def model_values(model: Surrogate, units: Array) -> Array:
    """log FID at the end, of points of the unit cube."""
    return model.predict([model.space.decode(unit) for unit in units])[:, -1]


# --- which genes matter


def importance(model: Surrogate) -> dict[str, Any]:
    """Functional ANOVA of the model over the space (Hutter, Hoos and Leyton-Brown, ICML 2014).

    Shares of its variance: of each gene alone, with all its interactions (total index, Saltelli's estimate), and of the
    largest pairs of genes beyond their single effects.
    """
    rng, genes = np.random.default_rng(0), model.space.genes
    a, b = rng.random((2, POINTS, len(genes)))
    at_a = model_values(model, a)
    variance, found = at_a.var(), {}
    effects: dict[str, Array] = {}
    for i, gene in enumerate(genes):
        mixed = a.copy()
        mixed[:, i] = b[:, i]
        total = ((at_a - model_values(model, mixed)) ** 2).mean() / (2 * variance)  # Jansen's estimator
        effects[gene.name] = marginal(model, a, (i,))
        alone = effects[gene.name].var() / variance
        found[gene.name] = {"alone": round(float(alone), 3), "total": round(float(total), 3)}
    top = sorted(found, key=lambda name: -found[name]["total"])[:TOP]
    places = {gene.name: i for i, gene in enumerate(genes)}
    pairs = {}
    for one, other in combinations(top, 2):
        both = marginal(model, a, (places[one], places[other]))
        rest = both.var() - effects[one].var() - effects[other].var()
        pairs[f"{one} x {other}"] = round(max(0.0, float(rest / variance)), 3)
    pairs = dict(sorted(pairs.items(), key=lambda pair: -pair[1])[:5])
    return {"genes": dict(sorted(found.items(), key=lambda one: -one[1]["total"])), "pairs": pairs}


def marginal(model: Surrogate, points: Array, genes: Sequence[int]) -> Array:
    """The mean over all other genes, for every combination of levels of some (8 of a number that has more)."""
    searched = [model.space.genes[i] for i in genes]
    counts = [len(gene.grid) if gene.kind == "choice" else min(8, len(gene.grid)) for gene in searched]
    grids = [(np.arange(n) + 0.5) / n for n in counts]
    cells = np.stack(np.meshgrid(*grids, indexing="ij"), axis=-1).reshape(-1, len(genes))
    moved = np.repeat(points[None, :MARGINAL], len(cells), axis=0)
    moved[:, :, list(genes)] = cells[:, None]
    found: Array = model_values(model, moved.reshape(-1, points.shape[1])).reshape(len(cells), -1).mean(axis=1)
    return found


# --- what an early or another number tells


def rank_correlations(table: Table) -> dict[str, Any]:
    """Spearman's, of the FID at the end with the FID before and with other metrics at the end."""
    fids = table.curves("fid")
    found: dict[str, Any] = {"early": {}, "losses": {}, "others": {}}
    best = fids[:, -1] <= np.nanquantile(fids[:, -1], 0.2)
    for column, checkpoint in enumerate(table.checkpoints[:-1]):
        found["early"][f"{checkpoint:g}"] = {
            "all": spearman(fids[:, column], fids[:, -1]),
            "best fifth": spearman(fids[best, column], fids[best, -1]),
            "kept": round(kept(fids[:, column], fids[:, -1]), 3),
        }
    for kind, names in (("losses", LOSSES), ("others", OTHERS)):
        for name in names:
            if name in table.metrics:
                values = table.curves(name)[:, -1]
                found[kind][name] = {
                    "all": spearman(values, fids[:, -1]),
                    "best fifth": spearman(values[best], fids[best, -1]),
                }
    return found


def spearman(one: Array, other: Array) -> float | None:
    """None where one of the two is constant."""
    both = np.isfinite(one) & np.isfinite(other)
    found = float(spearmanr(one[both], other[both]).statistic)
    return round(found, 3) if np.isfinite(found) else None


def kept(early: Array, late: Array, share: float = 0.25, top: float = 0.05) -> float:
    """Of the best 5 % at the end, the part that is among the best quarter early."""
    known = np.isfinite(early) & np.isfinite(late)
    early, late = early[known], late[known]
    winners = late <= np.quantile(late, top)
    return float((early[winners] <= np.quantile(early, share)).mean())


# --- what carries over


def transfer(models: dict[str, Surrogate]) -> dict[str, Any]:
    """Between tables of one space: how genomes rank alike, and how good the best ten of one are on the other.

    `percentile`: where they stand among random genomes, on average; 0 is the best.
    """
    found = {}
    for one, other in [(a, b) for a in models for b in models if a != b]:
        if models[one].space.document() != models[other].space.document():
            continue
        points = np.random.default_rng(0).random((POINTS, models[one].space.dimension))
        here, there = (model_values(models[name], points) for name in (one, other))
        genomes = {models[one].space.key(g): g for g in models[one].table.genomes}
        best = sorted(genomes.values(), key=models[one].truth)[:10]
        units = np.array([models[one].space.encode(genome) for genome in best])
        stands = [(there < value).mean() for value in model_values(models[other], units)]
        found[f"{one} to {other}"] = {
            "rank correlation": spearman(here, there),
            "percentile of the best ten": round(100 * float(np.mean(stands)), 2),
        }
    return found


# --- figures


def panels(names: Sequence[str], height: float) -> tuple[Figure, dict[str, Axes]]:
    """A figure with axes for every table, three in a row."""
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(4.4 * columns, height * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    named = dict(zip(names, axes, strict=False))
    for name, one in named.items():
        one.set_title(name, fontsize=10)
        one.spines[["top", "right"]].set_visible(False)
    for spare in axes[len(names) :]:
        spare.remove()
    return figure, named


def draw_importance(found: dict[str, Any]) -> None:
    figure, named = panels(list(found), 4.2)
    for name, axes in named.items():
        genes = dict(list(found[name]["importance"]["genes"].items())[:12])
        places = np.arange(len(genes))[::-1]
        axes.barh(places, [g["total"] for g in genes.values()], color="#b7c9e2", label="with interactions")
        axes.barh(places, [g["alone"] for g in genes.values()], height=0.45, color="#2b5c9e", label="alone")
        axes.set_yticks(places, list(genes))
        axes.set_xlabel("share of the variance of log FID")
    axes.legend(frameon=False)
    figure.savefig(IMAGES / "findings-importance.png", dpi=110)


def draw_early(tables: Mapping[str, Table]) -> None:
    figure, named = panels(list(tables), 3.6)
    for name, axes in named.items():
        fids = tables[name].curves("fid")
        axes.loglog(fids[:, 0], fids[:, -1], ".", ms=3, alpha=0.4, color="#2b5c9e")
        axes.set_xlabel(f"FID after {tables[name].checkpoints[0]:.0%} of the training")
        axes.set_ylabel("FID at the end")
    figure.savefig(IMAGES / "findings-early.png", dpi=110)


def draw_loss(tables: Mapping[str, Table]) -> None:
    figure, named = panels([name for name, table in tables.items() if LOSSES[0] in table.metrics], 3.6)
    for name, axes in named.items():
        losses, fids = (tables[name].curves(metric)[:, -1] for metric in (LOSSES[0], "fid"))
        axes.semilogy(losses, fids, ".", ms=3, alpha=0.4, color="#2b5c9e")
        axes.set_xlabel("normalised loss at the end")
        axes.set_ylabel("FID at the end")
    figure.savefig(IMAGES / "findings-loss.png", dpi=110)


def main() -> None:
    tables = {name: Table.read(name) for name in shipped.names("benchmarks/tables")}
    models = {name: Surrogate(table) for name, table in tables.items()}
    found: dict[str, Any] = {
        name: {
            "quality": model.table.facts.get("model"),
            "importance": importance(model),
            **rank_correlations(model.table),
        }
        for name, model in models.items()
    }
    IMAGES.mkdir(exist_ok=True)
    draw_importance(found)
    draw_early(tables)
    draw_loss(tables)
    record("findings", {"tables": found, "transfer": transfer(models)})


if __name__ == "__main__":
    main()
