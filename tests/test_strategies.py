"""One contract that every strategy keeps. A new strategy gets all of it by being registered."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from deap import tools
from deap.tools import emo

from evogan.errors import UserError, shown
from evogan.genome import Gene
from evogan.space import Space
from evogan.strategies import MODEL_BASED, STRATEGIES, Fitness, Proposal, Strategy, make_strategy, strategy_options
from evogan.strategies.aging import AgingEvolution
from evogan.strategies.base import Individual, imputed, reflected
from evogan.strategies.cma_es import CMAES, with_margin
from evogan.strategies.de import VARIANTS, DifferentialEvolution, binomial, mutant
from evogan.strategies.draws import DEAPRandom, draws
from evogan.strategies.es import ESComma, ESPlus
from evogan.strategies.fidelity import MultiFidelity
from evogan.strategies.ga import GeneticAlgorithm, SteadyStateGA
from evogan.strategies.grid import GridSearch
from evogan.strategies.margin import Margin
from evogan.strategies.shade import LSHADE, SHADE
from evogan.strategies.sobol import SobolSearch
from tests.conftest import mixed_space, score
from tests.test_space import penalised

OURS = [name for name in STRATEGIES if name not in MODEL_BASED]  # tests/test_optuna.py has the others
MULTI_FIDELITY = {name for name in OURS if issubclass(STRATEGIES[name].make, MultiFidelity)}
SCHEDULED = {name for name in OURS if STRATEGIES[name].make.schedules}
MODEL_FREE = [name for name in OURS if name not in MULTI_FIDELITY | SCHEDULED]  # these may drive an Optuna study

SPACES = {
    "float": Space("s", [Gene(name=f"x{i}", kind="float", low=-1.0, high=1.0) for i in range(3)]),
    "int": Space("s", [Gene(name=f"x{i}", kind="int", low=0, high=20) for i in range(3)]),
    "log": Space("s", [Gene(name="x", kind="float", low=1e-6, high=1.0, scale="log")]),
    "choice": Space("s", [Gene(name=f"x{i}", kind="choice", values=("a", "b", "c", "d")) for i in range(3)]),
    "mixed": mixed_space(),
    "conditional": Space(
        "s",
        [
            Gene(name="a", kind="choice", values=("off", "on")),
            Gene(name="b", kind="int", low=1, high=5, when={"a": ("on",)}),
            Gene(name="c", kind="choice", values=("p", "q", "r"), when={"b": (2, 3)}),
            Gene(name="d", kind="float", low=0.0, high=1.0, when={"c": ("q",)}),
        ],
    ),
    "one-level": Space(
        "s",
        [
            Gene(name="x", kind="choice", values=("only",)),
            Gene(name="y", kind="float", low=1.0, high=1.0, levels=1),
        ],
    ),
}

BASELINES = {"random", "sobol", "grid", "successive-halving", "hyperband"}  # the points they begin with are random
NEVER_WAIT = {"ga-steady", "aging", "random", "sobol", "grid", *MULTI_FIDELITY}


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


def crossed(names: Sequence[str]) -> pytest.MarkDecorator:
    """Every strategy in every space, and each of both with every objective."""
    combinations = [
        pytest.param(name, SPACES[space], OBJECTIVES[objective], id=f"{name}-{space}-{objective}")
        for i, name in enumerate(names)
        for j, space in enumerate(SPACES)
        if SPACES[space].changing or not STRATEGIES[name].make.schedules
        for objective in [list(OBJECTIVES)[(i + j) % len(OBJECTIVES)]]
    ]
    return pytest.mark.parametrize(("name", "space", "objective"), combinations)


@crossed(OURS)
def test_the_contract(name: str, space: Space, objective: Callable[..., Fitness]) -> None:
    """Points of the cube, numbered from 0; a seed alone decides; none touches another; a replayed record goes on."""
    before = random.getstate(), np.random.get_state()[1].tolist()
    asked = drive(make_strategy(name, space, 5), objective, 60)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before
    assert [proposal.number for proposal in asked] == list(range(60))
    for proposal in asked:
        assert len(proposal.vector) == space.dimension
        assert all(type(u) is float and 0 <= u <= 1 for u in proposal.vector)
        assert 0 < proposal.fidelity <= 1
        space.decode(proposal.vector)
    assert drive(make_strategy(name, space, 6), objective, 60) != asked, "another seed is another run"

    record = [objective(proposal.number, proposal.vector) for proposal in asked[:25]]
    resumed = drive(
        make_strategy(name, space, 5),
        lambda number, vector: record[number] if number < 25 else objective(number, vector),
        60,
    )
    assert resumed == asked, "told the record, it goes on as if it had never stopped"

    alone = drive(make_strategy(name, space, 5), objective, 30, window=1)
    one, two = make_strategy(name, space, 5), make_strategy(name, space, 6)
    for expected in alone:
        for strategy in (one, two):
            side_by_side = strategy.ask()
            assert side_by_side is not None
            assert strategy is two or side_by_side == expected, "another strategy at work changes nothing"
            strategy.tell(side_by_side, objective(side_by_side.number, side_by_side.vector))


POPULATIONS = {"ga", "de", "shade", "l-shade", "es-plus", "es-comma", "nsga2", "nsga3", "spea2"}
BREEDERS = {*POPULATIONS, "ga-steady", "aging", "dehb", "assisted", "pbt"}
GENERATIONS = {*POPULATIONS, "cma-es", "pbt"}


@pytest.mark.parametrize("name", STRATEGIES)
def test_it_says_where_its_proposals_come_from(name: str) -> None:
    """An operator; parents that were told before; generations that never fall."""
    options = {"fidelities": (0.25, 1.0), "initial": 8} if name == "assisted" else {}
    told: list[int] = []

    def objective(number: int, vector: tuple[float, ...]) -> Fitness:
        told.append(number)
        return OBJECTIVES["some failed"](number, vector)

    strategy = make_strategy(name, mixed_space(), 0, options)
    known: dict[int, set[int]] = {}  # when it was asked
    ask = strategy.ask

    def asking() -> Proposal | None:
        proposal = ask()
        if proposal is not None:
            known[proposal.number] = set(told)
        return proposal

    strategy.ask = asking  # type: ignore[method-assign]
    asked = drive(strategy, objective, 12 if name == "gp" else 40 if name in MODEL_BASED else 90)
    assert all(proposal.operator and proposal.operator == proposal.operator.lower() for proposal in asked)
    assert all(known[proposal.number].issuperset(proposal.parents) for proposal in asked)
    assert all(len(set(proposal.parents)) == len(proposal.parents) for proposal in asked)
    assert any(proposal.parents for proposal in asked) == (name in BREEDERS or name in MULTI_FIDELITY)
    if name in GENERATIONS:
        generations = [proposal.generation for proposal in asked]
        assert generations == sorted(generations, key=lambda one: -1 if one is None else one)  # so none is None
        assert generations[0] == 0 and len({*generations}) > 2
        of = dict(enumerate(generations))
        assert all((of[parent] or 0) < (one.generation or 0) for one in asked for parent in one.parents)


def test_promotions_have_the_parent_that_they_are() -> None:
    for name in ("successive-halving", "hyperband", "dehb"):
        asked = drive(make_strategy(name, mixed_space(), 0), _smooth, 90)
        promoted = [proposal for proposal in asked if proposal.operator == "promotion"]
        assert promoted
        for proposal in promoted:
            (parent,) = proposal.parents
            assert asked[parent].vector == proposal.vector and asked[parent].fidelity < proposal.fidelity


def test_children_of_the_ga_have_genes_of_their_parents() -> None:
    """Without mutation a choice is a parent's, and what no crossover made is its parent."""
    options = {"mutation": 0.0, "crossover": 0.5, "population": 10, "elites": 0}
    for name in ("ga", "nsga2"):
        taken = {option: value for option, value in options.items() if option in strategy_options(name)}
        asked = drive(make_strategy(name, SPACES["choice"], 0, taken), _smooth, 60)
        assert {proposal.operator for proposal in asked} == {"latin hypercube", "crossover", "mutation"}
        for child in asked:
            parents = [asked[parent].vector for parent in child.parents]
            assert len(parents) <= {"latin hypercube": 0, "mutation": 1, "crossover": 2}[child.operator]
            if parents:
                assert all(u in values for u, values in zip(child.vector, zip(*parents, strict=True), strict=True))


