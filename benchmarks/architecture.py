"""Architectures by search, against SNGAN's residual networks and AutoGAN's cells, at equal budget and no more weights.

    python benchmarks/architecture.py search         FID and parameters, EVALUATIONS (60) trainings by `auto`
    python benchmarks/architecture.py train          N (5) fresh replicates: of the published networks, and of the best
                                                     that was found with no more parameters than any
    python benchmarks/architecture.py table          results/architecture.json, and the Pareto front as a picture

Networks alone are free: backbone, widths, depth, norms, upsampling, attention, cells, what their weights begin with;
everything is trained alike (RECIPE, what `at_their_best.py` found for MNIST), the published networks too: by their own
recipes, with five critic steps of 2e-4, they have hardly begun after so little. DATA (fashion_mnist) at 28x28 pixels,
KIMG (10), read from EVOGAN_DATA. Goes on where it stopped, with EVOGAN_RUNS.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from _fresh import FRESH, fresh
from _record import record

import evogan
from evogan import shipped
from evogan.comparison.statistics import bootstrap_ratio
from evogan.families import image_fields
from evogan.families.build import count_parameters
from evogan.genes import GENES
from evogan.genome import Genome
from evogan.space import Space

ROOT = Path(__file__).parent.parent
RUNS = Path(os.environ.get("EVOGAN_RUNS", ROOT / "runs")) / "architecture"
DATA, KIMG = os.environ.get("DATA", "fashion_mnist"), float(os.environ.get("KIMG", "10"))
EVALUATIONS, REPLICATES = int(os.environ.get("EVALUATIONS", "60")), int(os.environ.get("N", "5"))
WORKERS = int(os.environ.get("WORKERS", "2"))
RECIPE: dict[str, Any] = {
    "loss": "non_saturating",
    "relativistic": "average",
    "minibatch": "none",
    "batch_size": 16,
    "batch_ratio": 1,
    "critic_steps": 1,
    "learning_rate": 8e-4,
    "lr_ratio": 2.0,
    "lr_decay": "late",
    "ema": 0.99,
    "critic_optimizer": "adam",
    "critic_beta1": 0.5,
    "critic_beta2": 0.99,
    "generator_optimizer": "adam",
    "generator_beta1": 0.0,
    "generator_beta2": 0.99,
    "latent_prior": "normal",
}
FREE = {"filters", "critic_filters", "sndcgan_form", "upsampling", "slope", "generator_slope", "generator_norm"} | {
    *("critic_norm", "attention", "critic_pooling", "critic_depth", "init", "latent", "backbone", "critic_constraint"),
}
NARROWED: dict[str, dict[str, Any]] = {
    "backbone": {"values": ("resnet", "autogan", "dcgan", "sndcgan")},
    "critic_constraint": {"values": ("none", "spectral_norm")},
    "filters": {"low": 8, "high": 48, "levels": 6},
    "critic_filters": {"low": 8, "high": 48, "levels": 6},
    "latent": {"low": 16, "high": 128, "levels": 4},
}
FIELDS = image_fields(28, 1)
TRAINING: dict[str, Any] = {"kimg": KIMG, "precision": "bf16", "runs": RUNS}
NAME = f"{DATA}-{KIMG:g}kimg-{EVALUATIONS}"


def space() -> Space:
    genes = [gene for gene in evogan.load_space("anything").genes if gene.name in FREE or gene.name.startswith("cell")]
    return Space("architectures", [replace(g, **NARROWED.get(g.name, {})) for g in genes], fixed=RECIPE, table=GENES)


def parameters(genome: Genome) -> int:
    return sum(count_parameters(genome, FIELDS).values())


def published() -> dict[str, Genome]:
    """SNGAN's networks with 32 filters each, and AutoGAN's of the width at which they are at most as large."""
    sngan = narrowed("sngan_resnet", 32)
    fitting = (narrowed("autogan", width) for width in range(64, 7, -1))
    return {"sngan_resnet": sngan, "autogan": next(one for one in fitting if parameters(one) <= parameters(sngan))}


def narrowed(name: str, width: int) -> Genome:
    return GENES.changed(shipped.read_genome(name).genome, {**RECIPE, "filters": width, "critic_filters": width})


def search() -> None:
    evogan.search(
        space(),
        DATA,
        name=NAME,
        evaluations=EVALUATIONS,
        fitness="fid,parameters",
        confirm=0,
        learn_from="none",
        workers=WORKERS,
        **TRAINING,
    )


Found = tuple[Genome, int, float]  # genome, parameters, FID


def searched(*, best: bool = False) -> list[Found]:
    """What the search trained, or the Pareto front of it, the smallest first."""
    run = evogan.open_run(NAME, RUNS)
    rows = [(told.row.genome, told.values) for told in (run.front if best else run.history) if told.values is not None]
    return sorted(((genome, int(values[1]), values[0]) for genome, values in rows), key=lambda one: one[1:])


def subjects() -> dict[str, Genome]:
    """The published networks, and the best that is no larger than any."""
    known = published()
    most = min(map(parameters, known.values()))
    small = [one for one in searched() if one[1] <= most]
    return known | ({"evolved": min(small, key=lambda one: one[2])[0]} if small else {})


def train() -> None:
    for replicate in range(FRESH, FRESH + REPLICATES):
        for name, genome in subjects().items():
            evaluation, _ = evogan.train(genome, DATA, replicate=replicate, **TRAINING)
            print(replicate, name, parameters(genome), evaluation.status, evaluation.metric("fid"), flush=True)


def of_networks(genome: Genome) -> dict[str, Any]:
    return {gene: value for gene, value in genome.items() if gene not in RECIPE}


def table() -> None:
    trained, done = searched(), {name: fresh(g, DATA, KIMG, REPLICATES, RUNS) for name, g in subjects().items()}
    fids = {name: [float(e.metric("fid") or 0) for _, e in of_it] for name, of_it in done.items()}
    results: dict[str, Any] = {"data": DATA, "kimg": KIMG, "evaluations": EVALUATIONS}
    for name, genome in subjects().items():
        if fids[name]:
            results[name] = {
                "parameters": parameters(genome),
                "median": round(statistics.median(fids[name]), 2),
                "all": [round(fid, 2) for fid in fids[name]],
                "seconds": round(statistics.median(e.cost["seconds"] for _, e in done[name]), 1),
                "networks": of_networks(genome),
            }
    for name in published():
        if fids[name] and fids.get("evolved"):
            results[f"evolved over {name}"] = [round(x, 3) for x in bootstrap_ratio(fids["evolved"], fids[name])]
    results["recipe"] = RECIPE
    results["front"] = [
        {"parameters": n, "fid": round(fid, 2), "networks": of_networks(g)} for g, n, fid in searched(best=True)
    ]
    record("architecture", results)
    picture(
        trained, {name: (parameters(g), statistics.median(fids[name])) for name, g in subjects().items() if fids[name]}
    )


def picture(trained: list[Found], known: dict[str, tuple[int, float]]) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for backbone in sorted({str(genome["backbone"]) for genome, _, _ in trained}):
        of_it = [one for one in trained if one[0]["backbone"] == backbone]
        axes.scatter([n for _, n, _ in of_it], [fid for _, _, fid in of_it], s=14, label=backbone)
    line = searched(best=True)
    axes.step([n for _, n, _ in line], [fid for _, _, fid in line], where="post", color="grey", linewidth=1)
    for name, (n, fid) in known.items():
        if name != "evolved":
            axes.scatter([n], [fid], marker="x", color="black")
            axes.annotate(name, (n, fid), textcoords="offset points", xytext=(5, 5))
    axes.set(xscale="log", yscale="log", xlabel="parameters of both networks", ylabel="FID")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.legend(title="backbone", fontsize="small")
    figure.savefig(ROOT / "docs" / "images" / "architecture.png", dpi=110)


if __name__ == "__main__":
    steps: dict[str, Callable[[], None]] = {"search": search, "train": train, "table": table}
    steps[sys.argv[1]]()
