"""What pages of results, Markdown, have in common."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

_WIDTH = 120


def remarks(record: Mapping) -> str:
    """The record's "remarks", paragraphs with an empty line before each; empty where it has none.

    A person adds them to a recorded result: what follows from no number, such as what led to it.
    """
    return "".join(f"\n{textwrap.fill(paragraph, _WIDTH)}\n" for paragraph in record.get("remarks", ()))
