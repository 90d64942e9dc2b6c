"""Scores a trained GAN."""

from evogan.fitness.diversity import Diversity
from evogan.fitness.features import (
    SHIPPED,
    FeatureNet,
    FeatureRecord,
    Features,
    feature_table,
    save_network,
    shipped_records,
)
from evogan.fitness.frechet import Moments, frechet_distance
from evogan.fitness.kid import KernelSample, kernel_distance
from evogan.fitness.load import load_features
from evogan.fitness.normalized_loss import NormalizedLoss
from evogan.fitness.scorer import NonFiniteSamples, Scorer, to_unit_range
from evogan.fitness.train_features import train_features

METRICS: dict[str, tuple[str, str]] = {
    "fid": ("Frechet distance between the features of generated and of training images", "min"),
    "kid": ("kernel distance (unbiased MMD^2) between the same features", "min"),
    "class_distance": ("total variation distance of the classes in generated and in training images", "min"),
    "collision": ("chance that two generated images are the same, beyond that of real ones", "min"),
    "normalized_loss": ("the losses' recent means within their own running range", "min"),
    "parameters": ("trainable parameters of generator and critic", "min"),
    "seconds": ("wall-clock time of the training, scoring left out", "min"),
}

RETIRED = {"duplicates": "collision"}  # recorded before: what takes their place

__all__ = [
    "METRICS",
    "RETIRED",
    "SHIPPED",
    "Diversity",
    "FeatureNet",
    "FeatureRecord",
    "Features",
    "KernelSample",
    "Moments",
    "NonFiniteSamples",
    "NormalizedLoss",
    "Scorer",
    "feature_table",
    "frechet_distance",
    "kernel_distance",
    "load_features",
    "save_network",
    "shipped_records",
    "to_unit_range",
    "train_features",
]
