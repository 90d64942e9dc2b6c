"""One contract that every strategy keeps. A new strategy gets all of it by being registered."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest

from evogan.errors import UserError
from evogan.genome import Gene
from evogan.space import Space
from evogan.strategies import STRATEGIES, Fitness, Proposal, Strategy, make_strategy, strategy_options
from evogan.strategies.base import imputed
from tests.conftest import mixed_space, score

SPACES = {
    "float": Space("s", [Gene(name=f"x{i}", kind="float", low=-1.0, high=1.0) for i in range(3)]),
    "int": Space("s", [Gene(name=f"x{i}", kind="int", low=0, high=20) for i in range(3)]),
    "log": Space("s", [Gene(name="x", kind="float", low=1e-6, high=1.0, scale="log")]),
    "choice": Space("s", [Gene(name=f"x{i}", kind="choice", values=("a", "b", "c", "d")) for i in range(3)]),
    "mixed": mixed_space(),
    "one-level": Space(
        "s",
        [
            Gene(name="x", kind="choice", values=("only",)),
            Gene(name="y", kind="float", low=1.0, high=1.0, levels=1),
        ],
    ),
}


def _smooth(number: int, vector: tuple[float, ...]) -> Fitness:
    return Fitness(False, sum((u - 0.3) ** 2 for u in vector))


OBJECTIVES: dict[str, Callable[[int, tuple[float, ...]], Fitness]] = {
    "well-behaved": _smooth,
    "all failed": lambda number, vector: Fitness(True, 1.0),
    "some failed": lambda number, vector: Fitness(True, 9.0) if number % 3 == 0 else _smooth(number, vector),
    "constant": lambda number, vector: Fitness(False, 1.0),
}


def drive(strategy: Strategy, objective: Callable[..., Fitness], n: int, window: int = 4) -> list[Proposal]:
    """Ask and tell as the engine does."""
    asked: list[Proposal] = []
    told = 0
    while len(asked) < n:
        while told < len(asked) - window + 1:
            strategy.tell(asked[told], objective(told, asked[told].vector))
            told += 1
        proposal = strategy.ask()
        if proposal is None:
            assert told < len(asked), "waits although everything was told"
            strategy.tell(asked[told], objective(told, asked[told].vector))
            told += 1
        else:
            asked.append(proposal)
    return asked


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
class TestContract:
    def test_proposes_points_of_the_cube_numbered_from_0(
        self, name: str, space: Space, objective: Callable[..., Fitness]
    ) -> None:
        before = random.getstate(), np.random.get_state()[1].tolist()
        asked = drive(make_strategy(name, space, 0), objective, 60)
        assert [proposal.number for proposal in asked] == list(range(60))
        for proposal in asked:
            assert len(proposal.vector) == space.dimension
            assert all(type(u) is float and 0 <= u <= 1 for u in proposal.vector)
            assert 0 < proposal.fidelity <= 1
            space.decode(proposal.vector)
        assert (random.getstate(), np.random.get_state()[1].tolist()) == before

    def test_same_seed_same_run_other_seed_another(
        self, name: str, space: Space, objective: Callable[..., Fitness]
    ) -> None:
        one, two, other = (drive(make_strategy(name, space, s), objective, 60) for s in (5, 5, 6))
        assert one == two
        assert one != other

    def test_two_strategies_side_by_side_do_not_touch_each_other(
        self, name: str, space: Space, objective: Callable[..., Fitness]
    ) -> None:
        alone = drive(make_strategy(name, space, 5), objective, 30, window=1)
        one, two = make_strategy(name, space, 5), make_strategy(name, space, 6)
        for expected in alone:
            for strategy in (one, two):
                proposal = strategy.ask()
                assert proposal is not None
                if strategy is one:
                    assert proposal == expected
                strategy.tell(proposal, objective(proposal.number, proposal.vector))


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_vector_that_the_engine_moved_is_accepted(name: str) -> None:
    space = mixed_space()
    strategy = make_strategy(name, space, 0)
    for _ in range(60):
        proposal = strategy.ask()
        assert proposal is not None
        moved = Proposal(proposal.number, tuple(1 - u for u in proposal.vector))
        strategy.tell(moved, _smooth(moved.number, moved.vector))


def test_the_ga_learns() -> None:
    """Over 20 seeds the median best of 150 is far better than random search's."""
    space, best = mixed_space(), {}
    for name in ("ga", "random"):
        found = []
        for seed in range(20):
            asked = drive(
                make_strategy(name, space, seed),
                lambda number, vector: Fitness(False, score(space.decode(vector))),
                150,
            )
            found.append(min(score(space.decode(proposal.vector)) for proposal in asked))
        best[name] = float(np.median(found))
    assert best["ga"] < 0.5 * best["random"]


