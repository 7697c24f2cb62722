"""Reads a PyTorch file: the process that `scarlet_tf.convert.torch_file` starts.

    python torch_process.py FILE FOLDER   # -> keys.json, and arrays.npz with tensor0, tensor1, ...

What is wrong is the last line on standard error, with exit code 1. By itself it imports nothing of the package.
"""

import json
import os
import pickle
import re
import resource
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np

FILE_LIMIT = 1 << 30  # bytes; the largest network's weights are 112 MB, an optimizer keeps two or three times that
LIST_LIMIT = 1 << 30  # bytes of memory to list a zip file's members
SPARE = 1 << 30  # bytes of memory besides three times the file


class Refused(Exception):
    """Why the file is not read."""


class PassedOver:
    """Stands for NumPy scalars beside the weights, such as a best accuracy: nothing of NumPy is called for them."""

    def __init__(self, *arguments):
        self.arguments = arguments

    def __setstate__(self, state):
        self.arguments = state


# in the messages of torch.load with weights_only=True, as of 2.6 to 2.13
_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")
_PROBLEM = re.compile(r"WeightsUnpickler error: (.+?)(?: Check the documentation|$)")

PASSED_OVER = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.dtype")


def limit_memory(more: int) -> None:
    """Of address space beyond what is in use now, which a library's own files can make large."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        limit = int(statm.read_text().split()[0]) * resource.getpagesize() + more
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


def check_size(path: Path) -> int:
    size = path.stat().st_size
    if size > FILE_LIMIT:
        raise Refused(f"it has {size:,} bytes, expected at most {FILE_LIMIT:,}")
    return size


def check_zip(path: Path, size: int) -> None:
    """PyTorch stores without compression, so the members' sizes cannot exceed the file's; it checks no checksums."""
    with open(path, "rb") as file:
        if file.read(2) != b"PK":
            return
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive.infolist(), size)
            damaged = archive.testzip()
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise Refused(f"a damaged zip file: {error}") from error
    if damaged is not None:
        raise Refused(f"a damaged zip file: the bytes of {damaged!r} are not those of its checksum")


def _check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            raise Refused(f"member {member.filename!r} is compressed, which PyTorch's are not")
    total = sum(member.file_size for member in members)
    if total > size:
        raise Refused(f"its members declare {total:,} bytes, the file has {size:,}")


def load(path: Path, size: int) -> dict:
    """{key: tensor} of the model."""
    import torch

    torch.set_num_threads(1)
    limit_memory(3 * size + SPARE)
    with torch.serialization.safe_globals([(PassedOver, name) for name in PASSED_OVER]):
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError) as error:
            raise Refused(_reason(str(error))) from error
    state = content.get("model_state", content) if isinstance(content, dict) else content
    if not isinstance(state, dict) or not state or not all(isinstance(value, torch.Tensor) for value in state.values()):
        found = (
            f"keys {', '.join(map(repr, list(content)[:5]))}" if isinstance(content, dict) else type(content).__name__
        )
        raise Refused(f"expected a state dict, or a dict with one as 'model_state', found {found}")
    if not all(isinstance(key, str) and key and key.isprintable() for key in state):
        raise Refused("a key of its state dict is no text that can be printed")
    for key, tensor in state.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex() or tensor.device.type != "cpu":
            raise Refused(f"tensor {key} is not a dense one of real numbers")
    total = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    if total > size:
        raise Refused(f"its tensors declare {total:,} bytes, the file has {size:,}")
    return state


def _reason(message: str) -> str:
    """What is wrong, out of PyTorch's message: without its advice on how to load the file all the same."""
    message = " ".join(message.split())
    if named := _GLOBAL.search(message):
        return f"it names {named[1]}, expected nothing but tensors and plain values"
    if problem := _PROBLEM.search(message):
        return problem[1]
    return message.split(" In PyTorch 2.6, ")[0]


def to_array(tensor) -> np.ndarray:
    """NumPy has no bfloat16; float32 holds it exactly."""
    tensor = tensor.detach()
    return (tensor.float() if "bfloat16" in str(tensor.dtype) else tensor).contiguous().numpy()


def main(path: Path, folder: Path) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    unlimited = resource.getrlimit(resource.RLIMIT_AS)
    size = check_size(path)
    limit_memory(LIST_LIMIT)
    check_zip(path, size)
    resource.setrlimit(resource.RLIMIT_AS, unlimited)
    state = load(path, size)
    np.savez(folder / "arrays.npz", **{f"tensor{n}": to_array(tensor) for n, tensor in enumerate(state.values())})
    (folder / "keys.json").write_text(json.dumps(list(state)))


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of pickle protocols, and of libraries that PyTorch looks for
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    except Exception as error:  # whatever PyTorch's unpickler runs into in a damaged or hostile file
        sys.exit(" ".join(str(error).split()) or type(error).__name__)
