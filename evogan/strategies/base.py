"""What every strategy is: it proposes points of the unit cube and is told how they did."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from evogan.errors import UserError, counted, shown
from evogan.genome import Gene
from evogan.options import read_option
from evogan.space import Space
from evogan.stable import derive_seed
from evogan.strategies.draws import draws

if TYPE_CHECKING:
    from evogan.strategies.knowledge import Knowledge

MOST = 10_000  # of what a strategy counts: members, points, candidates


@dataclass(frozen=True)
class Point:
    """A point of the unit cube that a strategy wants judged at `fidelity` in (0, 1], and how it came about.

    `operator` is what made it, in the field's words; `parents` are the numbers of the proposals that it was made of;
    `generation` counts from 0, and is None where there are none. `continues`: the number of an earlier proposal, of a
    lower fidelity, whose training goes on, from where that ended with those genes of the vector that may change during
    a training; the others are that one's.
    """

    vector: Sequence[float]
    operator: str
    parents: tuple[int, ...] = ()
    generation: int | None = None
    fidelity: float = 1.0
    continues: int | None = None


@dataclass(frozen=True)
class Proposal:
    """Proposal `number` (from 0) of a strategy: a `Point`. Its origin is a fact for readers, and no part of it."""

    number: int
    vector: tuple[float, ...]
    fidelity: float = 1.0
    continues: int | None = None
    operator: str = field(default="", compare=False)
    parents: tuple[int, ...] = field(default=(), compare=False)
    generation: int | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Fitness:
    """How a proposal did, minimised. Failures order behind everything completed.

    `value` is finite and can be squared (`extremes.tamed`), also for failures: worse than any completed one told
    before. `curve`: (fidelity, value) pairs of the score checkpoints. `others`: the further objectives. `ended_early`:
    its training, or that of a replicate, did, so that none can go on from it.
    """

    failed: bool
    value: float
    curve: tuple[tuple[float, float], ...] = ()
    others: tuple[float, ...] = ()
    ended_early: bool = False

    @property
    def values(self) -> tuple[float, ...]:
        """Every objective."""
        return (self.value, *self.others)

    @property
    def order(self) -> tuple[bool, float]:
        return (self.failed, self.value)


def imputed(told: Sequence[Fitness]) -> list[float]:
    """Values to rank and model by: failures stand one range behind the worst completed one of `told`."""
    completed = [fitness.value for fitness in told if not fitness.failed]
    if not completed:
        return [1.0] * len(told)
    penalty = max(completed) + (max(completed) - min(completed) or 1.0)
    return [penalty if fitness.failed else fitness.value for fitness in told]


@dataclass(eq=False, repr=False)
class Strategy(ABC):
    """Subclasses give `_ask` and `tell`; options are keyword parameters of their constructors, or fields.

    `tell` may bring another vector than was asked: the engine moves proposals that keep repeating.
    `several`: it takes several objectives; `objectives`: how many it will be told. `schedules`: its proposals may
    continue earlier ones with changed genes. `fidelities`: those it asks for.
    """

    several: ClassVar[bool] = False
    schedules: ClassVar[bool] = False

    space: Space
    seed: int

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(derive_seed(self.seed, "strategy"))
        self.fidelities: tuple[float, ...] = (1.0,)
        self.objectives = 1
        self._asked = 0

    def ask(self) -> Proposal | None:
        """The next proposal; None: wait for results first (a generation is still out).

        Errors: UserError for a point that is none of the space's unit cube.
        """
        point = self._ask()
        if point is None:
            return None
        self._asked += 1
        vector, genes = tuple(float(u) for u in point.vector), self.space.dimension
        if len(vector) != genes or not all(0 <= u <= 1 for u in vector):
            wanted = counted(genes, "number")
            raise UserError(f"{type(self).__name__} proposed {shown(vector)}, not {wanted} from 0 to 1")
        if point.fidelity not in self.fidelities:
            ladder = ", ".join(map(str, self.fidelities))
            raise UserError(f"{type(self).__name__} proposed fidelity {point.fidelity}: its fidelities are {ladder}")
        origin = point.operator, point.parents, point.generation
        return Proposal(self._asked - 1, vector, point.fidelity, point.continues, *origin)

    def replaceable(self) -> Proposal | None:
        """A proposal that gives way to a point from elsewhere, which is told in its stead; None as `ask`."""
        return self.ask()

    @abstractmethod
    def _ask(self) -> Point | None: ...

    @abstractmethod
    def tell(self, proposal: Proposal, fitness: Fitness) -> None: ...

    def learn(self, knowledge: Knowledge) -> None:
        """Of other tasks, before the first ask; what has no use for more than genomes to begin with leaves it."""
        return

    def estimate(self, vectors: Sequence[Sequence[float]]) -> Sequence[float] | None:
        """How good it believes points to be at full fidelity, the less the better; None: as it was told."""
        return None

    def _uniform(self) -> Point:
        return Point(list(self.rng.random(self.space.dimension)), "uniform")


@dataclass(frozen=True)
class Individual:
    """A point that was judged, as proposal `number`; None if it never was proposed."""

    vector: tuple[float, ...]
    fitness: Fitness
    number: int | None = None

    @classmethod
    def told(cls, proposal: Proposal, fitness: Fitness) -> Individual:
        return cls(proposal.vector, fitness, proposal.number)

    def no_worse_than(self, other: Individual) -> bool:
        """Whether it may take the place of `other`; all failures are alike."""
        return (self.fitness.failed and other.fitness.failed) or self.fitness.order <= other.fitness.order

    def better_than(self, other: Individual) -> bool:
        return not other.no_worse_than(self)


def numbers_of(*individuals: Individual) -> tuple[int, ...]:
    """The proposals that they were, each once."""
    return tuple(dict.fromkeys(one.number for one in individuals if one.number is not None))


class Generational(Strategy):
    """A strategy of generations: `_breed` makes the next one when the last has been told completely.

    `_breed` is given the last generation in the order in which it proposed it; nothing before the first one.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self._generation = -1
        self._offspring: list[Point] = []
        self._told: dict[int, Individual] = {}
        self._start = 0

    def _ask(self) -> Point | None:
        if self._asked == self._start + len(self._offspring):
            if len(self._told) < len(self._offspring):
                return None
            told = [self._told[number] for number in sorted(self._told)]
            self._start, self._told = self._asked, {}
            self._offspring = self._breed(told)
            self._generation += 1
        return replace(self._offspring[self._asked - self._start], generation=self._generation)

    def tell(self, proposal: Proposal, fitness: Fitness) -> None:
        self._told[proposal.number] = Individual.told(proposal, fitness)

    @abstractmethod
    def _breed(self, told: list[Individual]) -> list[Point]: ...


