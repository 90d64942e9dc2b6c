"""A run that goes on, as far as it is: reads from the store only what is new."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, Literal, NamedTuple

from evogan.engine import Account, Told
from evogan.engine.history import RunHistory
from evogan.engine.live import RUN, Live
from evogan.engine.store import ProposalRow, Store
from evogan.errors import UserError
from evogan.files.shapes import fit
from evogan.monitor import Status, read_status
from evogan.report.facts import kind
from evogan.trial import Evaluation

PAGE = 500  # rows that are read at a time
_OF_THE_HISTORY = ("ranking", "top_fidelity", "costs", "spent", "seconds", "ended_early", "unfinished")
_OF_CHECKS = ("confirmations", "twins")  # which nobody tells of
Order = Literal["newest", "best"]
ORDERS: tuple[Order, ...] = ("newest", "best")


@dataclass
class Tile:
    """A genome on the wall: the last that is known of it at the highest fidelity."""

    number: int
    told: Told


@dataclass
class Failure:
    """Evaluations that ended alike: the first one's reason, and the last proposals that it happened to."""

    status: str
    reason: str
    count: int
    numbers: list[int]


class WatchedRun(RunHistory):
    """`refresh` reads on; `version` tells whether that brought anything. Evaluations are without their curves.

    Errors: UserError as a history has them.
    """

    def __init__(self, store: Store, name: str) -> None:
        super().__init__(store, name)
        self.version = 0
        self.rows: dict[int, ProposalRow] = {}
        self.known: dict[int, Told] = {}  # by number: what was told of it, or is there to be told
        self.tiles: dict[str, Tile] = {}  # by key
        self.failures: dict[tuple[str, str], Failure] = {}
        self.children: dict[int, list[int]] = {}
        self.account = Account()
        self._told: list[Told] = []
        self._waiting: dict[int, ProposalRow] = {}
        self._counted: set[int] = set()  # failures, by their ids
        self._best: list[Rank] = []  # of the tiles, sorted
        self.scored: dict[float, list[tuple[int, float]]] = {}  # by fidelity, numbers and values in their order
        self.failed: list[int] = []  # numbers, in their order
        self.complete = False  # whether all that there was at the last look is read

    def refresh(self, seconds: float = math.inf) -> bool:
        """Whether there was anything new. Of much it reads for about so long, and is not `complete` yet."""
        before, end = self.version, monotonic() + seconds
        if (document := self.store.run(self.name)) != self.document:  # it goes on with another budget
            self._take(document)
            self.version += 1
        self.complete = self._read(PAGE)
        while not self.complete and monotonic() < end:
            self.complete = self._read(PAGE)
        if self.complete:
            self._look_ahead()
        for name in (*_OF_CHECKS, *(_OF_THE_HISTORY if self.version != before else ())):
            self.__dict__.pop(name, None)
        self.__dict__["history"] = self._told
        return self.version != before

    def _read(self, most: int) -> bool:
        """What was told, up to so many; whether that was all."""
        tells = self.store.tells(self.name, len(self._told), most)  # first: what was told was proposed before
        there = len(self.rows)
        until = None if len(tells) < most else max(0, max(tell.number for tell in tells) + 1 - there)
        for row in self.store.proposals(self.name, there, until) if until != 0 else ():
            self.rows[row.number] = self._waiting[row.number] = row
            for parent in row.parents or ():
                self.children.setdefault(parent, []).append(row.number)
        found = iter(self.store.evaluations_of([id for tell in tells for id in tell.evaluations], whole=False))
        for tell in tells:
            evaluations = tuple(next(found) for _ in tell.evaluations)
            if tell.number not in self.rows or not evaluations:
                raise self.store.damaged(f"table tells, row run '{self.name}', position {tell.position}")
            self._waiting.pop(tell.number, None)
            told = self._enter(self.rows[tell.number], evaluations)
            self._told.append(told)
            for replicate, evaluation in enumerate(evaluations):
                self.account.ask(told.row.key, told.row.fidelity, replicate, told.row.genome.prefixes)
                self.account.answer(told.row.key, told.row.fidelity, replicate, evaluation)
        return until is None

    def _look_ahead(self) -> None:
        """What is evaluated already, and only to be told."""
        if not self._waiting:
            return
        there = self.store.answered(self.facts.task, {row.key for row in self._waiting.values()})
        for number, row in self._waiting.items():
            named = [there.get(row.identity(replicate)) for replicate in range(self.settings.replicates)]
            ids = [id for id in named if id is not None]
            before = self.known[number].evaluations if number in self.known else ()
            if ids and ids != [evaluation.id for evaluation in before]:
                self._enter(row, tuple(self.store.evaluations_of(ids, whole=False)))

    def _enter(self, row: ProposalRow, evaluations: tuple[Evaluation, ...]) -> Told:
        told = Told(row, evaluations, self.judge.over(evaluations))
        before = self.known.get(row.number)
        self.known[row.number] = told
        if before is not None and [e.id for e in before.evaluations] == [e.id for e in evaluations]:
            return told
        self.version += 1
        self._score(before, told)
        tile = self.tiles.get(row.key)
        if tile is None or (
            tile.told.evaluations[-1].id != evaluations[-1].id
            and (tile.told.fidelity <= told.fidelity or tile.number == row.number)
        ):
            if tile is not None:
                self._best.remove(_rank(tile))
                del self.tiles[row.key]
            tile = self.tiles[row.key] = Tile(row.number, told)  # the newest comes last
            insort(self._best, _rank(tile))
        for evaluation in evaluations:
            if (evaluation.failed or evaluation.reason) and evaluation.id not in self._counted:
                self._counted.add(evaluation.id or 0)
                alike = self.failures.setdefault(kind(evaluation), Failure(evaluation.status, evaluation.reason, 0, []))
                alike.count += 1
                alike.numbers = [*alike.numbers[-4:], row.number]
        return told

    def _score(self, before: Told | None, told: Told) -> None:
        number = told.row.number
        if before is not None and before.value is not None:
            self.scored[before.fidelity].remove((number, before.value))
        elif before is not None:
            self.failed.remove(number)
        if told.value is None:
            insort(self.failed, number)
        else:
            insort(self.scored.setdefault(told.fidelity, []), (number, told.value))

    @property
    def waiting(self) -> int:
        """How many proposals have no answer yet."""
        return len(self._waiting.keys() - self.known.keys())

    def wall(self, order: Order) -> list[Tile]:
        """All tiles, best or newest first; what failed comes last among the best."""
        if order == "newest":
            return [*reversed(self.tiles.values())]
        return [self.tiles[rank.key] for rank in self._best]

    @property
    def leader(self) -> Tile | None:
        """The best so far, by the search alone."""
        return self.tiles[self._best[0].key] if self._best and not self._best[0].failed else None


