"""Codes of images in a plane, as a PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, Protocol

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

MOST = 3000  # dots
NAMED = 20  # classes that have a colour, and a name beside
STYLE: Any = {
    "font.size": 9,
    "text.parse_math": False,  # a name with dollars in it is a name
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}


class Plane(Protocol):
    """Points (N, 2), what lies along either axis in words, and how many columns there are, around 0, 1, ...."""

    @property
    def points(self) -> npt.NDArray[np.float64]: ...
    @property
    def across(self) -> str: ...
    @property
    def up(self) -> str: ...
    @property
    def columns(self) -> int: ...


def draw(plane: Plane, classes: Sequence[str] | None = None) -> bytes:
    """`classes`: of each point, by which dots are coloured; those beyond the commonest `NAMED` are grey.

    Of many points some, evenly spaced among them.
    """
    rows = np.unique(np.linspace(0, len(plane.points) - 1, min(MOST, len(plane.points))).round().astype(int))
    of = np.array(["" if classes is None else classes[row] for row in rows])
    names, counts = np.unique(of, return_counts=True)
    named = sorted(names[np.argsort(-counts, kind="stable")][:NAMED], key=_in_order) if classes is not None else []
    colours = mpl.colormaps["tab10" if len(named) <= 10 else "tab20"]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.0, 4.0), dpi=160)
        axes = figure.subplots()
        hue = [colours(named.index(name)) if name in named else mpl.colors.to_rgba("0.6") for name in of]
        x, y = plane.points[rows].T
        axes.scatter(x, y, s=7, c=hue, linewidths=0, alpha=0.8)
        axes.set(xlabel=plane.across, ylabel=plane.up)
        if plane.columns:
            axes.set(xlim=(-0.6, plane.columns - 0.4), xticks=range(0, plane.columns, -(-plane.columns // 20)))
            axes.vlines(
                np.arange(1, plane.columns) - 0.5, 0, 1, "0.85", linewidth=0.6, transform=axes.get_xaxis_transform()
            )
        for i, name in enumerate(named):
            axes.plot([], [], ".", color=colours(i), label=_short(name))
        if named:
            figure.legend(loc="outside right upper", markerscale=1.5, handletextpad=0.1)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _in_order(name: str) -> tuple[int, str]:
    """Numbers in theirs, before others."""
    return (int(name), "") if name.isdecimal() else (2**63, name)


def _short(name: str) -> str:
    return name if len(name) <= 24 else f"{name[:23]}…"
