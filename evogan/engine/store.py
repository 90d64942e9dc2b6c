"""The store: a database of evaluations, runs and proposals, with files beside it. Append-only."""

from __future__ import annotations

import errno
import json
import math
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from evogan.engine import rows
from evogan.engine.database import Database, Trouble, make_room, with_retries
from evogan.engine.leases import Leases, this_driver
from evogan.engine.tables import evaluations, extensions, finalists, proposals, runs, tasks, tells
from evogan.errors import UserError, unknown
from evogan.files import STORE, check_folder, file_name, write_whole
from evogan.genome import Genome
from evogan.genome.schedule import document, from_document
from evogan.stable import digest
from evogan.trial import PLAYERS, STATE, Choice, Evaluation, Identity, Limits, Trial, share_of

PAGE = 500  # rows that are read at a time
UNLIMITED = Limits()

_c = evaluations.c
_OUTCOME = (
    *(_c.id, _c.fidelity, _c.status, _c.cut_short, _c.reason, _c.scores, _c.flags, _c.cost, _c.limits, _c.provenance),
)
_FACTS = (*_OUTCOME, _c.curve, _c.diagnostics)
_SAME_GAN = sa.and_(*(_c[name] == sa.bindparam(name, type_=_c[name].type) for name in ("key", "task", "replicate")))
_FIDELITY = sa.bindparam("fidelity", type_=_c.fidelity.type)
_ANSWERS = sa.select(*_FACTS).where(_SAME_GAN, _c.fidelity == _FIDELITY).order_by(_c.attempt)
_UP_TO = sa.bindparam("up_to", type_=_c.fidelity.type)
_LOWER = sa.select(*_FACTS).where(_SAME_GAN, _c.fidelity <= _UP_TO).order_by(_c.fidelity.desc(), _c.attempt.desc())

ROUNDING = 1e-9  # of a coordinate in [0, 1]: more than powers and logarithms of two libraries differ by


@dataclass(frozen=True)
class ProposalRow:
    """A proposal as recorded: `vector` is what the strategy was told, `pushed` if the engine moved it.

    Where it came from (see `Point`) is no part of it; None where an older version did not record that.
    """

    number: int
    vector: tuple[float, ...]
    genome: Genome
    key: str
    task: str
    fidelity: float
    pushed: bool
    generation: int | None = field(default=None, compare=False)
    parents: tuple[int, ...] | None = field(default=None, compare=False)
    operator: str | None = field(default=None, compare=False)

    def identity(self, replicate: int = 0) -> Identity:
        return (self.key, self.task, self.fidelity, replicate)

    def repeats(self, other: ProposalRow) -> bool:
        """Whether it is the same proposal, but for how another processor rounded its vector."""
        near = len(self.vector) == len(other.vector) and all(
            math.isclose(a, b, rel_tol=0, abs_tol=ROUNDING) for a, b in zip(self.vector, other.vector, strict=True)
        )
        return near and replace(self, vector=other.vector) == other


@dataclass(frozen=True)
class TellRow:
    """What a strategy was told at a position of its run: of which proposal, and the ids of its replicates."""

    position: int
    number: int
    evaluations: tuple[int, ...]


