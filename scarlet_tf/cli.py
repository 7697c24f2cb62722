"""How every tool starts and how it fails: flags, one library call, one clear line and exit code 2 for bad input.

Imports no TensorFlow, so that `--help` answers at once: tools import what they call inside `main`.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import io
import logging as python_logging
import os
import re
import shlex
import sys
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import NoReturn

from absl import app, flags, logging

from scarlet_tf.backend import TENSORFLOW, BackendError, require_backend, require_tensorflow
from scarlet_tf.runs.interrupt import RunStopped


def run(main: Callable[..., None], *, arguments: tuple[str, ...] = ()) -> NoReturn:
    """Parses sys.argv into absl flags and calls main; never returns.

    Args:
        arguments: names of what the tool takes besides its flags; main gets their values, in order.

    Exit codes: 0; 2 for flags, files or values that cannot be used (ValueError, OSError), said in one line on
    standard error; 130 for Ctrl-C and 143 for SIGTERM, in a run with a line that says what is saved and how to go on.
    """
    if {"--help", "-help", "-h"} & set(sys.argv[1:]):
        print(_help(sys.modules["__main__"].__doc__ or ""))
        sys.exit(0)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what goes wrong in C++ comes as an exception too
    if isinstance(sys.stdout, io.TextIOWrapper):  # a class's name that the terminal's encoding lacks is no error
        sys.stdout.reconfigure(errors="backslashreplace")
    app.run(
        lambda argv: _guarded(functools.partial(main, *argv[1:])),
        flags_parser=functools.partial(_parse, arguments=arguments),
    )


def load_tensorflow(*, threads: Mapping[str, int] | None = None) -> None:
    """Imports TensorFlow, as Keras's backend, with oneDNN's kernels and without the notes that its C++ code writes.

    oneDNN is on by default only on some CPUs, but was quicker on the AVX2 machine this was measured on, most of all for
    depthwise convolutions; TF_ENABLE_ONEDNN_OPTS=0 turns it off. It is read once, when TensorFlow is imported.

    Args:
        threads: TensorFlow's "inter" and "intra" op threads, where TF_NUM_INTEROP_THREADS and TF_NUM_INTRAOP_THREADS do
            not set them; None: TensorFlow's own choice.

    Raises:
        BackendError: where Keras is set to another backend, or TensorFlow is not installed.
    """
    require_tensorflow("this tool")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    for kind, count in (threads or {}).items():
        os.environ.setdefault(f"TF_NUM_{kind.upper()}OP_THREADS", str(count))
    _share_one_heap()
    with _silent_start():
        import tensorflow as tf

        tf.config.list_physical_devices()  # looks for GPUs, and says so


def load_keras() -> None:
    """Imports Keras on whichever backend is chosen; BackendError where that is unknown or not installed."""
    if require_backend() == TENSORFLOW:
        load_tensorflow()
        return
    try:
        with _silent_start():
            import keras  # noqa: F401
    except ImportError as error:
        raise BackendError(f"Keras's backend cannot be loaded: {error}") from error


@contextlib.contextmanager
def _silent_start() -> Iterator[None]:
    """Drops what a library's C++ code writes to standard error while it is imported."""
    sys.stderr.flush()
    standard_error = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(standard_error, 2)
        os.close(standard_error)


def _share_one_heap() -> None:
    """Lets all threads take memory from one heap, where the C library is glibc; MALLOC_ARENA_MAX sets another number.

    With a heap a thread, a feature map that one thread freed is no use to another: a fair supernet step of 4.7 GB took
    5.7 GB on two threads, and no less time.
    """
    if "MALLOC_ARENA_MAX" not in os.environ and hasattr(c_library := ctypes.CDLL(None), "gnu_get_libc_version"):
        arena_max = -8  # M_ARENA_MAX in malloc.h
        c_library.mallopt(arena_max, 1)


def command_line(*, without: Collection[str] = ()) -> str:
    """How this tool was called, to stand beside what it wrote: `python tools/NAME.py` and the flags that were given.

    Args:
        without: names of flags to leave out, those that say where files lie and not what comes out.
    """
    own = flags.FLAGS.flags_by_module_dict().get(sys.argv[0], [])
    given = [flag.serialize() for flag in own if flag.present and flag.name not in without]
    script = Path(sys.argv[0]).resolve()
    return _as_called(shlex.join(["python", f"{script.parent.name}/{script.name}", *given]))


