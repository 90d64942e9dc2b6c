"""The deliberate failures and their remedies (examples/failures) on MNIST's fives, five seeds each: docs/failures.md.

Goal: each flag in at least 4 of 5 trainings of its recipe, at most 1 of 5 of the healthy baseline, none of its remedy.
EVOGAN_DATA names the folder with MNIST.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
from _record import record
from matplotlib.figure import Figure
from PIL import Image

import evogan
from evogan.evaluation.flags import RULES, flags_of, named
from evogan.trial import Evaluation

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "docs" / "images"
RECIPES = (
    *("baseline", "vanishing_gradient", "vanishing_gradient_remedy"),
    *("mode_collapse_published", "mode_collapse", "mode_collapse_noisy_labels", "mode_collapse_remedy"),
    *("non_convergence", "non_convergence_steps", "non_convergence_remedy"),
)
SHOWN = (
    *("fid", "diversity", "collision", "coverage", "critic_accuracy", "critic_reach", "generator_reach"),
    "generator_output",
)
ROWS = 3  # of a grid of samples that the page shows


def main() -> None:
    seeds = int(os.environ.get("SEEDS", "5"))
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(os.environ.get("EVOGAN_RUNS", folder))
        trained = {name: [train(name, seed, runs) for seed in range(seeds)] for name in RECIPES}
    record("failures", {name: summary(found) for name, found in trained.items()})
    draw(trained)
    print(table(trained))


def train(name: str, seed: int, runs: Path) -> Evaluation:
    """Trained before, it is looked up, and judged by the rules of today. The first seed's samples become a picture."""
    evaluation, files = evogan.train(
        str(ROOT / "examples" / "failures" / f"{name}.toml"),
        "mnist",
        classes=(5,),
        kimg=40,
        samples=2000,
        precision="bf16",
        replicate=seed,
        runs=runs,
    )
    if seed == 0:
        grid = Image.open(files / "samples.png")
        grid.crop((0, 0, grid.width, ROWS * grid.height // 8)).save(PICTURES / f"failures-{name}.png", optimize=True)
    return replace(evaluation, flags=flags_of(evaluation))


def summary(found: Iterable[Evaluation]) -> dict[str, Any]:
    """Numbers at the end of each training."""
    found = list(found)
    last = {name: [round(evaluation.scores[-1][name], 5) for evaluation in found] for name in SHOWN}
    flags = Counter(flag for evaluation in found for flag in evaluation.flags)
    gaps = [round(gap(evaluation.curve[-1]), 3) for evaluation in found]
    return {"flags": dict(flags), **last, "score_gap": gaps, "seconds": round(sum(e.cost["seconds"] for e in found))}


def gap(point: Mapping[str, float]) -> float:
    """Between the critic's mean scores of reals and of fakes."""
    return point["score_real"] - point["score_fake"]


def table(trained: Mapping[str, list[Evaluation]]) -> str:
    """As docs/failures.md has it."""
    told = list(RULES)[:3]
    rows = [["recipe", *map(named, told), "FID", "diversity", "gap"]]
    rows.append(["---"] * len(rows[0]))
    for name, found in trained.items():
        counts = [f"{sum(flag in evaluation.flags for evaluation in found)}/{len(found)}" for flag in told]
        fids = [evaluation.scores[-1]["fid"] for evaluation in found]
        diversity = statistics.median(evaluation.scores[-1]["diversity"] for evaluation in found)
        apart = statistics.median(gap(evaluation.curve[-1]) for evaluation in found)
        fid = f"{statistics.mean(fids):.0f} ± {statistics.stdev(fids):.0f}"
        rows.append([named(name), *counts, fid, f"{diversity:.2g}", f"{apart:.2g}"])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def draw(trained: Mapping[str, list[Evaluation]]) -> None:
    """The recipes through training, a line a seed: what tells the failures apart."""
    shown = ("baseline", "vanishing_gradient", "mode_collapse", "non_convergence")
    with mpl.rc_context({"axes.spines.top": False, "axes.spines.right": False, "font.size": 9}):
        figure = Figure(figsize=(9, 2.8), layout="constrained", dpi=120)
        panels = figure.subplots(1, 3)
        for number, name in enumerate(shown):
            for seed, evaluation in enumerate(trained[name]):
                curve, scores = evaluation.curve, evaluation.scores
                kimg, at = [point["kimg"] for point in curve], [score["kimg"] for score in scores]
                lines = (
                    (kimg, [gap(point) for point in curve]),
                    (at, [score["diversity"] for score in scores]),
                    (at, [score["fid"] for score in scores]),
                )
                for axes, (x, y) in zip(panels, lines, strict=True):
                    axes.plot(x, y, color=f"C{number}", lw=1.1, alpha=0.8, label="" if seed else named(name))
        titles = ("critic's scores: reals less fakes", "diversity of the samples", "FID")
        for axes, title, scale in zip(panels, titles, ("symlog", "symlog", "log"), strict=True):
            axes.set_title(title, fontsize=9)
            axes.set_xlabel("kimg")
            axes.set_yscale(scale, **({"linthresh": 1e-2} if title.startswith("div") else {}))
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
        figure.savefig(PICTURES / "failures-curves.png")


if __name__ == "__main__":
    main()
