"""Judges of classifiers that learned from few labels.

error          share of the images judged by that the GAN's classifier takes for another class
nearest_error  the yardstick: of 1-NN, which takes an image for what the nearest labelled one is, by its pixels (Cover
               and Hart 1967), from the same labels on the same images
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from evogan.data.dataset import Images, Labels
from evogan.fitness.features import to_unit_range
from evogan.fitness.scorer import NonFiniteSamples, batches

AT_ONCE = 500  # images, as doubles


@torch.no_grad()
def classification_error(
    classify: Callable[[Tensor], Tensor], images: Images, labels: Labels, device: torch.device | str = "cpu"
) -> float:
    """In [0, 1]; `classify`: images (n, C, H, W) in [-1, 1], on the device -> logits (n, K).

    Errors: NonFiniteSamples for logits that are no numbers.
    """
    said = []
    for batch in batches(images):
        logits = classify(to_unit_range(batch.to(device)))
        if not logits.isfinite().all():
            raise NonFiniteSamples("the classifier's logits are NaN or infinite")
        said.append(logits.argmax(1).cpu())
    return float((torch.cat(said).numpy() != labels).mean())


def nearest_error(known: Images, classes: Labels, images: Images, labels: Labels) -> float:
    """In [0, 1]; of labelled images that are equally near the first one. Exact: the distances are whole numbers."""
    ours = known.reshape(len(known), -1).astype(np.float64)
    squares = (ours**2).sum(1)
    wrong = 0
    for start in range(0, len(images), AT_ONCE):
        theirs = images[start : start + AT_ONCE].reshape(-1, ours.shape[1]).astype(np.float64)
        nearest = (squares - 2 * theirs @ ours.T).argmin(1)
        wrong += int((classes[nearest] != labels[start : start + AT_ONCE]).sum())
    return wrong / len(images)
