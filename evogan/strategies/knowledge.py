"""What is known of other tasks: genomes to try first, and a prior that a run's own results correct and overrule.

A source is the best genomes that one other task has seen, and a spread over the rest. Its values become the normal
scores of their ranks, so that scales of tasks do not matter (the Gaussian copula of Salinas, Shen and Perrone, ICML
2020), and a Gaussian process z_k of these, over the genes of the space that is searched, stands for the task.

The portfolio is chosen greedily, as that of Auto-sklearn 2.0 (Feurer et al., JMLR 2022), for tasks that are like a
known one, but for a deviation: minimise over sets S of n genomes

    sum_k w_k E[ min_{x in S} z_k(x) + g(x) ],   g ~ GP(0, kernel of z_k).

The first is the best in the mean over tasks; those that follow are good where it may not be. w_k is the share of the
searched genes that source k varies.

The prior is a trend of the run's values y, in their own standard units, before the searcher's process models what it
leaves: two stages (Wistuba et al., Machine Learning 107, 2018), each source with its weight (as Feurer, Letham, Bakshy,
AutoML at ICML 2018, do by ranks), here by Bayesian linear regression (Rasmussen and Williams 2006, 2.7),

    y(x) = a + sum_k b_k z_k(x) + e(x),   b_k ~ N(TRUST w_k / sum w, VARIANCE / K),   e ~ N(0, REST),

so that a source which misleads has its weight taken away, or turned, by a handful of results. What is left of y is what
the searcher's own process models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evogan.genome import Gene, Genome, Value, same
from evogan.space import Space
from evogan.stable import derive_seed
from evogan.strategies.gaussian_process import GaussianProcess, Results, squared_distances

Array = npt.NDArray[np.float64]
Units = Callable[[Sequence[Sequence[float]]], Array]  # points of the unit cube as a model is to see them

ROWS = 256  # of a source that are kept
CANDIDATES = 40  # of each source, the best
DRAWS = 64  # pairs of deviations
DEVIATION = 0.5  # the variance of a task's deviation from a known one, in that of its normal scores
TRUST, VARIANCE, REST = 0.6, 0.5, 0.5


@dataclass(frozen=True)
class Source:
    """Genomes of one task and their values, minimised, at `fidelity`; None for a failure. `data`: what the task is of.

    `name`: where this is from.
    """

    name: str
    data: str
    rows: tuple[tuple[Genome, float | None], ...]
    fidelity: float = 1.0

    @classmethod
    def thinned(
        cls, name: str, data: str, rows: Iterable[tuple[Genome, float | None]], fidelity: float = 1.0
    ) -> Source:
        """The best half of `ROWS`, and of the rest as many at equal distances; failures stand last."""
        ranked = sorted(rows, key=lambda row: (row[1] is None, row[1] or 0.0))
        if len(ranked) > ROWS:
            best, rest = ranked[: ROWS // 2], ranked[ROWS // 2 :]
            ranked = [*best, *(rest[i] for i in np.linspace(0, len(rest) - 1, ROWS - len(best)).astype(int))]
        return cls(name, data, tuple(ranked), fidelity)

    @property
    def scores(self) -> Array:
        """The normal scores of the rows' ranks, ties and failures sharing theirs."""
        from scipy.stats import norm, rankdata

        ranks = rankdata([np.inf if value is None else value for _, value in self.rows])
        found: Array = norm.ppf((ranks - 0.5) / len(ranks))
        return found


@dataclass(frozen=True)
class Knowledge:
    """Of other tasks. Nothing is known without sources."""

    sources: tuple[Source, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.sources)

    def shared(self, space: Space) -> Knowledge:
        """The sources that vary a gene of `space`."""
        return Knowledge(tuple(one for one in self.sources if _varied(one, space)))

    def portfolio(self, space: Space, n: int) -> list[Genome]:
        """At most `n` different genomes of `space`, the first to try first."""
        candidates = {
            space.key(genome): genome
            for source in self.sources
            for genome in (entered(row, space) for row, _ in source.rows[:CANDIDATES])
        }
        genomes = list(candidates.values())
        if not genomes or n < 1:
            return []
        x = np.array([space.encode(genome) for genome in genomes])
        choice, prior = _choice(space), self.prior(space)
        draws = [
            mean + deviation
            for mean, model in zip(prior.trends(x).T, prior.models, strict=True)
            for deviation in _deviations(model, x, choice)
        ]
        believed, weights = np.array(draws), np.repeat(prior.weights, 2 * DRAWS)
        best, chosen = np.full(len(believed), np.inf), list[int]()
        for _ in range(min(n, len(genomes))):
            score = weights @ np.minimum(best[:, None], believed)
            score[chosen] = np.inf
            chosen.append(int(np.argmin(score.round(9))))
            best = np.minimum(best, believed[:, chosen[-1]])
        return [genomes[i] for i in chosen]

    def prior(self, space: Space, units: Units = np.array) -> Prior:
        """What the sources say of points of `space`, as `units` has them."""
        models = []
        for source in self.sources:
            vectors = [space.encode(entered(row, space)) for row, _ in source.rows]
            models.append(GaussianProcess(Results.of(units(vectors), source.scores), _choice(space)))
        weights = np.array([len(_varied(source, space)) / space.dimension for source in self.sources])
        return Prior(models, weights)

    def document(self) -> list[dict[str, Any]]:
        """Plain data: the rows of a source as a list of genes, and of values in their order, the fitness last."""
        found = []
        for source in self.sources:
            genes = list(dict.fromkeys(gene for genome, _ in source.rows for gene in genome))
            rows = [[*(genome.get(gene) for gene in genes), value] for genome, value in source.rows]
            found.append({**vars(source), "genes": genes, "rows": rows})
        return found

    @classmethod
    def recorded(cls, document: Iterable[Mapping[str, Any]]) -> Knowledge:
        """Read back."""
        return cls(
            tuple(
                Source(
                    one["name"],
                    one["data"],
                    tuple(
                        (
                            Genome((g, v) for g, v in zip(one["genes"], values, strict=False) if v is not None),
                            values[-1],
                        )
                        for values in one["rows"]
                    ),
                    one["fidelity"],
                )
                for one in document
            )
        )


