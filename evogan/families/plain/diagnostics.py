"""How the game of a critic against a generator goes.

critic_accuracy           the chance that the critic ranks a training image above a fake, ties being 1/2
critic_accuracy_held_out  the same of held-out images: less, where the critic knows the training images by heart
critic_features           root mean square of the critic's last hidden layer
generator_output          root mean square of the pixels, over that of training images
wasserstein_estimate      of the loss of that name: E r - E f on training images, in units of this critic alone
wasserstein_estimate_held_out  the same with held-out images
label_effect              of a conditional GAN: how far another class moves an image, over how far another latent does
label_told                the chance that the critic ranks a held-out image with its own class above the same one with
                          another, ties being 1/2; by its head for classes or matches, where it has one
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from evogan.zoo.conditioning import match, other_labels
from evogan.zoo.gan import GAN, Network, Rows

TINY = 1e-12
IMAGES = 256  # of each kind that the critic judges, or a few more


class Judged(GAN, Protocol):
    """What is asked of a GAN beside what every family is: `genes`, of how many `classes` it is told, and what the
    critic is `given` beside images with these labels, which a generator made of `start`."""

    genes: dict[str, Any]
    classes: int

    @property
    def players(self) -> Mapping[str, Network]: ...
    def given(self, images: Tensor, labels: Sequence[Tensor], start: Tensor | None = None) -> Sequence[Tensor]: ...


@torch.no_grad()
def critic_diagnostics(gan: Judged, seen: Rows, unseen: Rows, rng: torch.Generator) -> dict[str, float]:
    """What the critic says in training mode: in batches as large as there, each of one kind; but nothing is dropped."""
    critic, generator, n = gan.players["critic"], gan.players["generator"], gan.rows["critic"]
    scores: list[list[Tensor]] = [[], [], []]
    features, pixels, theirs = [], [], []
    moved: list[list[Tensor]] = [[], []]  # by another class, by another latent
    told: list[Tensor] = []  # of a held-out image with its own class, above that with another
    for _ in range(-(-IMAGES // n)):
        fields = gan.needs("critic")
        data, held_out = seen(n, fields), unseen(n, fields)
        batch = gan.draw("critic", n, data, rng)
        labels, others = ([rows[name] for name in gan.prompted] for rows in (data, held_out))
        (latent,), rest = batch.draws["latent"], batch.draws["generator"]
        pixels.append(generator(latent, rest, *labels).float())
        for own in labels:
            moved[0].append(generator(latent, rest, other_labels(own, gan.classes, rng)).float() - pixels[-1])
            moved[1].append(generator(latent.roll(1, 0), rest, own).float() - pixels[-1])
        shown = [critic.present(rows["images"]) for rows in (data, held_out)]
        theirs.append(shown[0])
        for kind, (images, beside) in enumerate(
            (
                (shown[0], gan.given(data["images"], labels)),
                (shown[1], gan.given(held_out["images"], others)),
                (pixels[-1], gan.given(pixels[-1], labels, latent)),
            )
        ):
            said = critic(images, (), *beside)
            scores[kind].append(said.score)
            features.append(said.features)
        for own in others:
            told.append(_told(gan, shown[1], held_out["images"], own))
    training, unknown, fake = (critic.sign * torch.cat(said) for said in scores)
    more = {"label_effect": _rms(moved[0]) / max(_rms(moved[1]), TINY)} if gan.prompted else {}
    if told and len(found := torch.cat(told)):
        more["label_told"] = float(found.double().mean() + 1) / 2
    if gan.genes["loss"] == "wasserstein":
        more["wasserstein_estimate"] = float(training.mean() - fake.mean())
        more["wasserstein_estimate_held_out"] = float(unknown.mean() - fake.mean())
    return more | {
        "critic_accuracy": forced_choice(training, fake),
        "critic_accuracy_held_out": forced_choice(unknown, fake),
        "critic_features": _rms(features),
        "generator_output": _rms(pixels) / _rms(theirs),
    }


def _told(gan: Judged, shown: Tensor, images: Tensor, labels: Tensor) -> Tensor:
    """Signs, of images whose neighbour has another label."""
    critic, other, said = gan.players["critic"], labels.roll(1, 0), list[Tensor]()
    for these in (labels, other):
        critique = critic(shown, (), *gan.given(images, [these]))
        value = critic.sign * critique.score
        said.append(value if critique.classes is None else value + match(critique.classes, these))
    differs = (labels != other).flatten(1).any(1) if labels.dim() > 1 else labels != other
    return (said[0] - said[1]).sign()[differs]


def forced_choice(high: Tensor, low: Tensor) -> float:
    """The chance that one of `high` (N,) is above one of `low` (M,), ties being 1/2: the area under the ROC curve."""
    difference = (high[:, None] - low).sign()
    return float(difference.double().mean() + 1) / 2


def _rms(tensors: Sequence[Tensor]) -> float:
    return float(torch.cat(list(tensors)).float().square().mean().sqrt())
