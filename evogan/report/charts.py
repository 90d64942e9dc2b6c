"""Small charts as SVG in a millisecond, for pages that are drawn anew while one looks at them.

Colours and font are the page's own, by the names of its CSS variables.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Literal

from evogan.report.facts import short

Point = tuple[float, float]
Kind = Literal["dots", "line", "step", "crosses"]

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 440, 52, 10, 24, 36
TICKS = 5  # about
WIDE = 8.0  # a ratio of values from which on an axis is logarithmic
MOST = 400  # points of a cloud, beyond which some stand for their neighbours


@dataclass(frozen=True)
class Series:
    """Points of the same kind, `crosses` at the top edge. `links`: where each dot leads."""

    label: str
    kind: Kind
    points: Sequence[Point]
    colour: str = "dot"
    links: Sequence[str] = ()


@dataclass(frozen=True)
class Axis:
    low: float
    high: float
    log: bool
    start: float  # in pixels
    end: float

    @classmethod
    def of(cls, values: Iterable[float], start: float, end: float, *, whole: bool = False) -> Axis:
        """Wide enough for finite values; of whole numbers never logarithmic."""
        there = [value for value in values if math.isfinite(value) and abs(value) < 1e150]
        low, high = min(there, default=0.0), max(there, default=1.0)
        log = not whole and low > 0 and high / low > WIDE
        if log:
            return cls(low / (high / low) ** 0.04, high * (high / low) ** 0.04, True, start, end)
        margin = 0.04 * (high - low) or abs(high) * 0.1 or 1.0
        return cls(low - margin, high + margin, False, start, end)

    def at(self, value: float) -> float:
        """In pixels; what is no number is low."""
        value = min(max(self.low, value), self.high)  # NaN is never greater
        first, scale = self._line
        return round(first + scale * (math.log(value) if self.log else value), 1)

    @cached_property
    def _line(self) -> tuple[float, float]:
        """Where 0 would be, and the pixels of a unit."""
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        scale = (self.end - self.start) / (high - low)
        return self.start - scale * low, scale

    def ticks(self, *, whole: bool = False) -> list[float]:
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            steps = (1, 2, 5) if len(powers) <= 3 else (1,) if len(powers) <= 8 else ()
            found = [m * 10.0**k for k in powers for m in steps] or [10.0**k for k in powers[:: len(powers) // 5]]
            return [value for value in found if self.low <= value <= self.high] or [self.low, self.high]
        rough = (self.high - self.low) / TICKS
        step = next(
            m * 10.0 ** math.floor(math.log10(rough))
            for m in (1, 2, 5, 10)
            if m * 10.0 ** math.floor(math.log10(rough)) >= rough * 0.999
        )
        step = max(step, 1.0) if whole else step
        first = math.ceil(self.low / step)
        return [n * step for n in range(first, math.floor(self.high / step) + 1)]


def chart(
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    caption: str,
    *,
    lines: Sequence[tuple[Point, Point, str]] = (),
    height: int = 250,
    whole: bool = True,
) -> str:
    """An SVG of several series; `lines` lie below them, each with its colour. `whole`: x is counted."""
    drawn = [one for one in series if one.points]
    x = Axis.of((px for one in drawn for px, _ in one.points), LEFT, WIDTH - RIGHT, whole=True)
    y = Axis.of((py for one in drawn if one.kind != "crosses" for _, py in one.points), height - BOTTOM, TOP)
    parts = [*_frame(x, y, x_label, y_label, height, whole), *_legend(drawn)]
    for (ax, ay), (bx, by), colour in lines:
        parts.append(
            f'<path d="M{x.at(ax)} {y.at(ay)}L{x.at(bx)} {y.at(by)}" stroke="var(--{colour})" '
            f'stroke-width="{1.8 if colour == "best" else 0.8}" opacity="{1 if colour == "best" else 0.45}"/>'
        )
    for one in drawn:
        parts.append(_drawn(one, x, y))
    return (
        f'<svg class="figure" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(caption)}" '
        f'font-size="11" fill="none">{"".join(parts)}</svg>'
    )


def _frame(x: Axis, y: Axis, x_label: str, y_label: str, height: int, whole: bool) -> list[str]:
    bottom = height - BOTTOM
    parts = []
    for value in y.ticks():
        at = y.at(value)
        parts.append(f'<path d="M{LEFT} {at}H{WIDTH - RIGHT}" stroke="var(--line)" stroke-width=".6"/>')
        parts.append(_text(LEFT - 6, at + 4, _tick(value), "end", "muted"))
    for value in x.ticks(whole=whole):
        at = x.at(value)
        parts.append(f'<path d="M{at} {bottom}v4" stroke="var(--line)"/>')
        parts.append(_text(at, bottom + 16, _tick(value), "middle", "muted"))
    parts.append(f'<path d="M{LEFT} {bottom}H{WIDTH - RIGHT}" stroke="var(--line)"/>')
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, height - 4, x_label, "middle", "text"))
    middle = (TOP + bottom) / 2
    parts.append(
        f'<text transform="translate(11 {middle}) rotate(-90)" text-anchor="middle" fill="var(--text)">'
        f"{escape(y_label)}</text>"
    )
    return parts


def _legend(series: Sequence[Series]) -> list[str]:
    parts, at = [], float(LEFT)
    for one in (one for one in series if one.label):
        if one.kind in ("dots", "crosses"):
            parts.append(f'<circle cx="{at + 6}" cy="10" r="3.2" fill="var(--{one.colour})"/>')
        else:
            parts.append(f'<path d="M{at} 10h12" stroke="var(--{one.colour})" stroke-width="2"/>')
        parts.append(_text(at + 17, 14, one.label, "start", "text"))
        at += 30 + 6.2 * len(one.label)
    return parts


def _drawn(one: Series, x: Axis, y: Axis) -> str:
    colour = f"var(--{one.colour})"
    if one.kind == "crosses":
        return "".join(f'<path d="M{x.at(px) - 3} {TOP - 5}l6 6m0 -6l-6 6" stroke="{colour}"/>' for px, _ in one.points)
    places = [(x.at(px), y.at(py)) for px, py in one.points]
    if one.kind == "dots":
        radius = 2.6 if len(places) > 60 else 3.4
        if one.links:
            return "".join(
                f'<a href="{escape(link)}" tabindex="-1"><circle cx="{px}" cy="{py}" r="{radius}" fill="{colour}"/></a>'
                for (px, py), link in zip(places, one.links, strict=True)
            )
        dots = "".join(f"M{px} {py}h0" for px, py in places)
        return f'<path d="{dots}" stroke="{colour}" stroke-width="{2 * radius}" style="stroke-linecap: round"/>'
    path = f"M{places[0][0]} {places[0][1]}"
    for px, py in places[1:]:
        path += f"H{px}V{py}" if one.kind == "step" else f"L{px} {py}"
    return f'<path d="{path}" stroke="{colour}" stroke-width="1.7"/>'


def _text(x: float, y: float, text: str, anchor: str, colour: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="var(--{colour})">{escape(text)}</text>'


def _tick(value: float) -> str:
    return short(float(f"{value:.6g}"))


def thinned(points: Sequence[Point], most: int = MOST) -> list[Point]:
    """Of a cloud the lowest and the highest of every stretch, so that its outline stays."""
    if len(points) <= most:
        return list(points)
    step = -(-2 * len(points) // most)
    found = []
    for start in range(0, len(points), step):
        stretch = points[start : start + step]
        found += sorted({min(stretch, key=lambda p: p[1]), max(stretch, key=lambda p: p[1])})
    return found
