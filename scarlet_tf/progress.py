"""Progress of long loops: a bar on a terminal, else a line on standard error every few seconds."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TextIO

from tqdm import tqdm

SECONDS = 10  # between two lines, and before the first
_LINE = "{desc}: {n_fmt} of {total_fmt} {unit}, {rate_noinv_fmt}, {elapsed} so far, {remaining} left"
_UP = "\x1b[A"
_LINE_WITHOUT_TOTAL = "{desc}: {n_fmt} {unit}, {elapsed} so far"


def progress(items: Iterable | None = None, label: str = "", *, unit: str, total: int | None = None) -> tqdm:
    """Wrap an iterable to show its progress; without one, call `update` on the returned bar.

    Args:
        items: the iterable.
        label: what is being done, such as "measure".
        unit: name of one item, such as "round".
        total: number of items, if `len` does not tell.
    """
    shared = {"desc": label, "total": total, "unit": unit, "leave": False}
    if sys.stderr.isatty():
        return tqdm(items, **shared, dynamic_ncols=True)
    shared["unit"] = f"{unit}es" if unit.endswith("ch") else f"{unit}s"
    line = _LINE if total is not None or hasattr(items, "__len__") else _LINE_WITHOUT_TOTAL
    paced = {"delay": SECONDS, "mininterval": SECONDS, "maxinterval": SECONDS, "miniters": 1}
    return tqdm(items, **shared, **paced, file=_Lines(sys.stderr), bar_format=line)


class _Lines:
    """A text stream for tqdm that ends every state of a bar with a newline, so that logs are readable."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        if line := text.replace(_UP, "").strip("\r\n "):  # which tqdm writes for a bar within another
            self._stream.write(f"{line}\n")

    def flush(self) -> None:
        self._stream.flush()