class Store:
    """`folder/evogan.db`, or PostgreSQL by URL, and the files of evaluations in the folder.

    Without either, in memory and gone at the end. Threads may share it, and any number of drivers.
    Errors: UserError, here and in every method, for what the database or the disk cannot do.
    """

    def __init__(self, folder: Path | None = None, url: str | None = None, *, make: bool = True) -> None:
        self.database = Database(folder, url, make=make)
        self.in_memory = self.database.in_memory
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="evogan-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        elif make:
            if not folder.exists():
                make_room(folder)
            for part in ("evaluations", "tasks"):
                check_folder(folder / part)
        self.folder = folder
        self._known_tasks: set[str] = set()

    @classmethod
    def existing(cls, folder: Path, url: str | None = None) -> Store:
        """Open a store that must be there: reading never makes one."""
        if url is None and not (folder / STORE).is_file():
            raise UserError(f"no store in '{folder}': nothing was run there yet (--runs names the folder)")
        return cls(folder, url, make=False)

    @cached_property
    def leases(self) -> Leases:
        """What this process trains just now."""
        return Leases(self.database, this_driver())

    def close(self) -> None:
        if "leases" in self.__dict__:
            self.leases.close()
        self.database.close()

    # --- evaluations

    def answers(self, identity: Identity) -> list[Evaluation]:
        """All attempts at it, oldest first."""
        return self.database.read(lambda connection: self._answers(connection, identity))

    def find(self, identity: Identity, offer: Limits | None = None, choice: Choice | None = None) -> Evaluation | None:
        """The newest attempt at it, or the first that tells how a trial with this offer and this choice ends."""
        found = self.answers(identity)
        if offer is None:
            return found[-1] if found else None
        return next((evaluation for evaluation in found if evaluation.answers(offer, choice)), None)

    def replicates(self, key: str, task: str, numbers: range, choice: Choice) -> dict[Identity, Evaluation]:
        """These replicates of full trainings, as far as there are any: of each the attempt that a run with this choice
        was answered with, or else the newest."""
        query = sa.select(*_FACTS, _c.replicate).where(
            *(_c.key == key, _c.task == task, _c.fidelity == 1.0),
            *(_c.replicate >= numbers.start, _c.replicate < numbers.stop),
        )
        found: dict[Identity, Evaluation] = {}
        for row in self._rows(query.order_by(_c.replicate, _c.attempt), rows.EvaluationRow, evaluations):
            identity, attempt = (key, task, 1.0, row.replicate), _evaluation(row)
            before = found.get(identity)
            if before is None or not before.answers(UNLIMITED, choice):
                found[identity] = attempt
        return found

    def record(
        self, trial: Trial, evaluation: Evaluation, offer: Limits = UNLIMITED, choice: Choice | None = None
    ) -> Evaluation:
        """Keep an answer to a trial with this offer and this choice, files first.

        If another driver was faster, its answer stands and is returned.
        """
        self._add_task(trial)
        if evaluation.files:
            before = self.find(trial.identity, offer, choice)
            if before is not None:
                return before
            for name, content in evaluation.files.items():
                self.keep_file(trial.identity, evaluation, name, content)
        facts = _facts(evaluation)
        return self.attempt(
            trial.identity,
            trial.genome,
            evaluation,
            lambda known: known.answers(offer, choice) or json.dumps(_facts(known)) == json.dumps(facts),
        )

    def attempt(
        self, identity: Identity, genome: Genome, evaluation: Evaluation, stands: Callable[[Evaluation], bool]
    ) -> Evaluation:
        """Add it to what is known of a trial, whose task is, too; or return what is known, if that `stands`."""
        values = _named(identity) | _facts(evaluation) | {"genome": dict(genome), "created": datetime.now(UTC)}
        values["schedule"] = document(genome)

        def work(connection: sa.Connection) -> Evaluation:
            while True:  # PostgreSQL: again, if another driver's attempt comes in between
                known = self._answers(connection, identity)
                for one in known:
                    if stands(one):
                        return one
                insert = self.database.add(evaluations, *_FACTS)
                row = connection.execute(insert, values | {"attempt": len(known)}).first()
                if row is not None:
                    return _evaluation(row)

        return self.database.do(work)

    def earlier(self, trial: Trial, choice: Choice) -> Evaluation | None:
        """What the same trial gave at the highest lower fidelity from which a training can go on, with its files; of a
        schedule also what the longest gave that it begins as.
        """
        _, task, _, replicate = trial.identity
        for key, up_to in [(trial.key, math.nextafter(trial.fidelity, 0.0)), *reversed(trial.prefixes)]:
            same = {"key": key, "task": task, "replicate": replicate, "up_to": min(up_to, trial.fidelity)}
            for row in self._checked(rows.EvaluationRow, evaluations, self.database.rows(_LOWER, same)):
                evaluation = _evaluation(row)
                folder = self.files((key, task, row.fidelity, replicate), evaluation)
                if evaluation.keeps(choice):
                    with suppress(FileNotFoundError):  # dropped, or by another driver just now
                        there = [STATE, *(p.name for p in sorted(folder.iterdir()) if p.is_file() and p.name != STATE)]
                        return replace(evaluation, files={name: (folder / name).read_bytes() for name in there})
        return None

    def drop_state(self, identity: Identity, evaluation: Evaluation) -> None:
        """Forget where a training stopped: its continuation would start anew, and end the same."""
        (self.files(identity, evaluation) / STATE).unlink(missing_ok=True)

    def evaluation(self, id: int) -> Evaluation:
        return self.evaluations_of([id])[0]

    def evaluations_of(self, ids: Sequence[int], *, whole: bool = True) -> list[Evaluation]:
        """The evaluations with these ids, in this order; not `whole`: without curves and diagnostics, which are most of
        them."""
        columns, shape = (_FACTS, rows.EvaluationRow) if whole else (_OUTCOME, rows.OutcomeRow)
        found: dict[int, Evaluation] = {}
        for start in range(0, len(ids), PAGE):
            query = sa.select(*columns).where(_c.id.in_(ids[start : start + PAGE]))
            found |= {row.id: _evaluation(row) for row in self._rows(query, shape, evaluations)}
        for id in ids:
            if id not in found:
                raise self.damaged(f"table {evaluations.name}: row id {id} is missing")
        return [found[id] for id in ids]

    def evaluations(self) -> Iterator[tuple[Identity, Genome, Evaluation]]:
        """Everything known, in the order of recording."""
        last = 0
        while True:
            query = sa.select(*_FACTS, _c.key, _c.task, _c.replicate, _c.genome, _c.schedule).where(_c.id > last)
            page = self._rows(query.order_by(_c.id).limit(PAGE), rows.IdentifiedRow, evaluations)
            for row in page:
                genome = from_document(row.genome, row.schedule)
                yield (row.key, row.task, row.fidelity, row.replicate), genome, _evaluation(row)
            if len(page) < PAGE:
                return
            last = page[-1].id

    def answered(self, task: str, keys: Iterable[str]) -> dict[Identity, int]:
        """The newest attempts at any of these genomes on a task, by what they are of: their ids."""
        query = sa.select(_c.key, _c.fidelity, _c.replicate, _c.id).where(_c.task == task).order_by(_c.attempt)
        found: dict[Identity, int] = {}
        wanted = sorted(set(keys))
        for start in range(0, len(wanted), PAGE):
            these = query.where(_c.key.in_(wanted[start : start + PAGE]))
            for row in self.database.rows(these):
                found[row.key, task, row.fidelity, row.replicate] = row.id
        return found

    def identity(self, id: int) -> Identity | None:
        """Of one evaluation; None if there is none."""
        query = sa.select(_c.key, _c.task, _c.fidelity, _c.replicate).where(_c.id == id)
        row = self.database.read(lambda connection: connection.execute(query).first())
        return None if row is None else (row.key, row.task, row.fidelity, row.replicate)

    def identities(self) -> dict[int, Identity]:
        """Of all evaluations, by their ids."""
        query = sa.select(_c.id, _c.key, _c.task, _c.fidelity, _c.replicate).order_by(_c.id)
        return {row.id: (row.key, row.task, row.fidelity, row.replicate) for row in self.database.rows(query)}

    def count(self) -> int:
        """How many evaluations there are."""
        query = sa.select(sa.func.count()).select_from(evaluations)
        return self.database.read(lambda connection: connection.execute(query).scalar_one())

    def costs(self, task: str, limit: int = 1000) -> list[tuple[Genome, float, Mapping[str, float]]]:
        """What trainings on a task cost that went on to their end, newest first, as far as it is known: the genome, the
        share of a full training, the cost."""
        query = sa.select(_c.id, _c.fidelity, _c.genome, _c.cost, _c.provenance).where(
            *(_c.task == task, _c.status == "completed", _c.cut_short.is_(None), _c.cost != {})
        )
        found = self._rows(query.order_by(_c.id.desc()).limit(limit), rows.CostRow, evaluations)
        return [(Genome(row.genome), share_of(row.fidelity, row.provenance), row.cost) for row in found]

    def files(self, identity: Identity, evaluation: Evaluation | None = None) -> Path:
        """The folder with the files of an evaluation; named by what chose its weights, unless that was FID."""
        key, task, fidelity, replicate = identity
        name = f"{task}-f{fidelity:g}-r{replicate}"
        choice = evaluation.choice if evaluation else None
        if choice not in (None, Choice()):
            name += f"-{'+'.join(choice.metrics)}-{choice.score}"
        return self.folder / "evaluations" / file_name(key) / file_name(name)

    def has_weights(self, identity: Identity, evaluation: Evaluation) -> bool:
        """Whether its generator is there: not if it was pruned, or lies with another driver."""
        found = self.files(identity, evaluation).glob("*.safetensors")
        return any(path.name not in (STATE, PLAYERS) for path in found)

    def folders(self, identity: Identity) -> list[Path]:
        """Those with files of attempts at it, whatever chose their weights."""
        plain = self.files(identity)
        return [folder for folder in (plain, *sorted(plain.parent.glob(f"{plain.name}-*"))) if folder.is_dir()]

    def keep_file(self, identity: Identity, evaluation: Evaluation, name: str, content: bytes) -> None:
        """Before the evaluation is recorded: what is in the store has its files."""
        self._write(self.files(identity, evaluation) / name, content)

    def task_file(self, task: str, name: str) -> Path:
        """Where a file that belongs to a task lies, if there is one."""
        return self.folder / "tasks" / file_name(f"{task}-{name}")

    def keep_task_file(self, task: str, name: str, content: bytes) -> None:
        path = self.task_file(task, name)
        if not path.exists():
            self._write(path, content)

    def _write(self, path: Path, content: bytes) -> None:
        def explain(error: Exception) -> Trouble | None:
            if not isinstance(error, OSError):
                return None
            passes = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            return Trouble(f"cannot write '{path}': {error.strerror}", passes)

        with_retries(lambda: write_whole(path, content), explain, self.database.on_wait)

    def tasks(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """Key -> name and identity of what was trained for."""
        found = self._rows(sa.select(tasks), rows.TaskRow, tasks)
        return {row.key: (row.name, row.document) for row in found}

    def add_task(self, key: str, name: str, document: Mapping[str, Any]) -> None:
        if key not in self._known_tasks:
            self._add(tasks, key=key, name=name, document=dict(document))
            self._known_tasks.add(key)

    def _add_task(self, trial: Trial) -> None:
        if trial.task.key not in self._known_tasks:
            self.add_task(trial.task.key, trial.task.name, trial.task.identity)

    # --- runs

    def add_run(self, name: str, document: Mapping[str, Any]) -> None:
        """Errors: UserError if there is another run of this name."""
        self._add(runs, name=name, document=dict(document), created=datetime.now(UTC))
        if self._started_with(name) != json.loads(json.dumps(dict(document))):
            raise UserError(f"run '{name}' exists")

    def run(self, name: str) -> dict[str, Any]:
        """What a run was started with and extended to. Errors: UserError if there is no such run."""
        document = self._started_with(name)
        e = extensions.c
        query = sa.select(e.id, e.document).where(e.run == name).order_by(e.id)
        for row in self._rows(query, rows.DocumentRow, extensions):
            document |= row.document
        return document

    def _started_with(self, name: str) -> dict[str, Any]:
        query = sa.select(runs.c.name, runs.c.document).where(runs.c.name == name)
        for row in self._rows(query, rows.DocumentRow, runs):
            return dict(row.document)
        raise unknown("run", name, self.names())

    def identity_of(self, name: str) -> str:
        """Tells a run from others of its name in other stores."""
        query = sa.select(runs.c.name, runs.c.created).where(runs.c.name == name)
        created: datetime = self.database.rows(query)[0].created
        created = created if created.tzinfo else created.replace(tzinfo=UTC)  # as SQLite gives it
        return digest([name, created.timestamp()])

    def names(self) -> list[str]:
        """Of the runs, oldest first; what each was started with may be damaged."""
        return [row.name for row in self._rows(sa.select(runs.c.name).order_by(runs.c.created), rows.NameRow, runs)]

    def runs(self) -> dict[str, dict[str, Any]]:
        """Name -> what it was started with and extended to, oldest first."""
        return {name: self.run(name) for name in self.names()}

    def extend_run(self, name: str, document: Mapping[str, Any]) -> None:
        """Other values for what may change of a run: its budget."""
        self._add(extensions, run=name, document=dict(document))

    def set_finalists(self, run: str, keys: Iterable[str]) -> None:
        """In place of those that the run had with a smaller budget."""
        mine = set(keys)
        gone = sa.delete(finalists).where(finalists.c.run == run, finalists.c.key.not_in(mine))
        insert = self.database.add(finalists)

        def replace(connection: sa.Connection) -> None:
            connection.execute(gone)
            for key in sorted(mine):
                connection.execute(insert, {"run": run, "key": key})

        self.database.do(replace)

    def finalists(self, run: str) -> set[str]:
        """The keys of the genomes that a run checked."""
        query = sa.select(finalists.c.run, finalists.c.key).where(finalists.c.run == run)
        return {row.key for row in self._rows(query, rows.FinalistRow, finalists)}

    def add_proposal(self, run: str, trial: Trial, row: ProposalRow) -> None:
        """Errors: UserError if the run has another proposal of this number."""
        self._add_task(trial)
        values = vars(row) | {"vector": list(row.vector), "genome": dict(row.genome)}
        values["schedule"] = document(row.genome)
        values["parents"] = None if row.parents is None else list(row.parents)
        if not self._add(proposals, run=run, **values) and self.proposals(run, row.number, 1) != [row]:
            raise _two_at_once(run)

    def proposals(self, run: str, start: int = 0, limit: int | None = None) -> list[ProposalRow]:
        """The proposals of a run in the order of their numbers, from number `start`."""
        p = proposals.c
        query = sa.select(proposals).where(p.run == run, p.number >= start).order_by(p.number).limit(limit)
        return [
            ProposalRow(
                row.number,
                tuple(row.vector),
                from_document(row.genome, row.schedule),
                row.key,
                row.task,
                row.fidelity,
                row.pushed,
                row.generation,
                None if row.parents is None else tuple(row.parents),
                row.operator,
            )
            for row in self._rows(query, rows.ProposalRow, proposals)
        ]

    def add_tell(self, run: str, position: int, number: int, ids: Iterable[int]) -> None:
        """Errors: UserError if the run was told something else at this position."""
        row = TellRow(position, number, tuple(ids))
        values = vars(row) | {"evaluations": list(row.evaluations)}
        if not self._add(tells, run=run, **values) and self.tells(run, position, 1) != [row]:
            raise _two_at_once(run)

    def tells(self, run: str, start: int = 0, limit: int | None = None) -> list[TellRow]:
        """What the strategy of a run was told, in that order, from position `start`."""
        t = tells.c
        query = sa.select(tells).where(t.run == run, t.position >= start).order_by(t.position).limit(limit)
        found = self._rows(query, rows.TellRow, tells)
        return [TellRow(row.position, row.number, tuple(row.evaluations)) for row in found]

    def told_numbers(self, run: str) -> set[int]:
        """The proposals that the strategy of a run was told of."""
        query = sa.select(tells.c.number).where(tells.c.run == run)
        return {row.number for row in self.database.rows(query)}

    # --- the database

    def _add(self, table: sa.Table, **values: Any) -> bool:
        """Whether the row is new."""
        insert = self.database.add(table)
        return self.database.do(lambda connection: connection.execute(insert, values).first() is not None)

    def _rows(self, query: sa.Select[Any], shape: type[rows.Row], table: sa.Table) -> Sequence[Any]:
        return self._checked(shape, table, self.database.rows(query))

    def _answers(self, connection: sa.Connection, identity: Identity) -> list[Evaluation]:
        found = connection.execute(_ANSWERS, _named(identity)).all()
        return [_evaluation(row) for row in self._checked(rows.EvaluationRow, evaluations, found)]

    def _checked(self, shape: type[rows.Row], table: sa.Table, found: Sequence[Any]) -> Sequence[Any]:
        """The same rows. Errors: UserError naming the first that is damaged."""
        for row in found:
            try:
                rows.check(shape, table, row)
            except UserError as error:
                raise self.damaged(str(error)) from None
        return found

    def damaged(self, what: str) -> UserError:
        return UserError(f"store '{self.database.name}' is damaged: {what}")


def _two_at_once(run: str) -> UserError:
    return UserError(f"run '{run}' is carried on by another process at the same time, which went another way")


def _named(identity: Identity) -> dict[str, Any]:
    key, task, fidelity, replicate = identity
    return {"key": key, "task": task, "fidelity": fidelity, "replicate": replicate}


def _facts(evaluation: Evaluation) -> dict[str, Any]:
    """An evaluation as the columns that make it, but for its place."""
    return {
        "status": evaluation.status,
        "cut_short": evaluation.cut_short,
        "reason": evaluation.reason.replace("\0", "").encode(errors="replace").decode(),
        "scores": [dict(point) for point in evaluation.scores],
        "curve": [dict(point) for point in evaluation.curve],
        "diagnostics": [dict(found) for found in evaluation.diagnostics],
        "flags": list(evaluation.flags),
        "cost": dict(evaluation.cost),
        "limits": {name: limit for name, limit in vars(evaluation.limits).items() if limit < math.inf},
        "provenance": dict(evaluation.provenance),
    }


def _evaluation(row: Any) -> Evaluation:
    return Evaluation(
        status=row.status,
        cut_short=row.cut_short,
        scores=tuple(row.scores),
        curve=tuple(getattr(row, "curve", ())),
        diagnostics=tuple(getattr(row, "diagnostics", ())),
        flags=tuple(row.flags),
        cost=row.cost,
        provenance=row.provenance,
        reason=row.reason,
        limits=Limits(**row.limits),
        fidelity=row.fidelity,
        id=row.id,
    )
