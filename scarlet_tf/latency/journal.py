"""Journal of a long measurement: what was measured is on disk at once, so that it can be resumed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from scarlet_tf.differences import name_differences


class JournalError(ValueError):
    """Error for a journal of another measurement; the message says what differs."""


class Journal:
    """Samples by name, in a file with one line of JSON for each addition.

    Args:
        path: the file; created if it does not exist.
        header: JSON values that say what is measured, and how.

    Raises:
        JournalError: if the file has another header, or is damaged.

    Example:
        >>> journal = Journal("journal.jsonl", {"target": "host"})
        >>> journal.add({"stem": [0.31]})
        >>> journal.samples["stem"]
        [0.31]
    """

    def __init__(self, path: str | os.PathLike, header: Mapping) -> None:
        self._path, self.samples = Path(path), {}
        try:
            lines = _complete_lines(self._path)
            for line in lines[1:]:
                self._count(line)
        except (ValueError, AttributeError, TypeError) as error:
            raise JournalError(f"{path} is damaged ({error}); delete its folder to begin anew") from error
        if not lines:
            self._append(header)
            return
        if difference := name_differences(lines[0], header):
            raise JournalError(
                f"{path} is of another measurement: its {difference}; delete its folder to begin anew, or choose "
                "another output"
            )

    def add(self, samples: Mapping[str, Sequence[float]]) -> None:
        """Add samples by name; they are on disk when this returns."""
        self._append(samples)
        self._count(samples)

    def _append(self, content: Mapping) -> None:
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(content) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _count(self, samples: Mapping[str, Sequence[float]]) -> None:
        for name, values in samples.items():
            self.samples.setdefault(name, []).extend(values)


def _complete_lines(path: Path) -> list:
    """Return the content of every whole line; cut off a last one that a killed process left incomplete."""
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        os.truncate(path, len(whole))
    return [json.loads(line) for line in whole.splitlines()]
