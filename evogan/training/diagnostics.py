"""What a GAN in training looks like from the inside, without a trace in it.

Randomness comes from a seed of its own and running statistics are put back: a training ends the same with and without.

    critic_accuracy           the chance that the critic ranks a training image above a fake, ties being 1/2
    critic_accuracy_held_out  the same of held-out images: less, where the critic knows the training images by heart
    PLAYER_gradient           the norm of the gradient of the player's loss
    PLAYER_reach              how far its steps may have led by now: |step| x steps / |w|, at the full learning rate
    critic_features           root mean square of the critic's last hidden layer
    generator_output          root mean square of the pixels

and of every dense and convolution layer the gradient's norm and the top singular value of the weight in use.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from evogan.stable import derive_seed
from evogan.training.trainer import Trainer, as_reals, norm
from evogan.zoo import GAN
from evogan.zoo.autoencoder import Autoencoder
from evogan.zoo.backbones.progressive import Growth
from evogan.zoo.weights import Layer, TopSingular, layers, matrix, raw

IMAGES = 256  # of each kind that the critic judges, or a few more
POWER_ITERATIONS = 30


def diagnose(trainer: Trainer, held_out: Tensor, seed: int) -> tuple[dict[str, float], dict[str, Any]]:
    """The numbers above, and player -> layer -> those of every layer.

    `held_out`: uint8 (N, C, H, W). Both depend on the state of the training and on `seed` alone.
    """
    device = trainer.images.device
    rng = torch.Generator(device).manual_seed(derive_seed(seed, "diagnostics", trainer.iteration))
    numbers: dict[str, float] = {}
    players: dict[str, Any] = {}
    with _untouched(trainer.gan):
        for player, network in trainer.gan.players.items():
            parameters = list(network.parameters())
            batch = trainer.gan.draw(player, _some(trainer.images, trainer.batch_size, rng), rng)
            loss = trainer.gan.loss(player, batch).total()
            gradients = torch.autograd.grad(loss, parameters, materialize_grads=True)
            numbers[f"{player}_gradient"] = norm(gradients)
            numbers[f"{player}_reach"] = trainer.steps(player) * trainer.relative_step(player, gradients)
            gradient: dict[Tensor, Tensor] = dict(zip(parameters, gradients, strict=True))
            players[player] = {
                name: {"gradient": _short(norm([gradient[raw(layer)]])), "singular": _short(_top_singular(layer, rng))}
                for name, layer in layers(network)
            }
        numbers |= _judged(trainer, held_out.to(device), rng)
    return numbers, players


@contextmanager
def _untouched(gan: GAN) -> Iterator[None]:
    """Forward passes move running statistics: afterwards these are as before."""
    buffers = [buffer for network in gan.networks.values() for buffer in network.buffers()]
    before = [buffer.clone() for buffer in buffers]
    yield
    for buffer, kept in zip(buffers, before, strict=True):
        buffer.copy_(kept)


@torch.no_grad()
def _judged(trainer: Trainer, held_out: Tensor, rng: torch.Generator) -> dict[str, float]:
    """What the critic says in training mode: in batches as large as there, each of one kind; but nothing is dropped."""
    critic, generator = trainer.gan.players["critic"], trainer.gan.players["generator"]
    growth = next((module for module in generator.modules() if isinstance(module, Growth)), None)
    scores: list[list[Tensor]] = [[], [], []]
    features, pixels = [], []
    for _ in range(-(-IMAGES // trainer.batch_size)):
        reals = [_some(images, trainer.batch_size, rng) for images in (trainer.images, held_out)]
        batch = trainer.gan.draw("critic", reals[0], rng)
        pixels.append(generator(batch.latent, batch.draws["generator"]).float())
        shown = reals if growth is None else [growth.blend(images) for images in reals]
        for kind, images in enumerate((*shown, pixels[-1])):
            said = critic(images)
            scores[kind].append(said.score)
            features.append(said.features)
    sign = -1 if isinstance(critic, Autoencoder) else 1  # an energy is low for what is real
    training, unseen, fake = (sign * torch.cat(said) for said in scores)
    return {
        "critic_accuracy": forced_choice(training, fake),
        "critic_accuracy_held_out": forced_choice(unseen, fake),
        "critic_features": _rms(features),
        "generator_output": _rms(pixels),
    }


def forced_choice(high: Tensor, low: Tensor) -> float:
    """The chance that one of `high` (N,) is above one of `low` (M,), ties being 1/2: the area under the ROC curve."""
    difference = (high[:, None] - low).sign()
    return float(difference.double().mean() + 1) / 2


def _some(images: Tensor, n: int, rng: torch.Generator) -> Tensor:
    """Random ones, some perhaps twice: there may be fewer than a batch."""
    return as_reals(images[torch.randint(len(images), (n,), generator=rng, device=rng.device)])


@torch.no_grad()
def _top_singular(layer: Layer, rng: torch.Generator) -> float:
    weight = matrix(layer, layer.weight)
    top = TopSingular(layer, rng)
    for _ in range(POWER_ITERATIONS):
        top.iterate(weight)
    return float(top.sigma(weight))


def _rms(tensors: Sequence[Tensor]) -> float:
    return float(torch.cat(list(tensors)).float().square().mean().sqrt())


def _short(number: float) -> float:
    """Four digits are enough to look at."""
    return float(f"{number:.4g}")
