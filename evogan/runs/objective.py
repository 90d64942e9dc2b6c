"""A user's own function in the place of GAN training."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from numbers import Real
from time import perf_counter
from typing import Any

from evogan.errors import UserError, shown
from evogan.genome import Genome
from evogan.runs.own import Own
from evogan.space import Space
from evogan.trial import Evaluation, Task, Trial

Objective = Callable[..., float | Mapping[str, float]]


def check_objective(objective: object) -> None:
    """Errors: UserError for what cannot be called with a genome, or will not return a number."""
    if not callable(objective):
        raise UserError(f"objective must be a function, not {shown(objective)}")
    name = getattr(objective, "__name__", type(objective).__name__)
    for code in (objective, type(objective).__call__):
        if inspect.iscoroutinefunction(code) or inspect.isasyncgenfunction(code):
            raise UserError(f"objective '{name}' is async: give a function that returns a number, as with asyncio.run")
        if inspect.isgeneratorfunction(code):
            raise UserError(f"objective '{name}' yields: give a function that returns a number")
    signature = _signature(objective)
    if signature is None:
        return
    try:
        given = {"fidelity": 1.0, "changes": ()}
        signature.bind({}, **{name: value for name, value in given.items() if takes(objective, name)})
    except TypeError:
        raise UserError(f"objective '{name}{signature}' must take one argument, the genome") from None


def takes(objective: Objective, name: str) -> bool:
    """Whether it has a parameter of that name, which is not bound yet."""
    signature = _signature(objective)
    bound = isinstance(objective, partial) and name in objective.keywords
    return signature is not None and name in signature.parameters and not bound


def _signature(objective: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(objective)
    except (TypeError, ValueError):  # of some built-in functions
        return None


class ObjectiveProblem:
    """Find the best value of a user's own objective. `name`: what it measures, by which results are remembered."""

    gan = None
    contents = judged_by = ""
    lines: Sequence[str] = ()

    def __init__(self, objective: Objective, name: str) -> None:
        self.objective, self._name = objective, name
        self.early, self.scheduled = takes(objective, "fidelity"), takes(objective, "changes")

    @property
    def own(self) -> Own:
        return Own(frozenset({self._name}), of_a_gan=False)

    def prepare(self, here: bool = True) -> tuple[Task, ObjectiveEvaluator]:
        return Task(name=self._name), ObjectiveEvaluator(self.objective)

    def measure(self, space: Space) -> str:
        """What it is judged by if nothing is said."""
        return "value"

    def fitting(self, space: Space) -> Space:
        """As it is."""
        return space

    def twin(self, genome: Genome) -> None:
        """None: nothing is known of the objective."""

    def beside(self, space: Space, references: Sequence[str]) -> Space:
        """Errors: UserError."""
        raise UserError("references are GANs: an objective has none")

    def references(self, space: Space) -> list[tuple[str, Genome]]:
        """None: nobody published a genome for it."""
        return []


class ObjectiveEvaluator:
    """Genome as a dict -> `value`, or several metrics; a number that is not finite counts as diverged.

    An objective with a parameter `fidelity` is told which share of its full effort is asked for, and one with a
    parameter `changes` from which shares on which genes are others: pairs of these, none of a genome alone.
    """

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self._takes = [name for name in ("fidelity", "changes") if takes(objective, name)]

    def __call__(self, trial: Trial) -> Evaluation:
        started = perf_counter()
        changes = tuple((at, dict(genes)) for at, genes in trial.genome.changes)
        given = {"fidelity": trial.fidelity, "changes": changes}
        answer = self.objective(dict(trial.genome), **{name: given[name] for name in self._takes})
        cost = {"seconds": perf_counter() - started}
        try:
            scores = read_answer(answer)
        except UserError as error:
            return Evaluation(status="crashed", reason=str(error), cost=cost)
        bad = [name for name, value in scores.items() if not math.isfinite(value)]
        if bad:
            return Evaluation(status="diverged", reason=f"{bad[0]} is {scores[bad[0]]}", cost=cost)
        return Evaluation(status="completed", scores=(scores,), cost=cost)


def read_answer(answer: object) -> dict[str, float]:
    """Metrics by name; of a single number, `value`. Errors: UserError naming what was returned instead."""
    if not isinstance(answer, Mapping):
        return {"value": _number("the objective returned", answer)}
    if not answer:
        raise UserError("the objective returned no metric: an empty mapping")
    for name in answer:
        if not isinstance(name, str):
            raise UserError(f"the objective returned a metric named {shown(name)}: names are texts")
    return {name: _number(f"the objective returned '{name}' =", value) for name, value in answer.items()}


def _number(said: str, value: object) -> float:
    """Of a number, or of an array or tensor that holds one."""
    number: Any = value
    if hasattr(value, "item"):
        try:
            number = value.item()
        except Exception:  # of several, or on no device; each library has an error of its own
            number = None
    if not isinstance(number, Real | Decimal):
        raise UserError(f"{said} {shown(value)} ({type(value).__name__}), not a number")
    try:
        return float(number)
    except OverflowError:  # of whole numbers
        return math.inf if number == abs(number) else -math.inf
