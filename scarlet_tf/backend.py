"""Keras's backend: looking it up without importing Keras, and errors for what needs another one.

Models of `scarlet_tf.zoo` run on every backend; training, supernets, compression and export need TensorFlow's.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from scarlet_tf.choices import check_known

TENSORFLOW = "tensorflow"
BACKENDS = (TENSORFLOW, "jax", "torch", "openvino", "numpy")


class BackendError(ValueError, ImportError):
    """Error for a Keras backend that does not exist, is not installed, or cannot run what was asked for."""


def chosen_backend() -> tuple[str, str]:
    """Return the backend that Keras uses or will use, and what sets it.

    Returns:
        The name of the backend, and "KERAS_BACKEND", the path of Keras's keras.json, or "default".
    """
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"], "KERAS_BACKEND"
    # The same lookup as in keras/src/backend/config.py.
    base = Path(os.path.expanduser("~"))
    folder = Path(os.environ.get("KERAS_HOME") or (base if os.access(base, os.W_OK) else Path("/tmp")) / ".keras")
    path = folder.expanduser() / "keras.json"
    try:
        return json.loads(path.read_text())["backend"], str(path)
    except (OSError, ValueError, KeyError, TypeError):  # Keras too falls back to its default
        return TENSORFLOW, "default"


def installed_backend() -> str:
    """Return the chosen backend; raise BackendError if Keras does not have it or it is not installed."""
    name, source = chosen_backend()
    check_known(f"Keras backend (set by {source})", name, BACKENDS, error=BackendError)
    if not _is_installed(name):
        what = "TensorFlow" if name == TENSORFLOW else f"the Keras backend {name!r}, set by {source},"
        raise BackendError(f"{what} is not installed: pip install {name}, or choose another with KERAS_BACKEND")
    return name


def check_tensorflow(what: str) -> None:
    """Raise BackendError unless Keras runs on TensorFlow, which `what` needs."""
    name, source = chosen_backend()
    check_known(f"Keras backend (set by {source})", name, BACKENDS, error=BackendError)
    if name != TENSORFLOW:
        raise BackendError(
            f"{what} needs Keras's TensorFlow backend, but {source} sets {name!r}: set KERAS_BACKEND=tensorflow "
            "(models of scarlet_tf.zoo run on every backend)"
        )
    installed_backend()


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ValueError:  # a loaded module without __spec__
        return sys.modules.get(module) is not None


@contextlib.contextmanager
def silent_native_code() -> Iterator[None]:
    """Discard what is written to standard error meanwhile, also by a library's C++ code."""
    sys.stderr.flush()
    standard_error = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(standard_error, 2)
        os.close(standard_error)
