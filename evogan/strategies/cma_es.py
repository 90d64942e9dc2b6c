"""CMA-ES: a normal distribution over the numbers learns the scales and directions in which they improve.

Hansen and Ostermeier, Completely Derandomized Self-Adaptation in Evolution Strategies, Evolutionary Computation 9
(2001), in the (mu/mu_w, lambda) form with rank-one and rank-mu updates of `deap.cma.Strategy`:

    x_k = m + sigma N(0, C),   m' = sum_i w_i x_(i:lambda),   w_i ~ ln(mu + 1/2) - ln i,   lambda = 4 + 3 ln n
    p_s' = (1 - c_s) p_s + sqrt(c_s (2 - c_s) mu_eff) C^(-1/2) (m' - m)/sigma
    p_c' = (1 - c_c) p_c + h_s sqrt(c_c (2 - c_c) mu_eff) (m' - m)/sigma
    C'   = (1 - c_1 - c_mu + (1 - h_s) c_1 c_c (2 - c_c)) C + c_1 p_c' p_c'^T + c_mu sum_i w_i y_i y_i^T
    sigma' = sigma exp((c_s/d_s) (|p_s'| / E|N(0, I)| - 1))

and, which that class does not have, the active update (Jastrebski and Arnold, CEC 2006; weights of Hansen, The CMA
Evolution Strategy: A Tutorial, arXiv:1604.00772): C shrinks along the steps y_i = (x_i - m)/sigma of the worse half,

    C'' = C' + c_mu sum_{i > mu} |w_i| (C - n y_i y_i^T / |C^(-1/2) y_i|^2),   |w_i| ~ ln i - ln((lambda + 1)/2),
    sum |w_i| = min(1 + c_1/c_mu, 1 + 2 mu_eff^-/(mu_eff + 2), (1 - c_1 - c_mu)/(n c_mu))

Points outside [0, 1] are drawn again, up to 50 times, and then reflected (reflected alone, they mislead the active
update at an optimum on the boundary). The update learns from the points that were told. One that lies farther from m
than a sample would, because the engine moved it, is drawn in to a length of sqrt(n) + 2n/(n + 2) in units of
sigma C^(1/2) (Hansen, Injecting External Solutions into CMA-ES, arXiv:1110.4181). Standard deviations do not fall
below a quarter of a gene's level cell, so that a gene with few levels is not frozen while the others go on; where all
have fallen so low, or numbers fail (not finite, condition above 1e14), it starts anew from a random centre.

Choices have no order and therefore no place in a normal distribution. Beside it stands, for each choice, the
probability q of its K values (independent, uniform at first). With y_i the one-hot value of the i-th best:

    q' = q + c_q sum_i w_i (y_i - q),   c_q = mu_eff / (mu_eff + sum over choices of (K - 1)),   q' >= q_min

This is the natural gradient of a categorical distribution (Shirakawa, Iwata and Akimoto, AAAI 2018), as CMA-ES's
rank-mu update is that of the normal one; the margin q_min (see `margin`) keeps every value possible. The dimension
does not grow with K, as it would with one latent number a value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from deap import cma

from evogan.space import Space
from evogan.stable import derive_seed
from evogan.strategies.base import (
    Generational,
    Individual,
    Point,
    at_least,
    cell,
    centre,
    choices,
    numbers,
    reflected,
    within,
)
from evogan.strategies.margin import least_share

Array = npt.NDArray[np.float64]
WORST_CONDITION = 1e14
RESAMPLINGS = 50  # generations drawn for one that lies inside the cube


class _Point(list[float]):
    """What deap.cma sorts: the greater `fitness`, the better."""

    fitness = 0.0


class CMAES(Generational):
    """`sigma` is the first step size, in cube widths; `population` is lambda, 0 stands for 4 + 3 ln n.

    >>> from evogan import Gene, Space, search
    >>> space = Space("bowl", [Gene(name=name, kind="float", low=-1.0, high=1.0) for name in ("x", "y")])
    >>> def bowl(genes):
    ...     return genes["x"] ** 2 + genes["y"] ** 2
    >>> run = search(space, objective=bowl, strategy="cma-es", evaluations=40, workers=1)
    >>> run.best.value < 0.05
    True
    """

    def __init__(self, space: Space, seed: int, *, sigma: float = 0.25, population: int = 0) -> None:
        super().__init__(space, seed)
        within("cma-es", "sigma", sigma, 1)
        if population:
            at_least("cma-es", "population", population, 4)
        self.sigma, self.population = sigma, population or int(4 + 3 * math.log(space.dimension))
        self.restarts = 0
        self._numbers, self._choices = numbers(space), choices(space)
        self._least = np.array([0.25 * space.genes[i].cells.width for i in self._numbers])
        self._random = np.random.RandomState(np.random.MT19937(derive_seed(seed, "cma-es")))
        self._start_from(np.full(len(self._numbers), 0.5))

    def _start_from(self, centroid: Array) -> None:
        # with no number at all, a normal distribution that nobody looks at gives the weights
        self._normal: Any = cma.Strategy(centroid if len(centroid) else [0.5], self.sigma, lambda_=self.population)
        sizes = [len(self.space.genes[i].grid) for i in self._choices]
        self._shares = [np.full(size, 1.0 / size) for size in sizes]

    def _breed(self, told: list[Individual]) -> list[Point]:
        if told:
            ranked = sorted(told, key=lambda one: one.fitness.order)
            self._learn_choices(ranked)
            if self._numbers:
                self._learn_numbers(ranked)
        points: list[list[float]] = []
        for _ in range(RESAMPLINGS):
            batch = self._samples()
            points += [point for point in batch if min(point) >= 0 and max(point) <= 1]
            if len(points) >= self.population:
                break
        return [self._proposed(point) for point in (points + batch)[: self.population]]

    def _samples(self) -> list[list[float]]:
        """As DEAP's strategy generates them, which draws from the generator of the whole process."""
        normal = self._normal
        drawn = self._random.standard_normal((self.population, normal.dim))
        found: list[list[float]] = (normal.centroid + normal.sigma * np.dot(drawn, normal.BD.T)).tolist()
        return found

    def _proposed(self, point: Sequence[float]) -> Point:
        vector = [0.0] * self.space.dimension
        if self._numbers:
            for i, u in zip(self._numbers, point, strict=True):
                vector[i] = reflected(float(u))
        for i, shares in zip(self._choices, self._shares, strict=True):
            vector[i] = centre(self.space.genes[i], int(self.rng.choice(len(shares), p=shares)))
        return Point(vector, "sampling")

    def _learn_choices(self, ranked: list[Individual]) -> None:
        weights, mueff = self._normal.weights, float(self._normal.mueff)
        rate = mueff / (mueff + sum(len(shares) - 1 for shares in self._shares))
        for at, i in enumerate(self._choices):
            gene, shares = self.space.genes[i], self._shares[at]
            if len(shares) == 1:
                continue
            seen = np.zeros_like(shares)
            for weight, one in zip(weights, ranked, strict=False):
                seen[cell(gene, one.vector[i])] += weight
            least = least_share(len(self._choices), len(shares))
            self._shares[at] = with_margin(shares + rate * (seen - shares), least)

    def _learn_numbers(self, ranked: list[Individual]) -> None:
        points = []
        for rank, one in enumerate(ranked):
            point = _Point(self._drawn_in(np.array([one.vector[i] for i in self._numbers])))
            point.fitness = -float(rank)
            points.append(point)
        try:
            with np.errstate(all="ignore"):
                active = self._active_update(points)
                self._normal.update(points)
                self._normal.C = self._normal.C + active
                self._normal.sigma = min(float(self._normal.sigma), 1.0)
                converged = self._keep_least()
            sound = self._sound()
        except np.linalg.LinAlgError:
            sound, converged = False, False
        if converged or not sound:
            self.restarts += 1
            self._start_from(self.rng.random(len(self._numbers)))

    def _drawn_in(self, point: Array) -> Array:
        """`point`, or where it is too far from the centre, the point in its direction that is not."""
        normal, n = self._normal, len(self._numbers)
        step = point - normal.centroid
        length = float(np.linalg.norm(normal.B.T @ step / normal.diagD)) / normal.sigma
        longest = math.sqrt(n) + 2 * n / (n + 2)
        return point if length <= longest else np.asarray(normal.centroid + step * (longest / length))

    def _active_update(self, points: Sequence[_Point]) -> Array:
        """What the worse half (of `points`, best first) adds to C."""
        normal, n = self._normal, len(self._numbers)
        ranks = np.arange(normal.mu + 1, self.population + 1)
        raw = np.maximum(np.log(ranks) - math.log((self.population + 1) / 2), 0.0)
        c1, cmu, mueff = normal.ccov1, normal.ccovmu, float(normal.mueff)
        mueff_minus = raw.sum() ** 2 / (raw**2).sum()
        total = min(1 + c1 / cmu, 1 + 2 * mueff_minus / (mueff + 2), (1 - c1 - cmu) / (n * cmu))
        weights = total * raw / raw.sum()
        steps = (np.array(points)[normal.mu :] - normal.centroid) / normal.sigma
        lengths = np.linalg.norm(steps @ normal.B / normal.diagD, axis=1)
        steps *= (math.sqrt(n) / np.maximum(lengths, 1e-12))[:, None]
        return np.asarray(cmu * (total * normal.C - (weights * steps.T) @ steps))

    def _keep_least(self) -> bool:
        """Widens the directions that are too narrow to leave a level; whether all were."""
        normal = self._normal
        wide = np.maximum(self._least / (normal.sigma * np.sqrt(np.diag(normal.C))), 1.0)
        normal.C = normal.C * np.outer(wide, wide)
        squares, normal.B = np.linalg.eigh(normal.C)
        normal.diagD = np.sqrt(squares)
        normal.BD = normal.B * normal.diagD
        normal.cond = squares[-1] / squares[0]
        return bool((wide > 1).all())

    def _sound(self) -> bool:
        normal = self._normal
        finite = all(np.isfinite(a).all() for a in (normal.C, normal.diagD, normal.B, normal.centroid, normal.sigma))
        return finite and normal.sigma > 0 and bool((normal.diagD > 0).all()) and normal.cond < WORST_CONDITION


def with_margin(shares: Array, least: float) -> Array:
    """`shares`, each at `least` or above, summing to 1: what the small ones gain the others lose in proportion."""
    raised = np.maximum(shares, least)
    spare = raised - least
    return np.asarray(raised + (1 - raised.sum()) * spare / spare.sum())
