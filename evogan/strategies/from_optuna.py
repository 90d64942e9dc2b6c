"""Optuna's samplers as strategies: `tpe`, `gp`, `optuna-cma-es`, `optuna-nsga2`, `optuna-qmc`.

Akiba et al., Optuna: A Next-generation Hyperparameter Optimization Framework, KDD 2019. The samplers are Optuna's
own with Optuna's defaults, seeded; the one exception is that the Sobol sequence of `optuna-qmc` is scrambled,
because without that every seed gives the same run.

Define-by-run: for every ask a trial is opened in a study in memory, and the genes are suggested parents first, the
active ones only. So a condition of the space is a conditional parameter there, of which each sampler makes what it
can (parameters that not all trials share are sampled one by one: TPE models them singly, the others draw them at
random; a choice is random for CMA-ES).

How a gene is suggested. A choice is categorical. A number is the *index of its level*, an integer: levels are evenly
spaced on the gene's scale, so the index keeps a log scale, and what the sampler is told is exactly what was judged.
A float that the space snaps afterwards would be told with a value that was never judged, would give the two outer
levels half the chance of the others, and would hide from a sampler that it repeats itself. Only where levels do not
own cells of one size (whole numbers on a log scale) the index is no scale: there the place in the unit interval is
suggested.

What is told. A failure is told as a failed trial, which every one of these samplers treats as if it had never
been (see docs/strategies.md for what follows). A proposal that the engine moved: its trial is closed as failed, and
the genome that was really judged is added as a trial of its own, in the same generation. Learning curves are not
reported: none of these samplers reads them in trials that have completed. Trials that are open are known to
TPE (as bad ones) and to GP (batch expected improvement).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from evogan.errors import UserError, shown
from evogan.genome import Gene, Value, holds
from evogan.genome.levels import EqualCells
from evogan.space import Space
from evogan.stable import derive_seed
from evogan.strategies.base import Fitness, Point, Proposal, Strategy, at_least, cell, centre, share

if TYPE_CHECKING:  # optuna takes its time to import: only who builds one of these pays for it
    from optuna import Study, Trial
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler


@contextmanager
def _quietly() -> Iterator[None]:
    """Optuna's log at errors only, and no word that a sampler is experimental; afterwards as it was."""
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(level, optuna.logging.ERROR))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)


@dataclass(frozen=True)
class _Axis:
    """A gene as a parameter of Optuna's."""

    gene: Gene

    @property
    def _by_level(self) -> bool:
        return isinstance(self.gene.cells, EqualCells)

    def suggest(self, trial: Trial) -> int:
        """The level that the sampler wants."""
        name, count = self.gene.name, len(self.gene.grid)
        if self.gene.kind == "choice":
            return trial.suggest_categorical(name, range(count))
        if self._by_level:
            return trial.suggest_int(name, 0, count - 1)
        return self.gene.cells.holding(trial.suggest_float(name, 0.0, 1.0))

    def parameter(self, level: int) -> int | float:
        """What stands for a level."""
        return level if self._by_level else self.gene.cells.at(level)

    @property
    def distribution(self) -> BaseDistribution:
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        count = len(self.gene.grid)
        if self.gene.kind == "choice":
            return CategoricalDistribution(range(count))
        return IntDistribution(0, count - 1) if self._by_level else FloatDistribution(0.0, 1.0)


@dataclass(frozen=True)
class _Open:
    """A trial that waits for its result: its number in the study, and the levels it stands for."""

    number: int
    levels: Mapping[str, int]


