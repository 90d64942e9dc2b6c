"""Strategies that choose fidelities: brackets and rungs as their papers count them, and what is promoted."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from evogan.errors import UserError
from evogan.optuna import EvoSampler
from evogan.strategies import Fitness, Proposal, Strategy, make_strategy
from evogan.strategies.base import reflected
from evogan.strategies.dehb import DEHB
from evogan.strategies.fidelity import read_numbers
from evogan.strategies.halving import SuccessiveHalving
from evogan.strategies.hyperband import Hyperband
from tests.conftest import mixed_space
from tests.test_strategies import MULTI_FIDELITY, OBJECTIVES, drive, floats

PAPER = (1 / 81, 1 / 27, 1 / 9, 1 / 3, 1.0)
NAMES = sorted(MULTI_FIDELITY)

Vector = tuple[float, ...]
Objective = Callable[[Vector, float], float | None]


def distance(vector: Vector, fidelity: float) -> float:
    return sum((u - 0.3) ** 2 for u in vector)


def go(strategy: Strategy, n: int, objective: Objective = distance) -> list[tuple[Proposal, float | None]]:
    """Ask and tell one after the other; None fails."""
    history = []
    for _ in range(n):
        proposal = strategy.ask()
        assert proposal is not None
        value = objective(proposal.vector, proposal.fidelity)
        strategy.tell(proposal, Fitness(value is None, 1e6 if value is None else value))
        history.append((proposal, value))
    return history


def take(strategy: Strategy, n: int) -> list[Proposal]:
    return [proposal for proposal in (strategy.ask() for _ in range(n)) if proposal]


def best(history: Sequence[tuple[Proposal, float | None]], n: int) -> list[Vector]:
    completed = [(value, proposal.vector) for proposal, value in history if value is not None]
    return [vector for _, vector in sorted(completed)[:n]]


class TestOptions:
    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize(
        ("fidelities", "message"),
        [
            ((), "fidelities must not be empty"),
            ((0.25, 0.5), "fidelities must end at 1, not 0.5"),
            ((0.5, 0.25, 1.0), "fidelities must rise, not go from 0.5 to 0.25"),
            ((0.5, 0.5, 1.0), "fidelities must rise, not go from 0.5 to 0.5"),
            ((0.0, 1.0), r"fidelities must lie in \(0, 1\], not 0$"),
            ((0.5, 1.0, 1.5), r"fidelities must lie in \(0, 1\], not 1.5"),
            ([float("nan"), 1.0], "fidelities must be numbers such as 0.25,0.5,1, not "),
            ("many", "fidelities must be numbers such as 0.25,0.5,1, not 'many'"),
            ("1/0,1", "fidelities must be numbers such as 0.25,0.5,1, not '1/0,1'"),
            ([True], "fidelities must be numbers"),
            (None, "fidelities must be numbers"),
            (0.5, "fidelities must end at 1, not 0.5"),
        ],
    )
    def test_a_wrong_ladder_gets_one_line(self, name: str, fidelities: object, message: str) -> None:
        with pytest.raises(UserError, match=f"^strategy '{name}': {message}"):
            make_strategy(name, mixed_space(), 0, {"fidelities": fidelities})

    @pytest.mark.parametrize("name", NAMES)
    def test_eta_is_at_least_2(self, name: str) -> None:
        with pytest.raises(UserError, match=f"strategy '{name}': eta must be at least 2, not 1"):
            make_strategy(name, mixed_space(), 0, {"eta": 1})

    def test_a_ladder_may_be_a_list_or_text_with_fractions(self) -> None:
        expected = (1 / 9, 1 / 3, 1.0)
        for given in ("1/9,1/3,1", " 1/9, 1/3, 1 ", [1 / 9, 1 / 3, 1], expected, ["1/9", "1/3", 1]):
            strategy = make_strategy("hyperband", mixed_space(), 0, {"fidelities": given})
            assert isinstance(strategy, Hyperband)
            assert strategy.fidelities == expected
        assert read_numbers("0.25,0.5,1") == (0.25, 0.5, 1.0)

    def test_one_rung_is_random_search_and_too_few_for_dehb(self) -> None:
        for name in ("successive-halving", "hyperband"):
            asked = drive(make_strategy(name, mixed_space(), 0, {"fidelities": 1}), OBJECTIVES["well-behaved"], 20)
            assert {proposal.fidelity for proposal in asked} == {1.0}
            assert len({proposal.vector for proposal in asked}) == 20
        with pytest.raises(UserError, match="'dehb': the number of fidelities must be at least 2, not 1"):
            make_strategy("dehb", mixed_space(), 0, {"fidelities": 1})
        with pytest.raises(UserError, match="'dehb': weight must be above 0 and at most 2, not 0"):
            make_strategy("dehb", mixed_space(), 0, {"weight": 0.0})

    @pytest.mark.parametrize("name", NAMES)
    def test_an_optuna_study_has_no_fidelities(self, name: str) -> None:
        with pytest.raises(UserError, match=f"'{name}' chooses fidelities"):
            EvoSampler(name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("options", [{}, {"fidelities": PAPER, "eta": 3}])
def test_values_of_different_fidelities_are_never_compared(name: str, options: Mapping[str, Any]) -> None:
    """So what a rung adds to all its values, or multiplies them by, changes nothing."""
    one, two = (make_strategy(name, floats(3), 0, options) for _ in range(2))
    plain = go(one, 400)
    shifted = go(two, 400, lambda vector, fidelity: 100 * fidelity * distance(vector, 1.0) - 1000 * fidelity)
    assert [proposal for proposal, _ in plain] == [proposal for proposal, _ in shifted]


@pytest.mark.parametrize("name", NAMES)
def test_failures_are_never_promoted(name: str) -> None:
    """Of four the best that completed is; where none did, it is something else."""
    chosen = []
    for seed in range(40):
        strategy = make_strategy(name, floats(2), seed, {"fidelities": (0.1, 1.0), "eta": 4})
        *below, (fifth, _) = go(strategy, 5, lambda v, fidelity: None if v[0] < 0.9 else distance(v, fidelity))
        assert fifth.vector not in [proposal.vector for proposal, value in below if value is None]
        chosen.append((fifth.vector, fifth.fidelity) in [(vector, 1.0) for vector in best(below, 1)])
        assert chosen[-1] == any(value is not None for _, value in below)
    assert 5 < sum(chosen) < 35


@pytest.mark.parametrize("name", NAMES)
def test_what_is_promoted_is_what_was_judged(name: str) -> None:
    """The engine may move a proposal: then the moved one goes on, and not the one that was asked."""
    strategy = make_strategy(name, floats(2), 0, {"fidelities": (0.5, 1.0), "eta": 2})
    asked, judged = set(), set()
    for proposal in take(strategy, 2):
        moved = replace(proposal, vector=tuple(u / 2 for u in proposal.vector))
        asked.add(proposal.vector)
        judged.add(moved.vector)
        strategy.tell(moved, Fitness(False, distance(moved.vector, 0.5)))
    (promoted,) = take(strategy, 1)
    assert promoted.fidelity == 1 and promoted.vector in judged - asked


@pytest.mark.parametrize("name", NAMES)
def test_full_trainings_are_spent_on_what_looked_good(name: str) -> None:
    """Where a short training tells something, but not all."""
    rng = np.random.default_rng(0)
    ratios = []
    for seed in range(5):
        strategy = make_strategy(name, floats(4), seed, {"fidelities": PAPER, "eta": 3})
        history = go(strategy, 400, lambda v, f: distance(v, f) + (1 - f) * 0.1 * float(rng.standard_normal()))
        full = [distance(p.vector, 1.0) for p, _ in history if p.fidelity == 1]
        ratios.append(float(np.median(full)) / np.median([distance(tuple(u), 1.0) for u in rng.random((999, 4))]))
    assert np.median(ratios) < 0.6


class TestSuccessiveHalving:
    @pytest.mark.parametrize(("eta", "n"), [(2, 16), (3, 27), (3, 31), (4, 7)])
    def test_the_best_1_in_eta_of_each_rung_are_promoted_and_each_once(self, eta: int, n: int) -> None:
        strategy = SuccessiveHalving(floats(3), 0, fidelities=(0.1, 0.3, 1.0), eta=eta)
        below = [(proposal, distance(proposal.vector, 1)) for proposal in take(strategy, n)]
        for rung in (1, 2):
            for proposal, value in below:
                strategy.tell(proposal, Fitness(False, value))
            promoted = take(strategy, len(below) // eta)
            assert [p.vector for p in promoted] == best(below, len(below) // eta)  # the best goes first
            assert {p.fidelity for p in promoted} <= {strategy.fidelities[rung]}
            assert [p.fidelity for p in take(strategy, 3)] == [0.1] * 3  # and then a new point
            below = [(proposal, distance(proposal.vector, 1)) for proposal in promoted]

    def test_whatever_the_order_nobody_is_promoted_twice_and_only_from_the_best(self) -> None:
        strategy, rng = SuccessiveHalving(floats(2), 0, fidelities=PAPER, eta=3), np.random.default_rng(0)
        out: list[Proposal] = []
        told: list[list[float]] = [[] for _ in PAPER]
        asked: list[list[float]] = [[] for _ in PAPER]
        for _ in range(1000):
            (proposal,) = take(strategy, 1)
            rung, value = PAPER.index(proposal.fidelity), distance(proposal.vector, 1)
            top = [sorted(results)[: len(results) // 3] for results in told]
            for below in range(rung, len(PAPER) - 1):  # there is nobody left to promote from here
                assert set(top[below]) <= set(asked[below + 1])
            assert rung == 0 or value in top[rung - 1]
            asked[rung].append(value)
            out.append(proposal)
            while len(out) > 8 or (out and rng.random() < 0.5):
                done = out.pop(int(rng.integers(len(out))))
                told[PAPER.index(done.fidelity)].append(distance(done.vector, 1))
                strategy.tell(done, Fitness(False, distance(done.vector, 1)))
        for values in asked:
            assert len(values) == len(set(values))
        for low, high in itertools.pairwise(map(len, asked)):
            assert low // 4 <= high <= low / 3 + math.sqrt(low)  # a few only seemed to belong there

    def test_failures_count_in_a_rung(self) -> None:
        strategy = SuccessiveHalving(floats(2), 0, fidelities=(0.5, 1.0), eta=2)
        first = take(strategy, 8)
        for k, proposal in enumerate(first):
            strategy.tell(proposal, Fitness(k != 3, 5.0))
        promoted, fresh = take(strategy, 2)
        assert (promoted.vector, promoted.fidelity, fresh.fidelity) == (first[3].vector, 1.0, 0.5)


class TestHyperband:
    def test_the_papers_table(self) -> None:
        """R = 81, eta = 3: numbers of configurations n_i for s = 4 .. 0."""
        assert Hyperband(floats(2), 0, fidelities=PAPER, eta=3).sizes == [
            [81, 27, 9, 3, 1],
            [34, 11, 3, 1],
            [15, 5, 1],
            [8, 2],
            [5],
        ]
        assert Hyperband(floats(2), 0).sizes == [[4, 2, 1], [3, 1], [3]]

    def test_brackets_are_successive_halving_round_after_round(self) -> None:
        strategy = Hyperband(floats(3), 0, fidelities=PAPER, eta=3)
        for _ in range(2):
            for first, sizes in enumerate(strategy.sizes):
                below: list[tuple[Proposal, float | None]] = []
                for fidelity, size in zip(PAPER[first:], sizes, strict=True):
                    rung = go(strategy, size)
                    assert {proposal.fidelity for proposal, _ in rung} == {fidelity}
                    if below:
                        assert [proposal.vector for proposal, _ in rung] == best(below, size)
                    else:  # a Latin hypercube
                        for gene in np.array([proposal.vector for proposal, _ in rung]).T:
                            assert sorted((gene * size).astype(int)) == list(range(size))
                    below = rung

    def test_while_a_bracket_waits_the_next_begins_and_the_oldest_goes_first(self) -> None:
        strategy = Hyperband(floats(3), 0)
        asked = take(strategy, 4 + 3 + 2)
        assert [p.fidelity for p in asked] == [0.25] * 4 + [0.5] * 3 + [1.0] * 2
        for proposal in asked[:4]:
            strategy.tell(proposal, Fitness(False, distance(proposal.vector, 1)))
        below = [(proposal, distance(proposal.vector, 1)) for proposal in asked[:4]]
        promoted = take(strategy, 3)
        assert [p.vector for p in promoted[:2]] == best(below, 2)
        assert [p.fidelity for p in promoted] == [0.5, 0.5, 1.0]

    def test_a_rung_with_too_few_completed_is_followed_by_a_smaller_one_or_none(self) -> None:
        strategy = Hyperband(floats(3), 0, fidelities=(0.1, 0.3, 1.0), eta=3)
        assert strategy.sizes[0] == [9, 3, 1]
        first = take(strategy, 9)
        for k, proposal in enumerate(first):
            strategy.tell(proposal, Fitness(k >= 2, float(k)))
        second = take(strategy, 2)
        assert [(p.vector, p.fidelity) for p in second] == [(p.vector, 0.3) for p in first[:2]]
        for proposal in second:
            strategy.tell(proposal, Fitness(True, 9.0))
        assert take(strategy, 1)[0].vector not in {p.vector for p in first}
        assert len(strategy._open) == 1  # the first is over

    def test_nothing_is_kept_of_brackets_that_are_over(self) -> None:
        strategy = Hyperband(floats(2), 0)
        go(strategy, 7 + 4 + 3)
        assert not strategy._open and not strategy._out


class TestDEHB:
    LADDER = (1 / 27, 1 / 9, 1 / 3, 1.0)

    def test_brackets_and_populations_as_in_the_authors_package(self) -> None:
        strategy = DEHB(floats(2), 0, fidelities=self.LADDER, eta=3)
        assert strategy.sizes == [[27, 9, 3, 1], [9, 3, 1], [6, 2], [4]]
        assert [len(population) for population in strategy._populations] == [27, 9, 6, 4]
        assert [len(population) for population in DEHB(floats(2), 0)._populations] == [9, 3, 3]

    def test_the_first_bracket_is_hyperbands_and_the_first_round_fills_all_populations(self) -> None:
        strategy = DEHB(floats(3), 0, fidelities=self.LADDER, eta=3)
        drawn = [one.vector for one in strategy._populations[0]]
        below = go(strategy, 27)
        assert [proposal.vector for proposal, _ in below] == drawn
        for size in (9, 3, 1):
            rung = go(strategy, size)
            assert [proposal.vector for proposal, _ in rung] == best(below, size)
            below = rung
        go(strategy, 9)  # evolved at rung 1: these replace or not, one to one
        ranked = [one.vector for one in sorted(strategy._populations[1], key=lambda one: one.fitness.order)]
        known = {one.vector for one in strategy._populations[2]}
        promoted = [proposal.vector for proposal, _ in go(strategy, 3)]
        assert promoted == [vector for vector in ranked if vector not in known][:3]
        go(strategy, 1 + 6 + 2)
        assert not any(one.fitness.failed for population in strategy._populations for one in population)

    @pytest.mark.parametrize("rung", [0, 1, 2, 3])
    def test_a_trial_is_rand_1_of_the_best_of_the_rung_below(self, rung: int) -> None:
        """With CR = 1 a trial is the mutant: of all combinations of three of the pool, one must give it."""
        strategy = DEHB(floats(3), 0, fidelities=self.LADDER, eta=3, weight=0.4, crossover=1.0)
        go(strategy, 40 + 13 + 8 + 4)  # the first round
        size = strategy.sizes[0][rung]
        go(strategy, sum(strategy.sizes[0][:rung]))
        below = strategy._populations[max(rung - 1, 0)]
        pool = [np.array(one.vector) for one in sorted(below, key=lambda one: one.fitness.order)[: max(size, 3)]]
        (trial,) = take(strategy, 1)
        assert trial.fidelity == self.LADDER[rung]
        found = any(
            np.allclose([reflected(u) for u in x1 + 0.4 * (x2 - x3)], trial.vector)
            for x1, x2, x3 in itertools.permutations(pool, 3)
        )
        assert found == (size >= 3)  # else the pool was filled with mutants of all

    def test_a_target_is_no_parent_of_its_trial(self) -> None:
        """At the lowest rung of this ladder that leaves three of a population of four."""
        strategy = DEHB(floats(3), 0, eta=2, weight=0.4, crossover=1.0)
        go(strategy, 7 + 3 + 3)  # the first round
        population = [np.array(one.vector) for one in strategy._populations[0]]
        for target, trial in enumerate(take(strategy, 4)):
            others = [x for k, x in enumerate(population) if k != target]
            assert any(
                np.allclose([reflected(u) for u in x1 + 0.4 * (x2 - x3)], trial.vector)
                for x1, x2, x3 in itertools.permutations(others)
            )

    def test_selection_is_one_to_one_within_a_rung_and_targets_take_turns(self) -> None:
        strategy = DEHB(floats(3), 0, fidelities=(0.5, 1.0), eta=4)
        go(strategy, 4 + 1 + 2)  # the first round: the brackets are 4, 1 and 2
        population, above = list(strategy._populations[0]), list(strategy._populations[1])
        trials = take(strategy, 4)
        values = [one.fitness.value + sign for one, sign in zip(population, (-1, 1, 0, 1), strict=True)]
        for trial, value in zip(trials, values, strict=True):
            strategy.tell(trial, Fitness(False, value))
        kept = [one.vector for one in strategy._populations[0]]
        assert kept == [trials[0].vector, population[1].vector, trials[2].vector, population[3].vector]
        assert strategy._populations[1] == above

    def test_it_is_as_good_as_differential_evolution_with_full_trainings(self) -> None:
        """At the same cost, where short trainings mislead a little."""

        def spent(name: str, seed: int) -> float:
            strategy, cost, found = make_strategy(name, floats(5), seed), 0.0, 1e9
            while cost < 120:
                (proposal,) = take(strategy, 1)
                z = [u - 0.3 - 0.02 * (1 - proposal.fidelity) for u in proposal.vector]
                value = sum(x * x for x in z)
                cost += proposal.fidelity
                if proposal.fidelity == 1:
                    found = min(found, value)
                strategy.tell(proposal, Fitness(False, value))
            return found

        dehb, de, chance = (np.median([spent(name, seed) for seed in range(9)]) for name in ("dehb", "de", "random"))
        assert dehb < 1.5 * de and dehb < 0.25 * chance
