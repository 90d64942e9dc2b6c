"""Train a feature network on a data set, by its labels or without any, and measure what its FID means."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import replace
from time import perf_counter

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from evogan.data import Dataset
from evogan.data.dataset import Images
from evogan.errors import UserError
from evogan.fitness import pretext
from evogan.fitness.classifier import BATCH, fit
from evogan.fitness.features import FeatureNet, FeatureRecord, to_unit_range
from evogan.fitness.frechet import Moments, frechet_distance
from evogan.fitness.pretext import TASKS, Column, Task
from evogan.fitness.scorer import batches, reference_features
from evogan.stable import derive_seed

NOISE_SIZES = (500, 1000, 5000)
NOISE_DRAWS = 10
FEWEST = 100  # images to train on, below which there is nothing to learn
EACH, MOST = 10, 0.9  # so many images of a class are enough; so large a share must be of such classes
ATTRIBUTES = "attributes"  # the field of what else is true of an image, int64 (N, K)
PARTS = 4  # of a batch, for as many cores
GUESSING = 3.0  # standard errors that a classifier must be better than the commonest class


def train_features(
    dataset: Dataset,
    labels: bool | None = None,
    seed: int = 0,
    epochs: int | None = None,
    name: str | None = None,
    progress: Callable[[float, float], None] | None = None,
) -> FeatureNet:
    """A trained network with its record; the same for the same data and seed, whatever the number of cores.

    `labels`: whether it learns from these; None: where there are enough of them. `name`: else that of the data set.
    `epochs`: else so many as suit the number of images. `progress` hears now and then which share is done, in (0, 1],
    and the mean loss since the last time. Errors: UserError for data with too little to learn from.
    """
    if labels is None:
        labels = has_classes(dataset)
    if labels and (dataset.labels is None or dataset.labels.ndim != 1 or len(np.unique(dataset.labels)) < 2):
        raise UserError(f"data set '{dataset.name}' cannot train features: it needs labels of at least 2 classes")
    if not labels:
        check_enough(dataset)
    plan = pretext.WITH_LABELS if labels else pretext.WITHOUT_LABELS
    rng = torch.Generator().manual_seed(derive_seed("features", dataset.fingerprint, seed))
    picked = torch.randperm(len(dataset.images), generator=rng)[: plan.images].numpy()
    side = min(dataset.image_size, plan.side)
    images = _small(dataset.images, picked, side)
    known = torch.tensor(dataset.labels[picked]) if labels and dataset.labels is not None else None
    started = perf_counter()
    more = dataset.train["images"].get(ATTRIBUTES) if labels else None
    if known is not None and more is not None:  # all are learned, and the label is what the network tells
        known = torch.cat([known[:, None], torch.tensor(more[picked])], 1)
        tasks: list[Task] = [Column(i, int(own.max()) + 1) for i, own in enumerate(known.T)]
    else:
        tasks = [TASKS[task](images, known, plan, seed) for task in plan.tasks]
    classes = tasks[0].outputs if labels else 0
    record = FeatureRecord(name or dataset.name, dataset.fingerprint, side, dataset.channels, classes)
    network = FeatureNet(record, rng)
    heads = [(task, network.head if labels and i == 0 else _head(task.outputs, rng)) for i, task in enumerate(tasks)]
    rounds = epochs or max(1, min(plan.epochs, round(plan.passes / len(images))))
    fit(network, heads, images, known, rounds, rng, BATCH, parts=PARTS, progress=progress)
    _round_to_half(network)
    network.eval().requires_grad_(False)
    network.record = replace(measure(network, dataset), seconds=perf_counter() - started)
    if not labels:
        told = [(task.title, task.outputs, _accuracy(network, task, head, dataset, rng)) for task, head in heads]
        network.record = replace(network.record, tasks=tuple(told))
    return network


def check_enough(dataset: Dataset) -> None:
    """Errors: UserError for fewer images than features can be learned from."""
    if len(dataset.images) < FEWEST:
        raise UserError(
            f"data set '{dataset.name}' has {len(dataset.images)} images to train on: features can be learned from "
            f"{FEWEST} or more; --features takes a network that knows such images"
        )


def has_classes(dataset: Dataset) -> bool:
    """Whether there are labels to learn from: nearly all images are of classes of which there are enough."""
    if dataset.labels is None or dataset.labels.ndim != 1:
        return False
    counts = np.bincount(dataset.labels)
    enough = counts[counts >= EACH]
    return len(enough) >= 2 and enough.sum() >= MOST * counts.sum()


def guesses(record: FeatureRecord, dataset: Dataset) -> bool:
    """Whether a classifier is hardly better than one that always says the commonest class."""
    assert dataset.held_out_labels is not None
    n, guess = len(dataset.held_out_labels), np.bincount(dataset.held_out_labels).max() / len(dataset.held_out_labels)
    return bool(record.accuracy < guess + GUESSING * (guess * (1 - guess) / n) ** 0.5)


def measure(network: FeatureNet, dataset: Dataset) -> FeatureRecord:
    """The network's record with accuracy where it knows classes, floor and noise measured on `dataset`."""
    features, held_out = reference_features(dataset, network)
    reference = Moments.of(features)
    noise = []
    for n in NOISE_SIZES:
        if n <= len(features):
            rng = torch.Generator().manual_seed(derive_seed("noise", dataset.fingerprint, n))
            draws = [torch.randperm(len(features), generator=rng)[:n] for _ in range(NOISE_DRAWS)]
            fids = [frechet_distance(reference, Moments.of(features[draw])) for draw in draws]
            noise.append((n, statistics.mean(fids), statistics.stdev(fids)))
    accuracy = 0.0
    if network.classes:
        with torch.no_grad():
            right = network.head(held_out).argmax(1) == torch.tensor(dataset.held_out_labels)
        accuracy = float(right.double().mean())
    return replace(
        network.record,
        accuracy=accuracy,
        floor=frechet_distance(reference, Moments.of(held_out)),
        noise=tuple(noise),
        held_out=len(held_out),
    )


@torch.no_grad()
def _accuracy(network: FeatureNet, task: Task, head: nn.Module, dataset: Dataset, rng: torch.Generator) -> float:
    """Of a pretext task, on held-out images."""
    right = []
    for images in batches(dataset.held_out):
        seen, wanted = task.examples(to_unit_range(_resized(images, network.record.image_size)), None, rng)
        right.append(head(network(seen)).argmax(1) == wanted)
    return float(torch.cat(right).double().mean())


def _head(outputs: int, rng: torch.Generator) -> nn.Linear:
    with torch.device("meta"):  # so that torch's own initialisation draws no random numbers
        head = nn.Linear(FeatureNet.dim, outputs)
    head.to_empty(device="cpu")
    with torch.no_grad():
        nn.init.kaiming_normal_(head.weight, nonlinearity="relu", generator=rng)
        head.bias.zero_()
    return head


def _small(images: Images, picked: np.ndarray, side: int) -> Tensor:
    """These images, uint8, of that side: whatever the size of the set, no more than them."""
    return torch.cat(
        [_resized(torch.from_numpy(images[part]), side) for part in np.array_split(picked, -(-len(picked) // 1000))]
    )


def _resized(images: Tensor, side: int) -> Tensor:
    if images.shape[-1] == side:
        return images
    made = functional.interpolate(images.float(), size=(side, side), mode="bilinear", antialias=True)
    return made.round().clamp(0, 255).to(torch.uint8)


def _round_to_half(network: FeatureNet) -> None:
    """What is measured is what the file will hold."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter.half())