class FromOptuna(Strategy):
    """`make` builds the sampler from a seed."""

    operator: str  # whatever it does to make a point

    def __init__(self, space: Space, seed: int, make: Callable[[int], BaseSampler]) -> None:
        super().__init__(space, seed)
        self._make = make
        self._axes = {gene.name: _Axis(gene) for gene in space.genes}
        self._open: dict[int, _Open] = {}

    @cached_property
    def _study(self) -> Study:
        import optuna

        with _quietly():
            sampler = self._make(derive_seed(self.seed, "optuna") % 2**32)
            return optuna.create_study(sampler=sampler, directions=["minimize"] * self.objectives)

    def _ask(self) -> Point:
        active: dict[str, Value] = {}
        units: dict[str, float] = {}
        with _quietly():
            trial = self._study.ask()
            for gene in self.space.parents_first:
                if holds(self.space.conditions[gene.name], active):
                    level = self._axes[gene.name].suggest(trial)
                    active[gene.name], units[gene.name] = gene.grid[level], centre(gene, level)
        vector = [units.get(gene.name, 0.5) for gene in self.space.genes]
        self._open[self._asked] = _Open(trial.number, self._levels(vector))
        return Point(vector, self.operator, generation=next(iter(self._generation(trial.number).values()), None))

    def tell(self, proposal: Proposal, fitness: Fitness) -> None:
        from optuna.trial import TrialState

        asked, judged = self._open.pop(proposal.number), self._levels(proposal.vector)
        moved = judged != asked.levels
        with _quietly():
            if fitness.failed or moved:
                self._study.tell(asked.number, state=TrialState.FAIL)
            else:
                self._study.tell(asked.number, fitness.values)
            if moved and not fitness.failed:
                self._add(asked.number, judged, fitness.values)

    def _levels(self, vector: Sequence[float]) -> dict[str, int]:
        genome = self.space.decode(vector)
        genes = zip(self.space.genes, vector, strict=True)
        return {gene.name: cell(gene, u) for gene, u in genes if gene.name in genome}

    def _generation(self, number: int) -> dict[str, Any]:
        """What CMA-ES and NSGA-II note of the generation of a trial."""
        notes = self._study.get_trials(deepcopy=False)[number].system_attrs
        return {name: entry for name, entry in notes.items() if name.endswith(":generation")}

    def _add(self, number: int, levels: Mapping[str, int], values: Sequence[float]) -> None:
        """A completed trial in place of `number`, in the same generation of CMA-ES or NSGA-II."""
        from optuna.trial import create_trial

        self._study.add_trial(
            create_trial(
                values=values,
                params={name: self._axes[name].parameter(level) for name, level in levels.items()},
                distributions={name: self._axes[name].distribution for name in levels},
                system_attrs=self._generation(number),
            )
        )


class TPE(FromOptuna):
    """Multivariate tree-structured Parzen estimator: random until `n_startup_trials` have completed.

    Several objectives: the better half by nondomination rank, then by hypervolume (Ozaki et al., GECCO 2020).

    >>> from evogan import Gene, Space, search
    >>> space = Space("bowl", [Gene(name=name, kind="float", low=-1.0, high=1.0) for name in ("x", "y")])
    >>> def bowl(genes):
    ...     return genes["x"] ** 2 + genes["y"] ** 2
    >>> run = search(space, objective=bowl, strategy="tpe", options={"n_startup_trials": 5}, evaluations=25, workers=1)
    >>> run.best.value < 0.1
    True
    """

    operator = "tpe"
    several: ClassVar[bool] = True

    def __init__(self, space: Space, seed: int, *, n_startup_trials: int = 10, n_ei_candidates: int = 24) -> None:
        at_least("tpe", "n_startup_trials", n_startup_trials, 1)
        at_least("tpe", "n_ei_candidates", n_ei_candidates, 1)

        def make(seed: int) -> BaseSampler:
            from optuna.samplers import TPESampler

            return TPESampler(seed=seed, n_startup_trials=n_startup_trials, n_ei_candidates=n_ei_candidates)

        super().__init__(space, seed, make)


class GP(FromOptuna):
    """Gaussian process with expected improvement: random until `n_startup_trials` have completed.

    Several objectives: one process each, and the expected improvement of the hypervolume.

    >>> from evogan import Gene, Space, search
    >>> space = Space("bowl", [Gene(name=name, kind="float", low=-1.0, high=1.0) for name in ("x", "y")])
    >>> def bowl(genes):
    ...     return genes["x"] ** 2 + genes["y"] ** 2
    >>> run = search(space, objective=bowl, strategy="gp", options={"n_startup_trials": 6}, evaluations=8, workers=1)
    >>> run.best.row.operator
    'expected improvement'
    """

    operator = "expected improvement"
    several: ClassVar[bool] = True

    def __init__(self, space: Space, seed: int, *, n_startup_trials: int = 10) -> None:
        at_least("gp", "n_startup_trials", n_startup_trials, 1)

        def make(seed: int) -> BaseSampler:
            from optuna.samplers import GPSampler

            return GPSampler(seed=seed, n_startup_trials=n_startup_trials, warn_independent_sampling=False)

        super().__init__(space, seed, make)


