"""What trials may use, and how they are watched: the part of a search that changes no result but failures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from evogan.errors import UserError, public_url, shown
from evogan.options import check_options, option
from evogan.settings.reading import read_fuse, read_gpus

FUSE = 32
GB = 1e9  # bytes
MOST_MEMORY = 1e6  # GB
GROUP = "resources"
_HOST = re.compile(r"[\w-]{1,63}(\.[\w-]{1,63})*\.?|\[[0-9A-Fa-f:.]+\]", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Resources:
    """`workers`: trials at once (None: as many as the machine or cluster has room for).

    `ray`: address of a Ray cluster to join; None starts a local one where more than one worker, or a limit, needs it.
    `gpus_per_trial`: share of a GPU in (0, 1], or whole ones; "auto" packs by predicted memory. `threads`: CPU threads
    of a trial. `fuse`: trials trained as one program, at most; "auto": `FUSE` on a GPU, else 1. `memory_per_trial`:
    GB, of 1e9 bytes (None: a worker's share of its machine). `time_limit` and `stall_limit`: seconds of a trial, and
    without a sign of life. `retries`: of a trial whose worker was lost.
    Errors: UserError for what cannot be.
    """

    workers: int | None = option(
        None, low=1, high=100_000, group=GROUP, help="Trials at once; default: all cores. 1 needs no Ray."
    )
    ray: str | None = option(None, group=GROUP, help="Address of a Ray cluster to join; default: a local one.")
    gpus_per_trial: float | Literal["auto"] = option(
        0.0,
        low=0,
        high=1024,
        group=GROUP,
        help="Share of a GPU, as in 0.125, or auto (by memory).",
        read=read_gpus,
    )
    threads: int = option(1, low=1, high=1024)  # those of the GAN's settings, which are asked for
    fuse: int | Literal["auto"] = option(
        "auto",
        low=1,
        high=1024,
        group=GROUP,
        help="Trials trained as one program, at most: auto (on GPUs only), off, or a number.",
        read=read_fuse,
    )
    memory_per_trial: float | None = option(
        None, above=0, high=MOST_MEMORY, group=GROUP, help="GB; default: a worker's share."
    )
    time_limit: float | None = option(None, above=0, high=1e9, group=GROUP, help="Seconds that a trial may take.")
    stall_limit: float | None = option(
        None, above=0, high=1e9, group=GROUP, help="Seconds without a sign of life before a trial is ended."
    )
    retries: int = option(2, low=0, high=1000, group=GROUP, help="Of a trial whose worker was lost.")

    def __post_init__(self) -> None:
        check_options(self)
        if self.ray is not None and self.ray != "auto":
            host_and_port(self.ray)
        gpus = self.gpus_per_trial
        if gpus != "auto" and gpus > 1 and not gpus.is_integer():
            raise UserError(f"gpus_per_trial must be a share in (0, 1], a whole number, or auto, not {gpus:g}")

    @classmethod
    def recorded(cls, document: Mapping[str, Any]) -> Self:
        """Read back what a run recorded, the older ones memory in bytes."""
        known = dict(document)
        if (memory := known.get("memory_per_trial")) is not None and memory > MOST_MEMORY:
            known["memory_per_trial"] = memory / GB
        return cls(**known)

    @property
    def memory(self) -> float | None:
        """Bytes of a trial."""
        return None if self.memory_per_trial is None else GB * self.memory_per_trial

    @property
    def in_process(self) -> bool:
        """Whether trials run one after another in the process that asks for them, for which Ray is not needed."""
        return self.ray is None and self.workers == 1 and not self.watched

    @property
    def watched(self) -> bool:
        """Whether a trial may have to be ended from outside, which nothing in its own process can do."""
        return any(limit is not None for limit in (self.memory_per_trial, self.time_limit, self.stall_limit))


def host_and_port(address: str) -> tuple[str, int]:
    """Of a Ray cluster. Errors: UserError for what can be no address."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not _HOST.fullmatch(host) or not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 2**16:
        raise UserError(f"Ray's address is host:port, ray://host:port or auto, not {shown(public_url(address))}")
    return host.strip("[]"), int(port)
