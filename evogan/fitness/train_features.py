"""Train a feature network on a data set's labels and measure what its FID means."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import replace

import torch

from evogan.data import Dataset
from evogan.errors import UserError
from evogan.fitness.classifier import fit
from evogan.fitness.features import FeatureNet, FeatureRecord
from evogan.fitness.frechet import Moments, frechet_distance
from evogan.fitness.scorer import batches, extract
from evogan.stable import derive_seed

NOISE_SIZES = (500, 1000, 5000)
NOISE_DRAWS = 10


def train_features(
    dataset: Dataset,
    epochs: int = 10,
    seed: int = 0,
    batch: int = 128,
    rate: float = 2e-3,
    progress: Callable[[int, int, float], None] | None = None,
) -> FeatureNet:
    """A trained network with its record. `progress` hears (epoch, epochs, mean loss) after each epoch.

    Raises UserError where `dataset` has no labels or fewer than 2 classes.
    """
    if dataset.labels is None or dataset.class_count is None or dataset.class_count < 2:
        raise UserError(f"data set '{dataset.name}' cannot train features: it needs labels of at least 2 classes")
    rng = torch.Generator().manual_seed(derive_seed("features", dataset.fingerprint, seed))
    record = FeatureRecord(dataset.name, dataset.fingerprint, dataset.image_size, dataset.channels, dataset.class_count)
    network = FeatureNet(record, rng)
    fit(network, torch.tensor(dataset.images), torch.tensor(dataset.labels), epochs, rng, batch, rate, progress)
    _round_to_half(network)
    network.eval().requires_grad_(False)
    network.record = measure(network, dataset)
    return network


def measure(network: FeatureNet, dataset: Dataset) -> FeatureRecord:
    """The network's record with accuracy, floor and noise measured on `dataset`."""
    features = extract(network, batches(dataset.images))
    held_out = extract(network, batches(dataset.held_out))
    reference = Moments.of(features)
    noise = []
    for n in NOISE_SIZES:
        if n <= len(features):
            rng = torch.Generator().manual_seed(derive_seed("noise", dataset.fingerprint, n))
            draws = [torch.randperm(len(features), generator=rng)[:n] for _ in range(NOISE_DRAWS)]
            fids = [frechet_distance(reference, Moments.of(features[draw])) for draw in draws]
            noise.append((n, statistics.mean(fids), statistics.stdev(fids)))
    with torch.no_grad():
        right = network.head(held_out).argmax(1) == torch.tensor(dataset.held_out_labels)
    return replace(
        network.record,
        accuracy=float(right.double().mean()),
        floor=frechet_distance(reference, Moments.of(held_out)),
        noise=tuple(noise),
    )


def _round_to_half(network: FeatureNet) -> None:
    """What is measured is what the file will hold."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter.half())
