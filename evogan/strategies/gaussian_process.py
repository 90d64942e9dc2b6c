"""A Gaussian process over genomes, with noise: the model behind `assisted`.

Rasmussen and Williams, Gaussian Processes for Machine Learning (2006). A Matern-5/2 kernel with a length for each gene,

    k(x, x') = s (1 + a + a^2/3) exp(-a),  a = sqrt(5) r,  r^2 = sum_i d_i(x, x')^2 / l_i^2,

where d_i is the difference of a number's unit values, and 0 or 1 for the same or another value of a choice, which
has no order. Lengths, scale and noise are those of the largest posterior density, with the prior of Hvarfner, Hellsten
and Nardi (ICML 2024), log l ~ N(sqrt 2 + log(d)/2, 3), under which a model of 20 genes and 30 results stays sensible.
(The density is that of l; over log l, in which it is maximised here, its mode lies 3 lower.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

ROOT5 = math.sqrt(5.0)
NOISE = (math.log(0.1), 1.0)  # mean and deviation of the logarithm of the noise's share of a standardised variance
SCALE = (0.0, 0.5)
JITTER = 1e-8
ITERATIONS = 60


def squared_differences(a: Array, b: Array, choice: npt.NDArray[np.bool_]) -> Array:
    """d_i^2 for every gene and pair: (d, len(a), len(b))."""
    difference = a.T[:, :, None] - b.T[:, None, :]
    squared: Array = difference**2
    squared[choice] = np.abs(difference[choice]) > 1e-9
    return squared


@dataclass(frozen=True)
class Prior:
    """Normal densities of the logarithms of all lengths, the scale and the noise."""

    mean: Array
    deviation: Array

    @classmethod
    def of(cls, dimension: int) -> Prior:
        length = math.sqrt(2.0) + math.log(dimension) / 2 - 3.0
        mean = np.array([length] * dimension + [SCALE[0], NOISE[0]])
        return cls(mean, np.array([math.sqrt(3.0)] * dimension + [SCALE[1], NOISE[1]]))


class GaussianProcess:
    """Fitted to points `x`, (n, d) in the unit cube, and values `y`, (n,), standardised within.

    `choice` marks the genes without order. `start` are hyperparameters to begin with, as an earlier model found them.
    """

    def __init__(self, x: Array, y: Array, choice: npt.NDArray[np.bool_], start: Array | None = None) -> None:
        from scipy.optimize import minimize  # takes a third of a second to import

        self._x, self._choice = x, choice
        self._shift, self._width = float(y.mean()), float(y.std()) or 1.0
        self._y = (y - self._shift) / self._width
        self._prior = Prior.of(x.shape[1])
        self._d2 = squared_differences(x, x, choice)
        begin = self._prior.mean if start is None else start
        bounds = [(m - 4 * s, m + 4 * s) for m, s in zip(self._prior.mean, self._prior.deviation, strict=True)]
        found = minimize(self._loss, begin, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": ITERATIONS})
        self.hyperparameters: Array = found.x
        self._condition()

    def _kernel(self, d2: Array, hyperparameters: Array) -> tuple[Array, Array]:
        """The kernel, and -2 times its derivative by r^2."""
        inverse = np.exp(-2 * hyperparameters[:-2])
        a = ROOT5 * np.sqrt(np.maximum(np.tensordot(inverse, d2, 1), 0.0))
        decay = math.exp(hyperparameters[-2]) * np.exp(-a)
        return (1 + a + a**2 / 3) * decay, (5 / 3) * (1 + a) * decay

    def _loss(self, hyperparameters: Array) -> tuple[float, Array]:
        """The negative logarithm of the posterior density, and its gradient."""
        from scipy.linalg import cho_solve, cholesky

        n = len(self._y)
        kernel, slope = self._kernel(self._d2, hyperparameters)
        noise = math.exp(hyperparameters[-1])
        root = cholesky(kernel + (noise + JITTER) * np.eye(n), lower=True)
        alpha = cho_solve((root, True), self._y)
        inverse = cho_solve((root, True), np.eye(n))
        weights = inverse - np.outer(alpha, alpha)
        z = (hyperparameters - self._prior.mean) / self._prior.deviation
        loss = 0.5 * self._y @ alpha + np.log(np.diag(root)).sum() + 0.5 * z @ z
        lengths = 0.5 * np.tensordot(self._d2, weights * slope, 2) * np.exp(-2 * hyperparameters[:-2])
        scale, noisy = 0.5 * (weights * kernel).sum(), 0.5 * noise * np.trace(weights)
        return float(loss), np.concatenate([lengths, [scale, noisy]]) + z / self._prior.deviation

    def _condition(self) -> None:
        from scipy.linalg import cho_solve, cholesky

        kernel, _ = self._kernel(self._d2, self.hyperparameters)
        noise = math.exp(self.hyperparameters[-1])
        self._root = cholesky(kernel + (noise + JITTER) * np.eye(len(self._y)), lower=True)
        self._alpha = cho_solve((self._root, True), self._y)

    def believing(self, x: Array) -> GaussianProcess:
        """This model, as if it had seen its own predictions at `x` (Ginsbourger et al. 2010: the kriging believer)."""
        mean, _ = self.predict(x)
        other = object.__new__(GaussianProcess)
        other.__dict__.update(self.__dict__)
        other._x = np.concatenate([self._x, x])
        other._y = np.concatenate([self._y, (mean - self._shift) / self._width])
        other._d2 = squared_differences(other._x, other._x, self._choice)
        other._condition()
        return other

    def predict(self, x: Array) -> tuple[Array, Array]:
        """Mean and standard deviation, without the noise, at each of `x`: (m,), (m,)."""
        from scipy.linalg import solve_triangular

        kernel, _ = self._kernel(squared_differences(x, self._x, self._choice), self.hyperparameters)
        v = solve_triangular(self._root, kernel.T, lower=True)
        variance = math.exp(self.hyperparameters[-2]) - (v**2).sum(axis=0)
        return (
            kernel @ self._alpha * self._width + self._shift,
            np.sqrt(np.maximum(variance, 1e-12)) * self._width,
        )
