"""Regularised (aging) evolution: the oldest dies, not the worst.

Real, Aggarwal, Huang and Le, Regularized Evolution for Image Classifier Architecture Search, AAAI 2019,
arXiv:1802.01548. From a population of P: the best of `sample` members drawn at random is copied with one mutation,
the copy is judged and enters, and the oldest member dies.

One gene that is active in the parent mutates: a choice to any other value, a number by a normal step in cube widths
(reflected), and by one level at least, so that every child is another genome than its parent. Nothing waits for a
generation: a child comes of those that have been told, whatever is still out, and age counts from then.
"""

from __future__ import annotations

from collections import deque

from evogan.space import Space
from evogan.strategies.base import (
    Fitness,
    Individual,
    Point,
    Proposal,
    Strategy,
    at_least,
    cell,
    centre,
    latin_hypercube,
    numbers_of,
    others,
    reflected,
    within,
)


class AgingEvolution(Strategy):
    """`sample` is the tournament's size, `step` the standard deviation of a number's mutation.

    >>> from evogan import Gene, Space, search
    >>> space = Space("bowl", [Gene(name=name, kind="float", low=-1.0, high=1.0) for name in ("x", "y")])
    >>> def bowl(genes):
    ...     return genes["x"] ** 2 + genes["y"] ** 2
    >>> run = search(space, objective=bowl, strategy="aging", options={"population": 10}, evaluations=30, workers=1)
    >>> sorted({told.row.operator for told in run.history})
    ['latin hypercube', 'mutation']
    """

    def __init__(self, space: Space, seed: int, *, population: int = 20, sample: int = 5, step: float = 0.2) -> None:
        super().__init__(space, seed)
        at_least("aging", "population", population, 2)
        at_least("aging", "sample", sample, 1)
        at_least("aging", "population - sample", population - sample, 0)
        within("aging", "step", step, 1)
        self.population, self.sample, self.step = population, sample, step
        self._first = latin_hypercube(self.rng, population, space.dimension)
        self._living: deque[Individual] = deque(maxlen=population)  # oldest first

    def _ask(self) -> Point:
        if self._asked < self.population:
            return self._first[self._asked]
        if not self._living:
            return self._uniform()
        drawn = self.rng.choice(len(self._living), min(self.sample, len(self._living)), replace=False)
        parent = min((self._living[int(k)] for k in drawn), key=lambda one: one.fitness.order)
        return self._mutated(parent)

    def tell(self, proposal: Proposal, fitness: Fitness) -> None:
        self._living.append(Individual.told(proposal, fitness))

    def _mutated(self, parent: Individual) -> Point:
        child, genome = list(parent.vector), self.space.decode(parent.vector)
        active = [i for i, gene in enumerate(self.space.genes) if gene.name in genome and len(gene.grid) > 1]
        if not active:
            return self._uniform()
        i = int(self.rng.choice(active))
        gene, here = self.space.genes[i], cell(self.space.genes[i], child[i])
        if gene.kind == "choice":
            child[i] = centre(gene, int(self.rng.choice(others(gene, child[i]))))
        else:
            child[i] = reflected(child[i] + float(self.rng.normal(0, self.step)))
            if cell(gene, child[i]) == here:
                nearby = [k for k in (here - 1, here + 1) if 0 <= k < len(gene.grid)]
                child[i] = centre(gene, int(self.rng.choice(nearby)))
        return Point(child, "mutation", numbers_of(parent))