@dataclass(frozen=True)
class Prior:
    """A model a source, and how much each may say before anything was seen."""

    models: Sequence[GaussianProcess]
    weights: Array

    def trends(self, x: Array) -> Array:
        """z_k of each point: (n, sources)."""
        return np.column_stack([model.predict(x)[0] for model in self.models])

    def fitted(self, x: Array, y: Array) -> Callable[[Array], Array]:
        """The trend of `y` at `x`, up to a constant, as a function of points."""
        width = float(y.std()) or 1.0
        z = self.trends(x)
        z -= z.mean(axis=0)
        trust = TRUST * self.weights / self.weights.sum()
        rest = (y - y.mean()) / width - z @ trust
        precision = REST * len(self.models) / VARIANCE * np.eye(len(trust))
        slopes = width * (trust + np.linalg.solve(z.T @ z + precision, z.T @ rest))
        return lambda points: self.trends(points) @ slopes


class Trended:
    """A Gaussian process of what a trend leaves, as one of the whole."""

    def __init__(self, model: GaussianProcess, trend: Callable[[Array], Array]) -> None:
        self._model, self._trend, self.hyperparameters = model, trend, model.hyperparameters

    def predict(self, x: Array, rung: npt.NDArray[np.int_] | int = 0) -> tuple[Array, Array]:
        mean, deviation = self._model.predict(x, rung)
        return mean + self._trend(x), deviation

    def believing(self, x: Array, rung: npt.NDArray[np.int_]) -> Trended:
        return Trended(self._model.believing(x, rung), self._trend)


def entered(genes: Mapping[str, Value], space: Space) -> Genome:
    """The genome of `space` that is likest to `genes`, which may be of another: what it has not is dropped.

    Of a number the nearest level; of a choice that is not there, and of a gene that is not said, the table's default,
    or, where that is not there either, the middle level.
    """
    said = dict(genes) if space.table is None else space.table.complete(genes)
    values = {gene.name: _level(gene, said, space) for gene in space.genes}
    return space.decode(space.encode(values))


def _level(gene: Gene, said: Mapping[str, Value], space: Space) -> Value:
    options = [said[gene.name]] if gene.name in said else []
    options += [space.table[gene.name].default] if space.table is not None else []
    for value in options:
        if gene.kind == "choice":
            if any(same(value, mine) for mine in gene.values):
                return value
        elif isinstance(value, int | float) and not isinstance(value, bool):
            assert gene.low is not None and gene.high is not None
            return min(max(value, gene.low), gene.high)
    return gene.grid[len(gene.grid) // 2]


def _varied(source: Source, space: Space) -> list[str]:
    """The genes of `space` of which the source has several values."""
    found: dict[str, set[Value]] = {}
    mine = {gene.name for gene in space.genes}
    for row, _ in source.rows:
        for name, value in row.items():
            if name in mine:
                found.setdefault(name, set()).add(value)
    return [name for name, values in found.items() if len(values) > 1]


def _choice(space: Space) -> npt.NDArray[np.bool_]:
    return np.array([gene.kind == "choice" for gene in space.genes])


def _deviations(model: GaussianProcess, x: Array, choice: npt.NDArray[np.bool_]) -> Array:
    """Draws of g at `x`, each with its opposite, so that their mean is nothing: (2 DRAWS, points)."""
    from scipy.linalg import cholesky

    a = np.sqrt(5 * squared_distances(x, x, choice, np.exp(-2 * model.hyperparameters[:-4])))
    kernel = (1 + a + a**2 / 3) * np.exp(-a)  # Matern-5/2
    root = cholesky(DEVIATION * (kernel + 1e-8 * np.eye(len(x))), lower=True)
    draws = np.random.default_rng(derive_seed("portfolio")).standard_normal((DRAWS, len(x))) @ root.T
    found: Array = np.concatenate([draws, -draws])
    return found