@pytest.mark.parametrize("levels", [None, 101])
@pytest.mark.parametrize("name", STRATEGIES)
def test_whole_numbers_on_a_log_scale_are_spread_on_it(name: str, levels: int | None) -> None:
    """Half of what a strategy begins with lies below the geometric middle, 32; evenly spread it would be 512."""
    space = Space("s", [Gene(name="n", kind="int", low=1, high=1024, scale="log", levels=levels)])
    coarse = {"points": 8} if name == "grid" else {}  # it would walk through all of them
    drawn: list[int] = []
    for seed in range(10):
        asked = drive(make_strategy(name, space, seed, coarse), OBJECTIVES["constant"], 8, window=8)
        drawn += [int(space.decode(proposal.vector)["n"]) for proposal in asked]
    assert 16 <= np.median(drawn) <= 64
    assert min(drawn) <= 4 and max(drawn) >= 256


@pytest.mark.parametrize("name", OURS)
def test_asks_while_results_are_pending(name: str) -> None:
    """Whatever the window; and the generations of one that waits do not depend on it."""
    space = mixed_space()
    runs = [drive(make_strategy(name, space, 3), OBJECTIVES["some failed"], 60, window) for window in range(1, 13)]
    assert all(len(run) == 60 for run in runs)
    if name not in NEVER_WAIT:
        assert all(run == runs[0] for run in runs)
    untold = make_strategy(name, space, 3)
    asked = [untold.ask() for _ in range(200)]
    assert (None in asked) == (name not in NEVER_WAIT)


