"""Judges of GANs with an encoder: what a code says of an image, and whether the image comes back.

clustering_error      share of images outside the best one-to-one map m of categories to classes, by the Hungarian
                      method (Kuhn 1955): 1 - max_m mean [m(argmax_k p_k(x)) = y]
nmi                   mutual information of category and class over the mean of their entropies, in [0, 1]
mutual_information    InfoGAN's bound (Chen et al. 2016, arXiv:1606.03657), in nats: E log p_c(G(z, c)) + log K, at most
                      log K, of categories c that are all alike probable
reconstruction_ratio  E |x - G(E(x))| / E |x - x'| of images x and others x': 1 is another image, and of the mean of all
                      images 1/sqrt(2), roughly
code_nn_error         share of images of which the nearest training image, by their codes, is of another class (as
                      BiGAN is judged: Donahue et al. 2017, arXiv:1605.09782)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from evogan.caller import undrawn

TINY = torch.finfo(torch.float32).tiny  # of a probability, which may be 0 by rounding, and of a distance of equals
AT_ONCE = 1000  # rows of a matrix of distances


def clustering_error(category: Tensor, labels: Tensor) -> float:
    """Of categories and classes (N,), both from 0; there may be more of one than of the other.

    >>> clustering_error(torch.tensor([2, 2, 0, 0]), torch.tensor([0, 0, 1, 0]))
    0.25
    """
    from scipy.optimize import linear_sum_assignment  # takes half a second

    table = torch.zeros(int(category.max()) + 1, int(labels.max()) + 1, dtype=torch.long)
    table.index_put_((category, labels), torch.ones_like(labels), accumulate=True)
    rows, columns = linear_sum_assignment(table.numpy(), maximize=True)
    return 1 - int(table[rows, columns].sum()) / len(labels)


def nmi(category: Tensor, labels: Tensor) -> float:
    """Of categories and classes (N,); 0 where one category, or one class, is all there is."""
    with undrawn():
        from sklearn.metrics import normalized_mutual_info_score  # takes a second

    return float(normalized_mutual_info_score(labels.numpy(), category.numpy()))


def mutual_information(said: Tensor, asked: Tensor) -> float:
    """`said`: probabilities (N, K) of the categories of samples; `asked`: those that they were made of, one-hot."""
    of_the_asked = (said.double() * asked).sum(1).clamp(min=TINY)
    return float(of_the_asked.log().mean()) + math.log(asked.shape[1])


def reconstruction_ratio(images: Tensor, again: Tensor, rng: torch.Generator) -> float:
    """Of images (N, C, H, W) and their reconstructions; `rng` says which others they are held against."""
    x, order = images.flatten(1).double(), torch.randperm(len(images), generator=rng)
    lost = torch.linalg.vector_norm(x - again.flatten(1).double(), dim=1).mean()
    apart = torch.linalg.vector_norm(x[order] - x[order.roll(1)], dim=1).mean()
    return float(lost / apart.clamp(min=TINY))


def code_nn_error(known: Tensor, classes: Tensor, codes: Tensor, labels: Tensor) -> float:
    """Of codes (N, d) with labels (N,), by those that are `known`, (M, d), with their classes (M,)."""
    nearest = [torch.cdist(part, known.double()).argmin(1) for part in codes.double().split(AT_ONCE)]
    return float((classes[torch.cat(nearest)] != labels).double().mean())
