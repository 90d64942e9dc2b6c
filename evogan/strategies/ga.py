"""Generational genetic algorithm with elitism, from DEAP's operators.

Goldberg, Genetic Algorithms (1989); operators of Deb and Agrawal, Simulated Binary Crossover (1995), and Deb
and Goyal, polynomial mutation (1996), both bounded to [0, 1]. A generation is the elite of the last one and
children of tournament winners:

    c1, c2 = (p1 + p2)/2 -+ beta (p2 - p1)/2,  beta ~ SBX(crossover_eta)     with probability `crossover`
    x' = x + delta,                            delta ~ polynomial(mutation_eta)   for each gene with
                                                                              probability `mutation`/dimension
Choices have no order: they are exchanged whole and mutate to any other value. A child that repeats a genome of its
parents' generation or of its own is mutated again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

from deap import tools

from evogan.genome import Genome
from evogan.stable import derive_seed
from evogan.strategies.base import (
    Fitness,
    Individual,
    Point,
    Proposal,
    Strategy,
    at_least,
    choices,
    latin_hypercube,
    mutate_choices,
    numbers,
    numbers_of,
    share,
)
from evogan.strategies.draws import DEAPRandom, draws

AGAIN = 10  # mutations of a child that is known, at most: a space may be smaller than a population


@dataclass(eq=False, repr=False, kw_only=True)
class Variation(Strategy):
    """What breeds by crossover and mutation, as the module says, while its random numbers are installed.

    `mutation` is the expected number of genes that mutate in a child.
    """

    title: ClassVar[str]

    crossover: float = 0.9
    mutation: float = 1.5
    crossover_eta: float = 5.0
    mutation_eta: float = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self.title, "mutation", self.mutation, 0)
        at_least(self.title, "crossover_eta", self.crossover_eta, 0)
        at_least(self.title, "mutation_eta", self.mutation_eta, 0)
        share(self.title, "crossover", self.crossover)
        self._rate = min(1.0, self.mutation / self.space.dimension)  # of mutation, of a gene
        self._choices, self._numeric = choices(self.space), numbers(self.space)

    def children(self, parents: tuple[Individual, Individual]) -> tuple[Point, Point]:
        """Two children of two parents; without crossover each of one."""
        one, two = (list(parent.vector) for parent in parents)
        operator, of = "mutation", [numbers_of(parent) for parent in parents]
        if draws.random() < self.crossover:
            operator, of = "crossover", [numbers_of(*parents)] * 2
            a, b = [one[i] for i in self._numeric], [two[i] for i in self._numeric]
            tools.cxSimulatedBinaryBounded(a, b, self.crossover_eta, 0.0, 1.0)
            for i, u, v in zip(self._numeric, a, b, strict=True):
                one[i], two[i] = u, v
            for i in self._choices:
                if draws.random() < 0.5:
                    one[i], two[i] = two[i], one[i]
        self.mutate(one)
        self.mutate(two)
        return Point(one, operator, of[0]), Point(two, operator, of[1])

    def renewed(self, child: Point, known: set[Genome]) -> Point:
        """`child`, mutated until it is not among the `known`, where it is entered."""
        vector = list(child.vector)
        genome = self.space.decode(vector)
        for _ in range(AGAIN):
            if genome not in known:
                break
            self.mutate(vector)
            genome = self.space.decode(vector)
        known.add(genome)
        return replace(child, vector=vector)

    def mutate(self, child: list[float]) -> None:
        units = [child[i] for i in self._numeric]
        tools.mutPolynomialBounded(units, self.mutation_eta, 0.0, 1.0, self._rate)
        for i, u in zip(self._numeric, units, strict=True):
            child[i] = u
        mutate_choices(self.space, child, self._rate)


@dataclass(eq=False, repr=False, kw_only=True)
class GeneticAlgorithm(Variation):
    """`mutation` is the expected number of genes that mutate in a child.

    >>> from evogan import Gene, Space, search
    >>> space = Space("bowl", [Gene(name=name, kind="float", low=-1.0, high=1.0) for name in ("x", "y")])
    >>> def bowl(genes):
    ...     return genes["x"] ** 2 + genes["y"] ** 2
    >>> run = search(space, objective=bowl, strategy="ga", options={"population": 8}, evaluations=40, workers=1)
    >>> sorted({told.row.operator for told in run.history})
    ['crossover', 'latin hypercube', 'mutation']
    """

    title: ClassVar[str] = "ga"

    population: int = 20
    elites: int = 2
    tournament: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self.title, "population", self.population, 2)
        at_least(self.title, "elites", self.elites, 0)
        at_least(self.title, "population - elites", self.population - self.elites, 1)
        at_least(self.title, "tournament", self.tournament, 1, 1000)
        self._random = DEAPRandom(derive_seed(self.seed, "ga"))
        self._queue = latin_hypercube(self.rng, self.population, self.space.dimension)
        self._generation = 0
        self._parents: list[Individual] = []
        self._told: list[Individual] = []
        self._expected = self.population

    def _ask(self) -> Point | None:
        if not self._queue and len(self._told) >= self._expected:
            self._next_generation()
        return replace(self._queue.pop(0), generation=self._generation) if self._queue else None

    def tell(self, proposal: Proposal, fitness: Fitness) -> None:
        self._told.append(Individual.told(proposal, fitness))

    def _next_generation(self) -> None:
        elite = sorted(self._parents, key=lambda one: one.fitness.order)[: self.elites]
        self._parents = elite + self._told
        self._told = []
        self._generation += 1
        children: list[Point] = []
        count = self.population - self.elites
        known = self._known()
        with self._random.installed():
            while len(children) < count:
                children += (self.renewed(child, known) for child in self._mate())
        self._queue = children[:count]
        self._expected = count

    def _known(self) -> set[Genome]:
        """The genomes that a child should not repeat."""
        return {self.space.decode(parent.vector) for parent in self._parents}

    def _mate(self) -> tuple[Point, Point]:
        return self.children((self._select(), self._select()))

    def _select(self) -> Individual:
        contest: list[Individual] = [draws.choice(self._parents) for _ in range(self.tournament)]
        return min(contest, key=lambda one: one.fitness.order)


@dataclass(eq=False, repr=False, kw_only=True)
class SteadyStateGA(GeneticAlgorithm):
    """Steady state (Whitley, GENITOR, ICGA 1989): every child has its parents from the population as it is now.

    A child that was told takes the place of the worst, if it is no worse. It waits for nothing: while the first
    population is out, the parents are those that have been told, and before the first of them points are uniform.

    >>> from evogan import Gene, Space, search
    >>> space = Space("bowl", [Gene(name=name, kind="float", low=-1.0, high=1.0) for name in ("x", "y")])
    >>> def bowl(genes):
    ...     return genes["x"] ** 2 + genes["y"] ** 2
    >>> run = search(space, objective=bowl, strategy="ga-steady", evaluations=40, workers=1)
    >>> run.best.value < 0.1
    True
    """

    title: ClassVar[str] = "ga-steady"

    population: int = 10
    elites: int = field(default=0, init=False)

    def _ask(self) -> Point:
        if self._queue:
            return self._queue.pop(0)
        if not self._parents:
            return self._uniform()
        with self._random.installed():
            return self.renewed(self._mate()[0], self._known())

    def tell(self, proposal: Proposal, fitness: Fitness) -> None:
        child = Individual.told(proposal, fitness)
        if len(self._parents) < self.population:
            self._parents.append(child)
            return
        worst = max(range(self.population), key=lambda i: self._parents[i].fitness.order)
        if child.no_worse_than(self._parents[worst]):
            self._parents[worst] = child
