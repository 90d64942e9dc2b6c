"""What is known of other tasks: genomes to try first, and a prior that a run's own results correct and overrule.

A source is the best genomes that one other task has seen, and a spread over the rest. Its values become the normal
scores of their ranks, so that scales of tasks do not matter (the Gaussian copula of Salinas, Shen and Perrone, ICML
2020), and a Gaussian process z_k of these, over the genes of the space that is searched, stands for the task.

The portfolio is chosen greedily, as that of Auto-sklearn 2.0 (Feurer et al., JMLR 2022), for tasks that are like a
known one, but for a deviation: minimise over sets S of n genomes

    sum_k w_k E[ min_{x in S} z_k(x) + g(x) ],   g ~ GP(0, kernel of z_k).

The first is the best in the mean over tasks; those that follow are good where it may not be. w_k is the share of the
searched genes that source k varies, times r_k, the share of its values that the rest of it explains.

The prior is a trend of the run's values y, in their own standard units, before the searcher's process models what it
leaves: two stages (Wistuba et al., Machine Learning 107, 2018), each source with its weight (as Feurer, Letham, Bakshy,
AutoML at ICML 2018, do by ranks), here by Bayesian linear regression (Rasmussen and Williams 2006, 2.7),

    y(x) = a + sum_k b_k z_k(x) + e(x),   b_k ~ r_k N(TRUST w_k / sum w, VARIANCE / K),   e ~ N(0, REST),

of which FADE / (FADE + n) is left after n results. So a source that misleads has its weight taken away, or turned, by a
handful of results, and what the run knows itself counts more and more: the searcher's own process models the rest of y.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from evogan.errors import UserError
from evogan.genome import Gene, Genome, Value, same
from evogan.space import Space
from evogan.stable import derive_seed
from evogan.strategies.gaussian_process import OTHERS, GaussianProcess, Results, squared_distances
from evogan.strategies.threads import one_thread

T = TypeVar("T")
Array = npt.NDArray[np.float64]
Units = Callable[[Sequence[Sequence[float]]], Array]  # points of the unit cube as a model is to see them

ROWS = 256  # of a source that are kept
CANDIDATES = 40  # of each source, the best
DRAWS = 64  # pairs of deviations
DEVIATION = 0.5  # the variance of a task's deviation from a known one, in that of its normal scores
FOLDS = 4
LEAST = 0.01  # reliability
TRUST, VARIANCE, REST = 0.6, 0.5, 0.5
FADE = 30  # results after which the trend is half of what it was


def thinned(rows: Iterable[tuple[T, float | None]]) -> list[tuple[T, float | None]]:
    """Best first, failures (None) last: `ROWS` of them, as `spread` has it."""
    return spread(sorted(rows, key=lambda row: (row[1] is None, row[1] or 0.0)), ROWS)


def spread(ranked: list[T], most: int) -> list[T]:
    """The best half of `most`, and of the rest as many at equal distances: a model must also remember what is bad."""
    if len(ranked) <= most:
        return ranked
    best, rest = ranked[: most // 2], ranked[most // 2 :]
    return [*best, *(rest[i] for i in np.linspace(0, len(rest) - 1, most - len(best)).astype(int))]


@dataclass(frozen=True)
class Source:
    """Genomes of one task, best first, and their values, minimised, at `fidelity`; None for a failure.

    `name`: where this is from. `data`: what the task is of.
    """

    name: str
    data: str
    rows: tuple[tuple[Genome, float | None], ...]
    fidelity: float = 1.0

    @property
    def scores(self) -> Array:
        """The normal scores of the rows' ranks, ties and failures sharing theirs."""
        from scipy.special import ndtri

        values = [np.inf if value is None else value for _, value in self.rows]
        _, place, count = np.unique(values, return_inverse=True, return_counts=True)
        ranks = np.cumsum(count) - (count - 1) / 2  # from 1
        found: Array = ndtri((ranks[place] - 0.5) / len(values))
        return found


