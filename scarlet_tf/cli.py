"""Start-up and error handling of the tools: flags, one library call, and for bad input one line and exit code 2.

Does not import TensorFlow, so that `--help` answers at once: tools import what they call inside `main`.
"""

from __future__ import annotations

import ctypes
import functools
import io
import logging as python_logging
import os
import re
import shlex
import sys
import warnings
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import NoReturn

from absl import app, flags, logging

from scarlet_tf.backend import TENSORFLOW, BackendError, check_tensorflow, installed_backend, silent_native_code
from scarlet_tf.files import FolderInUseError
from scarlet_tf.paths import RemoteError
from scarlet_tf.runs.cluster import TRY_AGAIN_EXIT_CODE, WorkerLostError, telling_others
from scarlet_tf.runs.interrupt import RunStopped


def run(main: Callable[..., None], *, arguments: tuple[str, ...] = ()) -> NoReturn:
    """Parse sys.argv into absl flags, call `main` and exit.

    Exit codes: 0; 2 for flags, files or values that cannot be used (ValueError, OSError), with a one-line message on
    standard error; 75, with such a message, for failures that may pass: another worker was lost, another process holds
    the lock of a folder, or a remote file system failed every try; 130 for Ctrl-C and 143 for SIGTERM. A run that is
    stopped also prints what is saved and how to resume.

    Args:
        main: the tool's function.
        arguments: names of the tool's positional arguments; `main` gets their values, in order.
    """
    if {"--help", "-help", "-h"} & set(sys.argv[1:]):
        print(_help(sys.modules["__main__"].__doc__ or ""))
        sys.exit(0)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors in C++ also raise exceptions
    if isinstance(sys.stdout, io.TextIOWrapper):  # class names may have characters that the terminal cannot encode
        sys.stdout.reconfigure(errors="backslashreplace")
    app.run(
        lambda argv: _guarded(functools.partial(main, *argv[1:])),
        flags_parser=functools.partial(_parse, arguments=arguments),
    )


def load_tensorflow(*, threads: Mapping[str, int] | None = None) -> None:
    """Import TensorFlow as Keras's backend, with oneDNN's kernels and without the messages of its C++ code.

    oneDNN is on by default only on some CPUs, but it was faster on the AVX2 machine where we measured it, above all for
    depthwise convolutions. TF_ENABLE_ONEDNN_OPTS=0 turns it off. TensorFlow reads the variable once, when imported.

    Args:
        threads: TensorFlow's "inter" and "intra" op threads; TF_NUM_INTEROP_THREADS and TF_NUM_INTRAOP_THREADS override
            them. None: TensorFlow's own choice.

    Raises:
        BackendError: if Keras is set to another backend, or TensorFlow is not installed.
    """
    check_tensorflow("this tool")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    for kind, count in (threads or {}).items():
        os.environ.setdefault(f"TF_NUM_{kind.upper()}OP_THREADS", str(count))
    _share_one_heap()
    with silent_native_code():
        import tensorflow as tf

        tf.config.list_physical_devices()  # the search for GPUs prints messages too


def load_keras() -> None:
    """Import Keras on the chosen backend; raise BackendError if that is unknown or not installed."""
    if installed_backend() == TENSORFLOW:
        load_tensorflow()
        return
    try:
        with silent_native_code():
            import keras  # noqa: F401
    except ImportError as error:
        raise BackendError(f"Keras's backend cannot be loaded: {error}") from error


def _share_one_heap() -> None:
    """Make all threads allocate from one heap, if the C library is glibc; MALLOC_ARENA_MAX overrides the number.

    With one heap per thread, a thread cannot reuse the feature maps that another one freed: a fair supernet step of
    4.7 GB took 5.7 GB on two threads, and no less time.
    """
    if "MALLOC_ARENA_MAX" not in os.environ and hasattr(c_library := ctypes.CDLL(None), "gnu_get_libc_version"):
        arena_max = -8  # M_ARENA_MAX in malloc.h
        c_library.mallopt(arena_max, 1)


def usable_cores() -> list[int]:
    """Return the numbers of the cores that this process may run on."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def command_line(*, without: Collection[str] = ()) -> str:
    """Return the command that called this tool, to be recorded with its output: `_call` and the flags that were given.

    Args:
        without: names of flags to omit: those that set where files are and do not affect the result.
    """
    own = flags.FLAGS.flags_by_module_dict().get(sys.argv[0], [])
    given = [flag for flag in own if flag.present and flag.name not in without]
    return _as_called(shlex.join([*_call(), *(argument for flag in given for argument in _arguments(flag))]))


def _arguments(flag: flags.Flag) -> list[str]:
    """Return a flag as it was given: one argument, or for a repeated flag one for each of its values."""
    if isinstance(flag, flags.MultiFlag):
        return [f"--{flag.name}={value}" for value in flag.value]
    return [flag.serialize()]


def _call() -> list[str]:
    """Return how this tool is called: python tools/NAME.py, or python -m FOLDER.NAME for its file __main__.py."""
    script = Path(sys.argv[0]).resolve()
    folder = script.parent
    if script.name == "__main__.py":
        return ["python", "-m", f"{folder.parent.name}.{folder.name}"]
    return ["python", f"{folder.name}/{script.name}"]


def _name() -> str:
    """Return the tool's name in messages: "train.py", or "benchmarks.search"."""
    return os.path.basename(_call()[-1])