def test_the_ga_keeps_its_elite_and_never_copies_failures() -> None:
    """With selection alone (no crossover, no mutation) children are copies of parents that completed."""
    space = SPACES["float"]
    options = {"population": 10, "elites": 2, "crossover": 0.0, "mutation": 0.0, "tournament": 10}
    strategy = make_strategy("ga", space, 0, options)
    first = drive(strategy, OBJECTIVES["some failed"], 10, window=11)
    for proposal in first:
        strategy.tell(proposal, OBJECTIVES["some failed"](proposal.number, proposal.vector))
    completed = {proposal.vector for proposal in first if proposal.number % 3}
    best = min(completed, key=lambda vector: _smooth(0, vector).value)
    children = [strategy.ask() for _ in range(8)]
    assert strategy.ask() is None  # the two elites are not asked again
    vectors = [child.vector for child in children if child]
    assert len(vectors) == 8
    assert set(vectors) <= completed
    assert vectors.count(best) >= 3


def test_choices_mutate_to_another_value_and_cross_whole() -> None:
    space = SPACES["choice"]
    strategy = make_strategy(
        "ga", space, 0, {"mutation": 3.0, "crossover": 0.0, "population": 4, "elites": 0, "tournament": 50}
    )
    centres = {(k + 0.5) / 4 for k in range(4)}
    first = drive(strategy, OBJECTIVES["constant"], 4, window=5)
    for proposal in first:
        strategy.tell(proposal, Fitness(proposal.number != 0, 1.0))
    parent = space.decode(first[0].vector)
    for _ in range(4):
        child = strategy.ask()
        assert child is not None
        assert set(child.vector) <= centres
        genome = space.decode(child.vector)
        assert all(genome[name] != parent[name] for name in genome)


def test_failures_are_imputed_behind_the_worst_completed() -> None:
    told = [Fitness(False, 3.0), Fitness(True, 4.0), Fitness(False, 10.0), Fitness(True, 11.0)]
    assert imputed(told) == [3.0, 17.0, 10.0, 17.0]
    assert imputed([Fitness(True, 1.0)] * 2) == [1.0, 1.0]
    assert imputed([Fitness(False, 2.0), Fitness(True, 3.0)]) == [2.0, 3.0]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("gaa", {}, "unknown strategy 'gaa': did you mean 'ga'"),
        ("ga", {"popultion": 3}, "unknown option of strategy 'ga' 'popultion': did you mean 'population'"),
        ("ga", {"population": 1}, "population must be at least 2, not 1"),
        ("ga", {"population": 2, "elites": 2}, "population - elites must be at least 1"),
        ("ga", {"crossover": 1.5}, r"crossover must lie in \[0, 1\], not 1.5"),
        ("ga", {"population": "many"}, "population must be a int, not 'many'"),
        ("ga", {"population": 2.5}, "population must be a int, not 2.5"),
        ("random", {"population": 2}, "unknown option of strategy 'random' 'population'"),
    ],
)
def test_wrong_options_get_one_line(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_strategy(name, mixed_space(), 0, options)


@pytest.mark.parametrize("name", STRATEGIES)
def test_options_are_what_the_constructor_takes(name: str) -> None:
    make_strategy(name, mixed_space(), 0, strategy_options(name))