@dataclass(frozen=True)
class Knowledge:
    """Of other tasks, for one space: `portfolio`, its genomes to try first; and each source with its model's lengths.

    Nothing is known without sources.
    """

    sources: tuple[Source, ...] = ()
    portfolio: tuple[Genome, ...] = ()
    fitted: tuple[tuple[float, ...], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.sources)

    def __str__(self) -> str:
        """In a line, of a run that asked for it."""
        if not self:
            return "learned from nothing: no other task is known that shares a gene"
        named = ", ".join(f"{one.name} ({len(one.rows)} genomes of {one.data})" for one in self.sources)
        n = len(self.portfolio)
        return f"learned from {named}; {n} genome{'s' * (n != 1)} to try first"

    @classmethod
    def of(cls, sources: Iterable[Source], space: Space, n: int) -> Knowledge:
        """What those know that share a gene with `space`; at most `n` genomes to try first, the first before all."""
        with one_thread():
            models = {source: model for source in sources if (model := Model.of(source, space))}
            portfolio = tuple(_portfolio(models, space, n))
        fitted = tuple(tuple(map(float, model.process.hyperparameters)) for model in models.values())
        return cls(tuple(models), portfolio, fitted)

    def prior(self, space: Space, units: Units = np.array) -> Prior:
        """What the sources say of points of `space`, as `units` has them."""
        fitted = [np.array(one) for one in self.fitted]
        models = [Model.of(source, space, units, one) for source, one in zip(self.sources, fitted, strict=True)]
        return Prior([model for model in models if model])

    def document(self) -> dict[str, Any]:
        """Plain data. Of a source's genes the values that occur; a row has the place of each, and then the fitness."""
        sources = []
        for source, fitted in zip(self.sources, self.fitted, strict=True):
            values: dict[str, list[Value]] = {}
            for genome, _ in source.rows:
                for gene, value in genome.items():
                    known = values.setdefault(gene, [])
                    if not any(same(value, one) for one in known):
                        known.append(value)
            rows = [
                [*(_place(known, genome.get(gene)) for gene, known in values.items()), f] for genome, f in source.rows
            ]
            sources.append({**vars(source), "genes": values, "rows": rows, "fitted": list(fitted)})
        return {"portfolio": [dict(genome) for genome in self.portfolio], "sources": sources}

    @classmethod
    def recorded(cls, document: Mapping[str, Any]) -> Knowledge:
        """Read back."""
        sources = tuple(
            Source(one["name"], one["data"], tuple(_row(one["genes"], row) for row in one["rows"]), one["fidelity"])
            for one in document["sources"]
        )
        fitted = tuple(tuple(one["fitted"]) for one in document["sources"])
        return cls(sources, tuple(map(Genome, document["portfolio"])), fitted)


def _place(values: Sequence[Value], value: Value | None) -> int | None:
    return None if value is None else next(i for i, one in enumerate(values) if same(value, one))


def _row(genes: Mapping[str, Sequence[Value]], row: Sequence[Any]) -> tuple[Genome, float | None]:
    *places, fitness = row
    said = zip(genes.items(), places, strict=True)
    return Genome((gene, values[place]) for (gene, values), place in said if place is not None), fitness


