"""Population-based training (PBT): the worst go on from the weights of the best, and genes change while GANs train.

Jaderberg, Dalibard, Osindero, Czarnecki, Donahue, Razavi, Vinyals, Green, Dunning, Simonyan, Fernando and Kavukcuoglu,
Population Based Training of Neural Networks, 2017, arXiv:1711.09846. P members are trained step by step up a ladder of
fidelities. After a step all go on, each from where it is, but for the worst P * quantile. For each of these,

    exploit   one of the best P * quantile, drawn uniformly, is gone on with instead: its weights, genes and schedule
    explore   each gene that may change during a training is drawn anew with probability `resample`, or else
              multiplied by 0.8 or 1.2, at least to the next level; choices stay, unless they are drawn anew

(truncation selection and perturbation, as the paper has them for GANs). A member is as good as its training is at the
end of the step, not where it was best. One that failed or ended early is among the worst.

The paper's members look at each other whenever they like; here a step ends for all at once, so that the outcome does
not depend on which is fast. What does not change during a training comes from the first population alone, so when one
is through another begins: one half new points, one half the first genes of the best of all populations, explored once
with all their genes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from evogan.errors import UserError
from evogan.genome import Gene
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
    share,
    within,
)
from evogan.strategies.fidelity import check_ladder

STEPS = tuple(step / 8 for step in range(1, 9))
FACTORS = (0.8, 1.2)


class PopulationBasedTraining(Strategy):
    """`population` members step up the `fidelities`; `quantile` of them are replaced by as many others at each, and
    `resample` is the probability that a gene is drawn anew.

    >>> from evogan import Gene, Space, search
    >>> space = Space("bowl", [Gene(name=name, kind="float", low=-1.0, high=1.0) for name in ("x", "y")])
    >>> def bowl(genes, fidelity, changes):
    ...     now = genes | {name: value for share, others in changes for name, value in others.items()}
    ...     return now["x"] ** 2 + now["y"] ** 2 + 0.1 / fidelity
    >>> run = search(space, objective=bowl, strategy="pbt", evaluations=20, workers=1)
    >>> sorted({told.row.operator for told in run.history})
    ['continuation', 'exploration', 'latin hypercube', 'takeover']
    """

    title: ClassVar[str] = "pbt"
    schedules: ClassVar[bool] = True

    def __init__(
        self,
        space: Space,
        seed: int,
        *,
        population: int = 10,
        fidelities: tuple[float, ...] = STEPS,
        quantile: float = 0.2,
        resample: float = 0.25,
    ) -> None:
        super().__init__(space, seed)
        check_ladder(self.title, fidelities)
        at_least(self.title, "the number of fidelities", len(fidelities), 2)
        at_least(self.title, "population", population, 4)
        within(self.title, "quantile", quantile, 0.5)
        share(self.title, "resample", resample)
        if not space.changing:
            raise UserError(f"strategy '{self.title}': no gene of space '{space.name}' may change during a training")
        self.fidelities, self.population, self.resample = tuple(fidelities), population, resample
        self._replaced = max(1, int(quantile * population))
        self._queue = latin_hypercube(self.rng, population, space.dimension)
        self._rung = self._generation = 0
        self._members: dict[int, Individual] = {}  # told at this step, by their numbers
        self._dead: set[int] = set()  # of them those that cannot go on
        self._first: dict[int, tuple[float, ...]] = {}  # number -> the point that its training began with
        self._through: list[tuple[float, tuple[float, ...]]] = []  # the best of all populations: value, first point

    def _ask(self) -> Point | None:
        if not self._queue:
            if len(self._members) < self.population:
                return None
            self._step()
        return replace(self._queue.pop(0), fidelity=self.fidelities[self._rung], generation=self._generation)

    def tell(self, proposal: Proposal, fitness: Fitness) -> None:
        now = fitness.curve[-1][1] if fitness.curve else fitness.value
        self._members[proposal.number] = Individual.told(proposal, replace(fitness, value=now))
        if fitness.failed or fitness.ended_early:
            self._dead.add(proposal.number)
        origin = proposal.continues
        self._first[proposal.number] = proposal.vector if origin is None else self._first[origin]

    def _step(self) -> None:
        """All of a step were told: the next one's points."""
        ranked = sorted(self._members, key=lambda n: (n in self._dead, self._members[n].fitness.value, n))
        self._generation, self._rung = self._generation + 1, self._rung + 1
        if self._rung == len(self.fidelities) or len(self._dead) == self.population:
            alive = [number for number in ranked if number not in self._dead]
            found = [(self._members[number].fitness.value, self._first[number]) for number in alive]
            self._through = sorted(self._through + found[: self._replaced])[: self._replaced]
            self._rung, self._queue, self._first = 0, self._new_population(), {}
        else:
            worst = {*ranked[-self._replaced :], *self._dead}
            best = [number for number in ranked[: self._replaced] if number not in worst]
            self._queue = [
                self._takeover(number, best) if number in worst else self._continuation(number)
                for number in sorted(self._members)
            ]
            self._first = {number: self._first[number] for number in self._members}
        self._members, self._dead = {}, set()

    def _continuation(self, number: int) -> Point:
        return Point(self._members[number].vector, "continuation", (number,), continues=number)

    def _takeover(self, loser: int, best: Sequence[int]) -> Point:
        winner = best[int(self.rng.integers(len(best)))]
        vector = self._explored(self._members[winner].vector, while_trained=True)
        return Point(vector, "takeover", (winner, loser), continues=winner)

    def _new_population(self) -> list[Point]:
        known = self.population // 2 if self._through else 0
        drawn = [self._through[int(self.rng.integers(len(self._through)))][1] for _ in range(known)]
        explored = [Point(self._explored(vector, while_trained=False), "exploration") for vector in drawn]
        return explored + latin_hypercube(self.rng, self.population - known, self.space.dimension)

    def _explored(self, vector: Sequence[float], *, while_trained: bool) -> list[float]:
        """With all genes drawn anew or moved; while a GAN is trained only those that may change, as far as they may."""
        explored = list(vector)
        for i, gene in enumerate(self.space.genes):
            if while_trained and gene not in self.space.changing:
                continue
            old = cell(gene, vector[i])
            new = self._moved(gene, old)
            if not while_trained or self.space.may_change(gene.name, gene.grid[old], gene.grid[new]):
                explored[i] = centre(gene, new)
        return explored

    def _moved(self, gene: Gene, level: int) -> int:
        if self.rng.random() < self.resample:
            return cell(gene, self.rng.random())
        factor = FACTORS[int(self.rng.integers(2))]
        value = gene.grid[level]
        if gene.kind == "choice" or isinstance(value, str):
            return level
        moved = gene.nearest(value * factor)
        if moved == level:
            moved = level + (1 if factor > 1 else -1)
        return min(max(moved, 0), len(gene.grid) - 1)
