"""What a run is to do, settled from what was asked: a fitting space, a strategy for "auto", seeds read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import NoneType
from typing import Any

from evogan.engine import Judge
from evogan.errors import unknown
from evogan.genome import plain
from evogan.options import expect, names_of, options_of, read_as
from evogan.plugins import Plugins
from evogan.runs.gans import GANProblem
from evogan.runs.knowledge import NONE, read_sources, settle_sources
from evogan.runs.objective import ObjectiveProblem
from evogan.runs.place import Place
from evogan.runs.seeds import names_in, read_seeds
from evogan.settings import Resources, SearchSettings
from evogan.space import Space
from evogan.strategies import AUTO, STRATEGIES, choose, strategy_options
from evogan.strategies.auto import FEW, MANY
from evogan.strategies.knowledge import Source

Search = tuple[str, dict[str, Any]]  # a strategy and its options
BUDGET = "evaluations"  # the option of a strategy that plans over its budget


@dataclass(frozen=True)
class Plan:
    """One strategy on one problem in a space, as the run will record it; `plugins` that are imported for it.

    `searches`: the strategies that it may be with other budgets, and their options, as far as no budget decides them.
    """

    settings: SearchSettings
    space: Space
    problem: GANProblem | ObjectiveProblem
    plugins: Plugins | None = None
    searches: tuple[Search, ...] = ()

    def sources(self, place: Place) -> list[Source]:
        """Of knowledge, for a run that begins: one that goes on has its own. Errors: UserError."""
        settings = self.settings
        judge = Judge.of(settings.fitness, settings.score, settings.average)
        own = self.problem.own
        if own.of_a_gan:
            own = own.searching(self.space)
        return read_sources(settings.learn_from, judge, own, place)

    def going_on(self, before: Mapping[str, Any]) -> Plan:
        """With what a run was begun with and nobody asked for now: the seeds that its names stood for, and what
        strategy and options its budget came to."""
        settings, recorded = self.settings, dict(before.get("options", {}))
        if settings.seeded_by and before.get("seeded_by") == [*settings.seeded_by]:
            settings = replace(settings, seed_genomes=tuple(before["seed_genomes"]))
        for strategy, options in self.searches:
            decided = {name: recorded[name] for name in (BUDGET,) if name in recorded.keys() - options.keys()}
            if before.get("strategy") == strategy and recorded == decided | options:
                settings = replace(settings, strategy=strategy, options=recorded)
        return replace(self, settings=settings)


def settle(
    space: Space,
    problem: GANProblem | ObjectiveProblem,
    place: Place,
    resources: Resources,
    asked: Mapping[str, Any],
    plugins: Plugins | None = None,
) -> Plan:
    """`asked`: options of a search by name, seeds as people name them, "auto" for a strategy; the others have defaults.

    Errors: UserError for what does not exist or does not fit.
    """
    references = names_of("references", asked.get("references", ()), "genomes or files", alone=(NONE,))
    if references:
        space = problem.beside(space, () if references == (NONE,) else references)
    asked = {**asked, "references": references}
    space = problem.fitting(space)
    if asked.get("fitness", AUTO) == AUTO:
        asked = {**asked, "fitness": problem.measure(space)}
    settings = settle_search(space, place, asked, problem.early, gan=problem.gan, resources=resources)
    return Plan(settings, space, problem, plugins, _searches(asked, settings, problem.early))


def _searches(asked: Mapping[str, Any], settings: SearchSettings, early: bool) -> tuple[Search, ...]:
    given = {name: settings.options[name] for name in asked.get("options") or {}}
    if asked.get("strategy", AUTO) != AUTO:
        return ((settings.strategy, given),)
    objectives = settings.fitness.count(",") + 1
    chosen = [choose(evaluations=n, objectives=objectives, early=early) for n in (1, FEW, MANY + 1)]
    return tuple((strategy, options | given) for strategy, options in chosen)


def settle_search(space: Space, place: Place, asked: Mapping[str, Any], early: bool, **more: Any) -> SearchSettings:
    """`early`: whether a training can be judged before its end. `more`: what is settled already."""
    asked = {name: one.default for name, one in options_of(SearchSettings).items()} | dict(asked)
    strategy, fitness, evaluations, replicates, race = (
        read_as(SearchSettings, name, asked[name])
        for name in ("strategy", "fitness", "evaluations", "replicates", "race")
    )
    expect("options", asked["options"], (Mapping, NoneType), "a mapping of names to values")
    options = dict(asked["options"] or {})
    by_default = strategy == AUTO and more.get("gan") is not None and fitness == "fid"
    if strategy == AUTO:
        strategy, chosen = choose(evaluations=evaluations, objectives=fitness.count(",") + 1, early=early)
        options = chosen | options
    elif strategy not in STRATEGIES:
        raise unknown("strategy", strategy, (AUTO, *STRATEGIES))
    settled = {
        "space": space.document(),
        "strategy": strategy,
        "options": _planned(strategy, evaluations // (1 if race else replicates))
        | {name: plain(value) for name, value in options.items()},
        "learn_from": settle_sources(asked["learn_from"], by_default=by_default),
        "seed_genomes": tuple(dict(seed.genome) for seed in read_seeds(asked["seed_genomes"], space, place)),
        "seeded_by": names_in(asked["seed_genomes"]),
    }
    return SearchSettings(**asked | settled | more)


def _planned(strategy: str, proposals: int) -> dict[str, Any]:
    """A strategy that plans over its budget is told it; an extended run keeps the plan that it began with."""
    return {BUDGET: max(proposals, 4)} if BUDGET in strategy_options(strategy) else {}
