"""Another store's evaluations are taken in, by identity. Its runs are not: they are what its own owner did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from evogan.engine.store import Store
from evogan.engine.upkeep.files import fault
from evogan.errors import UserError
from evogan.trial import IN_PLUGIN, Evaluation, Identity


@dataclass(frozen=True)
class Added:
    """Evaluations that are new here, and those that were known."""

    new: int
    known: int


def add(store: Callable[[], Store], other: Store, heard: Callable[[int, int], None] = lambda done, of: None) -> Added:
    """Take in what `other` has evaluated and `store` has not, with its files. Interrupted, it can be done again.

    What is known here stands: another attempt is taken in only where it went on longer, had more memory, measured more,
    or kept the weights of another checkpoint. All of `other` is read before `store` is opened, so that one which is
    damaged adds nothing. `heard` is told how many evaluations of how many are done.
    Errors: UserError for a damaged store, or the same one.
    """
    tasks, count = other.tasks(), 0
    for identity, _, evaluation in other.evaluations():
        count += 1
        if identity[1] not in tasks:
            raise other.damaged(f"table evaluations: there is no task {identity[1]}")
        for path in _files(other, identity, evaluation):
            if why := fault(path):
                raise other.damaged(f"file '{path}': {why}")
    here = store()
    if here.database.same_as(other.database):
        raise UserError(f"store '{here.database.name}' cannot be added to itself")
    new = 0
    for done, (identity, genome, evaluation) in enumerate(other.evaluations(), 1):
        before = here.answers(identity)
        if not any(_tells_all(known, evaluation) for known in before):
            for path in _files(other, identity, evaluation):
                here.keep_file(identity, evaluation, path.name, path.read_bytes())
            here.add_task(identity[1], *tasks[identity[1]])
            answer = here.attempt(identity, genome, evaluation, lambda known, e=evaluation: _tells_all(known, e))  # type: ignore[misc]
            new += answer.id not in {known.id for known in before}
        heard(done, count)
    for path in sorted((other.folder / "tasks").glob("[!.]*-*")):
        task, _, name = path.name.partition("-")
        here.keep_task_file(task, name, path.read_bytes())
    return Added(new, count - new)


def _files(store: Store, identity: Identity, evaluation: Evaluation) -> list[Path]:
    return [path for path in sorted(store.files(identity, evaluation).glob("[!.]*")) if path.is_file()]


def _tells_all(known: Evaluation, other: Evaluation) -> bool:
    """Whether what is known of a trial makes another attempt at it superfluous."""
    if IN_PLUGIN in known.provenance:  # it answers nobody
        return IN_PLUGIN in other.provenance
    if known.limit_bound:
        return known.status == other.status and known.answers(other.limits)
    if known.failed or other.failed:
        return True
    return _measured(other) <= _measured(known) and (other.choice is None or known.keeps(other.choice))


def _measured(evaluation: Evaluation) -> set[str]:
    return {name for point in evaluation.scores for name in point}