@dataclass(frozen=True)
class Model:
    """z of one source: a process over the genes of a space of which the source has several values (`shared`)."""

    process: GaussianProcess
    shared: list[int]
    choice: npt.NDArray[np.bool_]
    weight: float
    reliability: float

    @classmethod
    def of(cls, source: Source, space: Space, units: Units = np.array, fitted: Array | None = None) -> Model | None:
        """Fitted, unless it was before; None where nothing is shared."""
        points = [space.encode(entered(genome, space)) for genome, _ in source.rows]
        varies = np.ptp(points, axis=0) > 0  # whatever a model is to see: the run keeps a length of each
        x, shared = units(points), [int(i) for i in np.flatnonzero(varies)]
        if not shared:
            return None
        if fitted is not None and len(fitted) != len(shared) + OTHERS:
            wanted = f"{len(fitted)} numbers of its model, not {len(shared) + OTHERS}"
            raise UserError(f"what the run knows of '{source.name}' is damaged: {wanted}")
        choice = np.array([space.genes[i].kind == "choice" for i in shared])
        results = Results.of(x[:, shared], source.scores)
        process = GaussianProcess(results, choice, fitted, fit=fitted is None)
        reliability = max(_predicted(results, choice, process.hyperparameters), 0.0) ** 2 + LEAST
        return cls(process, shared, choice, reliability * len(shared) / space.dimension, reliability)

    def __call__(self, x: Array) -> Array:
        return self.process.predict(x[:, self.shared])[0]

    def deviations(self, x: Array) -> Array:
        """Draws of g at `x`, each with its opposite, so that their mean is nothing: (2 DRAWS, points)."""
        from scipy.linalg import cholesky

        mine, lengths = x[:, self.shared], np.exp(self.process.hyperparameters[: len(self.shared)])
        a = np.sqrt(5 * squared_distances(mine, mine, self.choice, lengths**-2.0))
        kernel = (1 + a + a**2 / 3) * np.exp(-a)  # Matern-5/2
        root = cholesky(DEVIATION * (kernel + 1e-6 * np.eye(len(x))), lower=True)
        draws = np.random.default_rng(derive_seed("portfolio")).standard_normal((DRAWS, len(x))) @ root.T
        return np.concatenate([draws, -draws])


def _predicted(results: Results, choice: npt.NDArray[np.bool_], hyperparameters: Array) -> float:
    """The correlation of values with what the others say of them, a quarter left out at a time."""
    fold, told = np.arange(len(results.y)) % FOLDS, np.zeros(len(results.y))
    for k in range(min(FOLDS, len(results.y))):
        others = Results.of(results.x[fold != k], results.y[fold != k])
        told[fold == k] = GaussianProcess(others, choice, hyperparameters, fit=False).predict(results.x[fold == k])[0]
    return float(np.corrcoef(told, results.y)[0, 1]) if np.ptp(told) > 0 and np.ptp(results.y) > 0 else 0.0


def _portfolio(models: Mapping[Source, Model], space: Space, n: int) -> list[Genome]:
    candidates = {
        space.key(genome): genome
        for source in models
        for genome in (entered(row, space) for row, value in source.rows[:CANDIDATES] if value is not None)
    }
    genomes = list(candidates.values())
    if not genomes or n < 1:
        return []
    x = np.array([space.encode(genome) for genome in genomes])
    believed = np.concatenate([model(x) + model.deviations(x) for model in models.values()])
    weights = np.repeat([model.weight for model in models.values()], 2 * DRAWS)
    best, chosen = np.full(len(believed), np.inf), list[int]()
    for _ in range(min(n, len(genomes))):
        score = weights @ np.minimum(best[:, None], believed)
        score[chosen] = np.inf
        chosen.append(int(np.argmin(score)))
        best = np.minimum(best, believed[:, chosen[-1]])
    return [genomes[i] for i in chosen]


@dataclass(frozen=True)
class Prior:
    """What several sources say of points."""

    models: Sequence[Model]

    def fitted(self, x: Array, y: Array) -> Callable[[Array], Array]:
        """The trend of `y` at `x`, up to a constant, as a function of points."""
        weights = np.array([model.weight for model in self.models])
        reliability = np.array([model.reliability for model in self.models])
        trust = TRUST * reliability * weights / weights.sum()
        width = float(y.std()) or 1.0
        z = self._trends(x)
        z -= z.mean(axis=0)
        rest = (y - y.mean()) / width - z @ trust
        precision = np.diag(REST * len(self.models) / (VARIANCE * reliability**2))
        slopes = width * FADE / (FADE + len(y)) * (trust + np.linalg.solve(z.T @ z + precision, z.T @ rest))
        return lambda points: self._trends(points) @ slopes

    def _trends(self, x: Array) -> Array:
        """z_k of each point: (n, sources)."""
        return np.column_stack([model(x) for model in self.models])


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