def _as_called(text: str) -> str:
    """The text with its calls of tools as they are made here: of an installed package by its console script."""
    if Path(sys.argv[0]).resolve().parent != Path(__file__).parent / "tools":
        return text
    return re.sub(r"python tools/(\w+)\.py", lambda call: f"scarlet-tf {call[1].replace('_', '-')}", text)


def fail(*messages: object) -> NoReturn:
    """One line a message on standard error, exit code 2."""
    for message in messages:
        print(f"{os.path.basename(sys.argv[0])}: {' '.join(str(message).split())}", file=sys.stderr)
    sys.exit(2)


def _parse(argv: list[str], *, arguments: tuple[str, ...]) -> list[str]:
    try:
        rest = flags.FLAGS(argv)
    except flags.Error as error:
        fail(_what_is_missing() if _REQUIRED in str(error) else error)
    if arguments and len(rest) - 1 != len(arguments):
        fail(f"expected {' '.join(arguments)}, got {' '.join(rest[1:]) or 'nothing'}")
    if len(rest) - 1 > len(arguments):
        fail(f"unexpected argument {rest[1]!r}: everything is a flag, see --help")
    return rest


_REQUIRED = "must have a value"  # in absl's message for a flag that has none


def _is_required(flag: flags.Flag) -> bool:
    return any(_REQUIRED in validator.message for validator in flag.validators)


def _what_is_missing() -> str:
    """The required flags that were not given, and the first call in the tool's docstring."""
    own = flags.FLAGS.flags_by_module_dict().get(sys.argv[0], [])
    missing = [flag for flag in own if _is_required(flag) and flag.value is None]
    names = " and ".join(f"--{flag.name}" for flag in missing)
    what = f"is required: {missing[0].help.rstrip('.')}" if len(missing) == 1 else "are required"
    call = re.search(r"python tools/(?:.*\\\n)*.*", sys.modules["__main__"].__doc__ or "")
    return f"{names} {what}; " + ("as in: " + _as_called(call[0].replace("\\", "")) if call else "see --help")


def _guarded(main: Callable[[], None]) -> None:
    logging.set_verbosity(logging.WARNING)
    # TensorFlow warns of every function with several input shapes; what is wrong comes as an exception.
    python_logging.getLogger("tensorflow").setLevel(python_logging.ERROR)
    warnings.showwarning = functools.partial(_show_warning, show_others=warnings.showwarning)
    try:
        main()
    except KeyboardInterrupt as interrupt:
        print(f"interrupted{_how_to_go_on(str(interrupt))}", file=sys.stderr)
        sys.exit(130)
    except RunStopped as stopped:
        print(f"stopped{_how_to_go_on(stopped.saved)}", file=sys.stderr)
        raise
    except (ValueError, OSError) as error:
        if os.environ.get("SCARLET_TF_TRACEBACK"):
            raise
        named = isinstance(error, OSError) and error.filename is not None
        fail(f"{error.filename}: {error.strerror}" if named else error)


def _show_warning(message, category, filename, lineno, file=None, line=None, *, show_others: Callable) -> None:
    """Print a warning of this project as one line, and any other as Python does."""
    if category.__module__.partition(".")[0] == __name__.partition(".")[0]:
        print(f"{os.path.basename(sys.argv[0])}: warning: {message}", file=sys.stderr)
    else:
        show_others(message, category, filename, lineno, file, line)


def _how_to_go_on(saved: str) -> str:
    """What follows "interrupted" on the line; nothing where no run was."""
    return f": {saved}; to go on: {command_line()}" if saved else ""


def _help(doc: str) -> str:
    own = flags.FLAGS.flags_by_module_dict().get(sys.argv[0], [])
    lines = [_as_called(doc.strip()), "", "flags:"]
    for flag in sorted(own, key=lambda flag: flag.name):
        default = "" if flag.default is None else f" (default: {flag.default_as_str})"
        if _is_required(flag):
            default = " (required)"
        lines.append(f"  --{flag.name}: {' '.join(flag.help.split())}{default}")
    return "\n".join(lines)