def _as_called(text: str) -> str:
    """Return the text with calls of tools as they work here: in an installed package, by the console script."""
    if Path(sys.argv[0]).resolve().parent != Path(__file__).parent / "tools":
        return text
    return re.sub(r"python tools/(\w+)\.py", lambda call: f"scarlet-tf {call[1].replace('_', '-')}", text)


def fail(*messages: object, code: int = 2) -> NoReturn:
    """Print each message as one line on standard error and exit with a code."""
    for message in messages:
        print(f"{_name()}: {' '.join(str(message).split())}", file=sys.stderr)
    sys.exit(code)


def _parse(argv: list[str], *, arguments: tuple[str, ...]) -> list[str]:
    try:
        rest = flags.FLAGS(argv)
    except flags.Error as error:
        fail(_what_is_missing() if _REQUIRED in str(error) else error)
    if arguments and len(rest) - 1 != len(arguments):
        fail(f"expected {' '.join(arguments)}, got {' '.join(rest[1:]) or 'nothing'}")
    if len(rest) - 1 > len(arguments):
        fail(f"unexpected argument {rest[1]!r}: every option is a flag, see --help")
    return rest


_REQUIRED = "must have a value"  # part of absl's message for a required flag without a value


def _is_required(flag: flags.Flag) -> bool:
    return any(_REQUIRED in validator.message for validator in flag.validators)


def _what_is_missing() -> str:
    """Return a message with the missing required flags and the first command in the tool's docstring."""
    own = flags.FLAGS.flags_by_module_dict().get(sys.argv[0], [])
    missing = [flag for flag in own if _is_required(flag) and flag.value is None]
    names = " and ".join(f"--{flag.name}" for flag in missing)
    what = f"is required: {missing[0].help.rstrip('.')}" if len(missing) == 1 else "are required"
    doc = sys.modules["__main__"].__doc__ or ""
    call = re.search(rf"python (?:tools/|-m ){re.escape(_name())}(?:.*\\\n)*.*", doc)
    return f"{names} {what}; " + ("for example: " + _as_called(call[0].replace("\\", "")) if call else "see --help")


_TEMPORARY = (FolderInUseError, RemoteError)  # beside WorkerLostError


def _guarded(main: Callable[[], None]) -> None:
    logging.set_verbosity(logging.WARNING)
    # TensorFlow warns about every function with several input shapes; errors raise exceptions.
    python_logging.getLogger("tensorflow").setLevel(python_logging.ERROR)
    warnings.showwarning = functools.partial(_show_warning, show_others=warnings.showwarning)
    try:
        with telling_others():
            main()
    except KeyboardInterrupt as interrupt:
        print(f"interrupted{_how_to_resume(str(interrupt))}", file=sys.stderr)
        sys.exit(130)
    except RunStopped as stopped:
        print(f"stopped{_how_to_resume(stopped.saved)}", file=sys.stderr)
        raise
    except WorkerLostError as lost:
        print(f"{_name()}: {lost}", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(TRY_AGAIN_EXIT_CODE)  # at a usual exit, TensorFlow waits for the lost worker
    except (ValueError, OSError) as error:
        if os.environ.get("SCARLET_TF_TRACEBACK"):
            raise
        named = isinstance(error, OSError) and error.filename is not None
        code = TRY_AGAIN_EXIT_CODE if isinstance(error, _TEMPORARY) else 2
        fail(f"{error.filename}: {error.strerror}" if named else error, code=code)


def _show_warning(message, category, filename, lineno, file=None, line=None, *, show_others: Callable) -> None:
    """Print a warning of this project as one line, and any other as Python does."""
    if category.__module__.partition(".")[0] == __name__.partition(".")[0]:
        print(f"{_name()}: warning: {message}", file=sys.stderr)
    else:
        show_others(message, category, filename, lineno, file, line)


def _how_to_resume(saved: str) -> str:
    """Return what follows "interrupted" on the line: what is saved and how to resume, or "" outside a run."""
    return f": {saved}; to resume: {command_line()}" if saved else ""


def _help(doc: str) -> str:
    own = flags.FLAGS.flags_by_module_dict().get(sys.argv[0], [])
    lines = [_as_called(doc.strip()), "", "flags:"]
    for flag in sorted(own, key=lambda flag: flag.name):
        default = "" if flag.default is None else f" (default: {flag.default_as_str})"
        if _is_required(flag):
            default = " (required)"
        lines.append(f"  --{flag.name}: {' '.join(flag.help.split())}{default}")
    return "\n".join(lines)
