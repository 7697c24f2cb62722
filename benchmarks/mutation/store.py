"""Keep finished runs as files, so that a stopped benchmark can be resumed."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from pathlib import Path

import scarlet_tf.arch
import scarlet_tf.search
from scarlet_tf.files import write_atomically


def code_fingerprint() -> str:
    """Return a hash of the sources and package versions that determine the result of a run."""
    folders = [Path(module.__file__).parent for module in (scarlet_tf.arch, scarlet_tf.search)]
    sources = sorted(path for folder in (*folders, Path(__file__).parent) for path in folder.glob("*.py"))
    versions = [f"{name} {importlib.metadata.version(name)}\n".encode() for name in ("numpy", "pymoo")]
    return hashlib.sha256(b"".join([*versions, *(path.read_bytes() for path in sources)])).hexdigest()[:16]


class RunStore:
    """Store each run as one JSON file, in a folder named after the code that made it."""

    def __init__(self, folder: Path, *, population: int, evaluations: int):
        self._folder = folder / f"{code_fingerprint()}_{population}_{evaluations}"
        self._folder.mkdir(parents=True, exist_ok=True)

    def read(self, objective: str, method: str, seed: int) -> dict | None:
        path = self._path(objective, method, seed)
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def write(self, run: dict) -> None:
        write_atomically(self._path(run["objective"], run["method"], run["seed"]), json.dumps(run) + "\n")

    def _path(self, objective: str, method: str, seed: int) -> Path:
        return self._folder / f"{objective}_{method}_{seed}.json"
