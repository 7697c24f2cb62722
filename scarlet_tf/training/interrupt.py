"""SIGTERM as a request: the loop finishes its step, saves, and exits."""

from __future__ import annotations

import signal


class StopRequest:
    """Context manager; `requested` turns True when SIGTERM arrives inside it."""

    def __init__(self) -> None:
        self.requested = False

    def __enter__(self) -> StopRequest:
        self._before = signal.signal(signal.SIGTERM, self._handle)
        return self

    def __exit__(self, *_) -> None:
        signal.signal(signal.SIGTERM, self._before)

    def _handle(self, *_) -> None:
        self.requested = True
