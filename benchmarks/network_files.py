"""Files of networks that benchmarks keep for later runs: their names hold a hash of what they depend on."""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Sequence
from pathlib import Path

import scarlet_tf
from scarlet_tf.files import write_atomically
from scarlet_tf.tflite import optimize

# Sources below scarlet_tf that determine a plain file's content, and those that determine its rewriting.
_MADE_BY = (
    *("arch/*.py", "layers/*.py", "models/*.py", "zoo/*.py"),
    *("export/ends.py", "export/integer.py", "export/saved_model.py", "export/tflite.py"),
)
_REWRITTEN_BY = ("tflite/**/*.py", "tflite/costs/*.json")
_PACKAGE = Path(scarlet_tf.__file__).parent


def made_by(*others: object) -> str:
    """Return a hash of what a plain file depends on: package versions, this package's sources, and `others`."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("tensorflow", "keras", "numpy")]
    return hash_of("\n".join([*versions, *map(str, others), hash_of_sources(_MADE_BY)]).encode())


def rewritten(path: Path) -> Path:
    """Return the file, rewritten by `scarlet_tf.tflite.optimize`, beside it; rewrite it unless that is there."""
    content = path.read_bytes()
    target = path.with_name(
        f"{path.stem}_rewritten_{hash_of(content + hash_of_sources(_REWRITTEN_BY).encode())}.tflite"
    )
    if not target.exists():
        write_atomically(target, optimize(content, label=str(path)).content)
    return target


def hash_of_sources(patterns: Sequence[str], root: Path = _PACKAGE) -> str:
    """Return a hash of the files below a folder that match the patterns."""
    paths = [path for pattern in patterns for path in sorted(root.glob(pattern))]
    return hash_of(b"".join(str(path.relative_to(root)).encode() + path.read_bytes() for path in paths))


def hash_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
