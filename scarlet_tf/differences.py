"""Descriptions of how two run configurations differ, for resume errors."""

from __future__ import annotations

import json
from collections.abc import Iterator

_MOST = 5  # differences listed
_LONGEST = 60  # characters of a value


def name_differences(before: object, now: object) -> str:
    """Describe differences, as in "learning_rate was 0.045, is 0.1; data.seed was absent, is 0"; "" if there are none.

    Args:
        before, now: JSON values; a tuple equals the list that it becomes in a file.
    """
    before, now = (json.loads(json.dumps(settings)) for settings in (before, now))
    found = list(_differences(before, now, ""))
    more = f"; and {len(found) - _MOST} more" if len(found) > _MOST else ""
    return "; ".join(found[:_MOST]) + more


def _differences(before: object, now: object, name: str) -> Iterator[str]:
    if before == now:
        return
    parts = _parts(before), _parts(now)
    if None in parts:
        yield f"{name or 'it'} was {_written(before)}, is {_written(now)}"
        return
    old, new = parts
    for key in [*old, *(key for key in new if key not in old)]:
        yield from _differences(old.get(key, _ABSENT), new.get(key, _ABSENT), f"{name}.{key}" if name else key)


class _Absent:
    def __repr__(self) -> str:
        return "absent"


_ABSENT = _Absent()


def _parts(value: object) -> dict | None:
    """Return the fields of an object, or the items of a list of objects by index, such as a network's blocks."""
    if value and isinstance(value, list) and all(isinstance(part, dict) for part in value):
        return {str(index): part for index, part in enumerate(value)}
    return value if isinstance(value, dict) else None


def _written(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
