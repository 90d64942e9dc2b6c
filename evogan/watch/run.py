"""A run that goes on, as far as it is: reads from the store only what is new."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from evogan.engine import Account, Told
from evogan.engine.history import RunHistory
from evogan.engine.live import RUN, Live
from evogan.engine.store import ProposalRow, Store
from evogan.errors import UserError
from evogan.files.shapes import fit
from evogan.monitor import Status, read_status
from evogan.report.facts import kind
from evogan.trial import Evaluation

Order = Literal["newest", "best"]
ORDERS: tuple[Order, ...] = ("newest", "best")


@dataclass
class Tile:
    """A genome on the wall: the last that is known of it. `at`: when that came, counted."""

    number: int
    told: Told
    at: int


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
        self._orders: dict[Order, tuple[int, list[Tile]]] = {}

    def refresh(self) -> bool:
        """Whether there was anything new."""
        before = self.version
        tells = self.store.tells(self.name, len(self._told))  # first: what was told was proposed before
        for row in self.store.proposals(self.name, len(self.rows)):
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
        self._look_ahead()
        if self.version != before:
            for name in ("ranking", "top_fidelity", "confirmations", "twins", "costs", "spent", "seconds"):
                self.__dict__.pop(name, None)
            for name in ("ended_early", "unfinished"):
                self.__dict__.pop(name, None)
            self.__dict__["history"] = self._told
        return self.version != before

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
        tile = self.tiles.get(row.key)
        if tile is None:
            self.tiles[row.key] = Tile(row.number, told, self.version)
        elif tile.told.evaluations[-1].id != evaluations[-1].id:
            tile.number, tile.told, tile.at = row.number, told, self.version
        for evaluation in evaluations:
            if (evaluation.failed or evaluation.reason) and evaluation.id not in self._counted:
                self._counted.add(evaluation.id or 0)
                alike = self.failures.setdefault(kind(evaluation), Failure(evaluation.status, evaluation.reason, 0, []))
                alike.count += 1
                alike.numbers = [*alike.numbers[-4:], row.number]
        return told

    @property
    def waiting(self) -> int:
        """How many proposals have no answer yet."""
        return len(self._waiting.keys() - self.known.keys())

    def wall(self, order: Order) -> list[Tile]:
        """All tiles, best or newest first; what failed comes last among the best."""
        version, tiles = self._orders.get(order, (-1, []))
        if version != self.version:
            tiles = list(self.tiles.values())
            if order == "newest":
                tiles.sort(key=lambda tile: -tile.at)
            else:
                tiles.sort(key=_rank)
            self._orders[order] = self.version, tiles
        return tiles

    @property
    def leader(self) -> Tile | None:
        """The best so far, by the search alone."""
        best = self.wall("best")[:1]
        return best[0] if best and best[0].told.values is not None else None


def _rank(tile: Tile) -> tuple[bool, float, float, int]:
    value = tile.told.value
    return value is None, -tile.told.fidelity, value or 0.0, tile.number


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
