"""Pareto order of several objectives, all minimised."""

from __future__ import annotations

from collections.abc import Sequence

from evogan.extremes import tamed


def dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    """No worse in any objective, and better in one."""
    return all(a <= b for a, b in zip(one, other, strict=True)) and tuple(one) != tuple(other)


def ranks(points: Sequence[Sequence[float]]) -> list[int]:
    """0 for what nothing dominates, 1 for what only those dominate, and so on (Goldberg 1989)."""
    found = [-1] * len(points)
    left, rank = set(range(len(points))), 0
    while left:
        front = [i for i in left if not any(dominates(points[j], points[i]) for j in left)]
        for i in front:
            found[i] = rank
        left.difference_update(front)
        rank += 1
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
