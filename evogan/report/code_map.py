"""Codes of images in a plane, as a PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

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

Points = npt.NDArray[np.float64]  # (N, 2)


def draw(plane: tuple[Points, Sequence[float]], classes: Sequence[str] | None = None) -> bytes:
    """Points (N, 2) and the share of the variance along each axis; the class of each, by which dots are coloured.

    Of many points some, evenly spaced among them. Dots beyond the commonest `NAMED` classes are grey.
    """
    points, (across, up) = plane
    rows = np.unique(np.linspace(0, len(points) - 1, min(MOST, len(points))).round().astype(int))
    of = np.array(["" if classes is None else classes[row] for row in rows])
    names, counts = np.unique(of, return_counts=True)
    named = sorted(names[np.argsort(-counts, kind="stable")][:NAMED], key=_in_order) if classes is not None else []
    colours = mpl.colormaps["tab10" if len(named) <= 10 else "tab20"]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.0, 5.0), dpi=150)
        axes = figure.subplots()
        x, y = points[rows].T
        hue = [colours(named.index(name)) if name in named else mpl.colors.to_rgba("0.6") for name in of]
        axes.scatter(x, y, s=8, c=hue, linewidths=0, alpha=0.8)
        axes.set_xlabel(f"first principal component of the codes, {across:.0%} of their variance")
        axes.set_ylabel(f"second, {up:.0%}")
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
