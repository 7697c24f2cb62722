import struct

import pytest

from scarlet_tf.report.charts import Panel, Points, draw_chart
from scarlet_tf.report.picture import render_png, write_as_named, write_picture


def chart(title):
    marks = (Points(label="p", x=[0, 1], y=[0, 1]),)
    return draw_chart([Panel(title="t", x_label="x", y_label="y", marks=marks)], title=title)


def test_a_picture_is_written_as_svg_and_at_twice_its_size_as_png(tmp_path):
    write_picture(tmp_path / "a.b", chart("t"))
    assert (tmp_path / "a.b.svg").read_text() == chart("t")
    png = (tmp_path / "a.b.png").read_bytes()
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", png[16:24]) == (2 * 366, 2 * 306)  # a frame of 300 x 220 and its margins


def test_one_file_is_what_its_name_says(tmp_path):
    for name in ("a.svg", "a.png", "b.PNG"):
        write_as_named(tmp_path / name, chart("t"))
    assert (tmp_path / "a.svg").read_text() == chart("t")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.PNG").read_bytes() == render_png(chart("t"))
    with pytest.raises(ValueError, match=r"'.gif': expected one of \('.svg', '.png'\), nearest is '.svg'"):
        write_as_named(tmp_path / "a.gif", chart("t"))
    assert len(list(tmp_path.iterdir())) == 3


def test_letters_are_drawn_without_a_font_of_the_system():
    empty, *drawn = (render_png(chart(title)) for title in ("", "日", "a", "±", "τ"))
    assert len({empty, *drawn}) == 1 + len(drawn)
    assert render_png(chart("本")) == drawn[0]  # what the font does not have


def test_what_is_no_svg_is_refused():
    with pytest.raises(ValueError):
        render_png("<html/>")
