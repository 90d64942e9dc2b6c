"""A Ray cluster to run trials on: found or started, and what it has room for."""

from __future__ import annotations

import logging
import math
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any, Protocol

import psutil
import ray

import evogan
from evogan.caller import undrawn
from evogan.engine.executors import ray_private
from evogan.engine.executors.local_cluster import LocalCluster, living_nodes
from evogan.errors import UserError
from evogan.files.mapped import sent_whole
from evogan.files.processes import machine_memory
from evogan.settings.resources import Resources, host_and_port

_turn, _keeper = Lock(), ThreadPoolExecutor(1, "evogan keeps a cluster")
_held: Cluster | None = None  # what this process has joined or started: there is one, and searches at once share it
_searches = 0  # that do
within_worker = False  # whether this process is one

ANSWER = 10.0  # seconds that an address has to answer
RESTART = 30.0  # seconds that a cluster which was joined may be away
MOST = 16  # trials at once on a GPU that is packed by memory

Nodes = list[Mapping[str, float]]


class Cluster(Protocol):
    """One that trials run on."""

    @property
    def lost(self) -> str | None:
        """What is missing, if it is none any longer."""

    def nodes(self) -> dict[str, Mapping[str, float]]:
        """The nodes that are alive, and their resources in Ray's words."""

    def share(self, thing: object) -> object:
        """What to send to workers in place of `thing`, which they all need: it is on each machine once."""

    def stop(self) -> None:
        """Leave it; end it, if it is ours."""


class Found:
    """Joined by this process before, and not ours to leave."""

    lost = None

    def nodes(self) -> dict[str, Mapping[str, float]]:
        return living_nodes()

    def share(self, thing: object) -> object:
        with sent_whole():  # others' machines may lack files of this one
            return ray.put(thing)

    def stop(self) -> None:
        """It goes on."""


class Joined:
    """Kept by others. It is lost when its address refuses connections for longer than a restart takes."""

    def __init__(self, address: str, quiet: Mapping[str, Any]) -> None:
        _check_answer(address)
        _join(address, quiet)
        self._address, self._answered = address, monotonic()

    @property
    def lost(self) -> str | None:
        if self._address == "auto" or not _refuses(self._address):
            self._answered = monotonic()
        return f"what was at {self._address}" if monotonic() - self._answered > RESTART else None

    def nodes(self) -> dict[str, Mapping[str, float]]:
        return living_nodes()

    def share(self, thing: object) -> object:
        with sent_whole():  # others' machines may lack files of this one
            return ray.put(thing)

    def stop(self) -> None:
        ray.shutdown()


def connect(resources: Resources) -> Cluster:
    """Join the cluster, or start a local one, or use what this process has joined before.

    Another search that is at work here shares its own, and whoever has no room waits for it. Errors: UserError.
    """
    global _held, _searches
    if within_worker:
        raise UserError("a search within a trial has one process, its worker's: give it workers = 1")
    with _turn:
        ray_private.silence()
        if _held is None:
            if ray.is_initialized():
                return Found()
            # the processes of a cluster end with the thread that started them, and other searches may go on
            _held = _begin(resources) if _in_main_thread() else _keeper.submit(_begin, resources).result()
        _searches += 1
        return _held


