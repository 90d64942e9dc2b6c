"""What players pay for inference: pure functions, each a mean over the batch, in nats where they are log-likelihoods.

information      E -log Q(c|x): of a category -log q_c, of numbers |u - mean|^2/2, a Gaussian of variance 1 without
                 its constant; H(c) less that is a lower bound of the mutual information I(c; x)     1606.03657
kl               KL(N(m, diag v) | N(0, 1)) = (|m|^2 + sum(v - 1 - log v))/2                         1312.6114
reconstruction   |a - b|^2/2, of pixels or of a critic's features                                    1512.09300
kind             cross-entropy of the two kinds of fakes
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from evogan.zoo.code import CATEGORY, CONTINUOUS, Code


def information(said: Tensor, start: Tensor, code: Code) -> dict[str, Tensor]:
    """Each part's term, of outputs (N, size) and what the images were made of, (N, size or more)."""
    found, given, terms = code.split(said), code.split(start), {}
    if CATEGORY in given:
        terms[CATEGORY] = -(torch.log_softmax(found[CATEGORY], 1) * given[CATEGORY]).sum(1).mean()
    if CONTINUOUS in given:
        terms[CONTINUOUS] = reconstruction(found[CONTINUOUS], given[CONTINUOUS])
    return terms


def kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Of normal distributions (N, Z) and the prior N(0, 1)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()


def reconstruction(a: Tensor, b: Tensor) -> Tensor:
    """(N, ...) twice."""
    difference = a.to(torch.promote_types(a.dtype, torch.float32)) - b
    return 0.5 * difference.square().flatten(1).sum(1).mean()


def kind(logits: Tensor, which: int) -> Tensor:
    """-log softmax of one of two logits (N, 2)."""
    return softplus(logits[:, 1 - which] - logits[:, which]).mean()
