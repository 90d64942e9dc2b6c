"""One run until the target: with a strategy of ours, or with a well-known implementation of the same algorithm.

Each function here has the peer's own settings as keyword parameters, so that a comparison can give both sides the same.
A peer without choices is used as its users use it: a choice is an integer, a log scale is a logarithm.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from _problems import Problem, Values

from evogan.genome import Gene, Value
from evogan.strategies import Fitness, make_strategy


class Over(Exception):
    """The target is reached, or the cap is spent."""


@dataclass
class Meter:
    """Judges points and counts what they cost, until the target is reached or the cap is spent."""

    problem: Problem
    cap: float

    def __post_init__(self) -> None:
        self.spent, self.reached = 0.0, False
        self._goal = self.problem.goal()

    def __call__(self, genome: Mapping[str, Value], fidelity: float = 1.0) -> Values:
        if self.spent + fidelity > self.cap:
            self.spent = self.cap
            raise Over
        self.spent += fidelity
        values = self.problem.judge(genome, fidelity)
        if self._goal(genome, values, fidelity):
            self.reached = True
            raise Over
        return values


Runner = Callable[[Meter, int], None]


def measure(problem: Problem, cap: float, runner: Runner, seed: int) -> tuple[float, bool]:
    """What a run cost, and whether it reached the target."""
    meter = Meter(problem, cap)
    with suppress(Over):
        runner(meter, seed)
    return meter.spent, meter.reached


def ours(name: str, **options: Any) -> Runner:
    def run(meter: Meter, seed: int) -> None:
        space = meter.problem.space
        strategy = make_strategy(name, space, seed, options)
        while True:
            proposal = strategy.ask()
            assert proposal is not None  # everything has been told
            values = meter(space.decode(proposal.vector), proposal.fidelity)
            strategy.tell(proposal, Fitness(False, values[0], others=tuple(values[1:])))

    return run


# How peers see a gene -------------------------------------------------------------------------------------------------


def bounds(gene: Gene) -> tuple[float, float]:
    """Of a number: of its logarithm to the base 10 on a log scale. Of a choice: of the index."""
    if gene.kind == "choice":
        return 0, len(gene.values) - 1
    assert gene.low is not None and gene.high is not None
    if gene.scale == "log":
        return math.log10(gene.low), math.log10(gene.high)
    return gene.low, gene.high


def value(gene: Gene, x: float) -> Value:
    """The value that `x` within the bounds stands for."""
    if gene.kind == "choice":
        return gene.values[round(x)]
    number = 10**x if gene.scale == "log" else x
    return round(number) if gene.kind == "int" else float(number)


def genome(problem: Problem, xs: Sequence[float]) -> dict[str, Value]:
    return {gene.name: value(gene, float(x)) for gene, x in zip(problem.genes, xs, strict=True)}


# Peers ----------------------------------------------------------------------------------------------------------------


def cmaes(sigma: float, population: int) -> Runner:
    """`cmaes.CMA` from the centre; it begins anew at random when it says that it should stop, as in its README."""

    def run(meter: Meter, seed: int) -> None:
        from cmaes import CMA

        genes, rng = meter.problem.genes, np.random.default_rng(seed)
        low, high = np.array([bounds(gene) for gene in genes]).T
        inside, mean = np.tile([0.0, 1.0], (len(genes), 1)), np.full(len(genes), 0.5)
        while True:
            made = CMA(mean, sigma, bounds=inside, population_size=population, seed=int(rng.integers(2**31)))
            while not made.should_stop():
                points = [made.ask() for _ in range(population)]
                made.tell([(u, meter(genome(meter.problem, low + u * (high - low)))[0]) for u in points])
            mean = rng.random(len(genes))

    return run


def catcma(sigma: float, population: int) -> Runner:
    """`cmaes.CatCMAwM` (Hamano et al., GECCO 2025): a normal distribution with a margin for integers, and choices.

    Both sides start with the same share of each range as step size (this class's own would be a third of it), and begin
    anew at a random place when they stop.
    """

    def run(meter: Meter, seed: int) -> None:
        from cmaes import CatCMAwM

        genes, rng = meter.problem.genes, np.random.default_rng(seed)
        real = [gene for gene in genes if gene.kind == "float"]
        whole = [gene for gene in genes if gene.kind == "int"]
        choice = [gene for gene in genes if gene.kind == "choice"]
        low, high = np.array([bounds(gene) for gene in (*real, *whole)]).T
        mean = (low + high) / 2
        while True:
            made = CatCMAwM(
                x_space=[bounds(gene) for gene in real],
                z_space=[[math.log10(float(v)) if gene.scale == "log" else v for v in gene.grid] for gene in whole],
                c_space=[len(gene.values) for gene in choice],
                mean=mean,
                cov=np.diag(np.square(high - low)),
                sigma=sigma,
                population_size=population,
                seed=int(rng.integers(2**31)),
            )
            while not made.should_stop():
                solutions = []
                for _ in range(population):
                    asked = made.ask()
                    values = {gene.name: value(gene, float(x)) for gene, x in zip(real, asked.x, strict=True)}
                    values |= {gene.name: value(gene, float(x)) for gene, x in zip(whole, asked.z, strict=True)}
                    for gene, one_hot in zip(choice, asked.c, strict=True):
                        values[gene.name] = gene.values[int(np.argmax(one_hot))]
                    solutions.append((asked, meter(values)[0]))
                made.tell(solutions)
            mean = rng.uniform(low, high)

    return run


def scipy_de(variant: str, popsize: int, weight: float, crossover: float) -> Runner:
    """`scipy.optimize.differential_evolution`; `popsize` times the dimension is its population."""
    strategy = variant.replace("/", "").replace("-", "")

    def run(meter: Meter, seed: int) -> None:
        from scipy.optimize import differential_evolution

        genes = meter.problem.genes
        limits = [bounds(gene) for gene in genes]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            differential_evolution(
                lambda x: meter(genome(meter.problem, x))[0],
                limits,
                strategy=strategy,
                maxiter=10**9,
                popsize=popsize,
                tol=-1.0,
                atol=-1.0,
                mutation=weight,
                recombination=crossover,
                rng=np.random.default_rng(seed),
                polish=False,
                init="latinhypercube",
                updating="deferred",
                integrality=[gene.kind == "choice" or (gene.kind == "int" and gene.scale != "log") for gene in genes],
            )

    return run


def _pymoo_run(meter: Meter, seed: int, algorithm: Any, n_obj: int = 1) -> None:
    from pymoo.core.problem import Problem as PymooProblem

    low, high = np.array([bounds(gene) for gene in meter.problem.genes]).T

    class Numbers(PymooProblem):  # type: ignore[misc]
        def _evaluate(self, x: Any, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
            out["F"] = np.array([meter(genome(meter.problem, row)) for row in x])

    algorithm.setup(Numbers(n_var=len(low), n_obj=n_obj, xl=low, xu=high), termination=("n_gen", 10**9), seed=seed)
    while True:
        algorithm.next()


def _survival(elites: int | None) -> Any:
    """None: pymoo's own, the best of parents and children. Else ours: so many of the parents, and all children."""
    from pymoo.algorithms.soo.nonconvex.ga import FitnessSurvival
    from pymoo.core.population import Population
    from pymoo.core.survival import Survival

    class Elites(Survival):  # type: ignore[misc]
        def _do(self, problem: Any, pop: Any, *args: Any, n_survive: int = 0, **kwargs: Any) -> Any:
            parents, children = pop[:n_survive], pop[n_survive:]
            return Population.merge(parents[np.argsort(parents.get("F")[:, 0], kind="stable")[:elites]], children)

    return FitnessSurvival() if elites is None else Elites()


def pymoo_ga(
    population: int,
    offspring: int,
    elites: int | None,
    crossover: float,
    mutation: float,
    crossover_eta: float,
    mutation_eta: float,
) -> Runner:
    """`pymoo`'s GA, whose tournaments are of two; `elites` as `_survival` has it."""

    def run(meter: Meter, seed: int) -> None:
        from pymoo.algorithms.soo.nonconvex.ga import GA
        from pymoo.operators.crossover.sbx import SBX
        from pymoo.operators.mutation.pm import PM
        from pymoo.operators.sampling.lhs import LHS

        algorithm = GA(
            pop_size=population,
            n_offsprings=offspring,
            sampling=LHS(),
            crossover=SBX(prob=crossover, eta=crossover_eta),
            mutation=PM(prob=1.0, prob_var=mutation / len(meter.problem.genes), eta=mutation_eta),
            survival=_survival(elites),
        )
        _pymoo_run(meter, seed, algorithm)

    return run


def pymoo_mixed_ga(
    population: int,
    offspring: int,
    elites: int | None,
    crossover: float,
    mutation: float,
    crossover_eta: float,
    mutation_eta: float,
) -> Runner:
    """`pymoo`'s MixedVariableGA, which has reals, integers and choices; `elites` as `_survival` has it."""

    def run(meter: Meter, seed: int) -> None:
        from pymoo.algorithms.soo.nonconvex.ga import comp_by_cv_and_fitness
        from pymoo.core.mixed import MixedVariableDuplicateElimination, MixedVariableGA, MixedVariableMating
        from pymoo.core.problem import ElementwiseProblem
        from pymoo.core.variable import Choice, Integer, Real
        from pymoo.operators.crossover.sbx import SBX
        from pymoo.operators.crossover.ux import UX
        from pymoo.operators.mutation.pm import PM
        from pymoo.operators.mutation.rm import ChoiceRandomMutation
        from pymoo.operators.repair.rounding import RoundingRepair
        from pymoo.operators.selection.tournament import TournamentSelection

        genes, rate = meter.problem.genes, mutation / len(meter.problem.genes)

        def variable(gene: Gene) -> Any:
            if gene.kind == "choice":
                return Choice(options=list(range(len(gene.values))))
            return (Integer if gene.kind == "int" and gene.scale != "log" else Real)(bounds=bounds(gene))

        class Mixed(ElementwiseProblem):  # type: ignore[misc]
            def _evaluate(self, x: Any, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
                out["F"] = meter(genome(meter.problem, [x[gene.name] for gene in genes]))[0]

        whole = {"vtype": float, "repair": RoundingRepair()}
        mating = MixedVariableMating(
            selection=TournamentSelection(func_comp=comp_by_cv_and_fitness),
            crossover={
                Real: SBX(prob=crossover, eta=crossover_eta),
                Integer: SBX(prob=crossover, eta=crossover_eta, **whole),
                Choice: UX(prob=crossover),
            },
            mutation={
                Real: PM(prob=1.0, prob_var=rate, eta=mutation_eta),
                Integer: PM(prob=1.0, prob_var=rate, eta=mutation_eta, **whole),
                Choice: ChoiceRandomMutation(prob_var=rate),
            },
            eliminate_duplicates=MixedVariableDuplicateElimination(),
        )
        survival = _survival(elites)
        algorithm = MixedVariableGA(pop_size=population, n_offsprings=offspring, mating=mating, survival=survival)
        problem = Mixed(vars={gene.name: variable(gene) for gene in genes})
        algorithm.setup(problem, termination=("n_gen", 10**9), seed=seed)
        while True:
            algorithm.next()

    return run


def pymoo_nsga2(
    population: int, crossover: float, mutation: float, crossover_eta: float, mutation_eta: float
) -> Runner:
    def run(meter: Meter, seed: int) -> None:
        from pymoo.algorithms.moo.nsga2 import NSGA2
        from pymoo.operators.crossover.sbx import SBX
        from pymoo.operators.mutation.pm import PM
        from pymoo.operators.sampling.lhs import LHS

        algorithm = NSGA2(
            pop_size=population,
            sampling=LHS(),
            crossover=SBX(prob=crossover, eta=crossover_eta),
            mutation=PM(prob=1.0, prob_var=mutation / len(meter.problem.genes), eta=mutation_eta),
        )
        _pymoo_run(meter, seed, algorithm, n_obj=2)

    return run


def dehb(rungs: int, eta: int, weight: float, crossover: float) -> Runner:
    """The package of DEHB's authors, on the unit cube (its ConfigSpace side needs an older ConfigSpace)."""

    def run(meter: Meter, seed: int) -> None:
        from dehb import DEHB
        from loguru import logger

        with TemporaryDirectory() as folder:
            made = DEHB(
                dimensions=len(meter.problem.genes),
                mutation_factor=weight,
                crossover_prob=crossover,
                strategy="rand1_bin",
                min_fidelity=eta ** (1.0 - rungs) * (1 - 1e-9),
                max_fidelity=1.0,
                eta=eta,
                n_workers=1,
                seed=seed,
                save_freq="end",
                output_path=folder,
            )
            logger.remove()  # its log files: each instance opens one, for all instances
            assert len(made.fidelities) == rungs
            while True:
                job = made.ask()
                genome = meter.problem.space.decode(job["config"])
                values = meter(genome, float(job["fidelity"]))
                made.tell(job, {"fitness": values[0], "cost": float(job["fidelity"])})

    return run