class Rank(NamedTuple):
    """Of tiles: the highest fidelity first, there the best."""

    failed: bool
    lower: float
    value: float
    number: int
    key: str


def _rank(tile: Tile) -> Rank:
    value, row = tile.told.value, tile.told.row
    return Rank(value is None, -tile.told.fidelity, value or 0.0, tile.number, row.key)


@dataclass(frozen=True)
class Moment:
    """What a run does now: its status, and by their names the curves of the trials that train."""

    status: Status | None
    curves: Mapping[str, list[Mapping[str, float]]]

    @classmethod
    def of(cls, store: Store, run: str) -> Moment:
        """As the store has it; of a run by an older version its status file."""
        found = Live(store.database).of(run)
        curves = {name: _points(document) for name, document in found.items() if name != RUN}
        return cls(status_of(store, run, found.get(RUN)), curves)


def status_of(store: Store, run: str, document: Mapping[str, Any] | None) -> Status | None:
    """What is no status says nothing."""
    try:
        return fit(Status, document) if document else read_status(store.folder / run / "status.json")
    except (UserError, OSError):
        return None


def _points(document: Mapping[str, Any]) -> list[Mapping[str, float]]:
    points = document.get("points")
    found = [point for point in points if isinstance(point, dict)] if isinstance(points, list) else []
    return [{k: v for k, v in point.items() if isinstance(v, int | float)} for point in found]
