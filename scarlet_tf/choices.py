"""The one way in which a value that is not among the known ones is refused."""

from __future__ import annotations

import difflib
from collections.abc import Collection


def require_known(what: str, value: object, known: Collection[str], *, error: type[ValueError] = ValueError) -> None:
    """Raises `error` in one line that names the value, what was expected and the nearest of it.

    Nearest are those that hold all of the value: "mixed_float16" to "float16", though "float32" looks more alike.
    """
    if value not in known:
        longer = [name for name in known if str(value) in name]
        nearest = difflib.get_close_matches(str(value), longer or list(known), n=1, cutoff=0)[0]
        raise error(f"unknown {what} {value!r}: expected one of {tuple(known)}, nearest is {nearest!r}")
