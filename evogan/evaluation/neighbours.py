"""What a generator's samples are near to, and what truncation does to them: by the features that it is judged on."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from evogan.data import Dataset
from evogan.evaluation.checkpoint import Generator
from evogan.evaluation.walks import of_latents
from evogan.fitness import Features, Scorer, to_unit_range
from evogan.fitness.scorer import extract, reference_features

POOL = 1000  # samples that a twin is looked for among, and that a truncation is judged by
SHOWN = 8
PSIS = {"styles": (0.25, 0.5, 0.7, 0.85), "normal": (0.25, 0.5, 1.0, 1.5, 2.0)}
POINTS = 1 + max(map(len, PSIS.values()))
CURVE = ("fid", "manifold_precision", "manifold_recall")


def neighbours(generator: Generator, features: Features, dataset: Dataset) -> Tensor:
    """Three rows of `SHOWN` images (N, C, H, W): samples, of each its twin, the nearest other sample of `POOL`, and the
    nearest training image."""
    samples = generator.sample(POOL)
    fake, (real, _) = extract(features, samples.split(500)), reference_features(dataset, features)
    first = fake[:SHOWN].double()
    apart = torch.cdist(first, fake.double())
    apart[torch.arange(SHOWN), torch.arange(SHOWN)] = torch.inf  # itself
    nearest = torch.cat([torch.cdist(first, part.double()) for part in real.cpu().split(10_000)], 1).argmin(1)
    images = to_unit_range(torch.tensor(dataset.images[nearest.numpy()]))
    return torch.cat([samples[:SHOWN], samples[apart.argmin(1)], images])


def truncation_curve(generator: Generator, features: Features, dataset: Dataset) -> Iterator[dict[str, float]]:
    """`psi`, FID, precision and recall, of `POOL` samples; the last, without a psi, is of samples as they are.

    Errors: UserError for latents that cannot be truncated. Afterwards the generator is truncated.
    """
    gan = of_latents(generator._gan)
    psis = PSIS["styles" if gan.styles is not None else "normal"]
    scorer = Scorer(dataset, features, POOL)

    def score() -> dict[str, float]:
        found = scorer.score(generator.sample(POOL).split(500))
        return {name: found[name] for name in CURVE}

    as_it_is = score()
    for psi in psis:
        generator.truncate(psi)
        yield {"psi": psi, **score()}
    yield as_it_is
