"""Errors for values that are not among the valid ones: unknown options, and integers that are too small."""

from __future__ import annotations

import difflib
from collections.abc import Collection


def check_known(what: str, value: object, known: Collection[str], *, error: type[Exception] = ValueError) -> None:
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


def check_seed(what: str, value: object, *, error: type[ValueError] = ValueError) -> None:
    """Raise `error` unless the value is an integer in 0..2**63-1, which SQLite and TensorFlow can hold.

    Args:
        what: what the value is, for the message.
    """
    check_integer(what, value, least=0, error=error)
    if value >= 2**63:
        raise error(f"{what} must be below 2**63, got {value!r}")


def check_integer(what: str, value: object, *, least: int, error: type[ValueError] = ValueError) -> None:
    """Raise `error` unless the value is an integer, not a bool, of at least `least`.

    Args:
        what: what the value is, for the message.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise error(f"{what} must be an integer >= {least}, got {value!r}")
