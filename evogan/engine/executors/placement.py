"""Which waiting trial starts on which free worker. Bookkeeping alone: no clock, and nothing is started here."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Generic, TypeVar

T = TypeVar("T")
W = TypeVar("W", bound=Hashable)

ALONE = math.inf  # the memory of a trial that shares its device with none
OFTEN = 16  # times that the first in line is passed over before a device is reserved for it
ALIKE = 0.95  # a device with this share of the largest one's memory counts as one of the largest


@dataclass(frozen=True)
class Device:
    """What several workers share: a GPU of a node, or a node itself. `memory`: bytes for trials."""

    name: str
    memory: float


@dataclass(eq=False)
class _Entry(Generic[T]):
    trial: T
    urgency: float  # lower goes first
    memory: float
    number: int
    passed: int = 0
    gone: bool = False


@dataclass(eq=False)
class _Place(Generic[T, W]):
    """A device with its workers. `used`: predicted memory of all that runs. `reserved` for a trial: takes no other."""

    device: Device
    number: int
    workers: int = 0
    free: dict[W, None] = field(default_factory=dict)
    running: int = 0
    used: float = 0.0
    reserved: _Entry[T] | None = None
    version: int = 0


class Placement(Generic[T, W]):
    """Longest predicted first, by a lead: a trial goes before those that first come first served would start by up to
    its own length earlier. So what is long begins early, and nothing waits for ever.

    On one device there is never more predicted memory than it has, but by a trial alone. What does not fit is passed
    over by the next that does, though not too often: then a device takes no other until it can start there. An idle
    device of the largest takes any trial. One of memory `ALONE` waits for such a device, and nothing joins it.
    """

    def __init__(self) -> None:
        self._numbers = count()
        self._waiting = 0
        self._turn = 0.0  # when the next to come would start, first come first served
        self._sizes: dict[int, list[tuple[float, int, _Entry[T]]]] = {}  # heaps of about the same memory; some are gone
        self._places: dict[str, _Place[T, W]] = {}
        self._rooms: list[tuple[float, int, int, int, _Place[T, W]]] = []  # roomiest first, some out of date
        self._due: deque[_Place[T, W]] = deque()  # ready for the one that they are reserved for
        self._at: dict[W, _Place[T, W]] = {}
        self._holds: dict[W, float] = {}  # memory of what a worker runs
        self._largest = 0.0

    def __len__(self) -> int:
        """Trials that wait."""
        return self._waiting

    def join(self, worker: W, device: Device) -> None:
        """A worker is there, and free."""
        place = self._places.get(device.name)
        if place is None:
            place = self._places[device.name] = _Place(device, next(self._numbers))
            self._measure()
        place.workers += 1
        self._at[worker] = place
        place.free[worker] = None
        self._changed(place)

    def add(self, trial: T, seconds: float = 0.0, memory: float = 0.0) -> None:
        """A trial waits. `seconds` and `memory` as predicted; infinite `seconds` for one that goes first."""
        self._queue(_Entry(trial, self._turn - seconds, memory, next(self._numbers)))
        if seconds < math.inf:
            self._turn += seconds / max(len(self._at), 1)

    def place(self) -> tuple[T, W] | None:
        """The next to start, and where; None if nothing can start now."""
        while self._due:
            place = self._due.popleft()
            if place.reserved is not None and self._fits(place.reserved, place):
                entry, place.reserved = place.reserved, None
                return self._start(entry, place)
        while self._waiting:
            roomiest = self._roomiest()
            if roomiest is None:
                return None
            first = self._next(math.inf)
            assert first is not None
            if self._fits(first, roomiest):
                return self._start(self._taken(first), roomiest)
            fitting = self._next(self._room(roomiest))
            if fitting is None:
                return None
            first.passed += 1
            if first.passed <= OFTEN or not self._reserve(first):
                return self._start(self._taken(fitting), roomiest)
        return None

    def free(self, worker: W) -> None:
        """Its trial has ended."""
        place = self._at[worker]
        self._end(worker, place)
        place.free[worker] = None
        self._changed(place)

    def lost(self, worker: W) -> None:
        """The worker is no more, and what it ran is not counted any longer."""
        place = self._at.pop(worker)
        place.workers -= 1
        if worker in self._holds:
            self._end(worker, place)
        else:
            del place.free[worker]
        if place.workers:
            self._changed(place)
            return
        del self._places[place.device.name]
        place.version += 1
        if place.reserved is not None:
            entry, place.reserved = place.reserved, None
            self._queue(replace(entry, gone=False))
        self._measure()

    def withdraw(self) -> list[T]:
        """Forget all that waits, and name it in the order it came."""
        reserved = [place for place in self._places.values() if place.reserved is not None]
        entries = [entry for heap in self._sizes.values() for *_, entry in heap if not entry.gone]
        entries += [place.reserved for place in reserved if place.reserved is not None]
        self._sizes.clear()
        self._waiting = 0
        for place in reserved:
            place.reserved = None
            self._changed(place)
        return [entry.trial for entry in sorted(entries, key=lambda entry: entry.number)]

    def _queue(self, entry: _Entry[T]) -> None:
        memory = entry.memory
        size = round(4 * math.log2(memory)) if 0 < memory < math.inf else (10**6 if memory else -1)
        heapq.heappush(self._sizes.setdefault(size, []), (entry.urgency, entry.number, entry))
        self._waiting += 1

    def _taken(self, entry: _Entry[T]) -> _Entry[T]:
        entry.gone = True
        self._waiting -= 1
        return entry

    def _next(self, room: float) -> _Entry[T] | None:
        """The most urgent that fits; of trials of about the same memory only the first is looked at."""
        found: tuple[float, int, _Entry[T]] | None = None
        for size, heap in list(self._sizes.items()):
            while heap and heap[0][2].gone:
                heapq.heappop(heap)
            if not heap:
                del self._sizes[size]
            elif heap[0][2].memory <= room and (found is None or heap[0] < found):
                found = heap[0]
        return found[2] if found else None

    def _start(self, entry: _Entry[T], place: _Place[T, W]) -> tuple[T, W]:
        worker, _ = place.free.popitem()
        self._holds[worker] = entry.memory
        place.running += 1
        place.used += entry.memory
        self._changed(place)
        return entry.trial, worker

    def _end(self, worker: W, place: _Place[T, W]) -> None:
        place.running -= 1
        memory = self._holds.pop(worker)
        place.used = place.used - memory if place.running else 0.0

    def _large(self, place: _Place[T, W]) -> bool:
        return place.device.memory >= ALIKE * self._largest

    def _room(self, place: _Place[T, W]) -> float:
        if not place.running and self._large(place):
            return math.inf
        return place.device.memory - place.used

    def _fits(self, entry: _Entry[T], place: _Place[T, W]) -> bool:
        return bool(place.free) and entry.memory <= self._room(place)

    def _changed(self, place: _Place[T, W]) -> None:
        """Make known what it has to offer now."""
        place.version += 1
        if place.reserved is not None:
            if self._fits(place.reserved, place):
                self._due.append(place)
        elif place.free:
            heapq.heappush(self._rooms, (-self._room(place), place.running, place.number, place.version, place))

    def _roomiest(self) -> _Place[T, W] | None:
        """The device with the most room of those with a free worker; the least busy of several."""
        while self._rooms and self._rooms[0][3] != self._rooms[0][4].version:
            heapq.heappop(self._rooms)
        return self._rooms[0][4] if self._rooms else None

    def _reserve(self, entry: _Entry[T]) -> bool:
        """Reserve the device for it where the least has to end; False if all that are large enough are."""
        able = [
            place
            for place in self._places.values()
            if place.reserved is None and (entry.memory <= place.device.memory or self._large(place))
        ]
        if not able:
            return False
        place = max(able, key=lambda place: (self._room(place), -place.number))
        place.reserved = self._taken(entry)
        self._changed(place)
        return True

    def _measure(self) -> None:
        """A device has come or gone: which are the largest may have changed."""
        largest = max((place.device.memory for place in self._places.values()), default=0.0)
        if largest != self._largest:
            self._largest = largest
            for place in self._places.values():
                self._changed(place)
