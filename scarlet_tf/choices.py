"""The one way in which a value that is not among the known ones is refused."""

from __future__ import annotations

import difflib
from collections.abc import Collection


def require_known(what: str, value: object, known: Collection[str], *, error: type[ValueError] = ValueError) -> None:
    """Raises `error` in one line that names the value, what was expected and the nearest of it."""
    if value not in known:
        nearest = difflib.get_close_matches(str(value), list(known), n=1, cutoff=0)[0]
        raise error(f"unknown {what} {value!r}: expected one of {tuple(known)}, nearest is {nearest!r}")
