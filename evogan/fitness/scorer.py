"""Scores generated images against a data set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor

from evogan.data import Dataset
from evogan.data.cache import remembered
from evogan.data.dataset import Images
from evogan.errors import UserError, shown
from evogan.fitness.captions import CaptionErrors
from evogan.fitness.classes import Classes
from evogan.fitness.features import FeatureNet, Features, to_unit_range
from evogan.fitness.frechet import Moments, frechet_distance
from evogan.fitness.measures import MEASURES, OF_CAPTIONS, OF_CLASSES, FrechetDistance, Measure, Reference
from evogan.fitness.pictures import Pictures
from evogan.fitness.points import PlaneMeasures
from evogan.fitness.threads import one_each, threads
from evogan.plugins import Unusable
from evogan.stable import derive_seed

BATCH = 100  # on a CPU this stays in its caches: twice as fast as 500
SOME = 10_000  # images that stand for others
ALIKE = 1e-8  # of their mean square: a variance below this is rounding


class NonFiniteSamples(Exception):
    """A generator made NaN or infinite pixels."""


class Scorer:
    """All `MEASURES` of `samples` generated images against the training images of `dataset`.

    `lacks`: metrics that need features which tell classes apart, or the very classes of the data, and have none.
    The reference is computed here, once, from features that are remembered from one start to the next. Holds no images:
    pickles to the feature network and what the measures keep: a few moments, a subset of the features, patches.
    """

    def __init__(self, dataset: Dataset, features: Features, samples: int = 5000) -> None:
        self.features = features
        self.samples = samples
        self._data = dataset.fingerprint
        real, held_out = reference_features(dataset, features)
        _check(real, dataset.name, features.name)
        reference = Reference(dataset.fingerprint, features, real, held_out)
        with threads(1):  # whatever a machine has: several round sums otherwise
            labels = None if dataset.labels is None else torch.tensor(dataset.labels)
            self._classes = None if labels is None else Classes.of(features, real, labels)
            self._measures = [measure(reference) for measure in MEASURES]
            self.lacks = frozenset(() if features.classes else ("class_distance",))
            if features.classify(real[:1]) is None:
                self.lacks |= {"inception_score"}
            if self._classes is None:
                self.lacks |= {*OF_CLASSES}
            self._captions = _captions(dataset, features, held_out)
            if self._captions is None:
                self.lacks |= {*OF_CAPTIONS}
            self._themselves = (
                PlaneMeasures(dataset, samples)
                if dataset.plane
                else Pictures(dataset, samples, reference.rng("pictures"))
            )

    def fid(self, samples: Iterable[Tensor]) -> float:
        """Of any number of images, as `score` takes them."""
        (distance,) = (measure for measure in self._measures if isinstance(measure, FrechetDistance))
        return distance.measure(self.features, extract(self.features, samples))["fid"]

    def score(self, samples: Iterable[Tensor | tuple[Tensor, Tensor]]) -> dict[str, float]:
        """What is measured of images (n, C, H, W) in [-1, 1], clamped to it, or of points, in batches of any size:
        independent samples. Those that were asked for come with their classes, or captions (n,).

        Raises NonFiniteSamples on NaN or infinite pixels, ValueError unless there are `samples` images in
        all, since FID depends on how many there are.
        """
        first: list[Tensor] = []  # to look at themselves
        asked: list[Tensor] = []
        fake = extract(self.features, _keeping(samples, first, self._themselves.n, asked))
        if len(fake) != self.samples:
            raise ValueError(f"scores are of {self.samples} images, not {len(fake)}")
        found: dict[str, float] = {}
        for measure in self._measures:
            found |= _read(measure, measure.measure(self.features, fake), found)
        if asked and self._classes is not None:
            found |= self._classes.measure(self.features, fake, torch.cat(asked))
        images = torch.cat(first)
        if asked and self._captions is not None:
            digits, captions = self.features.classify(fake[: len(images)]), torch.cat(asked)[: len(images)]
            assert digits is not None
            found |= self._captions.measure(images, digits.cpu(), captions)
        return found | self._themselves.measure(images.clamp(-1, 1) if self.features.bounded else images)

    def fid_against(self, name: str, real: Iterable[Tensor], fake: Tensor) -> float:
        """FID of features (n, d) against those of other images of the data set than its training images: what these
        are, `name` says, under which their moments are remembered."""

        def moments() -> dict[str, Tensor]:
            with threads(1):
                found = Moments.of(extract(self.features, real))
            return {"n": torch.tensor(found.n), "mean": found.mean, "covariance": found.covariance}

        known = remembered({"data": self._data, "features": self.features.id, "of": name}, moments)
        return frechet_distance(Moments(int(known["n"]), known["mean"], known["covariance"]), Moments.of(fake))

    def test_error(self, images: Tensor, labels: Tensor) -> float | None:
        """The share of images (n, C, H, W) that the network takes for another class; None where it knows none."""
        if self._classes is None:
            return None
        return self._classes.measure(self.features, extract(self.features, [images]), labels).get("gan_test_error")


def reference_features(dataset: Dataset, features: Features) -> tuple[Tensor, Tensor]:
    """Features (n, d) of the training images and of the held-out ones, remembered from one start to the next."""
    found = remembered(
        {"data": dataset.fingerprint, "features": features.id},
        lambda: {
            "real": _each_on_one_core(features, dataset.images),
            "held_out": _each_on_one_core(features, dataset.held_out),
        },
    )
    return found["real"], found["held_out"]


def _each_on_one_core(features: Features, images: Images) -> Tensor:
    """Features (n, d): the same, to the last bit, whatever threads a machine has.

    Not of Inception, which takes gigabytes for a batch, nor of a plugin's, which may not be made for several at once.
    """
    if not isinstance(features, FeatureNet):
        return extract(features, batches(images))
    starts = range(0, len(images), BATCH)
    with one_each(len(starts)) as pool:
        found = pool.map(lambda i: torch.cat([*_seen(features, batches(images[i : i + BATCH]))]), starts)
        return torch.cat([*found])


def some_of(images: Images) -> Iterator[Tensor]:
    """`SOME` at most, at random, but always the same, `BATCH` at a time: the order of a file may mean something."""
    rng = torch.Generator().manual_seed(derive_seed("some of", len(images)))
    rows = torch.randperm(len(images), generator=rng)[:SOME].sort().values
    return (torch.tensor(images[part.numpy()]) for part in rows.split(BATCH))


def _captions(dataset: Dataset, features: Features, held_out: Tensor) -> CaptionErrors | None:
    """None unless images have captions, and the network tells digits."""
    if not (dataset.conditions and dataset.conditions.are_captions):
        return None
    digits = features.classify(held_out)
    return None if digits is None else CaptionErrors.of(dataset, digits)


def _keeping(
    given: Iterable[Tensor | tuple[Tensor, Tensor]], kept: list[Tensor], n: int, asked: list[Tensor]
) -> Iterator[Tensor]:
    """The images, of which the first n stay, and the classes that were asked for; on the CPU."""
    for batch in given:
        if isinstance(batch, tuple):
            batch, labels = batch
            asked.append(labels.cpu())
        if n > 0:
            images = batch[:n].cpu()
            kept.append(to_unit_range(images) if images.dtype == torch.uint8 else images.float())
            n -= len(images)
        yield batch


def _read(measure: Measure, answer: object, others: Mapping[str, float]) -> dict[str, float]:
    """Named numbers as plain ones. Errors: Unusable for what is none, and for those of `others`."""
    who, found = type(measure).__name__, dict[str, float]()
    if not isinstance(answer, Mapping):
        raise Unusable(f"measure {who} returned {shown(answer)}, not named numbers")
    for name, value in answer.items():
        if name in others:
            raise Unusable(f"measure {who} returned '{name}', which another one measures")
        try:
            found[name] = float(value)
        except (TypeError, ValueError, RuntimeError):
            raise Unusable(f"measure {who} returned '{name}' = {shown(value)}, not a number") from None
    return found


def _check(real: Tensor, data: str, features: str) -> None:
    """Errors: UserError for features (n, d) by which nothing can be told apart."""
    if not real.isfinite().all():
        raise UserError(f"features '{features}' of data set '{data}' are not finite: the network is damaged")
    if real.var(0).sum() <= ALIKE * real.square().sum(1).mean():
        raise UserError(f"all {len(real)} images of data set '{data}' are the same to features '{features}'")


def batches(images: Images) -> Iterator[Tensor]:
    """Copies of `BATCH` images at a time: an object store's arrays are read-only, which torch cannot be."""
    for start in range(0, len(images), BATCH):
        yield torch.tensor(images[start : start + BATCH])


@torch.no_grad()
def extract(features: Features, images: Iterable[Tensor]) -> Tensor:
    """Features (N, d), on the images' device, of images (n, C, H, W): float in [-1, 1], or uint8."""
    return torch.cat([*_seen(features, images)])


def _seen(features: Features, images: Iterable[Tensor]) -> Iterator[Tensor]:
    """`BATCH` at a time."""
    for given in images:
        network = features.to(given.device)
        for part in given.split(BATCH):
            batch = to_unit_range(part) if part.dtype == torch.uint8 else part.float()
            if not batch.isfinite().all():
                raise NonFiniteSamples("generated images have NaN or infinite pixels")
            seen = batch.clamp(-1, 1) if features.bounded else batch
            with torch.no_grad():
                found = network(seen.contiguous(memory_format=torch.channels_last))
            yield found
