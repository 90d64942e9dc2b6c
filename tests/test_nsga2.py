"""NSGA-II against hand-made fronts, brute force, and the known front of ZDT1."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evogan.errors import UserError
from evogan.genome import Gene
from evogan.space import Space
from evogan.strategies import STRATEGIES, Fitness, Proposal, Strategy, make_strategy
from evogan.strategies.base import Individual
from evogan.strategies.nsga2 import NSGA2, Member, Objectives
from evogan.strategies.nsga3 import NSGA3, references
from evogan.strategies.spea2 import SPEA2, density, raw_fitness
from tests.conftest import mixed_space
from tests.test_strategies import OBJECTIVES, SPACES, drive, floats

Values = tuple[float, ...]


def fitness(values: Values | None) -> Fitness:
    return Fitness(True, 1e6, others=(1e6,)) if values is None else Fitness(False, values[0], others=values[1:])


def generation(strategy: Strategy, told: list[Values | None]) -> list[Proposal]:
    """Ask as many as there are values, then tell all; None fails."""
    asked = [strategy.ask() for _ in told]
    proposals = [proposal for proposal in asked if proposal]
    for proposal, values in zip(proposals, told, strict=True):
        strategy.tell(proposal, fitness(values))
    return proposals


def dominates(a: Values, b: Values) -> bool:
    return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))


def ranks(points: list[Values]) -> list[int]:
    """By the definition: peel off those that nobody left dominates."""
    rank, left, found = 0, set(range(len(points))), [0] * len(points)
    while left:
        front = {i for i in left if not any(dominates(points[k], points[i]) for k in left)}
        for i in front:
            found[i] = rank
        left, rank = left - front, rank + 1
    return found


def test_the_first_fronts_survive_and_of_the_last_the_most_lonely() -> None:
    strategy = NSGA2(floats(3), 0, population=4)
    first = generation(strategy, [(0.0, 4.0), (4.0, 0.0), (5.0, 5.0), (6.0, 6.0)])
    second = generation(strategy, [(1.0, 2.0), (1.5, 1.5), (4.5, 4.5), (2.5, 1.0)])
    strategy.ask()
    kept = {member.individual.vector: member.fitness.crowding_dist for member in strategy._parents}
    # the front is (0 4) (1 2) (1.5 1.5) (2.5 1) (4 0); each range is 4, and DEAP halves the sum of two objectives
    expected = {
        first[0].vector: math.inf,
        first[1].vector: math.inf,
        second[0].vector: (1.5 / 4 + 2.5 / 4) / 2,
        second[3].vector: (2.5 / 4 + 1.5 / 4) / 2,
    }
    assert kept == pytest.approx(expected)  # (1.5 1.5), at (1.5 / 4 + 1 / 4) / 2, had to go


@pytest.mark.parametrize("kind", [NSGA2, NSGA3, SPEA2])
@pytest.mark.parametrize("objectives", [1, 2, 3])
@pytest.mark.parametrize("population", [4, 5, 7, 10])
def test_nobody_of_a_worse_front_survives_one_of_a_better(kind: type[NSGA2], objectives: int, population: int) -> None:
    """Whether or not DEAP's tournament, which takes members by fours, comes out even."""
    strategy, rng = kind(floats(2), 0, population=population), np.random.default_rng(population)
    there: dict[Values, Values] = {}
    points = strategy._breed([])
    for _ in range(8):
        told = {tuple(point.vector): tuple(map(float, rng.integers(0, 6, objectives))) for point in points}
        there |= told
        points = strategy._breed([Individual(point, fitness(values)) for point, values in told.items()])
        kept = {member.individual.vector for member in strategy._parents}
        assert len(kept) == len(points) == population
        rank = dict(zip(there, ranks(list(there.values())), strict=True))
        if kind is SPEA2:  # but for those that nobody dominates, it goes by strengths
            rank = {vector: min(one, 1) for vector, one in rank.items()}
        assert max(rank[v] for v in kept) <= min((rank[v] for v in there if v not in kept), default=99)
        there = {vector: there[vector] for vector in there if vector in kept}


