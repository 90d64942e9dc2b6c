"""The figures of one training: losses, scores, and what its networks look like from the inside."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl

from evogan.report.drawing import (
    BEST,
    COLORS,
    FAILED,
    MUTED,
    REFERENCE,
    STYLE,
    Drawn,
    drawn,
    log_where_wide,
    new_axes,
    visible,
)
from evogan.report.facts import metric_name
from evogan.report.figures import UPDATES
from evogan.trial import Choice, Evaluation, budget_unit

PARTS = {
    "real": ("critic on real images", BEST),
    "fake": ("critic on fakes", FAILED),
    "generator": ("generator", REFERENCE),
}
TAUGHT = {"supervised": ("classifier on labelled images", COLORS[2])}
ERRORS = {"error": FAILED, "validation_error": COLORS[2], "nearest_error": MUTED}
SHARES = {
    "manifold_precision": BEST,
    "manifold_recall": REFERENCE,
    "coverage": MUTED,
    "critic_accuracy": FAILED,
    "critic_accuracy_held_out": COLORS[2],
}
Points = Sequence[Mapping[str, float]]
Lines = Mapping[str, tuple[str, str]]  # of what is recorded under a name: label and colour


def losses(evaluation: Evaluation) -> Drawn | None:
    """As the players minimise them."""
    caption = "The losses, each the mean since the point before: what the critic pays for real images and for fakes, "
    caption += "and the generator's. Their levels say little by themselves, what they do together says more."
    return _lines("losses", evaluation.curve, PARTS | TAUGHT, "loss", caption)


def normalized(evaluation: Evaluation) -> Drawn | None:
    """Where they lie in the range that they went through."""
    lines = {f"normalized_{name}": line for name, line in PARTS.items()}
    caption = "The same in the range that each went through so far, from its lowest to its highest: the three parts "
    caption += "of the normalised loss, which is low where real and generator are at their top and fake at its bottom."
    return _lines("normalised", evaluation.curve, lines, "share of the range so far", caption, top=1.0)


def fid(evaluation: Evaluation) -> Drawn | None:
    """At the score checkpoints."""
    choice = evaluation.choice or Choice()
    lowest = "lowest" if choice.metrics[0] == "fid" else f"best {metric_name(choice.metrics[0])}"
    caption = "FID at the score checkpoints, from the same noise each time. The weights are those of the "
    caption += "last." if choice.score == "last" else f"{lowest}."
    return _lines("fid", evaluation.scores, {"fid": ("FID", BEST)}, "FID", caption)


def shares(evaluation: Evaluation) -> Drawn | None:
    """Scores that are shares."""
    lines = {name: (metric_name(name), color) for name, color in SHARES.items()}
    caption = "Shares at the score checkpoints: of samples among the real images (precision), of real images among the "
    caption += "samples (recall), of classes that appear; and how often the critic ranks a real image above a fake."
    return _lines("shares", evaluation.scores, lines, "share", caption, top=1.0)


def errors(evaluation: Evaluation) -> Drawn | None:
    """Of a classifier of few labels, beside 1-NN's."""
    lines = {name: (metric_name(name), color) for name, color in ERRORS.items()}
    on = evaluation.provenance.get("errors_on", "images that no training sees")
    caption = f"Share of {on} that the classifier gets wrong, and that 1-NN on pixels does, from the same labels."
    return _lines("errors", evaluation.scores, lines, "share", caption)


def gradients(evaluation: Evaluation) -> Drawn | None:
    """Norms, of every player."""
    lines = {
        f"{player}_gradient": (player, color)
        for player, color in zip(players(evaluation), (FAILED, REFERENCE, *COLORS), strict=False)
    }
    caption = "The norm of the gradient of each player's loss at the score checkpoints. One that fades teaches nothing."
    return _lines("gradients", evaluation.scores, lines, "gradient norm", caption, log=True)


def singular(evaluation: Evaluation, player: str) -> Drawn | None:
    """The largest singular value of each layer of a player."""
    layers = list(evaluation.diagnostics[-1].get(player, {})) if evaluation.diagnostics else []
    shown, most = layers, len(COLORS)
    if len(layers) > most:  # from the first to the last
        shown = [layers[round(i * (len(layers) - 1) / (most - 1))] for i in range(most)]
    points = [
        {**point, **{layer: found[player][layer]["singular"] for layer in shown if "singular" in found[player][layer]}}
        for point, found in zip(evaluation.scores, evaluation.diagnostics, strict=False)
    ]
    lines = {layer: (layer, color) for layer, color in zip(shown, COLORS, strict=False)}
    of = "each layer" if shown == layers else f"{len(shown)} of {len(layers)} layers"
    caption = f"The top singular value of the weight in use of {of} of the {player}: a bound that holds keeps it level."
    return _lines(f"singular-{player}", points, lines, "top singular value", caption, log=True)


def players(evaluation: Evaluation) -> list[str]:
    return list(evaluation.diagnostics[-1]) if evaluation.diagnostics else []


def _lines(
    name: str, points: Points, lines: Lines, axis: str, caption: str, *, top: float | None = None, log: bool = False
) -> Drawn | None:
    """A line for each of these that was recorded, against the budget; None where fewer than two points have any."""
    there = {key: line for key, line in lines.items() if sum(_known(point, key) for point in points) > 1}
    if not there:
        return None
    unit = budget_unit(points[-1])
    with mpl.rc_context(STYLE):
        figure, axes = new_axes(2.9)
        values: list[float] = []
        for key, (label, color) in there.items():
            own = [point for point in points if _known(point, key)]
            ys = visible([point[key] for point in own])
            values += ys
            marked: dict[str, Any] = {"marker": "o", "ms": 3} if len(own) < 10 else {}
            axes.plot([point[unit] for point in own], ys, color=color, lw=1.5, label=label, **marked)
        if top is not None:
            axes.set_ylim(-0.03, top + 0.03)
        elif log or name == "fid":
            log_where_wide(axes, "y", values)
        axes.set_ylabel(axis)
        axes.set_xlabel(UPDATES if unit == "iterations" else "thousands of real images shown (kimg)")
        figure.legend(loc="outside upper center", ncols=2 if len(there) > 3 else 3)
        return drawn(figure, name, caption)


def _known(point: Mapping[str, float], key: str) -> bool:
    return math.isfinite(point.get(key, math.nan))
