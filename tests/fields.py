"""Data of every field that a GAN of images may be trained on: labels of all, and of a few; sources, upside down."""

from __future__ import annotations

from torch import Tensor

from evogan.families import family_of
from evogan.shipped import names, read_genome
from evogan.training.feed import Streams, of_images
from evogan.zoo.gan import Data

OF_IMAGES = [name for name in names("genomes") if "sequences" not in family_of(read_genome(name).genome).needs]


def streams(images: Tensor, labels: Tensor, few: int = 12) -> Streams:
    """uint8 (N, C, H, W) and (N,)."""
    few_of_them = {"few_images": images[:few], "few_labels": labels[:few]}
    return {
        "images": {**of_images(images, labels)["images"], "sources": images.flip(2), "source_labels": labels},
        "few": few_of_them,
    }


def rows(images: Tensor, labels: Tensor) -> Data:
    """Of a step, as many of each: (N, C, H, W) in [-1, 1] and (N,)."""
    few = {"few_images": images.roll(1, 0), "few_labels": labels.roll(1, 0)}
    return {"images": images, "labels": labels, "sources": images.flip(2), "source_labels": labels, **few}