def _begin(resources: Resources) -> Cluster:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    with _preserved():
        if resources.ray is not None:
            return Joined(resources.ray, quiet)
        workers = resources.workers or max(1, (psutil.cpu_count() or 1) // resources.threads)
        return LocalCluster(workers * resources.threads, int(machine_memory() * 0.9), quiet)


def leave(cluster: Cluster) -> None:
    """The last one ends it."""
    global _held, _searches
    with _turn:
        if cluster is not _held:
            return
        _searches -= 1
        if _searches == 0:
            _held = None
            with _preserved():
                cluster.stop()


@contextmanager
def _preserved() -> Iterator[None]:
    """Ray draws from Python's global generator, and has a handler of SIGTERM that ends its driver with a dump."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with undrawn():
            yield
    finally:
        if handler is not None and _in_main_thread():
            signal.signal(signal.SIGTERM, handler)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _join(address: str, quiet: Mapping[str, Any], tries: int = 2) -> None:
    code = {"py_modules": [str(Path(evogan.__file__).parent)], "excludes": ["__pycache__"]}
    try:
        ray.init(address=address, runtime_env=code, **quiet)
    except (Exception, SystemExit) as error:  # it does end the process where it should say something
        with suppress(Exception):
            ray.shutdown()
        ray_private.leave_client_mode()
        if isinstance(error, ConnectionAbortedError) and tries > 1:  # too busy to let a driver in by its own time limit
            _join(address, quiet, tries - 1)
            return
        said = [] if isinstance(error, SystemExit) else str(error).strip().splitlines()
        raise UserError(f"Ray at {address} cannot be joined: {said[-1] if said else 'no answer'}") from None


def _check_answer(address: str) -> None:
    """Ray itself waits for minutes. Whatever speaks gRPC begins with a frame of settings."""
    if address == "auto":
        return
    try:
        with socket.create_connection(host_and_port(address), ANSWER) as connection:
            connection.settimeout(ANSWER)
            connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)))
            answer = connection.recv(9)
    except TimeoutError:
        raise UserError(f"nothing answers at {address} within {ANSWER:g} s") from None
    except OSError as error:
        raise UserError(f"Ray at {address} cannot be reached: {error.strerror or error}") from None
    if answer[3:4] != b"\x04":
        raise UserError(f"what answers at {address} is not Ray")


def _refuses(address: str) -> bool:
    try:
        socket.create_connection(host_and_port(address), 1.0).close()
    except ConnectionRefusedError:
        return True
    except OSError:  # too busy to say: no sign of anything
        return False
    return False


def gpu_share(resources: Resources, nodes: Nodes) -> float:
    """Of a worker. Packed by memory there are as many on a GPU as there are CPUs for them."""
    if resources.gpus_per_trial != "auto":
        return resources.gpus_per_trial
    gpus = sum(node.get("GPU", 0.0) for node in nodes)
    cpus = sum(node.get("CPU", 0.0) for node in nodes if node.get("GPU"))
    workers = min(MOST, max(1, int(cpus / resources.threads / max(1.0, gpus))))
    return math.floor(1e4 / workers) / 1e4  # Ray counts in steps of that


def room(resources: Resources, share: float, node: Mapping[str, float]) -> int:
    """Workers that fit on a node."""
    fit = node.get("CPU", 0.0) // resources.threads
    if share >= 1:
        fit = min(fit, node.get("GPU", 0.0) // share)
    elif share:
        fit = min(fit, node.get("GPU", 0.0) * int(1 / share + 1e-9))
    if resources.memory is not None:
        fit = min(fit, node.get("memory", 0.0) // resources.memory)
    return int(fit)


def check(resources: Resources, share: float, nodes: Nodes) -> None:
    """UserError where no node has what one trial asks for."""

    def most(name: str) -> float:
        return max((node.get(name, 0.0) for node in nodes), default=0.0)

    gpus, total = most("GPU"), sum(node.get("GPU", 0.0) for node in nodes)
    workers = resources.workers or 1
    if any(room(resources, share, node) for node in nodes):
        if resources.gpus_per_trial != "auto" and workers * share > total:
            raise UserError(f"the cluster has {_gpus(total)}; {workers} workers ask for {share:g} each")
        return
    if share and total == 0:
        raise UserError("a trial asks for a GPU, and the cluster has none")
    if share > gpus:
        where = "" if gpus == total else f", at most {gpus:g} on a node"
        raise UserError(f"the cluster has {_gpus(total)}{where}; a trial asks for {share:g}")
    if resources.threads > most("CPU"):
        raise UserError(f"no node has more than {most('CPU'):g} CPUs; a trial asks for {resources.threads} threads")
    if resources.memory is not None and resources.memory > most("memory"):
        asked = f"a trial asks for {resources.memory / 1e9:.1f} GB"
        raise UserError(f"no node has more than {most('memory') / 1e9:.1f} GB to lend; {asked}")
    raise UserError("no node of the cluster has all that a trial asks for: CPUs, GPUs and memory")


def _gpus(n: float) -> str:
    return f"{n:g} GPU{'s' * (n != 1)}"


def worker_options(resources: Resources, share: float) -> dict[str, Any]:
    """What Ray keeps for a worker."""
    memory = {} if resources.memory is None else {"memory": int(resources.memory)}
    return {"num_cpus": resources.threads, "num_gpus": share, "scheduling_strategy": "SPREAD", **memory}
