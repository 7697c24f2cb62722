import re
import xml.etree.ElementTree as ElementTree

import pytest

from scarlet_tf.report.charts import Histogram, Line, Panel, Points, draw_chart, ticks

SVG = "{http://www.w3.org/2000/svg}"


def panel(*marks):
    return Panel(title="a < b", x_label="x", y_label="y", marks=marks)


def points_of(element):
    return [tuple(map(float, point.split(","))) for point in element.get("points").split()]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (0.712, 0.894, [0.75, 0.8, 0.85]), (-3, 1200, [0, 500, 1000])],
)
def test_ticks_are_round_numbers_inside(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)


def test_points_lie_where_their_values_are():
    picture = draw_chart([panel(Points(label="p", x=[0, 1, 2], y=[5, 10, 7.5]))], title="t")
    circles = list(ElementTree.fromstring(picture).iter(f"{SVG}circle"))
    xs, ys = ([float(c.get(axis)) for c in circles] for axis in ("cx", "cy"))
    # A margin of 5 % of the range on each side of a frame of 300 x 220.
    assert xs == pytest.approx([300 * 0.05 / 1.1, 150, 300 * 1.05 / 1.1], abs=0.06)
    assert ys == pytest.approx([220 * 1.05 / 1.1, 220 * 0.05 / 1.1, 110], abs=0.06)


def test_a_line_runs_in_its_band_and_a_histogram_stands_on_zero():
    line = Line(label="l", x=[0, 10], y=[0.5, 1.5], low=[0, 1], high=[1, 2])
    histogram = Histogram(label="h", edges=[0, 1, 2], heights=[4, 2])
    root = ElementTree.fromstring(draw_chart([panel(line), panel(histogram)], title="t"))
    polyline = next(root.iter(f"{SVG}polyline"))
    band, bars = map(points_of, root.iter(f"{SVG}polygon"))
    middle = points_of(polyline)
    assert middle[0][1] == pytest.approx((band[0][1] + band[3][1]) / 2, abs=0.1)
    assert middle[1][1] == pytest.approx((band[1][1] + band[2][1]) / 2, abs=0.1)
    floor = bars[0][1]
    assert (floor - bars[1][1]) == pytest.approx(2 * (floor - bars[3][1]), abs=0.2)


def test_legend_titles_and_colours():
    marks = [Points(label=f"series {i}", x=[0, 1], y=[0, i]) for i in range(1, 4)]
    picture = draw_chart([panel(*marks)], title="Fish & chips")
    assert "Fish &amp; chips" in picture and "a &lt; b" in picture
    assert [f">series {i}<" in picture for i in (1, 2, 3)] == [True] * 3
    assert len(set(re.findall(r'<circle[^>]*fill="(#\w+)"', picture))) == 3


def test_a_legend_may_stand_at_the_bottom():
    marks = (Points(label="low", x=[0, 1], y=[0, 1]),)
    picture = draw_chart([Panel(title="t", x_label="x", y_label="y", marks=marks, legend="bottom")], title="t")
    assert '<rect x="130" y="202" width="9"' in picture and '<text x="144.0" y="210.0"' in picture


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match=r"'a < b' needs finite numbers"):
        draw_chart([panel(Points(label="p", x=[0.0], y=[float("nan")]))], title="t")
    with pytest.raises(ValueError, match=r"needs finite numbers"):
        draw_chart([panel()], title="t")