@pytest.mark.parametrize("name", ["nsga3", "spea2"])
@pytest.mark.parametrize("objectives", [2, 3])
def test_no_unit_of_an_objective_matters(name: str, objectives: int) -> None:
    """FID and a count of parameters are of different sizes, and neither begins at 0."""
    runs = []
    for unit, least in (((1.0,) * 3, (0.0,) * 3), ((2.0**-7, 2.0**20, 4.0), (64.0, 2.0**16, -8.0))):

        def sphere(
            number: int, vector: Values, unit: Values = unit, least: Values = least
        ) -> Fitness:  # DTLZ2, rounded, so that no sum rounds
            a, b = vector[0] * math.pi / 2, vector[1] * math.pi / 2
            f = (math.cos(a) * math.cos(b), math.cos(a) * math.sin(b), math.sin(a))
            r = 1 + sum((u - 0.5) ** 2 for u in vector[2:])
            values = tuple(lo + u * round(r * x * 2**12) / 2**12 for lo, u, x in zip(least, unit, f, strict=True))
            return fitness(values[-objectives:])

        runs.append(drive(make_strategy(name, floats(4), 3, {"population": 10}, objectives=objectives), sphere, 100))
    assert runs[0] == runs[1]


def test_the_reference_points_of_nsga3() -> None:
    """All points of the simplex in steps of 1/p: C(M + p - 1, p) of them."""
    points = references(3, 4, 0)
    assert len(points) == len({*map(tuple, points)}) == math.comb(6, 4)
    assert points.sum(axis=1) == pytest.approx(1) and (points * 4 == np.rint(points * 4)).all()
    assert [len(references(m, 0, 12)) for m in (2, 3, 4)] == [12, 10, 10]


def test_directions_of_nsga3_fill_evenly() -> None:
    """Of a front that is the plane itself, one member stays at each reference point."""
    strategy = NSGA3(floats(2), 0, population=10)
    points = [tuple(point) for point in references(3, 0, 10).tolist()]
    near = [(0.9 * f + 1 / 30, 0.9 * g + 1 / 30, 0.9 * h + 1 / 30) for f, g, h in points if max(f, g, h) > 0.4]
    members = [Member(one, Objectives.of(one.fitness)) for one in told([*near, *points])]
    with strategy._random.installed():
        kept = {member.individual.fitness.values for member in strategy._survivors(members)}
    assert kept == {*points}


def test_spea2_removes_the_nearest() -> None:
    strategy = SPEA2(floats(2), 0, population=4)
    front = [(0.0, 10.0), (1.0, 9.0), (1.2, 8.8), (5.0, 5.0), (10.0, 0.0), (9.0, 9.5)]  # the last is dominated
    members = [Member(one, Objectives.of(one.fitness)) for one in told(front)]
    kept = {member.individual.fitness.values for member in strategy._survivors(members)}
    assert kept == {front[0], front[2], front[3], front[4]}  # 1.2 and 1 are nearest; of them 1 is nearer to the next


@pytest.mark.parametrize("place", range(6))
def test_spea2_prefers_the_lonely_wherever_they_stand(place: int) -> None:
    """Of what is dominated alike; by the formulas of the paper, written out."""
    points = [(0.0, 0.0), (5.0, 5.1), (5.1, 5.0), (5.0, 5.2), (5.2, 5.0)]
    points.insert(place, (1.0, 9.0))
    strategy = SPEA2(floats(2), 0, population=4)
    members = [Member(one, Objectives.of(one.fitness)) for one in told(points)]
    assert (1.0, 9.0) in {member.individual.fitness.values for member in strategy._survivors(members)}
    strength = [sum(dominates(a, b) for b in points) for a in points]
    raw = [sum(s for s, a in zip(strength, points, strict=True) if dominates(a, b)) for b in points]
    crowd = [1 / (sorted(math.dist(a, b) for b in points)[2] + 2) for a in points]  # k = floor(sqrt(6))
    assert raw_fitness(members).tolist() == raw and density(members) == pytest.approx(crowd)


def told(points: list[Values]) -> list[Individual]:
    return [Individual((i / 100, 0.5), fitness(values), i) for i, values in enumerate(points)]


def test_everything_completed_dominates_a_failure_and_failures_are_alike() -> None:
    good, bad = Objectives.of(fitness((1e9, 1e9))), Objectives.of(fitness(None))
    other = Objectives.of(Fitness(True, 3.0, others=(5.0,)))
    assert good.dominates(bad) and not bad.dominates(good)
    assert bad == other and not bad.dominates(other) and not other.dominates(bad)
    for kind in (NSGA2, NSGA3, SPEA2):
        strategy = kind(floats(3), 0, population=4)
        first = generation(strategy, [None, (9.0, 9.0), None, None])
        second = generation(strategy, [None, (10.0, 10.0), (11.0, 11.0), None])
        strategy.ask()
        kept = {member.individual.vector for member in strategy._parents}
        assert {first[1].vector, second[1].vector, second[2].vector} <= kept and len(kept) == 4


