"""Model-assisted evolution: many children are bred, a Gaussian process of all results picks the one that is trained.

Jin, Surrogate-assisted evolutionary computation, Swarm and Evolutionary Computation 1 (2011); Jones, Schonlau and
Welch, Efficient global optimization, Journal of Global Optimization 13 (1998). After a Latin hypercube of `initial`
points, each ask breeds children of the genomes that the model believes best: by uniform crossover, by differences (DE)
and by mutation of a gene or two; the children with the largest expected improvement

    EI(x) = (f* - m(x)) Phi(z) + s(x) phi(z),   z = (f* - m(x)) / s(x)

are parents of the next generation of children, for a few generations, and the best of all is proposed. The process is
one over the genes and some of their products (`evogan.genes.products`). It knows of noise: m and s are of the mean
fitness, not of one lucky training, and f* is the least m of what was evaluated. Fitness enters up to a fence: the upper
quartile of the first points and three times the distance between their quartiles (what lies beyond is an extreme
outlier, Tukey, Exploratory Data Analysis, 1977), on a higher rung to one as much higher as fitness is there, in the
median of the same trainings. Where all of it is positive, to the power between 1 and 0, the logarithm, that makes it
most normal (Box and Cox, Journal of the Royal Statistical Society B 26, 1964): while most genomes are bad that is 1,
and once many are good their differences count as ratios, as the noise of FID does. Failures are no values: where there
are any, on whatever rung, a second process learns where, and EI is multiplied with the probability that a full training
completes (Gelbart, Snoek and Adams, UAI 2014). Points still being trained are believed to turn out as predicted, so
that asks while results are pending differ.

With a ladder of `fidelities`, children begin at its lowest. Whenever 1 in `eta` of a rung has not gone on to the next
yet, that of it goes on which the model believes best at full fidelity (asynchronous successive halving, Li et al. 2020,
by the model's judgement instead of the last value); what probably fails there stays behind, up to a half. So does one
where nothing new is left to begin with, and where it alone has completed.

Hyperparameters are fitted anew when there are a twentieth more results than at the last fit; what is told
in between conditions the model at once.

Of several objectives f_1 .. f_k every ask draws weights w from the simplex, and is for the one fitness

    max_i w_i f'_i + 0.05 sum_i w_i f'_i,   f'_i = (f_i - best_i) / (fence_i or worst_i - best_i)

to which the model is fitted anew (ParEGO: Knowles, IEEE Transactions on Evolutionary Computation 10, 2006).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from operator import itemgetter

import numpy as np
import numpy.typing as npt

from evogan.extremes import scaled
from evogan.genome import Gene, Value
from evogan.genome.levels import EqualCells
from evogan.space import Space
from evogan.space.products import Products
from evogan.strategies.base import Fitness, Point, Proposal, at_least, latin_hypercube
from evogan.strategies.fidelity import MultiFidelity
from evogan.strategies.gaussian_process import Array, GaussianProcess, Results
from evogan.strategies.knowledge import Knowledge, Prior, Trended, spread
from evogan.strategies.threads import one_thread

CHILDREN = 300  # of one generation under the model
GENERATIONS = 4
MOST = 300  # results that the model is fitted to
REFIT = 1.05  # as many times more results than at the last fit are worth another
POWERS = (1.0, 0.75, 0.5, 0.25, 0.0)  # that positive fitness may be taken to
FINE = 2**30  # places of a gene whose levels have cells of several sizes; each level has the one in its middle
AUGMENTED = 0.05  # the weight of the sum beside the largest part, so that no objective is for nothing
DOUBTFUL = 0.5  # the probability of failure above which what waits stays behind
Valued = Callable[[Fitness, int], float]  # of what was told of a rung
Cells = tuple[int, ...]  # a genome as the index of each gene's level, or its place


class AssistedEvolution(MultiFidelity):
    """`initial`: points before the first model. `parents`: how many of the best breed.

    >>> from evogan import Gene, Space, search
    >>> space = Space("bowl", [Gene(name=name, kind="float", low=-1.0, high=1.0) for name in ("x", "y")])
    >>> def bowl(genes):
    ...     return genes["x"] ** 2 + genes["y"] ** 2
    >>> run = search(space, objective=bowl, strategy="assisted", evaluations=15, workers=1)
    >>> run.best.row.operator
    'expected improvement'
    """

    title = "assisted"
    several = True

    def __init__(
        self,
        space: Space,
        seed: int,
        *,
        initial: int = 10,
        parents: int = 12,
        fidelities: tuple[float, ...] = (1.0,),
        eta: int = 4,
    ) -> None:
        super().__init__(space, seed, fidelities, eta)
        at_least(self.title, "initial", initial, 2)
        at_least(self.title, "parents", parents, 2)
        self.initial, self.parents = initial, parents
        self._first = latin_hypercube(self.rng, initial, space.dimension)
        self._uneven = [i for i, gene in enumerate(space.genes) if not isinstance(gene.cells, EqualCells)]
        self._counts = np.array([len(gene.grid) for gene in space.genes])
        self._counts[self._uneven] = FINE
        self._choice = np.array([gene.kind == "choice" for gene in space.genes])
        self._products = Products(space)
        self._unordered = np.append(self._choice, np.zeros(len(self._products), dtype=bool))  # of what models see
        self._conditions = [_places(space, space.conditions[gene.name]) for gene in space.genes]
        self._conflicts = [_places(space, conflict.values) for conflict in space.conflicts]
        self._pending: dict[int, tuple[Cells, int]] = {}
        self._numbers: list[dict[Cells, int]] = [{} for _ in self.fidelities]  # of the proposals that were told
        self._rungs: list[dict[Cells, Fitness]] = [{} for _ in self.fidelities]  # what was told, in its order
        self._start: Array | None = None  # the model's hyperparameters, as they were last fitted
        self._fitted = 0  # to how many results
        self._prior: Prior | None = None  # what is known of other tasks

    def learn(self, knowledge: Knowledge) -> None:
        with one_thread():
            self._prior = knowledge.prior(self.space, lambda vectors: self._units(self._settled(vectors)))
        more = len(knowledge.portfolio)  # takes the places of these: half the first design stays, should it mislead
        self._first = [*latin_hypercube(self.rng, more, self.space.dimension), *self._first]
        self.initial = self.initial // 2 + more

    def _next(self) -> tuple[Point, int]:
        with one_thread():
            cells, rung, operator, parents = self._choose()
        self._pending[self._asked] = cells, rung
        return Point(self._units([cells])[0].tolist(), operator, parents), rung

    def replaceable(self) -> Proposal:
        """No model is asked for what nobody will train."""
        vector = self._uniform().vector
        self._pending[self._asked] = self._settled([vector])[0], 0
        self._asked += 1
        return Proposal(self._asked - 1, tuple(vector), self.fidelities[0])

    def tell(self, proposal: Proposal, fitness: Fitness) -> None:
        _, rung = self._pending.pop(proposal.number)
        cells = self._settled([proposal.vector])[0]
        self._rungs[rung][cells] = fitness
        self._numbers[rung][cells] = proposal.number

    def estimate(self, vectors: Sequence[Sequence[float]]) -> list[float] | None:
        """What the model believes of points at full fidelity, on its own scale: the less the better."""
        if self.objectives > 1 or len(self._completed(0)) < 2:
            return None
        with one_thread():
            mean, _ = self._model().predict(self._seen(self._settled(vectors)), self.top)
        return list(map(float, mean))

    # --- what was told

    def _completed(self, rung: int) -> dict[Cells, Fitness]:
        return {cells: fitness for cells, fitness in self._rungs[rung].items() if not fitness.failed}

    def _settled(self, vectors: Sequence[Sequence[float]]) -> list[Cells]:
        """The levels of points; an inactive gene at its middle one, so that it never counts."""
        cells = np.minimum((np.asarray(vectors) * self._counts).astype(int), self._counts - 1)
        return self._neutral(cells)

    def _neutral(self, cells: npt.NDArray[np.int_]) -> list[Cells]:
        for i in self._uneven:
            gene = self.space.genes[i]
            cells[:, i] = [_fine(gene, gene.cells.holding((k + 0.5) / FINE)) for k in cells[:, i]]
        active = np.ones(cells.shape, dtype=bool)
        for gene in self.space.parents_first:
            i = self.space.genes.index(gene)
            for parent, allowed in self._conditions[i]:
                active[:, i] &= active[:, parent] & np.isin(cells[:, parent], allowed)
        clash = np.zeros(len(cells), dtype=bool)
        for conflict in self._conflicts:
            clash |= np.all([active[:, i] & np.isin(cells[:, i], levels) for i, levels in conflict], axis=0)
        if clash.any():  # no such genome will ever be told
            units = self._units([*map(tuple, cells[clash])])
            cells[clash] = self._settled([self.space.repaired(unit) for unit in units.tolist()])
            return self._neutral(cells)
        return list(map(tuple, np.where(active, cells, self._counts // 2).tolist()))

    def _units(self, cells: Sequence[Cells]) -> Array:
        units: Array = (np.asarray(cells, dtype=float) + 0.5) / self._counts
        return units

    def _seen(self, cells: Sequence[Cells]) -> Array:
        """As models see them: with the products beside the genes."""
        units = self._units(cells)
        return np.hstack([units, self._products(units)])

    # --- the models

    def _model(self) -> GaussianProcess | Trended:
        """Of the fitness of what completed; of several objectives in a direction drawn now."""
        value = self._direction() if self.objectives > 1 else partial(_objective, 0)
        fences, rows = self._fences(value), list[tuple[Cells, int, float]]()
        for rung, most in enumerate(fences):
            told = ((cells, value(one, rung)) for cells, one in self._completed(rung).items())
            ranked = spread(sorted(told, key=itemgetter(1)), MOST // len(self.fidelities))
            rows += [(cells, rung, min(one, most)) for cells, one in ranked]
        trainings = {cells: i for i, cells in enumerate(dict.fromkeys(cells for cells, _, _ in rows))}
        known = sum(map(len, self._rungs))  # more than the model is fitted to
        due = self.objectives > 1 or known >= REFIT * self._fitted
        results = Results(
            self._seen([cells for cells, _, _ in rows]),
            normal(np.array([told for _, _, told in rows])),
            np.array([rung for _, rung, _ in rows]),
            np.array([trainings[cells] for cells, _, _ in rows]),
        )
        results = level(results)
        trend = None if self._prior is None else self._prior.fitted(results.x, results.y)
        if trend is not None:
            results = replace(results, y=results.y - trend(results.x))
        model = GaussianProcess(results, self._unordered, self._start, fit=due)
        if due:
            self._start, self._fitted = model.hyperparameters, known
        return model if trend is None else Trended(model, trend)

    def _direction(self) -> Valued:
        """From a fitness to the augmented Tchebycheff distance from the best of each objective, weighted at random."""
        fences = np.transpose([self._fences(partial(_objective, i)) for i in range(self.objectives)])
        rungs = range(len(self.fidelities))
        told = np.array([np.minimum(one.values, fences[r]) for r in rungs for one in self._completed(r).values()])
        best, weights = told.min(axis=0), self.rng.dirichlet(np.ones(self.objectives))
        width = told.max(axis=0) - best
        width[width == 0] = 1.0

        def value(fitness: Fitness, rung: int) -> float:
            parts = weights * (np.minimum(fitness.values, fences[rung]) - best) / width
            return float(parts.max() + AUGMENTED * parts.sum())

        return value

    def _fences(self, value: Valued) -> list[float]:
        """Of every rung: that of the first points, and what the same trainings have more there, if it is more."""
        below = {cells: value(one, 0) for cells, one in self._completed(0).items()}
        lowest = fence([*below.values()][: self.initial])
        steps = [
            [value(one, rung) - below[cells] for cells, one in self._completed(rung).items() if cells in below]
            for rung in range(len(self.fidelities))
        ]
        return [lowest + max(0.0, float(np.median(step or [0.0]))) for step in steps]

    def _risk(self) -> GaussianProcess | None:
        """Of failure, if anything failed: 1 where training fails, 0 where it completes."""
        recent = [
            (cells, rung, float(fitness.failed))
            for rung, told in enumerate(self._rungs)
            for cells, fitness in list(told.items())[-MOST // len(self.fidelities) :]
        ]
        if not any(failed for *_, failed in recent):
            return None
        trainings = {cells: i for i, cells in enumerate(dict.fromkeys(cells for cells, *_ in recent))}
        results = Results(
            self._seen([cells for cells, *_ in recent]),
            np.array([failed for *_, failed in recent]),
            np.array([rung for _, rung, _ in recent]),
            np.array([trainings[cells] for cells, *_ in recent]),
        )
        return GaussianProcess(results, self._unordered)

    # --- what to train next

    def _choose(self) -> tuple[Cells, int, str, tuple[int, ...]]:
        """A promotion that is due, or a new genome for the lowest rung; with its operator and parents."""
        rungs = list(reversed(range(self.top)))
        if self._asked < self.initial:
            return self._settled([self._first[self._asked].vector])[0], 0, self._first[self._asked].operator, ()
        if len(self._completed(0)) < 2:
            told = self._asked - len(self._pending) >= self.initial  # others fail, and are not just out
            for rung in rungs if told else ():
                for cells in self._waiting(rung):  # the one that has completed
                    return self._promoted(cells, rung)
            point = self._uniform()
            return self._settled([point.vector])[0], 0, point.operator, ()
        model, risk = self._model(), self._risk()
        for rung in rungs:
            due = len(self._above(rung)) < len(self._rungs[rung]) // self.eta
            if due and (waiting := self._hopeful(risk, rung)):
                return self._promotion(model, waiting, rung)
        child, parents = self._best_child(model, risk)
        if child in self._rungs[0]:  # a small space has no other left
            for rung in rungs:
                if waiting := self._waiting(rung):
                    return self._promotion(model, waiting, rung)
        return child, 0, "expected improvement", parents

    def _above(self, rung: int) -> set[Cells]:
        """What went on from it."""
        return {*self._rungs[rung + 1], *(cells for cells, r in self._pending.values() if r == rung + 1)}

    def _waiting(self, rung: int) -> list[Cells]:
        above = self._above(rung)
        return [cells for cells in self._completed(rung) if cells not in above]

    def _hopeful(self, risk: GaussianProcess | None, rung: int) -> list[Cells]:
        """What waits there but for what probably fails at full fidelity; the least doubtful one where otherwise less
        than half of what is due would go on, since a few failures may be nobody's fault."""
        waiting = self._waiting(rung)
        if risk is None or not waiting:
            return waiting
        failing, _ = risk.predict(self._seen(waiting), self.top)
        hopeful = [waiting[i] for i in np.flatnonzero(failing <= DOUBTFUL)]
        behind = 2 * len(self._above(rung)) <= len(self._rungs[rung]) // self.eta
        return hopeful or ([waiting[int(np.argmin(failing))]] if behind else [])

    def _promotion(
        self, model: GaussianProcess | Trended, waiting: Sequence[Cells], rung: int
    ) -> tuple[Cells, int, str, tuple[int, ...]]:
        """Of what waits there the one that the model believes best at full fidelity."""
        mean, _ = model.predict(self._seen(waiting), self.top)
        return self._promoted(waiting[int(np.argmin(mean))], rung)

    def _promoted(self, cells: Cells, rung: int) -> tuple[Cells, int, str, tuple[int, ...]]:
        return cells, rung + 1, "promotion", (self._numbers[rung][cells],)

    def _best_child(
        self, model: GaussianProcess | Trended, risk: GaussianProcess | None
    ) -> tuple[Cells, tuple[int, ...]]:
        """And the proposals that it descends from."""
        completed = list(self._completed(0))
        mean, _ = model.predict(self._seen(completed), self.top)
        best = float(mean.min())
        if self._pending:
            out, rungs = zip(*self._pending.values(), strict=True)
            model = model.believing(self._seen(out), np.array(rungs))
        elite = [completed[i] for i in np.argsort(mean, kind="stable")[: self.parents]]
        known = {*self._rungs[0], *(cells for cells, _ in self._pending.values())}
        pool: dict[Cells, float] = {}
        bred: dict[Cells, list[Cells]] = {}  # a child's parents
        parents = elite
        for _ in range(GENERATIONS):
            born = {child: of for child, of in reversed(self._breed(parents)) if child not in known}
            children = [child for child in born if child not in pool]
            bred |= {child: [parents[k] for k in born[child]] for child in children}
            if children:
                x = self._seen(children)
                gain = improvement(*model.predict(x, self.top), best)
                if risk is not None:
                    gain = gain * np.clip(1 - risk.predict(x, self.top)[0], 0.01, 1)
                pool.update(zip(children, gain.tolist(), strict=True))
            parents = sorted(pool, key=pool.__getitem__, reverse=True)[: self.parents] or elite
        best_child = max(pool, key=pool.__getitem__, default=elite[0])
        return best_child, self._ancestors(best_child, bred)

    def _ancestors(self, cells: Cells, bred: Mapping[Cells, Sequence[Cells]]) -> tuple[int, ...]:
        """The proposals that a child descends from."""
        if cells not in bred:
            return (self._numbers[0][cells],)
        return tuple(dict.fromkeys(number for one in bred[cells] for number in self._ancestors(one, bred)))

    def _breed(self, parents: Sequence[Cells]) -> list[tuple[Cells, list[int]]]:
        """Children, each with its parents' places: crossed over or moved by a difference, then mutated; a few new."""
        rng, population = self.rng, np.array(parents)
        n, d = CHILDREN, self.space.dimension
        drawn = rng.integers(len(population), size=(3, n))
        one, two, three = population[drawn]
        crossed = np.where(rng.random((n, d)) < 0.5, one, two)
        moved = np.where(self._choice, crossed, one + np.rint(0.5 * (two - three)).astype(int))
        crossing, cloned = rng.random(n) < 0.5, rng.random(n) < 0.3
        children = np.where(crossing[:, None], crossed, moved)
        children = np.where(cloned[:, None], one, children)
        widths = np.exp(rng.uniform(math.log(0.02), math.log(0.4), (n, 1)))
        steps = rng.normal(0, widths, (n, d)) * self._counts
        steps = np.where(steps < 0, np.floor(steps), np.ceil(steps)).astype(int)  # a level at least
        mutated = np.where(self._choice, rng.integers(self._counts, size=(n, d)), children + steps)
        genes = np.minimum(rng.geometric(0.5, n), d)[:, None]
        chosen = rng.random((n, d)).argsort(axis=1).argsort(axis=1) < genes
        children = np.where(chosen, mutated, children)
        children[: n // 10] = rng.integers(self._counts, size=(n // 10, d))
        taken = np.where(cloned, 1, np.where(crossing, 2, 3))  # of the parents drawn
        taken[: n // 10] = 0
        of = [row[:many] for row, many in zip(drawn.T.tolist(), taken.tolist(), strict=True)]
        return list(zip(self._neutral(np.clip(children, 0, self._counts - 1)), of, strict=True))


def _objective(i: int, fitness: Fitness, rung: int) -> float:
    return fitness.values[i]


def fence(values: Sequence[float]) -> float:
    """Beyond it a value is an extreme outlier."""
    low, high = np.percentile(values, [25, 75])
    return float(high + 3 * (high - low)) if high > low else math.inf


def _places(space: Space, values: Mapping[str, Collection[Value]]) -> list[tuple[int, list[int]]]:
    """Of some values of genes, by their places, which of their levels these are."""
    found = []
    for name, options in values.items():
        place, gene = next((i, gene) for i, gene in enumerate(space.genes) if gene.name == name)
        levels = gene.among(options)
        found.append((place, levels if isinstance(gene.cells, EqualCells) else [_fine(gene, k) for k in levels]))
    return found


def _fine(gene: Gene, level: int) -> int:
    """The place of a level among `FINE`."""
    return int(gene.cells.at(level) * FINE)


def improvement(mean: Array, deviation: Array, best: float) -> Array:
    """Expected improvement on `best`, minimising."""
    from scipy.special import ndtr

    z = (best - mean) / deviation
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    gain: Array = (best - mean) * ndtr(z) + deviation * density
    return gain


def normal(values: Array) -> Array:
    """Positive values to the power, or as the logarithm, that makes them most alike a normal distribution's.

    (v^p - 1) / p, of values with a geometric mean of 1: there the largest likelihood is that of the least variance.
    """
    if values.min() <= 0:
        return scaled(values)
    logs = np.log(values)
    logs = np.clip(logs - logs.mean(), -300, 300)  # what can be squared
    return min((np.expm1(p * logs) / p if p else logs for p in POWERS), key=np.var)


def level(results: Results) -> Results:
    """Values of higher rungs shifted by what they differ on average from the same training's on the lowest."""
    y = results.y.copy()
    first = {t: v for t, v, r in zip(results.training, results.y, results.rung, strict=True) if r == 0}
    for rung in range(1, int(results.rung.max(initial=0)) + 1):
        here = np.flatnonzero(results.rung == rung)
        steps = [results.y[i] - first[results.training[i]] for i in here if results.training[i] in first]
        y[here] -= np.mean(steps) if steps else 0.0
    return replace(results, y=y)
