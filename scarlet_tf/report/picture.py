"""Writes a picture as SVG and as PNG, which looks the same on every machine: its letters come from a font kept here.

The font is DejaVu Sans 2.37 as matplotlib has it, made with fontTools' subsetter: Latin-1, some punctuation and the
Greek letters that statistics use, without hints.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import resvg_py

from scarlet_tf.choices import require_known
from scarlet_tf.files import write_atomically

_FONT = "DejaVu Sans"
_ZOOM = 2  # pixels of the PNG in a unit of the SVG
FORMATS = (".svg", ".png")


def picture_format(path: str | Path) -> str:
    """The one of FORMATS that a file's name ends in; ValueError for another ending."""
    ending = Path(path).suffix.lower()
    require_known("ending of a picture's name", ending, FORMATS)
    return ending


def write_as_named(path: str | Path, svg: str) -> None:
    """Writes one file, as SVG or as PNG as its name says."""
    write_atomically(path, svg if picture_format(path) == ".svg" else render_png(svg))


def write_picture(path: str | Path, svg: str) -> None:
    """Writes `path`.svg and `path`.png."""
    write_atomically(f"{path}.svg", svg)
    write_atomically(f"{path}.png", render_png(svg))


def render_png(svg: str) -> bytes:
    """The picture on white, in its colours for a light page. ValueError where it is no SVG."""
    with resources.as_file(resources.files("scarlet_tf.report") / "fonts" / "DejaVuSans.ttf") as font:
        picture = resvg_py.svg_to_bytes(
            svg_string=svg,
            background="white",
            zoom=_ZOOM,
            skip_system_fonts=True,
            font_files=[str(font)],
            sans_serif_family=_FONT,
        )
    return bytes(picture)
