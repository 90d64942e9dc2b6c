"""Every strategy as an Optuna sampler, for anybody's study.

>>> import optuna
>>> from evogan.optuna import EvoSampler
>>> optuna.logging.set_verbosity(optuna.logging.WARNING)
>>> def objective(trial):
...     x = trial.suggest_float("x", -5, 5)
...     kind = trial.suggest_categorical("kind", ["a", "b"])
...     return x**2 + (kind == "b")
>>> study = optuna.create_study(sampler=EvoSampler("ga", seed=1, population=10))
>>> study.optimize(objective, n_trials=100)
>>> study.best_value < 0.1
True

How the two fit together:

- The strategy searches the parameters that all finished trials share (Optuna's intersection space). The first trial,
  and any parameter that only some trials have, is drawn at random, independently. If the shared space changes, the
  strategy starts anew on it.
- It learns from all that the study shows, not from its own trials only: trials of other workers, enqueued ones, those
  of an earlier session. Each such trial takes the place of one proposal, told with the point that was really
  judged. So several workers, threads or processes, breed from a common history, and a study that is
  loaded again goes on from its trials. Give each process a seed of its own, or none.
- Where a strategy waits for results (a generation is still out), the trial is a random point of the shared space, and
  the strategy goes on with it when it finishes, in place of the oldest one that is out: a worker that died never
  holds it up.
- Failed trials are told as failures. Pruned trials too: they stand behind all that completed, because their last value
  belongs to another step. An infinitely bad value is a failure; an infinitely good one counts as a
  little better than the best.
- Whatever Optuna allows as a parameter is searched. Whole numbers on a log scale are spread as those of a gene are:
  equal factors are equally likely (the trials that are drawn independently have Optuna's own cells).
- One objective. Strategies that choose fidelities are refused: in Optuna that is the pruner's part.

The sampler may be pickled, and goes on from where it was; a copy that Optuna reseeds for another process starts its
strategy anew, from another seed, on the study's history.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from evogan.errors import UserError
from evogan.extremes import tamed
from evogan.genome import MOST, Gene, Value, holds
from evogan.options import LARGEST_SEED, read_option
from evogan.space import Repairs, Space
from evogan.stable import derive_seed
from evogan.strategies import Fitness, Proposal, Strategy, make_strategy
from evogan.strategies.auto import AUTO, MANY, choose

__all__ = ["EvoSampler", "suggest"]

FINE = 100_001  # places of a parameter that is continuous, the most that 6 digits tell apart
_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def suggest(trial: Trial, space: Space) -> dict[str, Value]:
    """A space's fixed genes, and its active ones as an Optuna trial suggests them; `Space.snap` moves them to levels.

    Where suggested values cannot live together, the genome has another one in place of the trial's parameter.
    """
    repairs = Repairs(space)
    while True:
        values: dict[str, Value] = {}
        for gene in space.parents_first:
            if holds(space.conditions[gene.name], values):
                known = gene.name in repairs.settled
                values[gene.name] = repairs.settled[gene.name] if known else _suggested(trial, gene)
        if repairs(values):
            return space.fixed | values


def _suggested(trial: Trial, gene: Gene) -> Value:
    if gene.kind == "choice":
        gene.check_told_apart()
        return cast(Value, trial.suggest_categorical(gene.name, gene.values))
    ask: Any = trial.suggest_int if gene.kind == "int" else trial.suggest_float
    return cast(Value, ask(gene.name, gene.low, gene.high, log=gene.scale == "log"))


class EvoSampler(BaseSampler):
    """The strategy `name` with its `options` as an Optuna sampler (`evogan strategies` lists both).

    `auto` is what a search of a few hundred trainings in full takes. Without a `seed` every sampler is another one.
    Errors: UserError for an unknown strategy or option, or a strategy that chooses fidelities.
    """

    def __init__(self, name: str, *, seed: int | None = None, **options: Any) -> None:
        self._name, self._options = read_option("strategy", name, str), options
        if name == AUTO:
            self._name, chosen = choose(evaluations=MANY, early=False)
            self._options = chosen | options
        self._seed = _fresh_seed() if seed is None else read_option("seed", seed, int, low=0, high=LARGEST_SEED)
        probe = Space("probe", [Gene(name=gene, kind="float", low=0.0, high=1.0) for gene in ("x", "y")])
        first = make_strategy(self._name, probe, 0, self._options).ask()
        if first is not None and first.fidelity < 1:
            raise UserError(f"strategy '{name}' chooses fidelities, an Optuna study has none: use a pruner instead")
        self._random = RandomSampler(seed=derive_seed(self._seed, "independent") % 2**32)
        self._lock = threading.RLock()
        self._process: int | None = os.getpid()
        self._forget(None)

    def __str__(self) -> str:
        return f"EvoSampler({self._name})"

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"} | {"_process": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._lock = threading.RLock()

    def _forget(self, study_name: str | None) -> None:
        self._study_name = study_name
        self._shared = IntersectionSearchSpace(include_pruned=True)
        self._spaces = 0  # how many there have been
        self._search_space: dict[str, BaseDistribution] = {}
        self._strategy: Strategy | None = None
        self._open: dict[int, Proposal] = {}  # trial number -> what it was asked as
        self._told: set[int] = set()
        self._completed: tuple[float, float] | None = None  # the best and the worst value

    def reseed_rng(self) -> None:
        """Threads share one sampler and its strategy; a copy in another process gets a strategy of its own."""
        with self._lock:
            self._random.reseed_rng()
            if self._process != os.getpid():
                self._process, self._seed = os.getpid(), _fresh_seed()
                self._forget(None)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        with self._lock:
            if study.study_name != self._study_name:
                self._forget(study.study_name)
            shared = self._shared.calculate(study)
        return {name: distribution for name, distribution in shared.items() if not distribution.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        self._raise_error_if_multi_objective(study)
        if not search_space:
            return {}
        with self._lock:
            if study.study_name != self._study_name:
                self._forget(study.study_name)
            if self._strategy is None or search_space != self._search_space:
                self._strategy = self._start(search_space)
            for finished in study.get_trials(deepcopy=False, states=_FINISHED):
                if finished.number not in self._told:
                    self._learn(self._strategy, study, finished, finished.state, finished.values)
            proposal = self._strategy.ask()
            if proposal is None:
                return {
                    name: self._random.sample_independent(study, trial, name, distribution)
                    for name, distribution in search_space.items()
                }
            self._open[trial.number] = proposal
            return {
                name: _value(distribution, u)
                for (name, distribution), u in zip(self._search_space.items(), proposal.vector, strict=True)
            }

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        self._raise_error_if_multi_objective(study)
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        with self._lock:
            if self._strategy is not None and study.study_name == self._study_name and trial.number in self._open:
                self._learn(self._strategy, study, trial, state, values)

    def _start(self, search_space: Mapping[str, BaseDistribution]) -> Strategy:
        """A strategy on `search_space`, which is then told all that the study knows."""
        seed = derive_seed(self._seed, "space", self._spaces)
        self._spaces += 1
        self._search_space = dict(search_space)
        self._open, self._told, self._completed = {}, set(), None
        space = Space("optuna", [_gene(name, distribution) for name, distribution in search_space.items()])
        return make_strategy(self._name, space, seed, self._options)

    def _learn(
        self,
        strategy: Strategy,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        asked = self._open.pop(trial.number, None)
        vector = self._vector(trial, asked)
        if vector is not None:
            proposal = asked or strategy.replaceable()
            if proposal is None:
                if not self._open:
                    return  # the strategy has ended
                proposal = self._open.pop(min(self._open))
            fitness = self._fitness(study, state, values)
            strategy.tell(replace(proposal, vector=vector), fitness)
        self._told.add(trial.number)

    def _vector(self, trial: FrozenTrial, asked: Proposal | None) -> tuple[float, ...] | None:
        """Where the trial lies in the strategy's space; None if it does not.

        A trial that was asked here keeps its coordinates, but where a parameter was fixed to another value.
        """
        vector: list[float] = []
        for i, (name, distribution) in enumerate(self._search_space.items()):
            known = trial.distributions.get(name) == distribution
            if asked is not None and not (known and trial.params[name] != _value(distribution, asked.vector[i])):
                vector.append(asked.vector[i])
            elif known:
                vector.append(_unit(distribution, trial.params[name]))
            else:
                return None
        return tuple(vector)

    def _fitness(self, study: Study, state: TrialState, values: Sequence[float] | None) -> Fitness:
        value = math.inf
        if state == TrialState.COMPLETE and values is not None:
            value = values[0] if study.direction == StudyDirection.MINIMIZE else -values[0]
        best, worst = self._completed or (0.0, 0.0)
        if value == math.inf:
            return Fitness(True, worst + 1.0)
        if value == -math.inf:
            value = best - 1.0
        value = tamed(value)
        self._completed = (min(best, value), max(worst, value)) if self._completed else (value, value)
        return Fitness(False, value)


def _fresh_seed() -> int:
    return int.from_bytes(os.urandom(8)) >> 1


def _steps(distribution: FloatDistribution | IntDistribution) -> int | None:
    """The number of values of an evenly spaced grid; None for a parameter that is continuous or on a log scale."""
    if distribution.step is None or distribution.log:
        return None
    return round((distribution.high - distribution.low) / distribution.step) + 1


def _gene(name: str, distribution: BaseDistribution) -> Gene:
    """The parameter as strategies see it: they work in the unit cube, and need to know the kind and the levels."""
    if isinstance(distribution, CategoricalDistribution):
        return Gene(name=name, kind="choice", values=tuple(range(len(distribution.choices))))
    steps = _steps(_numeric(distribution))
    if steps is None or steps > MOST:
        return Gene(name=name, kind="float", low=0.0, high=1.0, levels=FINE)
    return Gene(name=name, kind="int", low=0, high=steps - 1, levels=1 if steps == 1 else None)


def _numeric(distribution: BaseDistribution) -> FloatDistribution | IntDistribution:
    if isinstance(distribution, FloatDistribution | IntDistribution):
        return distribution
    raise TypeError(f"unknown distribution {distribution}")


def _ends(distribution: FloatDistribution | IntDistribution) -> tuple[float, float]:
    """Low and high on the log scale; a whole number owns what lies between it and the next, as those of a gene do."""
    return math.log(distribution.low), math.log(distribution.high + isinstance(distribution, IntDistribution))


def _value(distribution: BaseDistribution, u: float) -> Any:
    """The parameter's value at coordinate `u` of the unit cube."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[_cell(u, len(distribution.choices))]
    numeric = _numeric(distribution)
    steps = _steps(numeric)
    value: float
    if steps is not None:
        assert numeric.step is not None
        value = numeric.low + _cell(u, steps) * numeric.step
    elif numeric.log:
        low, high = _ends(numeric)
        value = math.exp(low * (1 - u) + high * u)
        value = math.floor(value) if isinstance(numeric, IntDistribution) else value
    else:
        value = numeric.low * (1 - u) + numeric.high * u
    value = min(max(value, numeric.low), numeric.high)
    return round(value) if isinstance(numeric, IntDistribution) else float(value)


def _unit(distribution: BaseDistribution, value: Any) -> float:
    """The coordinate of `value` in the unit cube: the middle of its cell where there are cells."""
    if isinstance(distribution, CategoricalDistribution):
        return (distribution.to_internal_repr(value) + 0.5) / len(distribution.choices)
    numeric = _numeric(distribution)
    steps = _steps(numeric)
    if numeric.single():
        u = 0.5
    elif steps is not None:
        assert numeric.step is not None
        u = (round((value - numeric.low) / numeric.step) + 0.5) / steps
    elif numeric.log:
        low, high = _ends(numeric)
        at = math.log(value)
        middle = (at + math.log(value + 1)) / 2 if isinstance(numeric, IntDistribution) else at
        u = (middle - low) / (high - low)
    else:
        u = value / (numeric.high - numeric.low) - numeric.low / (numeric.high - numeric.low)
    return min(max(float(u), 0.0), 1.0)


def _cell(u: float, cells: int) -> int:
    return min(int(u * cells), cells - 1)
