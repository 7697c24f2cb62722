"""Reading of untrusted PyTorch and safetensors checkpoints, and writing of PyTorch checkpoints.

A separate process opens the file, with `weights_only=True` and limited memory, and returns plain arrays. So a file that
crashes that process, or asks for more memory than its size can need, is an ordinary error here.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from scarlet_tf.convert.checkpoint_process import is_safetensors
from scarlet_tf.files import replaced_whole
from scarlet_tf.paths import local_copy, no_such

_PROGRAM = Path(__file__).with_name("checkpoint_process.py")
_PATIENCE = 300  # seconds

# What PyTorch's own wrappers put into the middle of a name if they wrap a submodule.
_INSERTED = re.compile(r"(?<=\.)(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
# What wrappers and training classes put before all names.
_PREFIXES = (
    *("module.", "_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."),
    *("model.", "network.", "net.", "backbone.", "ema.", "ema_model."),
)
_COUNT_OF_AVERAGES = "n_averaged"  # stored beside the weights by torch.optim.swa_utils.AveragedModel


class CheckpointFileError(ValueError):
    """A checkpoint file that cannot be used; the message names its path."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Weights of a checkpoint file.

    Attributes:
        state: arrays by name.
        sha256: of the file.
        key: where in the file the weights are, such as "state_dict"; "" at the top level.
        others: keys of other state dicts in the file, such as "state_dict_ema".
    """

    state: Mapping[str, np.ndarray]
    sha256: str
    key: str = ""
    others: tuple[str, ...] = ()


def read_checkpoint(path: str | os.PathLike, *, key: str | None = None) -> Checkpoint:
    """Read the weights of a PyTorch or safetensors file.

    A PyTorch file may have the zip format, or the one from before 1.6 (not the tar format from before 0.1.10). It is a
    state dict, or holds one in a dict, which may be nested: the first of checkpoint_process.WEIGHTS_KEYS that is
    present, else the only one. Plain values, optimizer states and settings beside the weights are skipped. The prefixes
    of wrappers are removed from names ("module." of DataParallel, "_orig_mod." of torch.compile, "model." of
    Lightning). bfloat16 is read as float32, which holds it exactly.

    Args:
        path: of the file.
        key: where the weights are instead, such as "state_dict_ema". Dots lead into a nested dict, or to a prefix of
            the names: "state_dict.student".

    Raises:
        FileNotFoundError: if the file is missing.
        CheckpointFileError: if it is not such a file, the key is missing, only some names have a wrapper's prefix, or
            the package that reads the file is not installed.
    """
    path = local_copy(path)
    if not path.exists():
        raise FileNotFoundError(no_such(path))
    if not path.is_file():
        raise CheckpointFileError(f"{path}: expected a file")
    check_reader(path)
    with tempfile.TemporaryDirectory() as folder:
        problem = _run(path, Path(folder), key)
        if problem:
            raise CheckpointFileError(f"{path}: cannot be read as a checkpoint: {' '.join(problem.split())}")
        found = json.loads((Path(folder) / "found.json").read_text(encoding="utf-8"))
        with np.load(Path(folder) / "arrays.npz", allow_pickle=False) as arrays:
            state = {name: arrays[f"tensor{n}"] for n, name in enumerate(found["names"])}
    try:
        state = unwrapped(state, key=found["key"])
    except CheckpointFileError as error:
        raise CheckpointFileError(f"{path}: {error}") from error
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Checkpoint(state=state, sha256=digest, key=found["key"], others=tuple(found["others"]))


def unwrapped(state: Mapping[str, np.ndarray], *, key: str = "") -> dict[str, np.ndarray]:
    """Remove the prefixes of wrappers from the names of a state dict.

    Args:
        key: where in its file the state dict is, for messages.

    Raises:
        CheckpointFileError: if only some names have a prefix, or two names become the same.
    """
    names = {name: name for name in state if name != _COUNT_OF_AVERAGES}
    while prefix := next((p for p in _PREFIXES if any(name.startswith(p) for name in names.values())), None):
        without = [name for name in names.values() if not name.startswith(prefix)]
        if without:
            inner = ".".join(filter(None, [key, prefix.removesuffix(".")]))
            raise CheckpointFileError(
                f"{len(names) - len(without)} of its {len(names)} names begin with {prefix!r}, the others do not, such "
                f"as {without[0]!r}: expected all or none; --key={inner} selects only those that do"
            )
        names = {old: name.removeprefix(prefix) for old, name in names.items()}
    names = {old: _INSERTED.sub("", name) for old, name in names.items()}
    if len(set(names.values())) < len(names):
        twice = next(name for name in names.values() if list(names.values()).count(name) > 1)
        raise CheckpointFileError(f"without the prefixes of wrappers, two of its names are {twice!r}")
    return {name: state[old] for old, name in names.items()}


def write_checkpoint(path: str | os.PathLike, state: Mapping[str, np.ndarray]) -> None:
    """Write {"model_state": state} for `torch.load`, and read it back. The file is written atomically.

    Raises:
        CheckpointFileError: if PyTorch is not installed, or the file does not read back the same.
    """
    check_torch()
    import torch

    tensors = {key: torch.from_numpy(np.array(array)) for key, array in state.items()}
    with replaced_whole(path) as temporary:
        torch.save({"model_state": tensors}, temporary)
        back = read_checkpoint(temporary).state
        if list(back) != list(state) or any(back[key].tobytes() != state[key].tobytes() for key in state):
            raise CheckpointFileError(f"{path}: the written file does not read back the same")


def check_reader(path: str | os.PathLike) -> None:
    """Raise CheckpointFileError if the package that reads an existing file is not installed. Does not import it."""
    if not is_safetensors(Path(path)):
        check_torch()
    elif importlib.util.find_spec("safetensors") is None:
        raise CheckpointFileError(
            f"{path}: the package safetensors is needed to read it: pip install 'scarlet-tf[safetensors]'"
        )


def check_torch() -> None:
    """Raise CheckpointFileError if PyTorch is not installed. Does not import it."""
    if importlib.util.find_spec("torch") is None:
        raise CheckpointFileError(
            "PyTorch is needed to read and write its files: install the extra 'torch', or pip install 'torch>=2.6'"
        )


def _run(path: Path, folder: Path, key: str | None) -> str | None:
    """Read the file in another process. Return why that failed, or None if its arrays are in the folder."""
    command = [sys.executable, str(_PROGRAM), str(path), str(folder), *([] if key is None else [key])]
    try:
        process = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        return f"it did not finish within {_PATIENCE} s"
    if process.returncode < 0:
        return f"the process that reads it died of it ({signal.Signals(-process.returncode).name})"
    if process.returncode:
        return (process.stderr.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
    return None