def numbers(space: Space) -> list[int]:
    """Where the genes lie that have an order."""
    return [i for i, gene in enumerate(space.genes) if gene.kind != "choice"]


def choices(space: Space) -> list[int]:
    """Where the genes lie that have none."""
    return [i for i, gene in enumerate(space.genes) if gene.kind == "choice"]


def cell(gene: Gene, u: float) -> int:
    """The index of the level whose cell holds `u`."""
    return gene.cells.holding(u)


def centre(gene: Gene, level: int) -> float:
    """The middle of a level's cell."""
    return gene.cells.at(level)


def others(gene: Gene, u: float) -> list[int]:
    """The levels but that whose cell holds `u`."""
    return [level for level in range(len(gene.grid)) if level != cell(gene, u)]


def mutate_choices(space: Space, vector: list[float], rate: float) -> None:
    """Each choice of `vector` to another value with this probability, by what DEAP's operators draw from."""
    for i in choices(space):
        gene = space.genes[i]
        levels = others(gene, vector[i])
        if levels and draws.random() < rate:
            vector[i] = centre(gene, draws.choice(levels))


def reflected(u: float) -> float:
    """`u` folded back into [0, 1] at both ends, however far outside it lies."""
    u %= 2.0
    return 2.0 - u if u > 1.0 else u


def latin_hypercube(rng: np.random.Generator, n: int, dimension: int) -> list[Point]:
    """`n` points, one in each of `n` slices of every gene (McKay et al., Technometrics 1979)."""
    slices = rng.permuted(np.tile(np.arange(n), (dimension, 1)), axis=1).T
    return [Point(vector, "latin hypercube") for vector in ((slices + rng.random(slices.shape)) / n).tolist()]


def at_least(strategy: str, option: str, value: float, least: float, most: float = MOST) -> None:
    """UserError if an option of a strategy is too small, larger than makes sense, or no number."""
    kind = int if isinstance(value, int) else float
    read_option(f"strategy '{strategy}': {option}", value, kind, low=least, high=most)


def within(strategy: str, option: str, value: float, high: float) -> None:
    """UserError if an option of a strategy lies outside (0, high]."""
    if not 0 < value <= high:
        raise UserError(f"strategy '{strategy}': {option} must be above 0 and at most {high:g}, not {value:g}")


def share(strategy: str, option: str, value: float) -> None:
    """UserError if an option of a strategy that is a probability lies outside [0, 1]."""
    if not 0 <= value <= 1:
        raise UserError(f"strategy '{strategy}': {option} must lie in [0, 1], not {value:g}")
