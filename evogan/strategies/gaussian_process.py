"""A Gaussian process over genomes, with noise and fidelities: the model behind `assisted`.

Rasmussen and Williams, Gaussian Processes for Machine Learning (2006). A Matern-5/2 kernel with a length for each gene,

    k(x, x') = s (1 + a + a^2/3) exp(-a),  a = sqrt(5) r,  r^2 = sum_i d_i(x, x')^2 / l_i^2,

where d_i is the difference of a number's unit values, and 0 or 1 for the same or another value of a choice, which
has no order. What the same training gave on two rungs of a ladder of fidelities shares its noise, and what two genomes
gave on different rungs is related less, both by a correlation to the power of the distance between the rungs
(an intrinsic coregionalisation, Bonilla, Chai and Williams, NIPS 2007):

    cov = k(x, x') rho^|rung - rung'| + noise tau^|rung - rung'| [same training].

Lengths, scale, noise and correlations are those of the largest posterior density, with the prior of Hvarfner, Hellsten
and Nardi (ICML 2024), log l ~ N(sqrt 2 + log(d)/2, 3), under which a model of 20 genes and 30 results stays sensible.
(The density is that of l; over log l, in which it is maximised here, its mode lies 3 lower.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

ROOT2, ROOT5 = math.sqrt(2.0), math.sqrt(5.0)
OTHERS = 4  # hyperparameters, after the lengths; of each its mean and deviation:
SCALE = (0.0, 0.5)  # its logarithm
NOISE = (math.log(0.1), 1.0)  # the logarithm of its share of a standardised variance
RHO = (2.5, 1.0)  # its log odds
TAU = (1.0, 1.0)
JITTER = 1e-8
ITERATIONS, MORE = 60, 10  # of the search for hyperparameters: from nothing, and from those of an earlier model


def squared_differences(a: Array, b: Array, choice: npt.NDArray[np.bool_]) -> Array:
    """d_i^2 for every gene and pair: (d, len(a), len(b))."""
    difference = a.T[:, :, None] - b.T[:, None, :]
    squared: Array = difference**2
    squared[choice] = np.abs(difference[choice]) > 1e-9
    return squared


def squared_distances(a: Array, b: Array, choice: npt.NDArray[np.bool_], weights: Array) -> Array:
    """sum_i weights_i d_i^2 for every pair, (len(a), len(b)), by one product: |a|^2 + |b|^2 - 2ab.

    Of a choice each value that `b` has is a number of its own, 0 or 1.
    """
    root = np.sqrt(weights)
    sides = [(a[:, ~choice] * root[~choice], b[:, ~choice] * root[~choice])]
    squares = (sides[0][0] ** 2).sum(axis=1)[:, None] + (sides[0][1] ** 2).sum(axis=1)
    for i in np.flatnonzero(choice):
        values = np.unique(b[:, i])
        one, two = ((np.abs(x[:, i, None] - values) < 1e-9) * (root[i] / ROOT2) for x in (a, b))
        sides.append((one, two))
    one, two = (np.hstack(side) for side in zip(*sides, strict=True))
    found: Array = squares + weights[choice].sum() - 2 * (one @ two.T)
    return np.maximum(found, 0.0)


def _prior(dimension: int) -> tuple[Array, Array]:
    """Mean and deviation of every hyperparameter."""
    length = math.sqrt(2.0) + math.log(dimension) / 2 - 3.0
    mean, deviation = zip(*[(length, math.sqrt(3.0))] * dimension, SCALE, NOISE, RHO, TAU, strict=True)
    return np.array(mean), np.array(deviation)


@dataclass(frozen=True)
class Results:
    """Points `x`, (n, d) in the unit cube, and their values `y`, (n,); the rung of each, and which training gave it."""

    x: Array
    y: Array
    rung: npt.NDArray[np.int_]
    training: npt.NDArray[np.int_]

    @classmethod
    def of(cls, x: Array, y: Array) -> Results:
        """Each a training of its own, all on one rung."""
        return cls(x, y, np.zeros(len(y), dtype=int), np.arange(len(y)))

    def __add__(self, other: Results) -> Results:
        parts = ("x", "y", "rung", "training")
        return Results(*(np.concatenate([getattr(self, part), getattr(other, part)]) for part in parts))


class GaussianProcess:
    """Fitted to results, which are standardised within. `choice` marks the genes without order.

    `start` are hyperparameters to begin with, as an earlier model found them; without a `fit` they are kept.
    """

    def __init__(
        self, results: Results, choice: npt.NDArray[np.bool_], start: Array | None = None, *, fit: bool = True
    ) -> None:
        self._shift, self._width = float(results.y.mean()), float(results.y.std()) or 1.0
        self._choice = choice
        self._prior = _prior(results.x.shape[1])
        self._see(results)
        self.hyperparameters = self._fitted(start) if fit or start is None else start
        self._condition()

    def _see(self, results: Results) -> None:
        self._results, self._y = results, (results.y - self._shift) / self._width
        self._apart = np.abs(results.rung[:, None] - results.rung)
        self._same = results.training[:, None] == results.training

    def _fitted(self, start: Array | None) -> Array:
        """The hyperparameters of the largest posterior density, from a start."""
        from scipy.optimize import minimize  # takes a third of a second to import

        mean, deviation = self._prior
        d2 = squared_differences(self._results.x, self._results.x, self._choice)
        found = minimize(
            self._loss,
            mean if start is None else start,
            args=(d2,),
            jac=True,
            method="L-BFGS-B",
            bounds=list(zip(mean - 4 * deviation, mean + 4 * deviation, strict=True)),
            options={"maxiter": ITERATIONS if start is None else MORE},
        )
        fitted: Array = found.x
        return fitted

    def _between(self, a: Array, b: Array) -> Array:
        """r^2 of every pair."""
        return squared_distances(a, b, self._choice, np.exp(-2 * self.hyperparameters[:-OTHERS]))

    def _covariance(self, r2: Array, apart: npt.NDArray[np.int_], hyperparameters: Array) -> tuple[Array, Array]:
        """Of the mean fitness, and -2 times its derivative by r^2."""
        scale, _, rho, _ = hyperparameters[-OTHERS:]
        a = ROOT5 * np.sqrt(r2)
        decay = np.exp(scale + math.log(_odds(rho)) * apart - a)
        return (1 + a + a**2 / 3) * decay, (5 / 3) * (1 + a) * decay

    def _noise(self, hyperparameters: Array) -> Array:
        noise: Array = math.exp(hyperparameters[-3]) * self._same * _odds(hyperparameters[-1]) ** self._apart
        return noise

    def _loss(self, hyperparameters: Array, d2: Array) -> tuple[float, Array]:
        """The negative logarithm of the posterior density, and its gradient."""
        from scipy.linalg import cho_solve, cholesky

        eye = np.eye(len(self._y))
        r2 = np.tensordot(np.exp(-2 * hyperparameters[:-OTHERS]), d2, 1)
        kernel, slope = self._covariance(r2, self._apart, hyperparameters)
        noise = self._noise(hyperparameters)
        root = cholesky(kernel + noise + JITTER * eye, lower=True)
        alpha = cho_solve((root, True), self._y)
        weights = cho_solve((root, True), eye) - np.outer(alpha, alpha)
        mean, deviation = self._prior
        z = (hyperparameters - mean) / deviation
        loss = 0.5 * self._y @ alpha + np.log(np.diag(root)).sum() + 0.5 * z @ z
        lengths = np.tensordot(d2, weights * slope, 2) * np.exp(-2 * hyperparameters[:-OTHERS])
        rho, tau = _odds(hyperparameters[-2]), _odds(hyperparameters[-1])
        others = [
            (weights * kernel).sum(),
            (weights * noise).sum(),
            (weights * kernel * self._apart).sum() * (1 - rho),
            (weights * noise * self._apart).sum() * (1 - tau),
        ]
        return float(loss), 0.5 * np.concatenate([lengths, others]) + z / deviation

    def _condition(self) -> None:
        from scipy.linalg import cho_solve, cholesky

        r2 = self._between(self._results.x, self._results.x)
        kernel, _ = self._covariance(r2, self._apart, self.hyperparameters)
        noisy = kernel + self._noise(self.hyperparameters) + JITTER * np.eye(len(self._y))
        self._root = cholesky(noisy, lower=True)
        self._alpha = cho_solve((self._root, True), self._y)

    def believing(self, x: Array, rung: npt.NDArray[np.int_]) -> GaussianProcess:
        """This model, as if it had seen its own predictions at `x` (Ginsbourger et al. 2010: the kriging believer)."""
        fresh = self._results.training.max() + 1 + np.arange(len(x))
        other = object.__new__(GaussianProcess)
        other.__dict__.update(self.__dict__)
        other._see(self._results + Results(x, self.predict(x, rung)[0], rung, fresh))
        other._condition()
        return other

    def predict(self, x: Array, rung: npt.NDArray[np.int_] | int = 0) -> tuple[Array, Array]:
        """Mean and standard deviation, without the noise, at each of `x` on a rung: (m,), (m,)."""
        from scipy.linalg import solve_triangular

        apart = np.abs(np.atleast_1d(rung)[:, None] - self._results.rung)
        kernel, _ = self._covariance(self._between(x, self._results.x), apart, self.hyperparameters)
        v = solve_triangular(self._root, kernel.T, lower=True)
        variance = math.exp(self.hyperparameters[-4]) - (v**2).sum(axis=0)
        return (
            kernel @ self._alpha * self._width + self._shift,
            np.sqrt(np.maximum(variance, 1e-12)) * self._width,
        )


def _odds(x: float) -> float:
    """The probability with these log odds."""
    return float(1 / (1 + math.exp(-x)))
