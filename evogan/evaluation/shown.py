"""What the trainings of one replicate are shown, and what is kept from them to judge by."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch

from evogan.data import Dataset
from evogan.data.dataset import Images, Labels
from evogan.data.few import FewLabels
from evogan.fitness.errors import nearest_error
from evogan.training.feed import Arrays, Part, Streams, on_device
from evogan.trial import FRESH


class Judged(NamedTuple):
    """Images and their classes by which classifiers are judged; `what` they are, in words.

    `nearest`: the error of 1-NN on the same images, from the same labels. `validation`: where these images are held
    out, those that choose a checkpoint.
    """

    images: Images
    labels: Labels
    what: str
    nearest: float
    validation: tuple[Images, Labels] | None = None


class Shown(NamedTuple):
    """`streams` lie on the device; `unseen` are the same of what no training sees. `judged`: where labels are few."""

    streams: Streams
    unseen: Arrays | Streams
    judged: Judged | None = None


def shown(data: Dataset, train: Streams, few: FewLabels | None, task: str, replicate: int) -> Shown:
    """`train`: the data set's, where they are to lie. `task`: its key.

    Where labels are few: the pool without labels, and beside it the labelled images.
    """
    if few is None:
        return Shown(train, data.unseen)
    assert data.labels is not None and data.held_out_labels is not None
    labelled, pool = few.draw(task, replicate)
    judged = _judged(data, few, task, replicate)
    images, labels = train["images"]["images"], train["images"]["labels"]
    assert isinstance(images, torch.Tensor) and isinstance(labels, torch.Tensor)

    def part(of: torch.Tensor, rows: Labels) -> Part:
        return Part(of, torch.from_numpy(rows))

    streams = {
        "images": {"images": part(images, pool)},
        "few": {"few_images": part(images, labelled), "few_labels": part(labels, labelled)},
    }
    unseen: Arrays = {
        "images": {"images": data.held_out},
        "few": {"few_images": judged.images, "few_labels": judged.labels},
    }
    return Shown(on_device(streams, labels.device), unseen, judged)


@lru_cache(maxsize=8)  # of one draw there are many genomes
def _judged(data: Dataset, few: FewLabels, task: str, replicate: int) -> Judged:
    """The validation part in a search, all that is held out where winners are checked."""
    assert data.labels is not None and data.held_out_labels is not None
    labelled = few.draw(task, replicate).labelled
    known, ours = data.images[labelled], data.labels[labelled]
    images, labels = validation = data.images[few.validation], data.labels[few.validation]
    if replicate < FRESH:
        return Judged(*validation, f"{len(images):,} images for validation", nearest_error(known, ours, *validation))
    images, labels = data.held_out, data.held_out_labels
    nearest = nearest_error(known, ours, images, labels)
    return Judged(images, labels, f"all {len(images):,} held-out images", nearest, validation)
