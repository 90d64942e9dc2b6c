"""What a GAN in training looks like from the inside, without a trace in it.

Randomness comes from a seed of its own and running statistics are put back: a training ends the same with and without.

    critic_accuracy           the chance that the critic ranks a training image above a fake, ties being 1/2
    critic_accuracy_held_out  the same of held-out images: less, where the critic knows the training images by heart
    PLAYER_gradient           the norm of the gradient of the player's loss
    PLAYER_reach              how far its steps may have led by now: |step| x steps / |w|, of the layer that moves most
    critic_features           root mean square of the critic's last hidden layer
    generator_output          root mean square of the pixels, over that of training images

and of every dense and convolution layer `gradient`, the norm of its weight's; `step`, |step| / |w| of one step at the
full learning rate; `singular`, the top singular value of the weight in use.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from evogan.stable import derive_seed
from evogan.training.trainer import Trainer, as_reals
from evogan.zoo import GAN
from evogan.zoo.autoencoder import Autoencoder
from evogan.zoo.backbones.progressive import Growth
from evogan.zoo.weights import EPSILON, Layer, TopSingular, layers, matrix, raw

IMAGES = 256  # of each kind that the critic judges, or a few more
POWER_ITERATIONS = 30

Numbers = dict[str, float]


def diagnose(trainer: Trainer, held_out: Tensor, seed: int) -> tuple[Numbers, dict[str, dict[str, Numbers]]]:
    """The numbers above, and player -> layer -> those of every layer, with four digits.

    `held_out`: uint8 (N, C, H, W). Both depend on the state of the training and on `seed` alone.
    """
    device = trainer.images.device
    rng = torch.Generator(device).manual_seed(derive_seed(seed, "diagnostics", trainer.iteration))
    numbers: Numbers = {}
    players: dict[str, dict[str, Numbers]] = {}
    with _untouched(trainer.gan):
        for player in trainer.gan.players:
            gradient, players[player] = _stepped(trainer, player, rng)
            numbers[f"{player}_gradient"] = gradient
            numbers[f"{player}_reach"] = trainer.steps(player) * max(
                layer["step"] for layer in players[player].values()
            )
        numbers |= _judged(trainer, held_out.to(device), rng)
    return numbers, players


def _stepped(trainer: Trainer, player: str, rng: torch.Generator) -> tuple[float, dict[str, Numbers]]:
    """The gradient's norm on a batch, and what the player's step along it would be, layer by layer."""
    network = trainer.gan.players[player]
    parameters = list(network.parameters())
    batch = trainer.gan.draw(player, _some(trainer.images, trainer.batches[player], rng), rng)
    gradients = torch.autograd.grad(trainer.gan.loss(player, batch).total(), parameters, materialize_grads=True)
    steps = trainer.next_step(player, gradients)
    place: dict[Tensor, int] = {parameter: i for i, parameter in enumerate(parameters)}
    found = {}
    for name, layer in layers(network):
        i = place[raw(layer)]
        found[name] = {
            "gradient": _short(_norm(gradients[i])),
            "step": _short(_norm(steps[i]) / max(_norm(parameters[i]), EPSILON)),
            "singular": _short(_top_singular(layer, rng)),
        }
    return math.hypot(*map(_norm, gradients)), found


@contextmanager
def _untouched(gan: GAN) -> Iterator[None]:
    """Forward passes move running statistics: afterwards these are as before."""
    buffers = [buffer for network in gan.networks.values() for buffer in network.buffers()]
    before = [buffer.clone() for buffer in buffers]
    yield
    for buffer, kept in zip(buffers, before, strict=True):
        buffer.copy_(kept)


@torch.no_grad()
def _judged(trainer: Trainer, held_out: Tensor, rng: torch.Generator) -> Numbers:
    """What the critic says in training mode: in batches as large as there, each of one kind; but nothing is dropped."""
    critic, generator = trainer.gan.players["critic"], trainer.gan.players["generator"]
    growth = next((module for module in generator.modules() if isinstance(module, Growth)), None)
    scores: list[list[Tensor]] = [[], [], []]
    features, pixels, theirs = [], [], []
    for _ in range(-(-IMAGES // trainer.batch_size)):
        reals = [_some(images, trainer.batch_size, rng) for images in (trainer.images, held_out)]
        batch = trainer.gan.draw("critic", reals[0], rng)
        pixels.append(generator(batch.latent, batch.draws["generator"]).float())
        shown = reals if growth is None else [growth.blend(images) for images in reals]
        theirs.append(shown[0])
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
        "generator_output": _rms(pixels) / _rms(theirs),
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


def _norm(tensor: Tensor) -> float:
    return float(torch.linalg.vector_norm(tensor.detach()))


def _short(number: float) -> float:
    """Four digits are enough to look at."""
    return float(f"{number:.4g}")
