"""The page of one training: one file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evogan.evaluation.flags import explain
from evogan.files import read_small, write_whole
from evogan.genome import Genome
from evogan.report import facts
from evogan.report import training_figures as figures
from evogan.report.grids import LARGEST_FILE, Grid, checkpoint_grids, code_grids, level_grids
from evogan.report.page import environment, genome_toml
from evogan.trial import Choice, Evaluation, GANTask, budget_in_words

if TYPE_CHECKING:  # torch, where it is wanted
    from evogan.evaluation.architecture import Player

NAME = "train.html"
OF_ALL = frozenset({"fid", "kid"})  # samples; others are of fewer, or of none
MEANING = {  # and what to try
    "vanishing_gradient": "A player hardly moves any more. Try a higher rate of it",
    "mode_collapse": "Few images, or one, win over the critic. Try to bound it, a lower rate of it, minibatch layers",
    "non_convergence": "One player runs away from the other. Try a slower critic, a faster generator; the best is kept",
    "ignored_condition": "The class asked for does not matter to the images. Try projection, or a heavier class head",
    "steganography": "What comes back is hidden in what lies between. Try less weight of the cycle, a stronger critic",
    "tint": "It changes colours that could stay. Try a heavier identity loss",
    "ignored_source": "What it makes images from does not matter to them. Try a heavier pixel loss, a slower critic",
    "over_generalisation": "It makes all that lies between the data, too. Try a stronger critic, or truncation",
    "memorisation": "Samples are copies. Try more data, augmentation, smaller networks",
    "critic_overfit": "The critic knows the training images by heart. Try augmentation, LeCam, dropout",
    "divergence": "The training blew up. Try lower rates, a gradient penalty, a spectral norm",
}


@dataclass(frozen=True)
class Training:
    """What was trained and found. `name`: of the genome. `contents`: a line about the data. `folder`: of its files."""

    name: str
    genome: Genome
    task: GANTask
    replicate: int
    contents: str
    evaluation: Evaluation
    folder: Path
    real: bytes = b""  # a grid of training images
    players: Sequence[Player] = ()


def write_training(training: Training) -> Path:
    """Write `train.html` into its folder, whole or not at all; the page's path."""
    path = training.folder / NAME
    write_whole(path, render(training).encode())
    return path


def render(training: Training) -> str:
    """The page as text."""
    evaluation, task = training.evaluation, training.task
    architectures = [(training.name, training.players)] if training.players else []
    drawn = {
        "losses": figures.losses(evaluation),
        "normalized": figures.normalized(evaluation),
        "fid": figures.fid(evaluation),
        "errors": figures.errors(evaluation),
        "shares": figures.shares(evaluation),
        "gradients": figures.gradients(evaluation),
        **{f"singular of {player}": figures.singular(evaluation, player) for player in figures.players(evaluation)},
    }
    return (
        environment()
        .get_template("training.html.j2")
        .render(
            training=training,
            evaluation=evaluation,
            about=facts.about(training.genome),
            verdict=_verdict(training),
            budget=budget_in_words(vars(task)),
            figures=drawn,
            players_drawn=figures.players(evaluation),
            grids=_grids(training),
            through_training=list(checkpoint_grids(training.folder, evaluation.scores, _metric(evaluation))),
            codes=list(code_grids(training.folder, training.genome)),
            levels=list(level_grids(training.folder)),
            flags={flag: (said, MEANING.get(flag, "")) for flag, said in explain(evaluation).items()},
            reason=evaluation.reason,
            estimate=facts.estimate(evaluation),
            scores=evaluation.scores,
            metrics=list({name: None for point in evaluation.scores for name in point}),
            genome_toml=genome_toml(training.name, training.genome),
            architectures=architectures,
            widest=facts.widest(architectures),
        )
    )


def _verdict(training: Training) -> str:
    evaluation = training.evaluation
    if evaluation.failed:
        ended = evaluation.status.replace("_", " ").capitalize()
        return f"{ended} before the first score checkpoint: {evaluation.reason}."
    kept = evaluation.kept
    when = f" at {kept['fidelity']:.0%} of the training" if "fidelity" in kept else ""
    of = f", of {training.task.samples:,} samples" if _metric(evaluation) in OF_ALL else ""
    return f"{_judged(evaluation)}{when}{of}."


def _grids(training: Training) -> list[Grid]:
    real = [Grid("real", "real", training.task.name, training.real)] if training.real else []
    path = training.folder / "samples.png"
    if not path.is_file():
        return real
    note = f"{_judged(training.evaluation)}, the weights that are kept"
    return [*real, Grid("samples", "samples", note, read_small(path, LARGEST_FILE))]


def _metric(evaluation: Evaluation) -> str:
    """By which the weights that are kept were chosen, the first of several."""
    return (evaluation.choice or Choice()).metrics[0]


def _judged(evaluation: Evaluation) -> str:
    metric = _metric(evaluation)
    return f"{facts.metric_name(metric)} {facts.short(evaluation.kept.get(metric))}"
