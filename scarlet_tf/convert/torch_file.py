"""Reading PyTorch checkpoint files that nobody vouches for, and writing them.

Another process opens the file, with `weights_only=True` and limited memory, and hands plain arrays over: a file that
crashes it, or asks for more memory than its size can need, is an ordinary error here.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from scarlet_tf.files import replaced_whole

_PROGRAM = Path(__file__).with_name("torch_process.py")
_PATIENCE = 300  # seconds
_PREFIX = "module."  # of every key of a model that was wrapped in DataParallel


class CheckpointFileError(ValueError):
    """A PyTorch file that cannot be used; the message names its path."""


def read_checkpoint(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], str]:
    """The state dict of a PyTorch file, and the file's SHA-256.

    The file is a state dict or a dict that holds one as "model_state", the zip format or the one that PyTorch wrote
    before 1.6 (not the tar format from before 0.1.10). Keys lose the "module." of DataParallel. NumPy scalars beside
    the weights are passed over. bfloat16 comes as float32, which holds it exactly.

    Raises:
        FileNotFoundError: for a missing file.
        CheckpointFileError: for anything else than such a file; and where PyTorch is not installed.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no such file: {path}")
    if not path.is_file():
        raise CheckpointFileError(f"{path}: expected a file")
    require_torch()
    with tempfile.TemporaryDirectory() as folder:
        problem = _run(path, Path(folder))
        if problem:
            raise CheckpointFileError(f"{path}: not a checkpoint that can be read: {' '.join(problem.split())}")
        keys = json.loads((Path(folder) / "keys.json").read_text())
        with np.load(Path(folder) / "arrays.npz", allow_pickle=False) as arrays:
            state = {key: arrays[f"tensor{n}"] for n, key in enumerate(keys)}
    if all(key.startswith(_PREFIX) for key in state):
        state = {key.removeprefix(_PREFIX): array for key, array in state.items()}
    with open(path, "rb") as file:
        return state, hashlib.file_digest(file, "sha256").hexdigest()


def write_checkpoint(path: str | os.PathLike, state: Mapping[str, np.ndarray]) -> None:
    """Writes {"model_state": state} for `torch.load`, whole or not at all, and reads it back.

    Raises:
        CheckpointFileError: where PyTorch is not installed, or what was written does not read the same.
    """
    require_torch()
    import torch

    tensors = {key: torch.from_numpy(np.array(array)) for key, array in state.items()}
    with replaced_whole(path) as temporary:
        torch.save({"model_state": tensors}, temporary)
        back, _ = read_checkpoint(temporary)
        if list(back) != list(state) or any(back[key].tobytes() != state[key].tobytes() for key in state):
            raise CheckpointFileError(f"{path}: what was written does not read the same")


def require_torch() -> None:
    """CheckpointFileError where PyTorch is not installed; does not load it."""
    if importlib.util.find_spec("torch") is None:
        raise CheckpointFileError(
            "PyTorch is needed to read and write its files: install the extra 'torch', or pip install 'torch>=2.6'"
        )


def _run(path: Path, folder: Path) -> str | None:
    """Why the other process could not read the file; None where its arrays are in the folder."""
    command = [sys.executable, str(_PROGRAM), str(path), str(folder)]
    try:
        process = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        return f"it did not finish within {_PATIENCE} s"
    if process.returncode < 0:
        return f"PyTorch died of it ({signal.Signals(-process.returncode).name})"
    if process.returncode:
        return (process.stderr.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
    return None
