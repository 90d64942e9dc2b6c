"""What a report shows of the best generator beyond what was recorded: found out once, where there are the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # torch, where it is wanted
    from evogan.evaluation.architecture import Player


@dataclass(frozen=True)
class Looks:
    """`architectures`: names and networks of the best and of the published. `nearest`: a PNG, rows of samples, their
    twins and the nearest training images. `truncation`: see `evogan.evaluation.neighbours`. `missing`: why these two
    are not there, in a line.
    """

    architectures: Sequence[tuple[str, Sequence[Player]]] = ()
    nearest: bytes = b""
    truncation: Sequence[Mapping[str, float]] = ()
    missing: str = ""
