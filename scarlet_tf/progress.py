"""Progress of long loops: a bar on a terminal, else a line on standard error every few seconds.

Processes of a cluster print lines on a terminal too, each with its name: they may share one.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from typing import TextIO

from tqdm import tqdm

SECONDS = 10  # between two lines, and before the first
_LINE = "{desc}: {n_fmt} of {total_fmt} {unit}, {rate_noinv_fmt}, {elapsed} so far, {remaining} left{postfix}"
_UP = "\x1b[A"
_RATE = re.compile(r", +([\d.?]+)(?=[a-z]+/s)")  # tqdm pads the number, and puts no space before the unit
_LINE_WITHOUT_TOTAL = "{desc}: {n_fmt} {unit}, {elapsed} so far{postfix}"

_process = ""  # the name of this process, if it is one of several


def name_process(name: str) -> None:
    """Make `progress` print lines from now on, also on a terminal, that begin with the name of this process."""
    global _process
    _process = name


def progress(
    items: Iterable | None = None,
    label: str = "",
    *,
    unit: str,
    total: int | None = None,
    initial: int = 0,
    leave: bool = False,
) -> tqdm:
    """Wrap an iterable to show its progress; without one, call `update` on the returned bar.

    Args:
        items: the iterable; None: the rate does not count the time to the first update, in which steps are compiled.
        label: what is being done, such as "measure".
        unit: name of one item, such as "round".
        total: number of items, if `len` does not tell.
        initial: number of items that were done before.
        leave: whether the last state stays on the terminal, or is printed as a line if any was.
    """
    shared = {"total": total, "unit": unit, "initial": initial, "leave": leave}
    bar = _Bar if items is None else tqdm
    if sys.stderr.isatty() and not _process:
        return bar(items, **shared, desc=label, dynamic_ncols=True)
    shared["unit"] = f"{unit}es" if unit.endswith("ch") else f"{unit}s"
    shared["desc"] = f"{_process}: {label}" if _process else label
    line = _LINE if total is not None or hasattr(items, "__len__") else _LINE_WITHOUT_TOTAL
    paced = {"delay": SECONDS, "mininterval": SECONDS, "maxinterval": SECONDS, "miniters": 1}
    return bar(items, **shared, **paced, file=_Lines(sys.stderr), bar_format=line)


class _Bar(tqdm):
    """A progress bar whose rate leaves out the time before the first update; after a single one it is unknown."""

    _updated = False

    def update(self, n: float = 1) -> bool | None:
        if self._updated or self.disable:
            return super().update(n)
        self._updated = True
        self.n += n
        self.last_print_n, self.last_print_t = self.n, self._time()
        shown = self.last_print_t >= self.start_t + self.delay
        return self.refresh() if shown else None

    @property
    def format_dict(self) -> dict:
        shown = super().format_dict
        if shown.get("rate") is None and not self.disable:  # a closed bar says the mean rate
            shown["rate"] = 0  # which tqdm writes as "?"
        return shown


class _Lines:
    """A text stream for tqdm that ends every state of a bar with a newline, so that logs are readable."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        if line := text.replace(_UP, "").strip("\r\n "):  # which tqdm writes for a bar within another
            self._stream.write(_RATE.sub(r", \1 ", line) + "\n")

    def flush(self) -> None:
        self._stream.flush()
