"""Scores a trained GAN."""

from evogan.fitness.diversity import Diversity
from evogan.fitness.features import (
    SHIPPED,
    FeatureNet,
    FeatureRecord,
    Features,
    feature_table,
    save_network,
    shipped_for,
    shipped_records,
    to_unit_range,
)
from evogan.fitness.frechet import Moments, frechet_distance
from evogan.fitness.kid import KernelSample, kernel_distance
from evogan.fitness.load import load_features
from evogan.fitness.measures import (
    MEASURES,
    METRICS,
    OF_CAPTIONS,
    OF_CLASSES,
    OF_CLASSIFIERS,
    OF_CRITICS,
    OF_DOMAINS,
    OF_ENCODERS,
    OF_TRANSLATORS,
    OF_TRUTH,
    RETIRED,
    Measure,
    Reference,
    add_measure,
)
from evogan.fitness.normalized_loss import NormalizedLoss
from evogan.fitness.scorer import NonFiniteSamples, Scorer
from evogan.fitness.train_features import train_features

__all__ = [
    "MEASURES",
    "METRICS",
    "OF_CAPTIONS",
    "OF_CLASSES",
    "OF_CLASSIFIERS",
    "OF_CRITICS",
    "OF_DOMAINS",
    "OF_ENCODERS",
    "OF_TRANSLATORS",
    "OF_TRUTH",
    "RETIRED",
    "SHIPPED",
    "Diversity",
    "FeatureNet",
    "FeatureRecord",
    "Features",
    "KernelSample",
    "Measure",
    "Moments",
    "NonFiniteSamples",
    "NormalizedLoss",
    "Reference",
    "Scorer",
    "add_measure",
    "feature_table",
    "frechet_distance",
    "kernel_distance",
    "load_features",
    "save_network",
    "shipped_for",
    "shipped_records",
    "to_unit_range",
    "train_features",
]
