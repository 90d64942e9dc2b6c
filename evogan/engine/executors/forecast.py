"""Seconds and memory of a trial, predicted from its genome by what others took."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evogan.caller import undrawn
from evogan.genome import Value

LEAST = 8  # observations, below which nothing is said
NEWEST = 1000  # observations that are fitted
GROWTH = 1.5  # of the observations between two fits
SURE = 3.0  # standard deviations above the mean at which memory is said to be enough
FEW = 20  # observations that would double the variance: what is left after a fit to few looks too small

Array = NDArray[np.float64]
Model = Callable[[Mapping[str, float]], tuple[float, float]]  # features -> mean and standard deviation


@dataclass(frozen=True)
class Prediction:
    """`seconds`: the most likely; 0 where nothing is known. `memory`: bytes that are almost surely enough, or None."""

    seconds: float
    memory: float | None


class Forecast:
    """Learns from recorded costs. `memory` names the one that is predicted: of the process, or of the GPU.

    `share` is how much of a full training is meant; seconds are proportional to it.
    """

    def __init__(self, memory: str = "memory") -> None:
        self._seconds, self._memory = _Quantity(), _Quantity()
        self._name = memory

    def learn(self, genome: Mapping[str, Value], share: float, cost: Mapping[str, float]) -> None:
        seconds, memory = cost.get("seconds", 0.0), cost.get(self._name, 0.0)
        if share > 0 and seconds > 0:
            self._seconds.learn(genome, math.log(seconds / share))
        if memory > 0:
            self._memory.learn(genome, math.log(memory))

    def predict(self, genome: Mapping[str, Value], share: float = 1.0) -> Prediction:
        features = _features(genome)
        seconds, memory = self._seconds.predict(features), self._memory.predict(features)
        return Prediction(
            seconds=0.0 if seconds is None else share * _exp(seconds[0]),
            memory=None if memory is None else _exp(memory[0] + SURE * memory[1]),
        )


class _Quantity:
    """One number of a genome, as its logarithm: what was seen, and the model of it, fitted anew as more is seen."""

    def __init__(self) -> None:
        self._seen: deque[tuple[Mapping[str, float], float]] = deque(maxlen=NEWEST)
        self._count, self._due = 0, LEAST
        self._model: Model | None = None

    def learn(self, genome: Mapping[str, Value], value: float) -> None:
        self._seen.append((_features(genome), value))
        self._count += 1

    def predict(self, features: Mapping[str, float]) -> tuple[float, float] | None:
        if self._count >= self._due:
            self._due = math.ceil(GROWTH * self._count)
            self._model = _fit([found for found, _ in self._seen], np.array([value for _, value in self._seen]))
        return None if self._model is None else self._model(features)


def _features(genome: Mapping[str, Value]) -> dict[str, float]:
    """Choices one-hot, positive numbers as logarithms; and for numbers that they are there at all."""
    features: dict[str, float] = {}
    for name, value in genome.items():
        if isinstance(value, bool | str):
            features[f"{name}={value}"] = 1.0
        elif value > 0:
            features[name] = 1.0
            features[f"log {name}"] = math.log2(value)
        else:
            features[f"{name}={value:g}"] = 1.0
    return features


def _fit(seen: list[Mapping[str, float]], values: Array) -> Model:
    """Bayesian ridge regression on the features and the products of the logarithms: costs are sums of products."""
    with undrawn():
        from sklearn.feature_extraction import DictVectorizer
        from sklearn.linear_model import BayesianRidge

    vectorizer = DictVectorizer(sparse=False)
    x: Array = vectorizer.fit_transform(seen)
    index: dict[str, int] = vectorizer.vocabulary_
    logs = [i for name, i in index.items() if name.startswith("log ")]
    first, second = np.triu_indices(len(logs))
    first, second = np.array(logs, int)[first], np.array(logs, int)[second]

    def expand(x: Array) -> Array:
        return np.concatenate([x, x[:, first] * x[:, second]], axis=1)

    centre, width = x.mean(0), x.std(0)
    width[width == 0] = 1.0
    ridge: Any = BayesianRidge().fit(expand((x - centre) / width), values)

    def model(features: Mapping[str, float]) -> tuple[float, float]:
        row = np.zeros((1, len(index)))
        for name, value in features.items():
            if name in index:
                row[0, index[name]] = value
        z = expand((row - centre) / width)
        from_centre = z - ridge.X_offset_
        variance = (from_centre @ ridge.sigma_ @ from_centre.T).item() + 1 / ridge.alpha_
        return float((z @ ridge.coef_).item() + ridge.intercept_), math.sqrt(variance * (1 + FEW / len(values)))

    return model


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0))
