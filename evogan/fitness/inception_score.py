"""The inception score (Salimans et al. 2016, arXiv:1606.03498), by the classes of the run's own feature network.

    IS = exp(E_x KL(p(y|x) || p(y)))

with p(y) the mean of p(y|x): in [1, classes], high where every sample is surely of a class, and all classes appear
alike. As published, the mean over `SPLITS` parts of the samples.
"""

from __future__ import annotations

import torch
from torch import Tensor

from evogan.fitness.features import Features

SPLITS = 10


class InceptionScore:
    """Of samples alone; nothing where the network has no classes."""

    @torch.no_grad()
    def measure(self, network: Features, fake: Tensor) -> dict[str, float]:
        logits = network.classify(fake)
        return {} if logits is None else {"inception_score": inception_score(logits)}


def inception_score(logits: Tensor) -> float:
    """From logits (n, classes), in float64."""
    parts = logits.double().cpu().tensor_split(min(SPLITS, len(logits)))
    return float(torch.stack([_score(part) for part in parts]).mean())


def _score(logits: Tensor) -> Tensor:
    logs = logits.log_softmax(1)
    shares = logs.exp()
    return (shares * (logs - shares.mean(0).log())).nansum(1).mean().exp()  # 0 log 0 is 0
