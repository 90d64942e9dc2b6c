"""When a training stops to be looked at: iterations out of the task's full budget."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

CURVE_POINTS = 32  # points of the learning curve over the full budget


def iteration(total: int, part: float) -> int:
    return max(1, math.ceil(part * total - 1e-9))


@dataclass(frozen=True)
class Plan:
    """The iterations of one training, counted from 1; as many whole ones as come nearest to the budget.

    `images`: real images shown to the critic in one iteration. `total`: iterations of the full budget. `stops`:
    iteration -> whether it is scored; the last is where the fidelity ends. Stops of a lower fidelity, but for its
    last, are those of a higher.
    `on_checkpoint`: the last is one of them too, scored at a higher fidelity as here.
    """

    images: int
    total: int
    stops: dict[int, bool]
    on_checkpoint: bool

    @classmethod
    def of(cls, kimg: float, images: int, fidelity: float, checkpoints: tuple[float, ...]) -> Plan:
        total = max(1, round(kimg * 1000 / images))
        at = partial(iteration, total)
        last = at(fidelity)
        curve = {at(i / CURVE_POINTS) for i in range(1, CURVE_POINTS + 1)}
        checked = {at(part) for part in checkpoints if at(part) <= last}
        scored = checked | {last}
        stops = {i: i in scored for i in sorted(curve | scored) if i <= last}
        return cls(images, total, stops, on_checkpoint=last in checked)

    def at(self, part: float) -> int:
        """The iteration at which this share of the full budget is reached."""
        return iteration(self.total, part)

    @property
    def last(self) -> int:
        return max(self.stops)
