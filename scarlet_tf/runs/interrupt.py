"""Stopping a run: on SIGTERM, the loop finishes its step, saves and exits; errors and Ctrl-C say what is saved."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

from scarlet_tf.files import is_disk_full
from scarlet_tf.paths import RemoteError

SIGTERM_EXIT_CODE = 143


class RunStopped(SystemExit):
    """Exit with code 143 of a run that SIGTERM stopped; `saved` is the text of `describe_saved`."""

    def __init__(self, saved: str) -> None:
        super().__init__(SIGTERM_EXIT_CODE)
        self.saved = saved


def describe_saved(folder: str | os.PathLike, unit: str, last: int | None, *, total: int) -> str:
    """Describe what a stopped run has saved, such as "runs/a is saved up to step 6 of 12".

    Args:
        folder: where it is saved.
        unit: what is counted, such as "step".
        last: number of the last saved unit; None if nothing is saved.
        total: number of units of the whole run.
    """
    if last is None:
        return "nothing is saved yet"
    return f"{os.fspath(folder)} is saved up to {unit} {last} of {total}"


@contextlib.contextmanager
def saying_what_is_saved(saved: Callable[[], str]) -> Iterator[None]:
    """Add what a run has saved to the message of a KeyboardInterrupt, a full-disk error or a RemoteError.

    Args:
        saved: returns the text, see `describe_saved`; called when the exception occurs.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(saved()) from None
    except OSError as error:
        if not is_disk_full(error) and not isinstance(error, RemoteError):
            raise
        raise type(error)(error.errno, f"{error.strerror}; {saved()}", error.filename) from error


class StopRequest:
    """Context manager whose `requested` turns True when SIGTERM arrives inside it.

    It has no effect outside the main thread, where Python allows no signal handlers.
    """

    def __init__(self) -> None:
        self.requested = False

    def __enter__(self) -> StopRequest:
        self._heard = threading.current_thread() is threading.main_thread()
        if self._heard:
            self._before = signal.signal(signal.SIGTERM, self._handle)
        return self

    def __exit__(self, *_) -> None:
        if self._heard:
            signal.signal(signal.SIGTERM, self._before)

    def _handle(self, *_) -> None:
        self.requested = True
