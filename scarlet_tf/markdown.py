"""Common parts of the results pages, in Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

_WIDTH = 120


def remarks(record: Mapping) -> str:
    """Return the record's "remarks" as paragraphs with an empty line before each; "" if it has none.

    Remarks are added to a recorded result by hand: what its numbers do not show, such as what led to it.
    """
    return "".join(f"\n{textwrap.fill(paragraph, _WIDTH)}\n" for paragraph in record.get("remarks", ()))
