"""What a run does now, kept in the store: its status, and of the trials that train the curves and the last grid."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from threading import Event as Flag
from threading import Lock, Thread
from types import TracebackType

from PIL import Image

from evogan.engine import Event
from evogan.engine.live import RUN, Live, Now, trial_name
from evogan.errors import UserError
from evogan.monitor.log import numbers
from evogan.monitor.status import Status

EVERY = 1.0  # seconds between two writes
POINTS = 200  # of a curve: then every other goes that was not scored
SIDE = 1024  # pixels of a grid at most
OF_A_CURVE = ("kimg", "iterations", "fidelity", "fid", "real", "fake", "generator", "supervised")


class LiveWriter:
    """A listener that writes once a second, from a thread, what changed. `metric`: the one that judges.

    A context manager, which leaves the last status and nothing of trials. What cannot be written stops nothing.
    """

    def __init__(self, live: Live, run: str, metric: str, status: Callable[[], Status]) -> None:
        self._live, self._run, self._status = live, run, status
        self._metric, self._named = metric, (*OF_A_CURVE, metric)
        self._curves: dict[str, list[dict[str, float | None]]] = {}
        self._grids: dict[str, bytes] = {}
        self._changed: set[str] = set()
        self._written: set[str] = set()
        self._lock, self._left = Lock(), Flag()
        self._thread = Thread(target=self._keep_fresh, name="live", daemon=True)

    def __enter__(self) -> LiveWriter:
        with suppress(UserError):
            self._live.clear(self._run)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        self._thread.join()
        with self._lock:
            self._curves.clear()
        self._write()

    def __call__(self, event: Event) -> None:
        if event.trial is None:
            return
        name = trial_name(event.trial.identity)
        with self._lock:
            if event.kind == "started":
                self._curves[name] = []
                self._changed.add(name)
            elif event.kind == "progress":
                self._add(self._curves.setdefault(name, []), event.point)
                if event.grid:
                    self._grids[name] = event.grid
                self._changed.add(name)
            elif event.kind in ("evaluated", "pruned", "retried"):
                self._curves.pop(name, None)
                self._grids.pop(name, None)

    def _add(self, curve: list[dict[str, float | None]], point: Mapping[str, float]) -> None:
        known = numbers({name: point[name] for name in self._named if name in point})
        if len(known) > 1:
            curve.append(known)
        if len(curve) > POINTS:
            curve[:] = [one for i, one in enumerate(curve) if i % 2 == 0 or "fid" in one or self._metric in one]

    def _keep_fresh(self) -> None:
        while not self._left.wait(EVERY):
            self._write()

    def _write(self) -> None:
        with self._lock:
            there = set(self._curves)
            gone, fresh = self._written - there, self._changed & there
            grids = {name: self._grids.pop(name) for name in fresh & self._grids.keys()}
            documents = {name: {"points": list(self._curves[name])} for name in fresh}
            self._changed, self._written = set(), there
        changed = {name: Now(document, _small(grids.get(name, b""))) for name, document in documents.items()}
        try:
            self._live.write(self._run, {RUN: Now(asdict(self._status())), **changed}, gone)
        except UserError:  # the next one may come through
            with self._lock:
                self._changed |= fresh
                self._written |= gone
                self._grids = grids | self._grids


def _small(png: bytes) -> bytes:
    """No larger than a page shows it."""
    if not png:
        return b""
    unread = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
    with suppress(*unread), Image.open(io.BytesIO(png), formats=["PNG"]) as image:
        if max(image.size) > SIDE:
            image.thumbnail((SIDE, SIDE))
            buffer = io.BytesIO()
            image.save(buffer, "PNG")
            return buffer.getvalue()
    return png
