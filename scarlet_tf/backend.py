"""Which backend Keras runs on, found out without importing Keras, and a refusal for what runs on TensorFlow alone.

Models of `scarlet_tf.zoo` run on every backend; training, supernets, compression and export need TensorFlow's.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path

from scarlet_tf.choices import require_known

TENSORFLOW = "tensorflow"
BACKENDS = (TENSORFLOW, "jax", "torch", "openvino", "numpy")


class BackendError(ValueError, ImportError):
    """Keras is set to a backend that does not exist, is not installed, or does not run what was asked for."""


def chosen_backend() -> tuple[str, str]:
    """The backend that Keras has or will take, and what chose it: KERAS_BACKEND, Keras's keras.json, or the default."""
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"], "KERAS_BACKEND"
    # Where Keras itself looks (keras/src/backend/config.py).
    base = Path(os.path.expanduser("~"))
    folder = Path(os.environ.get("KERAS_HOME") or (base if os.access(base, os.W_OK) else Path("/tmp")) / ".keras")
    path = folder.expanduser() / "keras.json"
    try:
        return json.loads(path.read_text())["backend"], str(path)
    except (OSError, ValueError, KeyError, TypeError):  # Keras too takes its default then
        return TENSORFLOW, "default"


def require_backend() -> str:
    """Return the chosen backend; BackendError where Keras has none of that name, or it is not installed."""
    name, source = chosen_backend()
    require_known(f"Keras backend (set by {source})", name, BACKENDS, error=BackendError)
    if not _is_installed(name):
        what = "TensorFlow" if name == TENSORFLOW else f"the Keras backend {name!r}, set by {source},"
        raise BackendError(f"{what} is not installed: pip install {name}, or choose another with KERAS_BACKEND")
    return name


def require_tensorflow(what: str) -> None:
    """Raise BackendError where Keras runs on another backend than TensorFlow, which `what` needs."""
    name, source = chosen_backend()
    require_known(f"Keras backend (set by {source})", name, BACKENDS, error=BackendError)
    if name != TENSORFLOW:
        raise BackendError(
            f"{what} needs Keras's TensorFlow backend, but {source} sets {name!r}: set KERAS_BACKEND=tensorflow "
            "(models of scarlet_tf.zoo run on every backend)"
        )
    require_backend()


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ValueError:  # of a module that is there without saying where from
        return sys.modules.get(module) is not None
