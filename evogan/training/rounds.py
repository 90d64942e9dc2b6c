"""Which player steps when: an iteration is one round of a GAN's schedule, in which all but the counted player may rest.

    COUNTED_pretraining   they rest in the first ceil(n / s) iterations, in which the counted player makes n steps
    COUNTED_long_steps    then they step in every L-th iteration, L = ceil(n / s), for 25 times; from there in each, but
                          that before their 500th, 1000th, ... time L iterations pass instead of one

    likelihood_share      before all that, in this share of the iterations, the others step in the counted player's
                          place, as often as it would

with n the gene and s the counted player's steps in an iteration. The second is the released code of WGAN (Arjovsky et
al., arXiv:1701.07875): n = 100 critic steps for each of the first 25 generator steps, and for every 500th.

Every iteration shows as many rows, whoever rests: a budget of them is as many iterations. One
of updates of another player ends with the iteration in which that makes the last of them: those in which it rests come
on top, as in the papers, which count generator steps.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

FIRST, EVERY = 25, 500  # times that the others step


class Rounds:
    """`schedule`: player -> steps, in order. The genes are those above, where the family has them. `total`: iterations
    of the full budget, which shares are of.
    """

    def __init__(
        self, schedule: Sequence[tuple[str, int]], counted: str, genes: Mapping[str, Any], total: int = 1
    ) -> None:
        self._schedule, self._counted, self._genes = schedule, counted, genes
        self._places = steps = dict(schedule)[counted]
        self._alone = -(-int(genes.get(f"{counted}_pretraining", 0)) // steps)
        self._long = max(-(-int(genes.get(f"{counted}_long_steps", 0)) // steps), 1)
        share = float(genes.get("likelihood_share", 0.0))
        guess = math.ceil(share * total)  # the last before it, by the very comparison that the GAN makes
        self._first = next(n for n in (guess - 1, guess, guess + 1) if n >= 0 and n / total >= share) if share else 0

    def program(self, iteration: int) -> list[str]:
        """Who steps in this iteration, counted from 0, one after the other."""
        if iteration < self._first:
            return [p for p, _ in self._schedule if p != self._counted for _ in range(self._places)]
        iteration -= self._first
        all_step = self._together(iteration) < self._together(iteration + 1)
        return [p for p, steps in self._schedule for _ in range(steps) if all_step or p == self._counted]

    def steps(self, player: str, iterations: int) -> int:
        """How many the player makes in the first `iterations`."""
        first = min(iterations, self._first)
        left, steps = iterations - first, dict(self._schedule)[player]
        if player == self._counted:
            return left * steps
        return first * self._places + self._together(left) * steps

    def in_its_place(self, player: str, iterations: int) -> int:
        """How many of these steps are in the place of the counted player's."""
        return 0 if player == self._counted else min(iterations, self._first) * self._places

    def nearest(self, player: str, steps: int) -> int:
        """The fewest iterations in which the player makes as many steps, or what whole iterations come nearest to."""
        if self._first:  # a share of the iterations that are sought

            def made(total: int) -> int:
                return Rounds(self._schedule, self._counted, self._genes, total).steps(player, total)

            return bisect_left(range(1, (self._alone + self._long * steps) * 2), steps, key=made) + 1
        times = max(1, round(steps / dict(self._schedule)[player]))
        if player == self._counted:
            return times
        return bisect_left(range(self._alone + self._long * times), times, key=self._together)

    def _together(self, iterations: int) -> int:
        """In how many of the first `iterations` all players step."""
        left, long = max(iterations - self._alone, 0), self._long
        if left <= FIRST * long:
            return left // long
        if (left := left - FIRST * long) <= EVERY - FIRST:
            return FIRST + left
        times, left = divmod(left - (EVERY - FIRST), long + EVERY - 1)
        return (1 + times) * EVERY + max(left - (long - 1), 0)
