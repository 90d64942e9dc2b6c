"""Strategies: one file per algorithm. A new one is a class and a line in STRATEGIES."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from evogan.errors import UserError, shown, unknown
from evogan.options import read_option
from evogan.plugins import enter
from evogan.space import Space
from evogan.strategies.aging import AgingEvolution
from evogan.strategies.assisted import AssistedEvolution
from evogan.strategies.auto import AUTO, choose
from evogan.strategies.base import Fitness, Point, Proposal, Strategy
from evogan.strategies.cma_es import CMAES
from evogan.strategies.de import DifferentialEvolution
from evogan.strategies.dehb import DEHB
from evogan.strategies.es import ESComma, ESPlus
from evogan.strategies.fidelity import read_numbers
from evogan.strategies.from_optuna import GP, TPE, OptunaCMAES, OptunaNSGA2, OptunaQMC
from evogan.strategies.ga import GeneticAlgorithm, SteadyStateGA
from evogan.strategies.grid import GridSearch
from evogan.strategies.halving import SuccessiveHalving
from evogan.strategies.hyperband import Hyperband
from evogan.strategies.nsga2 import NSGA2
from evogan.strategies.nsga3 import NSGA3
from evogan.strategies.pbt import PopulationBasedTraining
from evogan.strategies.random_search import RandomSearch
from evogan.strategies.shade import LSHADE, SHADE
from evogan.strategies.sobol import SobolSearch
from evogan.strategies.spea2 import SPEA2

__all__ = [
    "AUTO",
    "MODEL_BASED",
    "STRATEGIES",
    "Fitness",
    "Point",
    "Proposal",
    "Strategy",
    "add_strategy",
    "choose",
    "explained",
    "make_strategy",
    "strategy_options",
]


class Entry(NamedTuple):
    make: type[Strategy]
    meaning: str
    source: str


STRATEGIES: dict[str, Entry] = {
    "ga": Entry(GeneticAlgorithm, "generational genetic algorithm with elitism", "Goldberg 1989; DEAP"),
    "ga-steady": Entry(SteadyStateGA, "steady-state genetic algorithm, asynchronous", "Whitley 1989; DEAP"),
    "de": Entry(DifferentialEvolution, "differential evolution, three variants", "Storn and Price 1997"),
    "shade": Entry(SHADE, "differential evolution with success-history adaptation", "Tanabe and Fukunaga 2013"),
    "l-shade": Entry(LSHADE, "SHADE with a population that shrinks over the budget", "Tanabe and Fukunaga 2014"),
    "es-plus": Entry(ESPlus, "(mu + lambda) evolution strategy, self-adaptive", "Beyer and Schwefel 2002; DEAP"),
    "es-comma": Entry(ESComma, "(mu, lambda) evolution strategy, self-adaptive", "Beyer and Schwefel 2002; DEAP"),
    "cma-es": Entry(CMAES, "CMA-ES; choices by their probabilities", "Hansen and Ostermeier 2001; DEAP"),
    "aging": Entry(AgingEvolution, "regularised (aging) evolution, asynchronous", "Real et al. 2019"),
    "nsga2": Entry(NSGA2, "NSGA-II, for several objectives", "Deb et al. 2002; DEAP"),
    "nsga3": Entry(NSGA3, "NSGA-III, for three objectives and more", "Deb and Jain 2014; DEAP"),
    "spea2": Entry(SPEA2, "SPEA2, for several objectives", "Zitzler et al. 2001; DEAP"),
    "successive-halving": Entry(SuccessiveHalving, "successive halving (ASHA), asynchronous", "Li et al. 2020"),
    "hyperband": Entry(Hyperband, "brackets of successive halving, asynchronous", "Li et al. 2018"),
    "dehb": Entry(DEHB, "differential evolution on Hyperband's rungs, asynchronous", "Awad et al. 2021"),
    "pbt": Entry(PopulationBasedTraining, "population-based training; winners are schedules", "Jaderberg et al. 2017"),
    "assisted": Entry(AssistedEvolution, "evolution screened by a Gaussian process that knows of noise", "Jin 2011"),
    "random": Entry(RandomSearch, "uniform random search", "Bergstra and Bengio 2012"),
    "sobol": Entry(SobolSearch, "scrambled Sobol' sequence", "Sobol' 1967; SciPy"),
    "grid": Entry(GridSearch, "grid search in random order", "Bergstra and Bengio 2012"),
    "tpe": Entry(TPE, "Optuna's tree-structured Parzen estimator", "Bergstra et al. 2011; Optuna"),
    "gp": Entry(GP, "Optuna's Gaussian process, expected improvement", "Ament et al. 2023; Optuna"),
    "optuna-cma-es": Entry(OptunaCMAES, "Optuna's CMA-ES; choices at random", "Hansen 2016; cmaes, Optuna"),
    "optuna-nsga2": Entry(OptunaNSGA2, "Optuna's NSGA-II", "Deb et al. 2002; Optuna"),
    "optuna-qmc": Entry(OptunaQMC, "Optuna's scrambled Sobol' or Halton points", "Sobol' 1967; SciPy, Optuna"),
}

# A reduced contract (tests/test_optuna.py) holds these, which are slow to ask.
MODEL_BASED = frozenset({"assisted", "tpe", "gp", "optuna-cma-es", "optuna-nsga2", "optuna-qmc"})


def strategy_options(name: str) -> dict[str, Any]:
    """The options of a strategy and their defaults, its own first. Errors: UserError for an unknown strategy."""
    if name not in STRATEGIES:
        raise unknown("strategy", name, STRATEGIES)
    make = STRATEGIES[name].make
    parameters = inspect.signature(make).parameters.values()
    options = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    fields = [field for one in make.__mro__ for field in inspect.get_annotations(one) if field in options]
    return {option: options[option] for option in dict.fromkeys([*fields, *options])}


def explained(name: str) -> str:
    """Paper and formulas of a strategy, its options and an example. Errors: UserError for an unknown strategy."""
    if name not in STRATEGIES:
        raise unknown("strategy", name, STRATEGIES)
    make = STRATEGIES[name].make
    return f"{inspect.getdoc(sys.modules[make.__module__])}\n\n{inspect.getdoc(make)}"


def add_strategy(name: str, make: type[Strategy], meaning: str, source: str = "a plugin") -> None:
    """For plugins. Errors: UserError for the name of one that is there."""
    enter(STRATEGIES, "strategy", name, Entry(make, meaning, source))


def make_strategy(
    name: str, space: Space, seed: int, options: Mapping[str, Any] | None = None, *, objectives: int = 1
) -> Strategy:
    """Build a strategy. Errors: UserError for an unknown name or option, a value of a wrong type or size, or more
    objectives than it takes."""
    allowed = strategy_options(name)
    make = STRATEGIES[name].make
    if objectives > 1 and not make.several:
        able = ", ".join(other for other, entry in STRATEGIES.items() if entry.make.several)
        raise UserError(f"strategy '{name}' takes one objective, not {objectives}; these take several: {able}")
    chosen = {}
    for option, value in (options or {}).items():
        if option not in allowed:
            raise unknown(f"option of strategy '{name}'", option, allowed or ["none"])
        chosen[option] = _read_option(name, option, value, allowed[option])
    strategy = make(space, seed, **chosen)
    strategy.objectives = objectives
    return strategy


def _read_option(name: str, option: str, value: Any, default: Any) -> Any:
    """`value` as the type of the default; lists of numbers may be given as text."""
    where, kind = f"strategy '{name}': {option}", type(default)
    if kind is not tuple:
        return read_option(where, value, kind)  # its constructor has the bounds
    numbers = read_numbers(value)
    if numbers is None:
        example = ",".join(f"{number:g}" for number in default)
        raise UserError(f"{where} must be numbers such as {example}, not {shown(value)}")
    return numbers
