"""Strategies: one file per algorithm. A new one is a class and a line in STRATEGIES."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

from evogan.errors import UserError, unknown
from evogan.space import Space
from evogan.strategies.base import Fitness, Proposal, Strategy
from evogan.strategies.ga import GeneticAlgorithm
from evogan.strategies.random_search import RandomSearch

__all__ = ["STRATEGIES", "Fitness", "Proposal", "Strategy", "make_strategy", "strategy_options"]


class Entry(NamedTuple):
    make: type[Strategy]
    meaning: str
    source: str


STRATEGIES: Mapping[str, Entry] = {
    "ga": Entry(GeneticAlgorithm, "generational genetic algorithm with elitism", "Goldberg 1989; DEAP"),
    "random": Entry(RandomSearch, "uniform random search", "Bergstra and Bengio 2012"),
}


def strategy_options(name: str) -> dict[str, Any]:
    """The options of a strategy and their defaults. Errors: UserError for an unknown strategy."""
    if name not in STRATEGIES:
        raise unknown("strategy", name, STRATEGIES)
    parameters = inspect.signature(STRATEGIES[name].make).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def make_strategy(name: str, space: Space, seed: int, options: Mapping[str, Any] | None = None) -> Strategy:
    """Build a strategy. Errors: UserError for an unknown name or option, a value of a wrong type or size."""
    allowed = strategy_options(name)
    for option, value in (options or {}).items():
        if option not in allowed:
            raise unknown(f"option of strategy '{name}'", option, allowed or ["none"])
        kind = type(allowed[option])
        if isinstance(value, bool) or not isinstance(value, (int, float) if kind is float else kind):
            raise UserError(f"strategy '{name}': {option} must be a {kind.__name__}, not {value!r}")
    return STRATEGIES[name].make(space, seed, **(options or {}))