@pytest.mark.parametrize("name", OURS)
def test_a_vector_that_the_engine_moved_is_accepted(name: str) -> None:
    space = mixed_space()
    strategy = make_strategy(name, space, 0)
    for _ in range(60):
        proposal = strategy.ask()
        assert proposal is not None
        moved = replace(proposal, vector=tuple(1 - u for u in proposal.vector))
        strategy.tell(moved, _smooth(moved.number, moved.vector))


@cache
def _median_best(name: str) -> float:
    """Of 150 evaluations, over 9 seeds."""
    space, found = mixed_space(), []
    for seed in range(9):
        asked = drive(
            make_strategy(name, space, seed),
            lambda number, vector: Fitness(False, score(space.decode(vector))),
            150,
        )
        found.append(min(score(space.decode(proposal.vector)) for proposal in asked))
    return float(np.median(found))


@pytest.mark.parametrize("name", [name for name in OURS if name not in BASELINES | SCHEDULED])
def test_it_learns(name: str) -> None:
    """The median best of 150 is far better than random search's."""
    assert _median_best(name) < 0.35 * _median_best("random")


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


@pytest.mark.parametrize("seed", range(5))
def test_choices_mutate_to_another_value(seed: int) -> None:
    space = SPACES["choice"]
    variation = GeneticAlgorithm(space, 0, crossover=0.0, mutation=3.0)
    parent, other = (Individual(vector, Fitness(False, 1.0)) for vector in ((0.1, 0.4, 0.9), (0.6, 0.6, 0.6)))
    with DEAPRandom(seed).installed():
        child, _ = variation.children((parent, other))
    assert set(child.vector) <= {(k + 0.5) / 4 for k in range(4)}
    before, after = space.decode(parent.vector), space.decode(child.vector)
    assert all(after[name] != before[name] for name in before)


