"""How figures are drawn: inline SVGs whose colours and font are the page's own."""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

WIDTH = 4.4  # inches, at which text can still be read on a phone
LARGEST = 1e150  # that an axis shows, with room for its margins and ticks

# Stand-ins that matplotlib can draw with; `drawn` puts the page's CSS variables in their place.
TEXT, MUTED, LINE, BEST, DOT, REFERENCE, FAILED = (f"#0{i}0{i}0{i}" for i in range(1, 8))
VARIABLES = {
    TEXT: "text",
    MUTED: "muted",
    LINE: "line",
    BEST: "best",
    DOT: "dot",
    REFERENCE: "reference",
    FAILED: "failed",
}
# Of middle lightness, so that they can be told from a light page and a dark one; styles help where hues do not.
COLORS = ("#1f9c77", "#d2691e", "#6f74d8", "#d1478f", "#8c9a1d", "#2f93cf", "#b08530", "#8b97a8")
STYLE: Any = {  # newer matplotlibs type every key
    "svg.fonttype": "none",
    "text.parse_math": False,  # a name with dollars in it is a name
    "font.size": 9,
    "text.color": TEXT,
    "axes.labelcolor": TEXT,
    "axes.edgecolor": LINE,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "grid.color": LINE,
    "grid.alpha": 0.5,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.facecolor": "none",
    "figure.constrained_layout.use": True,
}


@dataclass(frozen=True)
class Drawn:
    """A figure and what it shows, in words."""

    svg: str
    caption: str


def new_axes(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.subplots()
    axes.grid(visible=True)
    return figure, axes


def visible(values: Sequence[float]) -> list[float]:
    """Where an axis shows them: at its ends what no axis reaches."""
    sizes = np.clip(np.abs(values), 1 / LARGEST, LARGEST)
    found: list[float] = np.where(np.equal(values, 0), 0.0, np.copysign(sizes, values)).tolist()
    return found


def log_where_wide(axes: Axes, which: Literal["x", "y"], values: Collection[float]) -> None:
    """Logarithmic where the values span more than a factor of ten, with ticks enough to read them by."""
    low, high = min(values), max(values)
    if low <= 0 or high <= 10 * low:
        return
    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if 1 <= value < 1e7 else f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def drawn(figure: Figure, name: str, caption: str) -> Drawn:
    """The figure as an element of the page: scales, takes its colours, shares no ids with other figures."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    svg = buffer.getvalue()
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.S)
    size = re.search(r'viewBox="[^"]*"', svg)
    assert size is not None
    body = svg[svg.index(">", svg.index("<svg")) + 1 :]
    body = re.sub(r'\bid="', f'id="{name}-', body).replace("url(#", f"url(#{name}-")
    body = body.replace('xlink:href="#', f'href="#{name}-')
    for color, variable in VARIABLES.items():
        body = body.replace(color, f"var(--{variable})")
    body = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", body)
    return Drawn(f'<svg class="figure" role="img" aria-label="{escape(caption)}" {size[0]}>{body}', caption)
