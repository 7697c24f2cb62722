"""How a run is stopped: SIGTERM is a request, on which the loop finishes its step, saves, and exits."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

from scarlet_tf.files import is_disk_full

SIGTERM_EXIT_CODE = 143


class RunStopped(SystemExit):
    """SIGTERM has ended a run, with exit code 143; `saved` is `describe_saved`."""

    def __init__(self, saved: str) -> None:
        super().__init__(SIGTERM_EXIT_CODE)
        self.saved = saved


def describe_saved(folder: str | os.PathLike, unit: str, last: int | None, *, total: int) -> str:
    """What is left of a run that was stopped: "runs/a is saved up to step 6 of 12".

    Args:
        last: the last step, or whatever the unit is, that is saved; None where there is none.
    """
    if last is None:
        return "nothing is saved yet"
    return f"{os.fspath(folder)} is saved up to {unit} {last} of {total}"


@contextlib.contextmanager
def saying_what_is_saved(saved: Callable[[], str]) -> Iterator[None]:
    """Add what is saved of a run to a Ctrl-C and to the error of a full disk.

    Args:
        saved: returns it in words, see `describe_saved`; called when that happens.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(saved()) from None
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise OSError(error.errno, f"{error.strerror}; {saved()}", error.filename) from error


class StopRequest:
    """Context manager; `requested` turns True when SIGTERM arrives inside it. In the main thread only, as Python's."""

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
