"""Charts that are drawn by hand put points where they belong, and text stays text."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import pytest

from evogan.report.charts import WIDE, Axis, Series, chart, thinned


@pytest.mark.parametrize("values", [[1.0, 2.0, 4.0], [0.001, 0.1, 50.0], [-3.0, 0.0, 9.0]])
def test_an_axis_is_linear_or_logarithmic(values: list[float]) -> None:
    axis = Axis.of(values, 0.0, 100.0)
    assert axis.log == (min(values) > 0 and max(values) / min(values) > WIDE)
    f = math.log if axis.log else float
    for value in values:
        expected = 100 * (f(value) - f(axis.low)) / (f(axis.high) - f(axis.low))
        assert axis.at(value) == pytest.approx(expected, abs=0.06)
    assert axis.at(1e9) == 100 and axis.at(float("nan")) == axis.at(-1e9) == 0
    assert 2 <= len(axis.ticks()) <= 12 and all(axis.low <= tick <= axis.high for tick in axis.ticks())


@pytest.mark.parametrize("values", [[], [5.0], [math.nan, 3.0], [math.inf, 3.0], [1e-12, 1e9], [1e200, 0.0], [7.0] * 3])
def test_whatever_is_measured_can_be_drawn(values: list[float]) -> None:
    points = [(float(i), value) for i, value in enumerate(values)]
    svg = chart([Series(kind, kind, points) for kind in ("dots", "line", "step", "crosses")], "x", "y", "all")  # type: ignore[arg-type]
    places = [float(n) for n in re.findall(r"[-\d.]+", " ".join(re.findall(r' d="([^"]*)"', svg)))]
    assert all(math.isfinite(place) for place in places)
    assert ET.fromstring(svg).get("role") == "img"


def test_text_in_a_chart_is_text() -> None:
    hostile = '"><script>alert(1)</script>'
    svg = chart([Series(hostile, "dots", [(0, 1), (1, 2)], links=[hostile, "/a"])], hostile, hostile, hostile)
    root = ET.fromstring(svg)
    assert root.get("aria-label") == hostile and not [e for e in root.iter() if "script" in e.tag]
    assert [a.get("href") for a in root.iter("a")] == [hostile, "/a"]


def test_a_thinned_cloud_keeps_its_ends() -> None:
    points = [(float(i), math.sin(i)) for i in range(10_000)]
    few = thinned(points)
    assert len(few) <= 410 and set(few) <= set(points) and few == sorted(few)
    assert min(y for _, y in few) == min(y for _, y in points)
    assert max(y for _, y in few) == max(y for _, y in points)
