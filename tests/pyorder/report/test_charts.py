import re

import numpy as np
import pytest

from pyorder.report import charts
from pyorder.report.charts import Chart, Intervals, Line


def test_docstring_examples(doctests):
    doctests(charts)


def points(svg):
    (path,) = re.findall(r"points='([^']*)'", svg)
    return np.array([pair.split(",") for pair in path.split()], float)


def test_a_straight_line_is_drawn_straight_from_end_to_end():
    drawn = points(Chart("x", "y", (Line.of("a", [0, 5, 10], [0, 5, 10], "nats"),)).svg())
    assert drawn[0].tolist() == [charts.LEFT, charts.HEIGHT - charts.BOTTOM]
    assert drawn[2].tolist() == [charts.WIDTH - charts.RIGHT, charts.TOP]
    assert drawn[1].tolist() == pytest.approx(drawn[[0, 2]].mean(0), abs=0.06)


def test_a_wide_range_is_logarithmic():
    drawn = points(Chart("x", "y", (Line.of("a", [0, 1, 2], [1.0, 0.1, 0.01], "nats"),)).svg())
    assert np.diff(drawn[:, 1], 2).tolist() == pytest.approx([0.0], abs=0.11)
    assert "0.01</text>" in Chart("x", "y", (Line.of("a", [0, 1], [1.0, 0.01], ""),)).svg()


def test_long_lines_are_thinned_and_keep_their_ends():
    line = Line.of("a", np.arange(10_000), np.arange(10_000), "nats")
    assert len(line.x) == len(line.told) == charts.MOST_POINTS
    assert (line.x[0], line.x[-1]) == (0.0, 9999.0)
    assert Chart("x", "y", (line,)).svg().count("<title>") == charts.MOST_TOLD


@pytest.mark.parametrize("values", [[], [np.nan, np.nan], [3.0], [0.0, 0.0], [1e300, -1e300], [0.0, 1e-9, 5.0]])
def test_whatever_the_values_places_are_finite(values):
    svg = Chart("x", "y", (Line.of("a", np.arange(len(values)), values, "nats"),)).svg()
    assert not re.search(r"\b(nan|inf)\b", svg)
    assert all(np.isfinite(points(svg)).ravel()) if np.isfinite(values).any() else "points=''" in svg


def test_error_bars_reach_as_far_as_the_errors():
    line = Line("a", (1.0, 2.0), (1.0, 3.0), ("p", "q"), error=(1.0, 1.0), joined=False)
    svg = Chart("x", "y", (line,)).svg()
    ends = np.array(re.findall(r"class='bar' d='M[\d.]+ ([\d.]+)V([\d.]+)'", svg), float)
    centres = np.array(re.findall(r"cy='([\d.]+)'", svg), float)
    assert ends.mean(1).tolist() == pytest.approx(centres.tolist(), abs=0.1)
    assert ends[0, 1] == pytest.approx(ends[1, 0], abs=0.1)  # 1 + 1 is 3 - 1


def test_intervals_mark_one_row_and_escape_names():
    rows = (("<i>", 0.5, 0.4, 0.6, "50 %"), ("ours", 0.9, 0.8, 1.0, "90 %"))
    svg = Intervals("rows right", rows, "ours", 0.0, 1.0).svg()
    assert "<i>" not in svg
    assert "&lt;i&gt;: 50 %" in svg
    assert re.findall(r"<g class='(s\d)'><title>ours", svg) == ["s0"]
    assert svg.count("class='s6'") == 1
