"""Few labels: of a data set with labels a training is told those of some images alone.

The validation part comes first: images of the training set, as many as there are labels but 100 at least and a quarter
of all at most, each class with its share. No training sees them; their labels judge during a search. Large ones would
be labels in disguise (Oliver et al. 2018, arXiv:1804.09170), so they are counted and said. Of what is left a draw picks
the labelled images, as many of each class as of any other, as far as there are; the rest is the pool without labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from evogan.data.dataset import Dataset, Labels
from evogan.errors import UserError
from evogan.families import Field
from evogan.stable import derive_seed

LEAST, PART = 100, 4  # of the validation part: images, and at most one in so many

Rows = npt.NDArray[np.int64]  # places among the training images, rising


class Draw(NamedTuple):
    """Which training images are labelled for a replicate, and which are there without labels."""

    labelled: Rows
    pool: Rows


@dataclass(frozen=True, eq=False)
class FewLabels:
    """`n` labels of training images whose labels are all (N,). `validation`: images that no training sees.

    `fields`: what a GAN is built for.
    """

    n: int
    all: Labels
    validation: Rows
    fields: dict[str, Field]

    kinds = frozenset({"few_labels"})

    @classmethod
    def of(cls, data: Dataset, n: int) -> FewLabels:
        """Errors: UserError for data without a class for each image, and for more or fewer labels than can be."""
        labels, said = data.labels, f"labels {n}: data set '{data.name}'"
        if labels is None:
            raise UserError(f"{said} has no labels")
        if labels.ndim != 1:
            raise UserError(f"{said} has {labels.shape[1]} attributes an image, not a class")
        counts = np.bincount(labels)
        classes, images = int((counts > 0).sum()), len(labels)
        if classes < 2:
            raise UserError(f"{said} has images of one class: there is nothing to tell apart")
        if n < classes:
            raise UserError(f"{said} has {classes} classes, and at least one image of each is to be labelled")
        judging = min(max(n, LEAST), images // PART, int((counts - 1).clip(0).sum()))
        if n > (most := images - judging - 2):
            raise UserError(
                f"{said} has {images:,} images to train on, of which {judging:,} are for validation and 2 at least "
                f"stay without labels: at most {most:,} labels"
            )
        rng = np.random.default_rng(derive_seed(data.fingerprint, "validation", n))
        validation = _picked(labels, np.arange(images), _shares(counts, judging), rng)
        image, values = data.fields["images"], data.class_count
        fields = {"images": image, "few_images": image, "few_labels": Field((), values)}
        return cls(n, labels, validation, fields)

    def draw(self, task: str, replicate: int) -> Draw:
        """The same for every genome, of the task by its key."""
        return _draw(self, derive_seed(task, "labels", replicate))

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """How many images of each class a draw labels."""
        there = np.delete(self.all, self.validation)
        return _even(np.bincount(there), self.n)

    def describe(self, held_out: int) -> str:
        """In a line; `held_out`: images that winners are checked on."""
        each = sorted({n for n in self.counts.tolist() if n})
        every = f"{each[0]:,}" if len(each) == 1 else f"{each[0]:,} to {each[-1]:,}"
        return (
            f"labels of {self.n:,} images are used, {every} a class, drawn anew for each replicate; in a search "
            f"{len(self.validation):,} more labels judge classifiers (validation: in no training), those of "
            f"all {held_out:,} held out only where winners are checked"
        )


@lru_cache(maxsize=8)
def _draw(few: FewLabels, seed: int) -> Draw:
    rng = np.random.default_rng(seed)
    there = np.delete(np.arange(len(few.all)), few.validation)
    labelled = _picked(few.all, there, few.counts, rng)
    return Draw(labelled, np.setdiff1d(there, labelled, assume_unique=True))


def _picked(labels: Labels, there: Rows, counts: npt.NDArray[np.int64], rng: np.random.Generator) -> Rows:
    """As many of each class as `counts` says, at random among `there`."""
    found = [rng.permutation(there[labels[there] == y])[:n] for y, n in enumerate(counts.tolist())]
    return np.sort(np.concatenate(found)).astype(np.int64)


def _shares(counts: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.int64]:
    """n images by the shares of the classes, whose last image stays: the largest remainders are rounded up."""
    most = (counts - 1).clip(0)
    exact = most * (n / most.sum())
    found: Rows = np.floor(exact).astype(np.int64)
    order: Rows = np.argsort(found - exact, kind="stable")
    for y in order[: n - int(found.sum())]:
        found[y] += 1
    return found


def _even(counts: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.int64]:
    """n images, as many of each class as of any other, or all that it has; what is over goes to the first ones."""
    found = np.zeros_like(counts)
    while (left := n - int(found.sum())) > 0:
        open_ = np.flatnonzero(found < counts)
        each = max(1, left // len(open_))
        for y in open_[:left]:
            found[y] += min(each, counts[y] - found[y])
    return found
