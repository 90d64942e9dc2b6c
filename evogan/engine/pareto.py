"""Pareto order of several objectives, all minimised."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evogan.extremes import tamed


def ranks(points: Sequence[Sequence[float]]) -> list[int]:
    """0 for what nothing dominates, 1 for what only those dominate, and so on (Goldberg 1989)."""
    if not points:
        return []
    from moocore import pareto_rank  # takes a third of a second

    found: list[int] = pareto_rank(np.array(points, dtype=float)).tolist()
    return found


def spread_out(points: Sequence[Sequence[float]], n: int) -> list[int]:
    """`n` of the points, the best in each objective first, then always the one farthest from those taken."""
    if not points:
        return []
    points = [[tamed(value) for value in point] for point in points]
    columns = list(zip(*points, strict=True))
    low, width = [min(c) for c in columns], [max(c) - min(c) or 1.0 for c in columns]
    scaled = [[(v - lo) / w for v, lo, w in zip(p, low, width, strict=True)] for p in points]
    taken = list(dict.fromkeys(min(range(len(points)), key=column.__getitem__) for column in columns))[:n]
    while len(taken) < min(n, len(points)):
        rest = [i for i in range(len(points)) if i not in taken]
        taken.append(max(rest, key=lambda i: min(_distance(scaled[i], scaled[j]) for j in taken)))
    return taken


def _distance(one: Sequence[float], other: Sequence[float]) -> float:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))
