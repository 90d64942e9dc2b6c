"""A Ray cluster of this process alone: it listens on loopback only, under a token and in a folder of its own.

By itself Ray listens on every address of the machine, writes its token into the user's home, and keeps its sessions in
a folder that all users share and nobody empties.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from secrets import token_hex
from types import MappingProxyType
from typing import Any

import psutil
import ray

from evogan.engine.executors import ray_private
from evogan.engine.executors.in_file import InFile
from evogan.errors import UserError

PREFIX = "evogan-ray-"
LONGEST = 103 if sys.platform == "darwin" else 107  # bytes of the path of a socket
SOCKET = "XXXXXXXX/r/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"  # the longest that Ray makes
VITAL = ("gcs_server", "raylet")
# Ray ends a driver at once, whatever that is at, if an object is lost with its store and the driver keeps it alive. So
# nothing that this one owns is in the store: what all workers need is in a file, and the rest travels with the message.
WITHIN_MESSAGE = MappingProxyType(dict.fromkeys(("max_direct_call_object_size", "task_rpc_inlined_bytes_limit"), 2**28))


class LocalCluster:
    """It runs from the beginning until `stop`. Errors: UserError if Ray cannot be started here."""

    def __init__(self, cpus: int, memory: int, quiet: Mapping[str, Any]) -> None:
        self._folder, self._shared = Folder(), count()
        before = set(psutil.Process().children())
        try:
            with _token(), ray_private.on_loopback():
                ray.init(
                    address="local",
                    num_cpus=cpus,
                    _memory=memory,
                    include_dashboard=False,
                    _temp_dir=str(self._folder.path / "r"),
                    _system_config=dict(WITHIN_MESSAGE),  # Ray writes into it where this cluster spills
                    **quiet,
                )
        except (Exception, KeyboardInterrupt) as error:
            self.stop()
            for child in set(psutil.Process().children()) - before:
                child.kill()
            if isinstance(error, KeyboardInterrupt):
                raise
            why = str(error).strip().splitlines() or [type(error).__name__]
            raise UserError(f"Ray cannot be started: {why[0]} (one worker needs no Ray)") from None
        started = set(psutil.Process().children()) - before
        self._nodes = living_nodes()  # they stay: a question that nobody is there to answer would take a minute
        self._vital = {child.name(): child for child in started if child.name() in VITAL}

    @property
    def lost(self) -> str | None:
        """The process that has ended, without which this is no cluster any longer."""
        return next((name for name, process in self._vital.items() if not _is_alive(process)), None)

    def nodes(self) -> dict[str, Mapping[str, float]]:
        return self._nodes

    def share(self, thing: object) -> InFile:
        return InFile(thing, self._folder.path / f"shared-{next(self._shared)}")

    def stop(self) -> None:
        ray.shutdown()
        ray_private.reset_config()
        self._folder.remove()


def living_nodes() -> dict[str, Mapping[str, float]]:
    return {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}


class Folder:
    """A private folder for a cluster's sockets and logs. Its lock falls with its process, also where that is killed:
    whoever makes the next one removes those that nobody locks.
    """

    def __init__(self) -> None:
        self.path, self._lock = _make_folder()

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _make_folder() -> tuple[Path, int]:
    """Where there is room for one, and the paths of sockets get not too long."""
    roots = [Path(root).absolute() for root in (os.environ.get("RAY_TMPDIR"), tempfile.gettempdir(), "/tmp") if root]
    for root in roots:
        if len(os.fsencode(root / f"{PREFIX}{SOCKET}")) > LONGEST or not os.access(root, os.W_OK):
            continue
        _clear(root)
        with suppress(OSError):
            while True:
                path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=root))
                lock = os.open(path, os.O_RDONLY)
                fcntl.flock(lock, fcntl.LOCK_EX)
                if path.exists():  # nobody cleared it away before it was locked
                    return path, lock
    tried = ", ".join(dict.fromkeys(map(str, roots)))
    raise UserError(f"Ray has no place for its sockets: TMPDIR must name a folder with a short path, not {tried}")


def _clear(root: Path) -> None:
    """Remove what drivers left behind that are no more."""
    for path in root.glob(f"{PREFIX}*"):
        with suppress(OSError):
            lock = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)


@contextmanager
def _token() -> Iterator[None]:
    """One that only this process and the cluster know, whatever the user has for others."""
    names = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")
    before = {name: os.environ.get(name) for name in names}
    os.environ.pop("RAY_AUTH_MODE", None)  # Ray then authenticates by itself
    os.environ["RAY_AUTH_TOKEN"] = token_hex(32)
    ray_private.reset_token()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _is_alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False
