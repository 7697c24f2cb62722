"""Errors for unknown options, which name the nearest valid one."""

from __future__ import annotations

import difflib
from collections.abc import Collection


def require_known(what: str, value: object, known: Collection[str], *, error: type[ValueError] = ValueError) -> None:
    """Raise `error` for an unknown option, naming it, the valid ones and the nearest of these.

    Options that contain the whole value are nearest: "mixed_float16" to "float16", though "float32" looks more alike.

    Args:
        what: what the value is, for the message.
        known: the valid options, at least one.
    """
    if value not in known:
        longer = [name for name in known if str(value) in name]
        nearest = difflib.get_close_matches(str(value), longer or list(known), n=1, cutoff=0)[0]
        raise error(f"unknown {what} {value!r}: expected one of {tuple(known)}, nearest is {nearest!r}")