class OptunaCMAES(FromOptuna):
    """CMA-ES of the `cmaes` package: `popsize` 0 is its own choice, 4 + floor(3 ln dimension).

    >>> from evogan import Gene, Space, search
    >>> space = Space("bowl", [Gene(name=name, kind="float", low=-1.0, high=1.0) for name in ("x", "y")])
    >>> def bowl(genes):
    ...     return genes["x"] ** 2 + genes["y"] ** 2
    >>> run = search(space, objective=bowl, strategy="optuna-cma-es", evaluations=25, workers=1)
    >>> run.best.value < 0.1
    True
    """

    operator = "sampling"

    def __init__(self, space: Space, seed: int, *, n_startup_trials: int = 1, popsize: int = 0) -> None:
        at_least("optuna-cma-es", "n_startup_trials", n_startup_trials, 1)
        if popsize:
            at_least("optuna-cma-es", "popsize", popsize, 4)

        def make(seed: int) -> BaseSampler:
            from optuna.samplers import CmaEsSampler

            return CmaEsSampler(
                seed=seed,
                n_startup_trials=n_startup_trials,
                popsize=popsize or None,
                warn_independent_sampling=False,
            )

        super().__init__(space, seed, make)


class OptunaNSGA2(FromOptuna):
    """NSGA-II: elitist, uniform crossover, mutation redraws a gene at random; on one objective or several.

    >>> from evogan import Gene, Space, search
    >>> space = Space("bowl", [Gene(name=name, kind="float", low=-1.0, high=1.0) for name in ("x", "y")])
    >>> def bowl(genes):
    ...     return genes["x"] ** 2 + genes["y"] ** 2
    >>> run = search(space, objective=bowl, strategy="optuna-nsga2", options={"population_size": 6}, evaluations=25)
    >>> run.history[-1].row.generation > 0
    True
    """

    operator = "nsga2"
    several: ClassVar[bool] = True

    def __init__(
        self,
        space: Space,
        seed: int,
        *,
        population_size: int = 50,
        crossover_prob: float = 0.9,
        swapping_prob: float = 0.5,
    ) -> None:
        at_least("optuna-nsga2", "population_size", population_size, 2)
        share("optuna-nsga2", "crossover_prob", crossover_prob)
        share("optuna-nsga2", "swapping_prob", swapping_prob)

        def make(seed: int) -> BaseSampler:
            from optuna.samplers import NSGAIISampler

            return NSGAIISampler(
                seed=seed,
                population_size=population_size,
                crossover_prob=crossover_prob,
                swapping_prob=swapping_prob,
            )

        super().__init__(space, seed, make)


class OptunaQMC(FromOptuna):
    """Scrambled Sobol or Halton points: `qmc_type` is 'sobol' or 'halton'.

    >>> from evogan import Gene, Space, search
    >>> space = Space("bowl", [Gene(name=name, kind="float", low=-1.0, high=1.0) for name in ("x", "y")])
    >>> def bowl(genes):
    ...     return genes["x"] ** 2 + genes["y"] ** 2
    >>> run = search(space, objective=bowl, strategy="optuna-qmc", options={"qmc_type": "halton"}, evaluations=20)
    >>> sorted({told.row.operator for told in run.history})
    ['halton']
    """

    def __init__(self, space: Space, seed: int, *, qmc_type: str = "sobol") -> None:
        if qmc_type not in ("sobol", "halton"):
            raise UserError(f"strategy 'optuna-qmc': qmc_type must be 'sobol' or 'halton', not {shown(qmc_type)}")

        self.operator = qmc_type

        def make(seed: int) -> BaseSampler:
            from optuna.samplers import QMCSampler

            return QMCSampler(seed=seed, qmc_type=qmc_type, scramble=True, warn_independent_sampling=False)

        super().__init__(space, seed, make)
