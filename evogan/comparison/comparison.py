"""A comparison: runs grouped by strategy and problem, and what they say together."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from evogan.comparison.hypervolume import Union
from evogan.comparison.ranks import Ranking, rank, wins
from evogan.comparison.statistics import Against, Curve, anytime, best_so_far, bootstrap_ratio, costs, evaluations_to
from evogan.engine import Confirmation
from evogan.engine.history import RunHistory
from evogan.errors import UserError
from evogan.stable import digest
from evogan.strategies import STRATEGIES, strategy_options
from evogan.trial import Identity, turned

RANDOM = "random"
FEWEST = 4  # runs a side: of 1, 2 and 3 the bootstrap's 95 % intervals hold the ratio 0, 64 and 88 times in 100
FRESH, SEARCH = "fresh replicates", "the search"


@dataclass(frozen=True)
class Entry:
    """A run and where it belongs."""

    run: RunHistory
    strategy: str
    problem: str

    @property
    def seed(self) -> int:
        return self.run.settings.seed


class Comparison:
    """Of the `runs` that were given, the compared ones: `entries`; `left_out` has the others' names, with the reason.

    A problem is data, space, task, fitness and a budget in seconds if there is one; a strategy is its name with what
    else shapes a search (options, window, pruner, replicates, seed genomes): names are as long as is needed to tell
    them apart. Runs are compared at the smallest budget of their problem, in evaluations. Of several objectives the
    fitness is what a run's front lacks of the hypervolume (see `hypervolume`). `given_target`: a fitness to reach, as
    the metric has it.
    `called`: by the name of a run, what to call its problem and its strategy, where that is not as recorded.
    """

    def __init__(
        self,
        runs: Sequence[RunHistory],
        target: float | None = None,
        called: Mapping[str, tuple[str, str]] = MappingProxyType({}),
    ) -> None:
        if target is not None and not math.isfinite(target):
            raise UserError(f"the target must be a finite number, not {target}")
        self.given_target = target
        names = [called.get(run.name, (_problem(run), _strategy(run))) for run in runs]
        problems = _labels([(name, _problem_facts(run)) for (name, _), run in zip(names, runs, strict=True)])
        strategies = _labels([(name, _strategy_facts(run)) for (_, name), run in zip(names, runs, strict=True)])
        self.runs = [Entry(*each) for each in zip(runs, strategies, problems, strict=True)]
        self.entries: list[Entry] = []
        self.left_out: dict[str, str] = {}
        self._unions: dict[str, Union | None] = {}
        first: dict[Hashable, str] = {}
        for entry in self.runs:
            name, reason = entry.run.name, entry.run.unfinished
            if not reason:
                search = (entry.strategy, entry.problem, entry.seed)
                reason = f"the same search as '{first[search]}'" if search in first else ""
                first.setdefault(search, name)
            if reason:
                self.left_out[name] = reason
            else:
                self.entries.append(entry)

    @cached_property
    def problems(self) -> list[str]:
        return list(dict.fromkeys(entry.problem for entry in self.entries))

    @cached_property
    def strategies(self) -> list[str]:
        return sorted({entry.strategy for entry in self.entries})

    def select(self, problem: str, strategy: str | None = None) -> list[Entry]:
        """The entries of a problem, of all strategies or of one, by seed."""
        found = [e for e in self.entries if e.problem == problem and strategy in (None, e.strategy)]
        return sorted(found, key=lambda entry: (entry.strategy, entry.seed))

    def budget(self, problem: str) -> int:
        """The evaluations at which the runs of a problem are compared."""
        return min(entry.run.settings.evaluations for entry in self.select(problem))

    # --- what they say

    def anytime(self, problem: str, strategy: str, against: Against = "evaluations") -> pd.DataFrame:
        """Median and quartiles of best-so-far over the seeds: see `statistics.anytime`."""
        return anytime([entry.run for entry in self.select(problem, strategy)], against, self._curve(problem))

    def objectives(self, problem: str) -> tuple[str, ...]:
        """The metrics by which the runs of a problem are judged."""
        return self.select(problem)[0].run.judge.metrics

    def union(self, problem: str) -> Union | None:
        """All that the runs of a problem of several objectives found within the common budget; None without any."""
        if problem not in self._unions:
            several = len(self.objectives(problem)) > 1
            runs = [entry.run for entry in self.select(problem)]
            self._unions[problem] = Union.of(runs, self.budget(problem)) if several else None
        return self._unions[problem]

    def _curve(self, problem: str) -> Curve:
        """The fitness of a run so far."""
        union = self.union(problem)
        return best_so_far if union is None else union.so_far

    def _at_budget(self, entry: Entry) -> float:
        """The best of the search within the common budget; infinite if nothing completed."""
        curve = self._curve(entry.problem)(entry.run, "evaluations")
        best = curve[curve.index <= self.budget(entry.problem) + 1e-9].min()
        return math.inf if math.isnan(best) else float(best)

    def basis(self, problem: str) -> str:
        """What a problem's runs are finally judged on: fresh replicates, if all had one budget, as many finalists and
        as many replicates of each, and have them: the best of more is better by luck.

        Of several objectives the search: the few finalists that are checked are no front.
        """
        runs = [entry.run for entry in self.select(problem)]
        alike = len({(s.evaluations, s.finalists, s.confirm) for s in (run.settings for run in runs)}) == 1
        one_objective = len(self.objectives(problem)) == 1
        return FRESH if one_objective and alike and all(map(_is_checked, runs)) else SEARCH

    @cached_property
    def finals(self) -> pd.DataFrame:
        """The fitness that each run is judged by: a row a problem and seed, a column a strategy; NaN where no run is.

        On fresh replicates that of the best finalist, else the best of the search within the common budget;
        infinite where nothing completed.
        """
        rows = []
        for problem in self.problems:
            fresh = self.basis(problem) == FRESH
            for entry in self.select(problem):
                value = _confirmed(entry.run) if fresh else self._at_budget(entry)
                rows.append((problem, entry.seed, entry.strategy, value))
        table = pd.DataFrame(rows, columns=["problem", "seed", "strategy", "value"])
        return table.pivot(index=["problem", "seed"], columns="strategy", values="value")

    @cached_property
    def ranking(self) -> Ranking:
        """Mean ranks over the problems and seeds that all strategies have."""
        return rank(self.finals)

    @cached_property
    def wins(self) -> pd.DataFrame:
        """Every pair of strategies: see `ranks.wins`."""
        return wins(self.finals)

    def baseline(self, problem: str) -> str | None:
        """What random search is called there, the plainest of several; None if it did not search this problem."""
        return next(iter(self.random_searches(problem)), None)

    def random_searches(self, problem: str) -> list[str]:
        """What they are called, the plainest first: with a pruner, say, it is another strategy."""
        found = [entry for entry in self.select(problem) if entry.run.settings.strategy == RANDOM]
        found.sort(key=lambda entry: (entry.strategy != RANDOM, _extras(entry.run)))
        return list(dict.fromkeys(entry.strategy for entry in found))

    def target(self, problem: str) -> float | None:
        """The fitness to reach, as it is judged: given, or what the median run of random search had at the end of the
        common budget.

        Of an even number of runs the worse of the two in the middle, so that at least half of them get there. None
        without either, or where nothing of random search completed, or nothing of it before the reference point.
        """
        if self.given_target is not None:
            metric, *others = self.objectives(problem)
            return self.given_target if others else turned(metric, self.given_target)
        baseline = self.baseline(problem)
        if baseline is None:
            return None
        found = sorted(self._at_budget(entry) for entry in self.select(problem, baseline))
        nothing = math.inf if self.union(problem) is None else 1.0  # lacks all: any run's first result would do
        return found[len(found) // 2] if found[len(found) // 2] < nothing else None

    @cached_property
    def targets(self) -> pd.DataFrame:
        """What it took to reach the target, a row a problem and strategy.

        `reached` of `runs` did; `median` evaluations (infinite unless more than half did), its `ratio` to random search
        (NaN without it), and the 95 % interval `low`, `high` of the ratio (NaN of fewer than `FEWEST` runs of either).
        A run of random search that did not get there counts with the budget that it had, so the ratio is no smaller
        than it would be with more.
        """
        rows = []
        for problem in self.problems:
            target = self.target(problem)
            if target is None:
                continue
            took = {strategy: self._took(problem, strategy, target) for strategy in self.strategies}
            baseline = self.baseline(problem)
            others = [] if baseline is None else self._had(problem, baseline, took[baseline])
            for strategy in self.strategies:
                if not took[strategy]:
                    continue
                compared = (math.nan,) * 3
                if others and strategy != baseline:
                    compared = bootstrap_ratio(took[strategy], others, self.budget(problem))
                    if min(len(took[strategy]), len(others)) < FEWEST:
                        compared = (compared[0], math.nan, math.nan)
                rows.append(
                    {
                        "problem": problem,
                        "strategy": strategy,
                        "target": target,
                        "runs": len(took[strategy]),
                        "reached": sum(map(math.isfinite, took[strategy])),
                        "median": float(np.median(took[strategy])),
                        **dict(zip(("ratio", "low", "high"), compared, strict=True)),
                    }
                )
        columns = ["problem", "strategy", "target", "runs", "reached", "median", "ratio", "low", "high"]
        return pd.DataFrame(rows, columns=columns)

    def _took(self, problem: str, strategy: str, target: float) -> list[float]:
        """The evaluations to the target of each run, within the common budget."""
        budget, curve = self.budget(problem), self._curve(problem)
        took = (evaluations_to(curve(e.run, "evaluations"), target) for e in self.select(problem, strategy))
        return [evaluations if evaluations <= budget else math.inf for evaluations in took]

    def _had(self, problem: str, strategy: str, took: Sequence[float]) -> list[float]:
        """The evaluations to the target, or where a run did not get there those that it had."""
        spent = [min(self.budget(problem), entry.run.spent[-1]) for entry in self.select(problem, strategy)]
        return [min(pair) for pair in zip(took, spent, strict=True)]

    @cached_property
    def counts(self) -> pd.DataFrame:
        """How much was done, a row a problem and strategy.

        `evaluations`: full trainings spent; `failed`: proposals that failed; `repeated`: proposals of which the run
        knew all already, which cost nothing; `shared`: evaluations that another of these runs was told too, which
        count in full for each; `seconds`: of all its evaluations.
        """
        found = [_identities(entry.run) for entry in self.entries]
        told_to = Counter(identity for asked in found for identity in set[Identity]().union(*asked))
        rows = []
        for entry, asked in zip(self.entries, found, strict=True):
            rows.append(
                {
                    "problem": entry.problem,
                    "strategy": entry.strategy,
                    "runs": 1,
                    "evaluations": entry.run.spent[-1],
                    "proposals": len(entry.run.history),
                    "failed": sum(told.value is None for told in entry.run.history),
                    "repeated": _repeats(asked),
                    "shared": sum(told_to[identity] > 1 for identity in set[Identity]().union(*asked)),
                    "seconds": costs(entry.run, "seconds")[-1],
                }
            )
        columns = ["problem", "strategy", "runs", "evaluations", "proposals", "failed", "repeated", "shared", "seconds"]
        return pd.DataFrame(rows, columns=columns).groupby(["problem", "strategy"], as_index=False).sum()

    # --- in words

    @cached_property
    def verdict(self) -> str:
        """The outcome in a sentence, no better than the tests support."""
        if len(self.strategies) < 2:
            return "Fewer than two strategies have finished runs: there is nothing to compare."
        ranking = self.ranking
        if ranking.blocks == 0:
            return "No test: there is no problem and seed that all strategies searched."
        if len(self.strategies) == 2:
            return self._verdict_on_two()
        best = str(ranking.means.index[0])
        if not ranking.p < 0.05:
            test = f"Friedman p = {ranking.p:.2g}" if ranking.blocks > 1 else "one block is no test"
            return f"No difference shown between the {len(self.strategies)} strategies ({test})."
        worse = [name for name, mean in ranking.means.items() if mean - ranking.means.iloc[0] >= ranking.least]
        level = [str(name) for name in ranking.means.index[1:] if name not in worse]
        said = f"{best} has the best mean rank, {ranking.means.iloc[0]:.2f}"
        if not worse:
            return f"{said}; strategies differ (Friedman p = {ranking.p:.2g}), but none is shown to be worse than it."
        said += f", and is shown to be better than {', '.join(map(str, worse))} (Friedman p = {ranking.p:.2g}, Nemenyi)"
        return f"{said}; no difference shown to {', '.join(level)}." if level else f"{said}."

    def _verdict_on_two(self) -> str:
        pair = self.wins.iloc[0]
        counted = f"{pair.wins} wins, {pair.ties} ties, {pair.losses} losses, sign test p = {pair.p:.2g}"
        if pair.p >= 0.05:
            return f"No difference shown between {pair.one} and {pair.other} ({pair.one}: {counted})."
        one, other = (pair.one, pair.other) if pair.wins > pair.losses else (pair.other, pair.one)
        return f"{one} is shown to be better than {other} ({pair.one}: {counted})."


# --- names


def _problem(run: RunHistory) -> str:
    return run.facts.data if run.settings.gan is None else f"{run.facts.data}/{run.settings.space['name']}"


def _strategy(run: RunHistory) -> str:
    return run.settings.strategy


def _problem_facts(run: RunHistory) -> dict[str, Any]:
    """What tells problems of one name apart, the plainest first."""
    settings, found = run.settings, run.facts
    _, task = run.store.tasks().get(found.task, ("", {}))
    images = {"images": task["fingerprint"][:6]} if "fingerprint" in task else {}
    return {
        "fitness": settings.fitness,
        "score": settings.score,
        "training": settings.gan and settings.gan.budget,
        **{name: task[name] for name in ("image_size", "precision", "samples", "features", "threads") if name in task},
        **images,
        "task": found.table or found.task[:6],
        "space": digest(settings.space)[:6],
        "kind": found.kind or None,
        "fingerprint": found.fingerprint or None,
        "total_seconds": settings.total_seconds,
    }


def _strategy_facts(run: RunHistory) -> dict[str, Any]:
    """What tells strategies of one name apart."""
    settings = run.settings
    defaults = strategy_options(settings.strategy) if settings.strategy in STRATEGIES else {}
    facts = {name: value for name, value in {**defaults, **settings.options}.items() if value is not None}
    facts.pop("evaluations", None)  # it follows the budget
    for name in ("pruner", "replicates", "average", "race", "window", "order", "target", "patience"):
        facts[name] = getattr(settings, name)
    # as they were asked for: what that comes to is another in every space, and on every data
    if settings.seed_genomes:
        facts["seed_genomes"] = ", ".join(settings.seeded_by) or digest(settings.seed_genomes)[:4]
    if settings.learn_from:
        facts["learn_from"] = ", ".join(settings.learn_from)
    return facts


def _extras(run: RunHistory) -> int:
    """How much there is beside the strategy."""
    settings = run.settings
    ends_early = settings.target is not None or settings.patience is not None
    extras = (settings.pruner, settings.replicates > 1, settings.seed_genomes, run.knowledge, ends_early)
    return sum(map(bool, extras))


def _labels(named: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """A label for each: the name, and where others of that name differ, as few facts as tell them apart."""
    labels = []
    for name, facts in named:
        others = [other for base, other in named if base == name and other != facts]
        said = []
        for fact in dict.fromkeys(fact for each in (facts, *others) for fact in each):
            mine = facts.get(fact, "default")
            alike = [other for other in others if other.get(fact, "default") == mine]
            if len(alike) < len(others):
                theirs = {_text(other.get(fact, "default")) for other in others if other not in alike}
                said.append(f"{fact} {_text(mine) if _text(mine) not in theirs else json.dumps(mine)}")
                others = alike
        labels.append(f"{name} ({', '.join(said)})" if said else name)
    return labels


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_text, value))}]"
    return value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else json.dumps(value)


# --- of one run


def _is_checked(run: RunHistory) -> bool:
    """Whether its finalists have all fresh replicates, or nothing could be checked."""
    if not run.ranking:
        return bool(run.settings.confirm)
    checked = [c.key for c in _finalists(run) if len(c.evaluations) == run.settings.confirm]
    return bool(checked) and {*checked} == {*run.store.finalists(run.name)}


def _confirmed(run: RunHistory) -> float:
    """The fitness of the best finalist over its fresh replicates, judged as in the search: a failure is infinite."""
    judged = [run.judge.over(c.evaluations) for c in _finalists(run)]
    return min((values[0] for values in judged if values is not None), default=math.inf)


def _finalists(run: RunHistory) -> list[Confirmation]:
    keys = run.store.finalists(run.name)
    return [c for c in run.confirmations if c.key in keys]


def _identities(run: RunHistory) -> list[set[Identity]]:
    """What each step of the history was told."""
    return [{told.identity(i) for i in range(len(told.evaluations))} for told in run.history]


def _repeats(asked: Sequence[set[Identity]]) -> int:
    known: set[Identity] = set()
    repeats = 0
    for identities in asked:
        repeats += identities <= known
        known |= identities
    return repeats
