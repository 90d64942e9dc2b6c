"""Test problems for strategies: the function, the space it is searched in, and when a run has succeeded.

Each seed is another instance: the optimum is drawn anew, away from the centre, the bounds and every symmetry. Numbers
have so many levels that a space is as good as continuous, and a strategy sees what a continuous optimiser sees.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, partial

import numpy as np
import numpy.typing as npt

from evogan.genome import Gene, Value
from evogan.space import Space

Array = npt.NDArray[np.float64]
Genome = Mapping[str, Value]
Values = tuple[float, ...]
Goal = Callable[[Genome, Values, float], bool]


@dataclass(frozen=True)
class Problem:
    """`judge(genome, fidelity)` gives the objectives, minimised; `goal()` a fresh test of whether a run is there."""

    genes: tuple[Gene, ...]
    judge: Callable[[Genome, float], Values]
    goal: Callable[[], Goal]

    @cached_property
    def space(self) -> Space:
        return Space("problem", self.genes)


def floats(dimension: int, low: float, high: float, levels: int) -> tuple[Gene, ...]:
    return tuple(Gene(name=f"x{i}", kind="float", low=low, high=high, levels=levels) for i in range(dimension))


def array(genome: Genome) -> Array:
    return np.array(tuple(genome.values()), dtype=np.float64)


def below(target: float) -> Callable[[], Goal]:
    """The goal of one objective."""

    def reached(genome: Genome, values: Values, fidelity: float) -> bool:
        return values[0] <= target

    return lambda: reached


def optimum(dimension: int, seed: int) -> Array:
    """Somewhere in [-4, 4], each coordinate at least 1 from the centre and at least 1 from the bounds."""
    rng = np.random.default_rng([2026, dimension, seed])
    signs: Array = rng.choice([-1.0, 1.0], dimension)
    return rng.uniform(1.0, 4.0, dimension) * signs


# One objective, numbers only: z is the distance from the optimum ------------------------------------------------------


def sphere(z: Array) -> float:
    return float(z @ z)


def ellipsoid(z: Array) -> float:
    """Condition 10^6, along the axes."""
    return float((1e6 ** np.linspace(0, 1, len(z)) * z) @ z)


def rosenbrock(z: Array) -> float:
    x = z + 1
    return float(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2))


def rastrigin(z: Array) -> float:
    return float(10 * len(z) + np.sum(z * z - 10 * np.cos(2 * math.pi * z)))


FUNCTIONS = {f.__name__: f for f in (sphere, ellipsoid, rosenbrock, rastrigin)}


def continuous(name: str, dimension: int, target: float, seed: int) -> Problem:
    function, shift = FUNCTIONS[name], optimum(dimension, seed)
    return Problem(
        floats(dimension, -5.0, 5.0, 1_000_001), lambda genome, _: (function(array(genome) - shift),), below(target)
    )


# Mixed and conditional: shaped like a search for a GAN ----------------------------------------------------------------

ACTIVATIONS, NORMS = ("relu", "leaky", "elu", "swish"), ("none", "batch", "spectral")


def mixed(dimension: int, target: float, seed: int) -> Problem:
    """Floats, a log float, an int, a log int and two choices; the best place of the numbers depends on a choice."""
    assert dimension == 7
    rng = np.random.default_rng([2027, seed])
    shifts = {name: rng.uniform(-3.5, 3.5, 2) for name in ACTIVATIONS}
    activation = dict(zip(ACTIVATIONS, rng.permutation([0.0, 0.5, 1.0, 2.0]), strict=True))
    norm = dict(zip(NORMS, rng.permutation([0.0, 0.5, 1.5]), strict=True))
    rate, depth, width = 10 ** rng.uniform(-4, -2), int(rng.integers(2, 7)), int(2 ** rng.uniform(4, 8))
    genes = (
        *floats(2, -5.0, 5.0, 1_000_001),
        Gene(name="rate", kind="float", low=1e-5, high=1e-1, scale="log", levels=500_001),
        Gene(name="depth", kind="int", low=1, high=8),
        Gene(name="width", kind="int", low=8, high=512, scale="log"),
        Gene(name="activation", kind="choice", values=ACTIVATIONS),
        Gene(name="norm", kind="choice", values=NORMS),
    )

    def judge(genome: Genome, _: float) -> Values:
        z = np.array([genome["x0"], genome["x1"]]) - shifts[str(genome["activation"])]
        return (
            0.2 * float(z @ z)
            + math.log10(float(genome["rate"]) / rate) ** 2
            + 0.2 * (float(genome["depth"]) - depth) ** 2
            + 0.5 * math.log2(float(genome["width"]) / width) ** 2
            + activation[str(genome["activation"])]
            + norm[str(genome["norm"])],
        )

    return Problem(genes, judge, below(target))


FAMILIES = ("a", "b", "c")


def conditional(dimension: int, target: float, seed: int) -> Problem:
    """A choice of three families, each with four genes of its own; the better the family, the narrower its optimum."""
    assert dimension == 13
    rng = np.random.default_rng([2028, seed])
    names = rng.permutation(FAMILIES)
    base = dict(zip(names, (0.0, 0.3, 0.6), strict=True))
    slope = dict(zip(names, (1.0, 0.5, 0.2), strict=True))
    shift = {name: rng.uniform(-3.5, 3.5, 2) for name in FAMILIES}
    rate = {name: 10 ** rng.uniform(-4, -2) for name in FAMILIES}
    depth = {name: int(rng.integers(2, 6)) for name in FAMILIES}
    genes = [Gene(name="family", kind="choice", values=FAMILIES)]
    for name in FAMILIES:
        only = {"family": (name,)}
        genes += [
            Gene(name=f"{name}_x0", kind="float", low=-5.0, high=5.0, levels=1_000_001, when=only),
            Gene(name=f"{name}_x1", kind="float", low=-5.0, high=5.0, levels=1_000_001, when=only),
            Gene(name=f"{name}_rate", kind="float", low=1e-5, high=1e-1, scale="log", levels=500_001, when=only),
            Gene(name=f"{name}_depth", kind="int", low=1, high=6, when=only),
        ]

    def judge(genome: Genome, _: float) -> Values:
        name = str(genome["family"])
        z = np.array([genome[f"{name}_x0"], genome[f"{name}_x1"]]) - shift[name]
        away = 0.2 * float(z @ z)
        away += math.log10(float(genome[f"{name}_rate"]) / rate[name]) ** 2
        away += 0.2 * (float(genome[f"{name}_depth"]) - depth[name]) ** 2
        return (base[name] + slope[name] * away,)

    return Problem(tuple(genes), judge, below(target))


# Several fidelities: a goal counts at the full one only ---------------------------------------------------------------


def counting_ones(dimension: int, target: float, seed: int) -> Problem:
    """Falkner, Klein and Hutter, BOHB, ICML 2018: as many numbers as choices, all to be 1; the numbers are
    probabilities, of which 4 to 108 coin throws, by the fidelity, tell. The goal is on the true mean share of ones."""
    genes = tuple(
        gene
        for i in range(dimension // 2)
        for gene in (
            Gene(name=f"choice{i}", kind="choice", values=(0, 1)),
            Gene(name=f"x{i}", kind="float", low=0.0, high=1.0, levels=100_001),
        )
    )
    rng = np.random.default_rng([2029, seed])

    def judge(genome: Genome, fidelity: float) -> Values:
        throws = round(108 * fidelity)
        of = {name: float(value) for name, value in genome.items()}
        ones = [v if name.startswith("c") else rng.binomial(throws, v) / throws for name, v in of.items()]
        return (1 - sum(ones) / dimension,)

    def reached(genome: Genome, values: Values, fidelity: float) -> bool:
        return fidelity == 1 and 1 - float(np.mean(array(genome))) <= target

    return Problem(genes, judge, lambda: reached)


def biased(name: str, dimension: int, target: float, seed: int) -> Problem:
    """A function whose optimum lies elsewhere the lower the fidelity: by up to 1, a tenth of the range, each way."""
    function, shift = FUNCTIONS[name], optimum(dimension, seed)
    away = np.random.default_rng([2030, dimension, seed]).uniform(-1, 1, dimension)

    def judge(genome: Genome, fidelity: float) -> Values:
        return (function(array(genome) - shift - (1 - fidelity) * away),)

    def reached(genome: Genome, values: Values, fidelity: float) -> bool:
        return fidelity == 1 and values[0] <= target

    return Problem(floats(dimension, -5.0, 5.0, 1_000_001), judge, lambda: reached)


# Two objectives: Zitzler, Deb and Thiele, Evolutionary Computation 8 (2000) ------------------------------------------

REFERENCE = 1.1  # of the hypervolume, in both objectives


def zdt_values(number: int, x: Array) -> Values:
    f, g = float(x[0]), 1 + 9 * float(np.mean(x[1:]))
    if number == 1:
        return f, g * (1 - math.sqrt(f / g))
    if number == 2:
        return f, g * (1 - (f / g) ** 2)
    return f, g * (1 - math.sqrt(f / g) - f / g * math.sin(10 * math.pi * f))


class Front:
    """The points of two objectives that no other dominates, and the area they dominate up to the reference point."""

    def __init__(self) -> None:
        self.points: list[tuple[float, float]] = []  # by the first objective, rising
        self.area = 0.0

    def add(self, f: float, g: float) -> None:
        if f >= REFERENCE or g >= REFERENCE:
            return
        at = bisect_left(self.points, (f, g))
        if at and self.points[at - 1][1] <= g:
            return
        end, height, left = at, self.points[at - 1][1] if at else REFERENCE, f
        while end < len(self.points) and self.points[end][1] >= g:  # it dominates these
            self.area += (self.points[end][0] - left) * (height - g)
            left, height = self.points[end]
            end += 1
        right = self.points[end][0] if end < len(self.points) else REFERENCE
        self.area += (right - left) * (height - g)
        self.points[at:end] = [(f, g)]


@cache
def true_area(number: int) -> float:
    front = Front()
    for f in np.linspace(0, 1, 10_001):
        front.add(*zdt_values(number, np.array([f, 0.0])))
    return front.area


def zdt(number: int, dimension: int, part: float, seed: int) -> Problem:
    """The goal is `part` of the hypervolume of the true front, over everything that was evaluated."""
    enough = part * true_area(number)

    def goal() -> Goal:
        front = Front()

        def reached(genome: Genome, values: Values, fidelity: float) -> bool:
            front.add(*values)
            return front.area >= enough

        return reached

    return Problem(floats(dimension, 0.0, 1.0, 100_001), lambda genome, _: zdt_values(number, array(genome)), goal)


# Every problem by its name: of a dimension, a target and a seed -------------------------------------------------------

INSTANCES: Mapping[str, Callable[[int, float, int], Problem]] = {
    **{name: partial(continuous, name) for name in FUNCTIONS},
    **{f"biased {name}": partial(biased, name) for name in FUNCTIONS},
    **{f"ZDT{number}": partial(zdt, number) for number in (1, 2, 3)},
    "counting ones": counting_ones,
    "mixed": mixed,
    "conditional": conditional,
}