def test_no_child_of_the_ga_repeats_its_parents_or_its_siblings() -> None:
    space = SPACES["int"]
    strategy = make_strategy("ga", space, 0, {"population": 8, "mutation": 0.5, "crossover": 0.3})
    asked = drive(strategy, _smooth, 14, window=8)
    genomes = [space.decode(proposal.vector) for proposal in asked]
    assert len(set(genomes)) == len(genomes) == 14


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
        ("ga", {"population": "many"}, "strategy 'ga': population must be a whole number, not 'many'"),
        ("ga", {"population": 2.5}, "population must be a whole number, not 2.5"),
        ("ga", {"population": True}, "population must be a whole number, not True"),
        ("ga", {"population": 10**9}, "population must be at most 10000, not 1000000000"),
        ("ga", {"population": (3, 4)}, r"population must be a whole number, not \(3, 4\)"),
        ("ga", {"mutation": math.nan}, "mutation must be a number, not nan"),
        ("ga", {"mutation": math.inf}, "mutation must be a finite number, not inf"),
        ("hyperband", {"fidelities": (0.5, math.nan)}, "fidelities must be numbers such as 0.25,0.5,1, not"),
        ("ga-steady", {"population": 1}, "strategy 'ga-steady': population must be at least 2, not 1"),
        ("de", {"population": 3}, "population must be at least 4, not 3"),
        ("de", {"weight": 0.0}, "weight must be above 0 and at most 2, not 0"),
        ("de", {"variant": "rand/2/bin"}, "unknown variant of strategy 'de' 'rand/2/bin': did you mean 'rand/1/bin'"),
        ("shade", {"memory": 0}, "memory must be at least 1, not 0"),
        ("l-shade", {"population": 3}, "strategy 'l-shade': population must be at least 4, not 3"),
        ("l-shade", {"evaluations": 3}, "evaluations must be at least 4, not 3"),
        ("es-plus", {"sigma": 0.0}, "sigma must be above 0 and at most 1, not 0"),
        ("es-comma", {"parents": 5, "offspring": 5}, "offspring - parents must be at least 1, not 0"),
        ("cma-es", {"sigma": -1.0}, "sigma must be above 0 and at most 1, not -1"),
        ("cma-es", {"population": 3}, "population must be at least 4, not 3"),
        ("aging", {"population": 5, "sample": 6}, "population - sample must be at least 0, not -1"),
        ("nsga2", {"population": 3}, "strategy 'nsga2': population must be at least 4, not 3"),
        ("nsga2", {"crossover": 1.5}, r"strategy 'nsga2': crossover must lie in \[0, 1\], not 1.5"),
        ("grid", {"points": 0}, "points must be at least 1, not 0"),
        ("random", {"population": 2}, "unknown option of strategy 'random' 'population'"),
    ],
)
def test_wrong_options_get_one_line(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_strategy(name, mixed_space(), 0, options)


def test_options_may_be_numpys_numbers() -> None:
    options = {"initial": np.int64(3), "parents": 4.0, "fidelities": np.array([0.5, 1.0]), "eta": np.int8(2)}
    strategy = make_strategy("assisted", mixed_space(), 0, options)
    asked = [strategy.ask() for _ in range(3)]
    plainly = make_strategy(
        "assisted", mixed_space(), 0, {"initial": 3, "parents": 4, "fidelities": "1/2, 1", "eta": 2}
    )
    assert asked == [plainly.ask() for _ in range(3)]


@pytest.mark.parametrize("name", STRATEGIES)
def test_no_value_of_an_option_hangs_or_fills_the_memory(name: str) -> None:
    """It is refused in a line, or asked with at once."""
    numbers = (math.nan, math.inf, -1, 0, 1e-308, 1e308, 10**9, 10**23, 10**400)
    others = (True, None, "", "x", [], {}, 1 + 1j, "1e999999999", "1/9999999,1", [0.5] * 10**5)
    taken = set()
    for option, value in itertools.product(strategy_options(name), (*numbers, *others)):
        refused = _refusal(name, {option: value})
        if not refused:
            taken.add((option, shown(value)))
        assert not refused or (f"strategy '{name}'" in refused and "\n" not in refused and len(refused) < 250)
    assert not {option for option, value in taken if value in map(shown, (math.nan, math.inf))}
    assert not {option for option, value in taken if value in map(shown, (10**9, 10**400))} - {"evaluations"}


def _refusal(name: str, options: dict[str, object]) -> str:
    """What is said of the options, or nothing if one can ask with them."""
    try:
        strategy = make_strategy(name, mixed_space(), 0, options)
    except UserError as error:
        return str(error)
    assert name in MODEL_BASED or drive(strategy, _smooth, 20)
    return ""


@pytest.mark.parametrize("name", OURS)
def test_options_are_what_the_constructor_takes(name: str) -> None:
    make_strategy(name, mixed_space(), 0, strategy_options(name))


def floats(n: int, levels: int = 100001) -> Space:
    return Space("s", [Gene(name=f"x{i}", kind="float", low=-1.0, high=1.0, levels=levels) for i in range(n)])


def tell(strategy: Strategy, values: list[float | None]) -> list[Proposal]:
    """Ask as many as there are values, then tell all; None fails."""
    asked = []
    for _ in values:
        proposal = strategy.ask()
        assert proposal is not None
        asked.append(proposal)
    for proposal, value in zip(asked, values, strict=True):
        strategy.tell(proposal, Fitness(value is None, 1e6 if value is None else value))
    return asked


def test_deap_draws_from_generators_of_its_own_whoever_else_draws_meanwhile() -> None:
    """Those of the process stay as they are (conftest looks), those of other strategies in other threads, too."""

    def draw(state: DEAPRandom) -> tuple[float, float, list[int]]:
        niche = list(range(20))
        with state.installed():
            (mutated,) = tools.mutGaussian([0.0], 0, 1, 1.0)
            emo.numpy.random.shuffle(niche)  # as NSGA-III's selection does
            return draws.random(), *mutated, niche

    one, same, other = DEAPRandom(1), DEAPRandom(1), DEAPRandom(2)
    first = [draw(one) for _ in range(3)]
    with ThreadPoolExecutor(1) as elsewhere, same.installed():
        assert elsewhere.submit(draw, other).result() == draw(DEAPRandom(2))
        assert elsewhere.submit(lambda: draws.getstate()).result() == random.getstate(), "nothing is installed there"
    assert [draw(same) for _ in range(3)] == first
    with pytest.raises(ZeroDivisionError), DEAPRandom(3).installed():
        draws.choice([1 / (draws.random() * 0)])
    assert draws.getstate() == random.getstate()


def test_reflection_folds_any_number_into_the_cube() -> None:
    for outside, inside in [(-0.1, 0.1), (1.2, 0.8), (2.3, 0.3), (-1.7, 0.3), (0.0, 0.0), (1.0, 1.0), (0.4, 0.4)]:
        assert reflected(outside) == pytest.approx(inside)


def test_a_child_may_take_a_parents_place_if_it_is_no_worse() -> None:
    good, bad = Individual((0.5,), Fitness(False, 1.0)), Individual((0.5,), Fitness(False, 2.0))
    failed, later = Individual((0.5,), Fitness(True, 3.0)), Individual((0.5,), Fitness(True, 9.0))
    assert good.no_worse_than(good) and good.better_than(bad) and bad.better_than(failed)
    assert not failed.no_worse_than(bad)
    assert failed.no_worse_than(later) and later.no_worse_than(failed) and not failed.better_than(later)


class TestDifferentialEvolution:
    def test_mutant_is_the_published_sum(self) -> None:
        rng = np.random.default_rng(0)
        v = mutant(rng, floats(2), (0.5, 0.2), 0.5, [((0.9, 0.1), (0.1, 0.5)), ((0.2, 0.2), (0.4, 0.8))])
        assert v == pytest.approx([0.5 + 0.4 - 0.1, 0.2 - 0.2 - 0.3])

    def test_a_choice_of_the_mutant_is_a_donors(self) -> None:
        rng, space = np.random.default_rng(0), SPACES["choice"]
        a, b, base = (0.1, 0.1, 0.4), (0.2, 0.9, 0.9), (0.6, 0.6, 0.6)  # cells 0 0 1, 0 3 3, 2 2 2
        seen = [mutant(rng, space, base, 0.4, [(a, b)]) for _ in range(1000)]
        assert {v[0] for v in seen} == {0.6}  # a and b agree: no difference
        assert {v[1] for v in seen} == {0.1, 0.6}
        assert sum(v[1] == 0.1 for v in seen) / 1000 == pytest.approx(0.4, abs=0.05)
        assert mutant(rng, space, base, 1.0, [(a, b)])[1:] == [0.1, 0.4]

    def test_one_gene_at_least_crosses_over(self) -> None:
        rng, margin = np.random.default_rng(0), Margin(floats(4))
        crossed = [tuple(binomial(rng, margin, [0.0] * 4, [1.0] * 4, 0.0)) for _ in range(100)]
        assert all(sum(u) == 1 for u in crossed) and len(set(crossed)) == 4
        assert binomial(rng, margin, [0.0] * 4, [1.0] * 4, 1.0) == [1.0] * 4
        counts = [sum(binomial(rng, margin, [0.0] * 4, [1.0] * 4, 0.5)) for _ in range(2000)]
        assert np.mean(counts) == pytest.approx(1 + 3 * 0.5, abs=0.1)  # j_rand, and half of the others

    def test_what_hangs_on_a_choice_crosses_over_with_it(self) -> None:
        rng, margin = np.random.default_rng(0), Margin(SPACES["conditional"])
        target, other = (0.25, 0.1, 0.1, 0.1), (0.75, 0.3, 0.9, 0.9)  # b is 2, so c applies; c is r, so d does not
        same = (0.3, 0.9, 0.9, 0.9)
        for donor, rest in (
            (other, {(0.3, 0.9, 0.1), (0.3, 0.9, 0.9)}),
            (same, {*itertools.product((0.1, 0.9), repeat=3)}),
        ):
            crossed = [binomial(rng, margin, target, donor, 0.5) for _ in range(200)]
            assert {tuple(u[1:]) for u in crossed if u[0] == donor[0]} == rest
        free = {tuple(u) for u in (binomial(rng, margin, target, other, 0.5) for _ in range(100)) if u[0] == target[0]}
        assert len(free) == 7  # not without any

    @pytest.mark.parametrize("name", ["de", "shade", "l-shade", "dehb"])
    def test_a_choice_that_the_population_has_lost_comes_back(self, name: str) -> None:
        space = Space("s", [*SPACES["float"].genes, Gene(name="c", kind="choice", values=("a", "b", "c"))])

        def only_a(number: int, vector: tuple[float, ...]) -> Fitness:
            return Fitness(False, vector[0] + (space.decode(vector)["c"] != "a"))

        asked = drive(make_strategy(name, space, 0), only_a, 500)[200:]
        seen = [space.decode(proposal.vector)["c"] for proposal in asked if proposal.operator != "promotion"]
        assert {*seen} == {"a", "b", "c"}
        assert 0.15 < 1 - seen.count("a") / len(seen) < 0.4  # 1 - 0.73, and what crossover still brings

    def test_the_margin_gives_what_a_population_lacks_and_draws_anew_what_hangs_on_it(self) -> None:
        space, rng = SPACES["conditional"], np.random.default_rng(0)
        margin, least = Margin(space), 1 - 0.73**0.5  # two choices, one of two values and one of three
        every = [(a, 0.5, c, 0.5) for a in (0.25, 0.75) for c in (1 / 6, 0.5, 5 / 6)]
        assert margin.lacking(every) == {}
        lacking = margin.lacking([(0.25, 0.5, c, 0.5) for c in (1 / 6, 1 / 6, 5 / 6)])
        assert lacking[0] == pytest.approx([0, least]) and lacking[2] == pytest.approx([0, least / 2, 0])
        kept = np.array([margin.kept(rng, [0.25, 0.5, 0.1, 0.5], {0: lacking[0]}) for _ in range(4000)])
        back = kept[:, 0] == 0.75
        assert back.mean() == pytest.approx(least, abs=0.02)
        assert (kept[~back] == [0.25, 0.5, 0.1, 0.5]).all()
        assert kept[back][:, 1:].std(axis=0) == pytest.approx([12**-0.5] * 3, abs=0.03)  # uniform
        kept = np.array([margin.kept(rng, [0.75, 0.3, 0.1, 0.5], {2: lacking[2]}) for _ in range(200)])
        assert (kept[:, 1] == 0.3).all() and len({*kept[:, 3]}) == (kept[:, 2] == 0.5).sum() + 1

    @pytest.mark.parametrize("variant", VARIANTS)
    def test_parents_are_distinct(self, variant: str) -> None:
        """With CR = 1 a trial is the mutant: of all combinations of distinct others, one must give it."""
        strategy = DifferentialEvolution(floats(3), 1, population=5, variant=variant, weight=0.3, crossover=1.0)
        x = [np.array(p.vector) for p in tell(strategy, [3.0, 1.0, 2.0, 5.0, 4.0])]
        for i in range(5):
            trial = strategy.ask()
            assert trial is not None
            found = False
            others = [k for k in range(5) if k != i and (variant == "rand/1/bin" or k != 1)]
            for r1, r2, r3 in (
                itertools.permutations(others, 3)
                if variant == "rand/1/bin"
                else ((1, *pair) for pair in itertools.permutations(others, 2))
            ):
                base = x[i] + 0.3 * (x[1] - x[i]) if variant.startswith("current") else x[r1]
                found |= np.allclose([reflected(u) for u in base + 0.3 * (x[r2] - x[r3])], trial.vector)
            assert found, i

    def test_selection_is_one_to_one_and_waits_for_the_generation(self) -> None:
        strategy = DifferentialEvolution(floats(3), 1, population=4)
        first = tell(strategy, [1.0, 2.0, None, 4.0])
        before = strategy._parents
        trials = tell(strategy, [1.0, 3.0, 5.0, None])
        assert before is not strategy._parents
        strategy.ask()
        assert [one.vector for one in strategy._parents] == [
            trials[0].vector,
            first[1].vector,
            trials[2].vector,
            first[3].vector,
        ]


class TestSHADE:
    DRAWN = ((0.5, 0.2), (0.8, 0.6), (0.9, 0.9), (0.1, 0.1))

    def _after_a_generation(self, strategy: SHADE) -> list[Proposal]:
        """Two trials improve, by 1 and by 3; one is equal, one worse."""
        parents = tell(strategy, [10.0] * 4)
        first = strategy.ask()
        assert first is not None
        strategy._drawn = list(self.DRAWN)
        trials = [first] + [p for p in (strategy.ask() for _ in range(3)) if p]
        for trial, value in zip(trials, [9.0, 7.0, 10.0, 12.0], strict=True):
            strategy.tell(trial, Fitness(False, value))
        assert strategy.ask() is not None
        kept = [one.vector for one in strategy._parents]
        assert kept == [p.vector for p in (*trials[:3], parents[3])][: len(kept)]
        return parents

    def test_memory_and_archive(self) -> None:
        strategy = SHADE(floats(3), 0, population=4, memory=3)
        parents = self._after_a_generation(strategy)
        assert strategy._memory_f == pytest.approx([(0.25 * 0.25 + 0.75 * 0.64) / (0.25 * 0.5 + 0.75 * 0.8), 0.5, 0.5])
        assert strategy._memory_cr == pytest.approx([0.25 * 0.2 + 0.75 * 0.6, 0.5, 0.5])
        assert strategy._entry == 1
        assert [one.number for one in strategy._archive] == [parents[0].number, parents[1].number]

    def test_memory_of_l_shade(self) -> None:
        strategy = LSHADE(floats(3), 0, evaluations=1000, population=4, memory=3)
        self._after_a_generation(strategy)
        assert strategy._memory_cr == pytest.approx([(0.25 * 0.04 + 0.75 * 0.36) / (0.25 * 0.2 + 0.75 * 0.6), 0.5, 0.5])
        strategy._entry = 2
        strategy._remember([0.5], [0.0], [1.0])
        assert strategy._memory_cr[2] is None
        strategy._entry = 2
        strategy._remember([0.5], [0.7], [1.0])
        assert strategy._memory_cr[2] is None  # for ever
        strategy._memory_cr = [None]
        strategy._memory_f = [0.5]
        assert {strategy._draw()[1] for _ in range(20)} == {0.0}

    def test_draws(self) -> None:
        strategy = SHADE(floats(3), 0, memory=1)
        f, cr = np.array([strategy._draw() for _ in range(4000)]).T
        assert f.min() > 0 and f.max() == 1 and cr.min() >= 0 and cr.max() <= 1
        assert np.median(f) == pytest.approx(0.5, abs=0.02)
        assert np.quantile(f, [0.25, 0.75]) == pytest.approx([0.4, 0.6], abs=0.03)  # a Cauchy's quartiles
        assert (np.mean(cr), np.std(cr)) == pytest.approx((0.5, 0.1), abs=0.01)

    def test_the_population_of_l_shade_shrinks_over_its_budget(self) -> None:
        strategy = LSHADE(floats(2), 0, evaluations=200, population=20)
        assert [strategy.planned(n) for n in (0, 50, 100, 200, 300)] == [20, 16, 12, 4, 4]
        sizes = []
        for _ in range(260):
            proposal = strategy.ask()
            assert proposal is not None
            if proposal.number == strategy._start:
                sizes.append(len(strategy._offspring))
            strategy.tell(proposal, Fitness(False, 1.0))
        assert sizes[:4] == [20, 20, strategy.planned(40), strategy.planned(40 + strategy.planned(40))]
        assert sizes[-1] == 4
        assert LSHADE(floats(2), 0, evaluations=10000).population == 36
        assert LSHADE(floats(20), 0, evaluations=200).population == 20


class TestEvolutionStrategies:
    def test_step_sizes_are_log_normal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        n, sigma = 4, 0.1
        strategy = ESPlus(floats(n), 0, parents=1, offspring=1, sigma=sigma, crossover=0.0)
        (parent,) = tell(strategy, [1.0])
        normal = [0.3, *(v for j in range(n) for v in (0.1 * j, -0.2 * j))]
        script = iter(normal)
        monkeypatch.setattr(strategy._random._python, "gauss", lambda mean, deviation: next(script))
        child = strategy.ask()
        assert child is not None
        for j in range(n):
            step = sigma * math.exp(0.3 / math.sqrt(2 * n) + 0.1 * j / math.sqrt(2 * math.sqrt(n)))
            assert strategy._carried[0][0][j] == pytest.approx(step)
            assert child.vector[j] == pytest.approx(reflected(parent.vector[j] + step * -0.2 * j))

    @pytest.mark.parametrize("make", [ESPlus, ESComma])
    def test_a_first_child_has_about_one_other_choice(self, make: type[ESPlus | ESComma]) -> None:
        """The rate begins at 1/m, whatever the number m of choices."""
        space = Space("s", [Gene(name=f"x{i}", kind="choice", values=("a", "b", "c")) for i in range(20)])
        strategy = make(space, 0, parents=1, offspring=40, crossover=0.0)
        parent, *_ = tell(strategy, [float(i) for i in range(40)])
        children = tell(strategy, [0.0] * 40)
        changed = [sum(a != b for a, b in zip(child.vector, parent.vector, strict=True)) for child in children]
        assert 0.5 < np.mean(changed) < 2

    def test_plus_keeps_its_parents_and_comma_does_not(self) -> None:
        plus = ESPlus(floats(2), 0, parents=2, offspring=4)
        comma = ESComma(floats(2), 0, parents=2, offspring=4)
        for strategy in (plus, comma):
            first = tell(strategy, [1.0, 3.0, None, 2.0])
            second = tell(strategy, [5.0, None, 4.0, 1.5])
            strategy.ask()
            kept = {one.vector for one, _ in strategy._selected}
            expected = {first[0], second[3]} if strategy is plus else {second[3], second[2]}
            assert kept == {proposal.vector for proposal in expected}

    def test_step_sizes_and_rates_stay_in_bounds(self) -> None:
        space = mixed_space()
        strategy = ESComma(space, 0)
        drive(strategy, OBJECTIVES["constant"], 600)
        steps = np.array([carried[0] for carried in strategy._carried])
        assert (steps >= [0.25 / 21, 0.25 / 9, 0.25 / 11]).all() and (steps <= 1).all()
        assert all(1 / 3 <= rate <= 0.5 for _, rate in strategy._carried)


class TestCMAES:
    def test_it_learns_an_ellipsoid(self) -> None:
        """Axes that differ 30-fold in scale; the package `cmaes` needs 545 evaluations (median of 15)."""

        def ellipsoid(number: int, vector: tuple[float, ...]) -> Fitness:
            return Fitness(False, sum(1e3 ** (i / 4) * (u - 0.4) ** 2 for i, u in enumerate(vector)))

        needed = []
        for seed in range(7):
            asked = drive(CMAES(floats(5), seed), ellipsoid, 1200)
            values = [ellipsoid(0, p.vector).value for p in asked]
            needed.append(next((k for k, value in enumerate(values) if value < 1e-5), 9999))
        assert np.median(needed) < 700

    def test_it_finds_a_corner(self) -> None:
        found = []
        for seed in range(5):
            asked = drive(CMAES(floats(4), seed), lambda number, v: Fitness(False, sum(v)), 400)
            found.append(min(sum(p.vector) for p in asked))
        assert np.median(found) < 0.03

    def test_the_better_choice_becomes_likely_and_no_choice_impossible(self) -> None:
        space = SPACES["choice"]
        strategy = CMAES(space, 0)
        for shares in strategy._shares:
            assert shares == pytest.approx([0.25] * 4)
        drive(
            strategy,
            lambda number, v: Fitness(False, float(sum(space.decode(v)[g.name] != "c" for g in space.genes))),
            300,
        )
        for shares in strategy._shares:
            assert shares.argmax() == 2 and shares[2] > 0.7
            assert shares.min() >= (1 - 0.73 ** (1 / 3)) / 3 - 1e-12
            assert shares.sum() == pytest.approx(1)

    def test_margin(self) -> None:
        shares = with_margin(np.array([0.0, 0.1, 0.9]), 0.05)
        assert shares.sum() == pytest.approx(1) and shares.min() == pytest.approx(0.05)
        assert with_margin(np.array([0.2, 0.8]), 0.05) == pytest.approx([0.2, 0.8])

    @pytest.mark.parametrize("broken", [math.nan, math.inf, -1.0])
    def test_numbers_that_fail_start_it_anew(self, broken: float) -> None:
        strategy = CMAES(floats(3), 0)
        tell(strategy, [1.0] * strategy.population)
        strategy._normal.C = np.full((3, 3), broken)
        for proposal in tell(strategy, [1.0] * strategy.population):
            assert all(0 <= u <= 1 for u in proposal.vector)
        assert strategy.restarts == 1
        assert strategy._sound()

    def test_no_gene_freezes_within_a_level(self) -> None:
        strategy = CMAES(SPACES["int"], 0)
        for _ in range(100):
            proposal = strategy.ask()
            assert proposal is not None
            strategy.tell(proposal, _smooth(0, proposal.vector))
            normal = strategy._normal
            assert (normal.sigma * np.sqrt(np.diag(normal.C)) >= 0.25 / 21 - 1e-12).all()


class TestAgingEvolution:
    def test_the_oldest_dies_even_if_it_is_the_best(self) -> None:
        strategy = AgingEvolution(floats(2), 0, population=4, sample=4)
        first = tell(strategy, [0.0, 1.0, 2.0, 3.0])
        assert [one.vector for one in strategy._living] == [p.vector for p in first]
        (child,) = tell(strategy, [9.0])
        assert [one.vector for one in strategy._living] == [p.vector for p in (*first[1:], child)]

    def test_a_child_is_the_best_of_the_sample_with_one_active_gene_at_another_level(self) -> None:
        space = SPACES["conditional"]
        strategy = AgingEvolution(space, 0, population=4, sample=4)
        first = tell(strategy, [3.0, 0.0, 1.0, 2.0])
        parent = first[1].vector
        for _ in range(50):
            child = strategy.ask()
            assert child is not None
            assert sum(a != b for a, b in zip(child.vector, parent, strict=True)) == 1
            assert space.decode(child.vector) != space.decode(parent)


def test_the_steady_state_ga_replaces_its_worst() -> None:
    strategy = SteadyStateGA(floats(2), 0, population=3)
    first = tell(strategy, [1.0, None, 2.0])
    better, worse, failed = tell(strategy, [1.5, 5.0, None])
    assert {one.vector for one in strategy._parents} == {p.vector for p in (first[0], better, first[2])}
    assert worse.vector != failed.vector


def test_sobol_points_lie_one_to_a_slice() -> None:
    strategy = SobolSearch(floats(3), 0)
    points = np.array([p.vector for p in (strategy.ask() for _ in range(128)) if p])
    for column in (points[:64].T, points[64:].T):
        for gene in column:
            assert sorted((gene * 64).astype(int)) == list(range(64))


class TestGrid:
    @pytest.mark.parametrize("name", ["choice", "conditional", "mixed"])
    def test_it_walks_every_genome_once_then_again(self, name: str) -> None:
        space = SPACES[name]
        most = 64 if name == "choice" else 100_000
        strategy = GridSearch(space, 0, points=most)
        genomes = [space.decode(p.vector) for p in (strategy.ask() for _ in range(2 * space.size)) if p]
        assert len(set(genomes[: space.size])) == space.size
        assert genomes[space.size :] == genomes[: space.size]
        other = GridSearch(space, 1, points=most)
        assert [space.decode(p.vector) for p in (other.ask() for _ in range(space.size)) if p] != genomes[: space.size]

    def test_of_what_cannot_live_together_there_is_no_second_point(self) -> None:
        strategy, space = GridSearch(penalised(), 0), penalised()
        genomes = [space.decode(p.vector) for p in (strategy.ask() for _ in range(space.size)) if p]
        assert len(set(genomes)) == len(genomes) == space.size == len(strategy._walk)

    def test_a_large_space_is_made_coarser_evenly_and_keeps_its_choices(self) -> None:
        strategy = GridSearch(mixed_space(), 0, points=200)
        assert [len(levels) for levels in strategy.levels][2] == 3
        assert math.prod(map(len, strategy.levels)) <= 200
        assert strategy.levels[1][0] == 0 and strategy.levels[1][-1] == 8
        assert [len(levels) for levels in GridSearch(floats(1, 101), 0, points=11).levels] == [7]

    def test_too_many_choices_are_sampled(self) -> None:
        space = Space("s", [Gene(name=f"x{i}", kind="choice", values=("a", "b", "c")) for i in range(40)])
        strategy = GridSearch(space, 0, points=50)
        assert len({space.decode(p.vector) for p in (strategy.ask() for _ in range(50)) if p}) == 50
