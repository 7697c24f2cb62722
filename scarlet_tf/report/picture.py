"""Pictures as SVG and PNG files. A bundled font makes the PNG look the same on every machine.

The font is DejaVu Sans 2.37 from matplotlib, reduced by fontTools' subsetter to Latin-1, some punctuation and the Greek
letters of statistics, without hints.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import resvg_py

from scarlet_tf.choices import check_known
from scarlet_tf.files import write_atomically

_FONT = "DejaVu Sans"
_ZOOM = 2  # PNG pixels per SVG unit
FORMATS = (".svg", ".png")


def picture_format(path: str | Path) -> str:
    """Return the suffix of a file name. Raise ValueError if it is not one of FORMATS."""
    ending = Path(path).suffix.lower()
    check_known("ending of a picture's name", ending, FORMATS)
    return ending


def write_as_named(path: str | Path, svg: str) -> None:
    """Write one file, SVG or PNG according to its suffix."""
    write_atomically(path, svg if picture_format(path) == ".svg" else render_png(svg))


def write_picture(path: str | Path, svg: str) -> None:
    """Write `path`.svg and `path`.png."""
    write_atomically(f"{path}.svg", svg)
    write_atomically(f"{path}.png", render_png(svg))


def render_png(svg: str) -> bytes:
    """Render an SVG as PNG on white, in its colours for a light page. Raise ValueError if it is not an SVG."""
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
