"""What a measure is, and which there are: one entry each.

Their metrics are minimised, but for those of `evogan.trial.MAXIMISED`: only the judge turns them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from evogan.fitness.diversity import Diversity
from evogan.fitness.features import Features
from evogan.fitness.frechet import Moments, frechet_distance
from evogan.fitness.inception_score import InceptionScore
from evogan.fitness.kid import KernelSample, kernel_distance
from evogan.fitness.manifold import Manifold
from evogan.plugins import check_new, enter
from evogan.stable import derive_seed


@dataclass(frozen=True, eq=False)
class Reference:
    """What samples are measured against: features (n, d) of all training images and of the held-out ones.

    `network` made them; `data` is the fingerprint of the data set.
    """

    data: str
    network: Features
    real: Tensor
    held_out: Tensor

    def rng(self, purpose: str) -> torch.Generator:
        """The same for every GAN on these data."""
        return torch.Generator().manual_seed(derive_seed(self.data, purpose))


class Measure(Protocol):
    """Made once of a reference and sent to workers: it keeps little."""

    def measure(self, network: Features, fake: Tensor) -> dict[str, float]:
        """Named numbers, of features (n, d) of independent samples."""


class FrechetDistance:
    def __init__(self, reference: Reference) -> None:
        self._real = Moments.of(reference.real)
        _ = self._real.root

    def measure(self, network: Features, fake: Tensor) -> dict[str, float]:
        return {"fid": frechet_distance(self._real, Moments.of(fake))}


class KernelDistance:
    def __init__(self, reference: Reference) -> None:
        self._real = KernelSample(reference.real)
        _ = self._real.own

    def measure(self, network: Features, fake: Tensor) -> dict[str, float]:
        return {"kid": kernel_distance(self._real, KernelSample(fake))}


def _diversity(reference: Reference) -> Diversity:
    return Diversity(reference.network, reference.real, reference.held_out, reference.rng("diversity"))


def _inception_score(reference: Reference) -> InceptionScore:
    return InceptionScore()


def _manifold(reference: Reference) -> Manifold:
    return Manifold(reference.real, reference.rng("manifold"))


# a measure and those of its metrics that a search may be judged by, with their meaning
MEASURES: dict[Callable[[Reference], Measure], Mapping[str, str]] = {
    FrechetDistance: {"fid": "Frechet distance between the features of generated and of training images"},
    KernelDistance: {"kid": "kernel distance (unbiased MMD^2) between the same features"},
    _diversity: {
        "class_distance": "total variation distance of the classes in generated and in training images",
        "collision": "chance that two generated images are the same, beyond that of real ones",
    },
    _manifold: {
        "manifold_precision": "share of generated images that lie among the training images; more is better",
        "manifold_recall": "share of training images that lie among the generated ones; more is better",
    },
    _inception_score: {"inception_score": "how sure the classes are, and how evenly they appear; more is better"},
}

OF_IMAGES = {
    "swd": "sliced Wasserstein distance of patches of generated and of training images",
    "ms_ssim_pairs": "structural similarity of pairs of generated images",
}

OF_POINTS = {  # of GANs that make points in the plane
    "w1": "W1 distance of generated and of training points, in units of these' spread",
    "kl": "KL divergence of generated points from training points, on a grid, in nats",
    "js": "Jensen-Shannon divergence of the two, on a grid, in nats",
    "modes": "Gaussians of the data with a generated point within 3 standard deviations; more is better",
    "high_quality": "share of generated points within 3 standard deviations of one; more is better",
}
OF_MODES = frozenset({"modes", "high_quality"})  # where the data are known to be Gaussians

OF_SEQUENCES = {  # of GANs that make sequences of tokens
    "nll_test": "how unlikely held-out sequences are to the generator, in nats a token",
    "nll_oracle": "how unlikely samples are to the oracle, in nats a token",
    "exact_kl": "KL divergence of the language's probabilities from the generator's, over all its strings, in nats",
    "valid": "share of samples that are strings of the language; more is better",
    "distinct": "different strings among samples, over those of as many exact draws; more is better",
    **{f"bleu{n}": f"BLEU-{n} of samples against held-out sequences; more is better" for n in (2, 3, 4, 5)},
    **{f"self_bleu{n}": f"BLEU-{n} of samples against other samples: how alike they are" for n in (2, 3, 4, 5)},
}
OF_ORACLES, OF_KNOWN = frozenset({"nll_oracle"}), frozenset({"exact_kl", "valid", "distinct"})  # by what is known

OF_CLASSES = {  # of GANs that are asked for classes
    "class_fid": "mean over the classes of the Frechet distance within each",
    "gan_test_error": "share of samples that the feature network takes for another class than was asked for",
    "gan_train_error": "error on unseen images of a classifier that was trained on samples",
}

OF_CAPTIONS = {  # of GANs that are asked for what a sentence says
    "caption_error": "share of attributes that are read from samples as something else than the caption says",
    "caption_worst": "the same of the attribute that is got wrong most often",
    **{f"{name}_error": f"the same of the {name}" for name in ("thickness", "colour", "digit", "tilt", "background")},
}

OF_CRITICS = {  # that are told what is asked for
    "label_told": "chance that the critic ranks an unseen image with its own class, or caption, above the same with "
    "another; more is better",
}

OF_ENCODERS = {  # of GANs with an encoder
    "clustering_error": "share of unseen images outside the best one-to-one map of its categories to the classes",
    "nmi": "normalised mutual information of categories and classes of unseen images; more is better",
    "mutual_information": "bound of what a sample tells of its category, in nats; more is better",
    "reconstruction_ratio": "distance of unseen images to their reconstructions, over that of random pairs",
    "code_nn_error": "error on unseen images of the nearest training image's class, by codes",
}

OF_CATEGORIES = frozenset({"clustering_error", "nmi", "mutual_information"})  # of encoders that tell one
OF_LABELS = frozenset({"clustering_error", "nmi", "code_nn_error"})  # by the labels of the data

OF_CLASSIFIERS = {  # of GANs that tell classes apart, where labels are few
    "error": "share of images that the GAN's classifier gets wrong: of the validation part, of winners of all unseen",
}

OF_TRANSLATORS = {  # of GANs that make images from images, on unseen pairs
    "l1": "mean absolute difference of made and true images, pixels in [0, 1]",
    "psnr": "peak signal-to-noise ratio of made and true images, in dB; more is better",
    "ssim": "structural similarity of made and true images; more is better",
}

OF_DOMAINS = {  # of GANs that translate between domains without pairs, on unseen images
    "truth_distance": "distance of translations to the true images, over that of two true ones",
    "cycle_error": "mean absolute difference of images and what comes back of them, pixels in [0, 1]",
    "cycle_error_noise": "the same with noise on the images between",
    "task_error": "share of unseen images of the last domain that what learned from translations gets wrong",
    "identity_error": "mean absolute difference of images and what is made of them within their own domain",
}

OF_TRUTH = frozenset({*OF_TRANSLATORS, "truth_distance"})  # by the true images of unseen sources

OF_A_TRAINING = {
    "normalized_loss": "the losses' recent means within their own running range",
    "parameters": "trainable parameters of generator and critic",
    "seconds": "wall-clock time of the training, scoring left out",
}

METRICS: dict[str, str] = {name: meaning for metrics in MEASURES.values() for name, meaning in metrics.items()}
METRICS |= OF_IMAGES | OF_POINTS | OF_SEQUENCES | OF_CLASSES | OF_CAPTIONS | OF_CRITICS | OF_CLASSIFIERS | OF_ENCODERS
METRICS |= OF_TRANSLATORS | OF_DOMAINS
METRICS |= OF_A_TRAINING

RETIRED = {"duplicates": "collision", "ms_ssim": "ms_ssim_pairs"}  # recorded before: what takes their place


def add_measure(make: Callable[[Reference], Measure], metrics: Mapping[str, str]) -> None:
    """For plugins. `metrics`: those that a search may minimise, with their meaning.

    Errors: UserError for the name of one that is there.
    """
    for name in metrics:
        check_new({**METRICS, **RETIRED}, "metric", name)
    for name, meaning in metrics.items():
        enter(METRICS, "metric", name, meaning)
    MEASURES[make] = metrics
