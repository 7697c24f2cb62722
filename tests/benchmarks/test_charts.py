import numpy as np
import pytest
from matplotlib.image import imread

from benchmarks.charts import COLOURS, add_legend, draw_band, draw_histogram, draw_points, new_chart, write_chart


def chart(panels=1):
    return new_chart("Fish & chips", [(f"panel {number}", "x", "y") for number in range(panels)])


def test_panels_have_titles_and_labels():
    figure, panels = chart(2)
    assert figure.get_suptitle() == "Fish & chips" and figure.axes == panels
    assert [(axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) for axes in panels] == [
        ("panel 0", "x", "y"),
        ("panel 1", "x", "y"),
    ]


def test_points_lie_where_their_values_are():
    _, (axes,) = chart()
    draw_points(axes, [0, 1, 2], [5, 10, 7.5], label="p")
    (points,) = axes.lines
    assert points.get_xydata().tolist() == [[0, 5], [1, 10], [2, 7.5]]
    assert points.get_linestyle() == "None" and points.get_marker() == "o"


def test_a_line_runs_in_its_band_and_a_histogram_stands_on_zero():
    _, (lines, bars) = chart(2)
    draw_band(lines, [0, 10], [0.5, 1.5], low=[0, 1], high=[1, 2], label="l")
    assert lines.lines[0].get_xydata().tolist() == [[0, 0.5], [10, 1.5]]
    (band,) = lines.collections
    corners = {tuple(corner) for corner in band.get_paths()[0].vertices.tolist()}
    assert corners == {(0, 0), (0, 1), (10, 1), (10, 2)}
    draw_histogram(bars, [0, 1, 2], [4, 2], label="h")
    for steps in bars.patches:
        values, edges, baseline = steps.get_data()
        assert (values.tolist(), edges.tolist(), baseline) == ([4, 2], [0, 1, 2], 0)


def test_series_differ_in_colour_and_the_legend_names_them_once():
    figure, panels = chart(2)
    for axes in panels:
        for number in range(5):
            draw_points(axes, [0, 1], [0, number], label=f"series {number}")
        draw_band(axes, [0, 1], [0, 1], low=[0, 0], high=[1, 2], label="series 5")
    add_legend(figure)
    for axes in panels:
        assert tuple(line.get_color() for line in axes.lines) == COLOURS
        assert len({line.get_marker() for line in axes.lines}) == 6
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [f"series {number}" for number in range(6)]


def test_what_cannot_be_drawn_is_refused():
    _, (axes,) = chart()
    with pytest.raises(ValueError, match=r"'panel 0' needs finite numbers"):
        draw_points(axes, [0.0], [float("nan")], label="p")
    with pytest.raises(ValueError, match=r"'panel 0' needs finite numbers"):
        draw_points(axes, [], [], label="p")
    with pytest.raises(ValueError, match=r"needs finite numbers to draw, got \[0.0, inf\]"):
        draw_band(axes, [0, 1], [0, 1], low=[0, 0], high=[0, float("inf")], label="l")
    with pytest.raises(ValueError, match=r"needs finite numbers"):
        draw_histogram(axes, [0, 1], [float("nan")], label="h")


def test_equal_charts_are_equal_files(tmp_path):
    for name in ("a.b", "again"):
        figure, (axes,) = chart()
        draw_band(axes, [0, 1], [0, 1], low=[0, 0], high=[1, 2], label="τ ± 1")
        add_legend(figure)
        write_chart(tmp_path / name, figure)
    for ending in ("svg", "png"):
        assert (tmp_path / f"a.b.{ending}").read_bytes() == (tmp_path / f"again.{ending}").read_bytes()
    svg = (tmp_path / "a.b.svg").read_text()
    assert svg.startswith("<?xml") and "<svg" in svg and "<dc:date>" not in svg
    pixels = imread(tmp_path / "a.b.png")
    assert pixels.ndim == 3 and min(pixels.shape[:2]) > 300 and np.ptp(pixels[..., :3]) > 0.5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.b.png", "a.b.svg", "again.png", "again.svg"]
