"""How the game of a critic against a generator goes.

critic_accuracy           the chance that the critic ranks a training image above a fake, ties being 1/2
critic_accuracy_held_out  the same of held-out images: less, where the critic knows the training images by heart
critic_features           root mean square of the critic's last hidden layer
generator_output          root mean square of the pixels, over that of training images
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from evogan.zoo.gan import Rows

if TYPE_CHECKING:
    from evogan.families.plain.model import PlainGAN

IMAGES = 256  # of each kind that the critic judges, or a few more


@torch.no_grad()
def critic_diagnostics(gan: PlainGAN, seen: Rows, unseen: Rows, rng: torch.Generator) -> dict[str, float]:
    """What the critic says in training mode: in batches as large as there, each of one kind; but nothing is dropped."""
    critic, generator, n = gan.players["critic"], gan.players["generator"], gan.rows["critic"]
    scores: list[list[Tensor]] = [[], [], []]
    features, pixels, theirs = [], [], []
    for _ in range(-(-IMAGES // n)):
        data, held_out = seen(n, ("images",)), unseen(n, ("images",))["images"]
        batch = gan.draw("critic", n, data, rng)
        pixels.append(generator(*batch.draws["latent"], batch.draws["generator"]).float())
        shown = [critic.present(images) for images in (data["images"], held_out)]
        theirs.append(shown[0])
        for kind, images in enumerate((*shown, pixels[-1])):
            said = critic(images)
            scores[kind].append(said.score)
            features.append(said.features)
    training, others, fake = (critic.sign * torch.cat(said) for said in scores)
    return {
        "critic_accuracy": forced_choice(training, fake),
        "critic_accuracy_held_out": forced_choice(others, fake),
        "critic_features": _rms(features),
        "generator_output": _rms(pixels) / _rms(theirs),
    }


def forced_choice(high: Tensor, low: Tensor) -> float:
    """The chance that one of `high` (N,) is above one of `low` (M,), ties being 1/2: the area under the ROC curve."""
    difference = (high[:, None] - low).sign()
    return float(difference.double().mean() + 1) / 2


def _rms(tensors: Sequence[Tensor]) -> float:
    return float(torch.cat(list(tensors)).float().square().mean().sqrt())