def test_children_are_other_genomes_than_their_parents_and_each_other() -> None:
    """Without crossover 1 child in 16 would be a copy, and more the same genome."""
    space = mixed_space()
    strategy = NSGA2(space, 0, population=8, crossover=0.0, mutation=2.0)
    points = strategy._breed([])
    for _ in range(20):
        vectors = [tuple(point.vector) for point in points]
        points = strategy._breed([Individual(vector, OBJECTIVES["well-behaved"](0, vector)) for vector in vectors])
        parents = {space.decode(member.individual.vector) for member in strategy._parents}
        children = {space.decode(point.vector) for point in points}
        assert len(children - parents) == 8
    assert len(drive(make_strategy("nsga2", SPACES["one-level"], 0), OBJECTIVES["constant"], 60)) == 60


def test_one_objective_keeps_the_best_of_parents_and_children() -> None:
    strategy = NSGA2(floats(3), 0, population=4)
    first = generation(strategy, [(3.0,), (1.0,), (7.0,), (5.0,)])
    second = generation(strategy, [(2.0,), (9.0,), (4.0,), (8.0,)])
    strategy.ask()
    assert [member.individual.vector for member in strategy._parents] == [
        proposal.vector for proposal in (first[1], second[0], first[0], second[2])
    ]


def zdt1(vector: Values) -> Values:
    g = 1 + 9 * float(np.mean(vector[1:]))
    return vector[0], g * (1 - math.sqrt(vector[0] / g))


def hypervolume(points: list[Values], reference: float = 1.1) -> float:
    area, height = 0.0, reference
    for f, g in sorted(points):
        if f < reference and g < height:
            area, height = area + (reference - f) * (height - g), g
    return area


def test_hypervolume_of_zdt1() -> None:
    true = 0.1 + 2 / 3 + 0.11  # the integral of 1.1 - (1 - sqrt f) up to 1, and a strip beyond
    assert hypervolume([zdt1((f, 0.0, 0.0)) for f in np.linspace(0, 1, 5001)]) == pytest.approx(true, abs=1e-3)
    found = {}
    for name in ("nsga2", "nsga3", "spea2", "random"):
        areas = []
        for seed in range(5):
            strategy = make_strategy(name, floats(4), seed, objectives=2)
            asked = drive(strategy, lambda number, vector: fitness(zdt1(vector)), 300)
            areas.append(hypervolume([zdt1(proposal.vector) for proposal in asked]))
        found[name] = float(np.median(areas))
    assert min(found["nsga2"], found["nsga3"], found["spea2"]) > 0.8 * true > 2 * found["random"]


def test_a_model_finds_the_front_of_zdt1_in_fewer_evaluations() -> None:
    found = {}
    for name in ("assisted", "nsga2"):
        areas = []
        for seed in range(3):
            asked = drive(make_strategy(name, floats(4), seed, objectives=2), lambda _, v: fitness(zdt1(v)), 50)
            areas.append(hypervolume([zdt1(proposal.vector) for proposal in asked]))
        found[name] = float(np.median(areas))
    assert found["assisted"] > 2 * found["nsga2"]


def test_only_some_strategies_take_several_objectives() -> None:
    able = {name for name, entry in STRATEGIES.items() if entry.make.several}
    assert able == {"nsga2", "nsga3", "spea2", "random", "sobol", "grid", "tpe", "gp", "optuna-nsga2", "assisted"}
    for name in able:
        make_strategy(name, mixed_space(), 0, objectives=3)
    make_strategy("ga", mixed_space(), 0, objectives=1)
    with pytest.raises(UserError, match="'ga' takes one objective, not 2; these take several: nsga2, nsga3, spea2"):
        make_strategy("ga", mixed_space(), 0, objectives=2)


def test_a_space_of_choices_alone_works() -> None:
    space = Space("s", [Gene(name=f"x{i}", kind="choice", values=("a", "b", "c")) for i in range(6)])

    def ones(number: int, vector: Values) -> Fitness:
        values = list(space.decode(vector).values())
        return fitness((float(values.count("a")), float(values.count("b"))))

    asked = drive(make_strategy("nsga2", space, 0), ones, 150)
    assert min(sum(ones(0, p.vector).values) for p in asked) == 0  # all are c
