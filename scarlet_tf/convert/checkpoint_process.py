"""The process that `scarlet_tf.convert.checkpoint_file` starts: reads a PyTorch or safetensors file.

    python checkpoint_process.py FILE FOLDER [KEY]   # -> found.json, and arrays.npz with tensor0, tensor1, ...

An error is the last line on standard error, with exit code 1. This file imports nothing from the package.
"""

import difflib
import json
import math
import os
import pickle
import re
import resource
import sys
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

FILE_LIMIT = 1 << 30  # bytes; the largest network's weights are 112 MB, an optimizer keeps two or three times that
LIST_LIMIT = 1 << 30  # bytes of memory to list a zip file's members
SPARE = 1 << 30  # bytes of memory on top of three times the file's size
DICT_LIMIT = 10_000  # nested dicts that are searched

_OTHERS = ("optim", "sched", "scaler")  # prefixes of keys that hold no network's weights

# Keys under which training code stores a model's weights, in the order of the search: averages come last.
WEIGHTS_KEYS = (
    *("model_state", "state_dict", "model_state_dict", "model", "network", "net", "weights", "params", "module"),
    *("state_dict_ema", "ema_state_dict", "model_ema", "ema_model", "ema", "params_ema"),
)


class Refused(Exception):
    """The reason why the file is not read."""


class PassedOver:
    """Stand-in for an object beside the weights, such as a best accuracy: no code of the object's class runs."""

    def __new__(cls, *arguments, **more):
        return super().__new__(cls)

    def __init__(self, *arguments, **more):
        pass

    def __setstate__(self, state):
        pass

    def __setitem__(self, key, value):
        pass


# Objects that training code saves beside the weights.
PASSED_OVER = (
    *("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.dtype", "numpy.ndarray"),
    *("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"),
    *("argparse.Namespace", "types.SimpleNamespace", "datetime.datetime", "datetime.timedelta"),
    "torch.torch_version.TorchVersion",
    *("pathlib.PosixPath", "pathlib.WindowsPath", "pathlib.PurePosixPath", "pathlib._local.PosixPath"),
    "lightning.fabric.utilities.data.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "pytorch_lightning.utilities.parsing.AttributeDict",
)

# In the messages of torch.load with weights_only=True, PyTorch 2.6 to 2.13.
_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")
_PROBLEM = re.compile(r"WeightsUnpickler error: (.+?)(?: Check the documentation|$)")


def limit_memory(more: int) -> None:
    """Limit the address space to `more` bytes above what is in use now, which libraries' files can make large."""
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
    """Refuse a damaged zip file, whose checksums PyTorch does not check, or one with larger members than the file.

    PyTorch stores members without compression, so their sizes cannot exceed the file's.
    """
    with open(path, "rb") as file:
        if file.read(2) != b"PK":
            return
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if any(member.filename.endswith("/constants.pkl") for member in members):
                raise Refused(
                    "it is a TorchScript program: expected a state dict, torch.save(model.state_dict(), FILE)"
                )
            for member in members:
                if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
                    raise Refused(f"member {member.filename!r} is compressed, but PyTorch stores members uncompressed")
            if (total := sum(member.file_size for member in members)) > size:
                raise Refused(f"its members declare {total:,} bytes, the file has {size:,}")
            damaged = archive.testzip()
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise Refused(f"it is a damaged zip file: {error}") from error
    if damaged is not None:
        raise Refused(f"it is a damaged zip file: the checksum of {damaged!r} is wrong")


def load_torch(path: Path, size: int) -> object:
    """Load the file with `torch.load`, restricted to tensors and plain values."""
    import torch

    torch.set_num_threads(1)
    limit_memory(3 * size + SPARE)
    with torch.serialization.safe_globals([(PassedOver, name) for name in PASSED_OVER]):
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError) as error:
            raise Refused(_reason(str(error), path)) from error


def _reason(message: str, path: Path) -> str:
    """Return the reason in PyTorch's message, without its advice to load the file anyway."""
    message = " ".join(message.split())
    if named := _GLOBAL.search(message):
        if _holds_modules(path):
            return (
                f"a whole model is pickled in it, of {named[1]}, which is code: expected the file of a state dict; who "
                "trusts it can make one with torch.save(torch.load(FILE, weights_only=False).state_dict(), NEW) in the "
                "code that it was saved by"
            )
        return f"it names {named[1]}, expected nothing but tensors and plain values"
    if problem := _PROBLEM.search(message):
        return problem[1]
    return message.split(" In PyTorch 2.6, ")[0]


def _holds_modules(path: Path) -> bool:
    """Return whether the pickle names layers of PyTorch; only searches for their names."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            pickles = [archive.read(name) for name in archive.namelist() if name.endswith("data.pkl")]
    else:
        pickles = [path.read_bytes()]
    return any(b"torch.nn.modules." in content for content in pickles)


def is_safetensors(path: Path) -> bool:
    """Decide by the first bytes, the length of a JSON object and the object; by the suffix if these do not tell."""
    with open(path, "rb") as file:
        start = file.read(9)
    other = start.startswith((b"PK", b"\x80"))
    return start[8:] == b"{" or (path.suffix == ".safetensors" and not other)


def load_safetensors(path: Path, size: int) -> dict[str, np.ndarray]:
    """Return the file's tensors by name; bfloat16 as float32, which holds it exactly."""
    import safetensors

    limit_memory(3 * size + SPARE)
    content = path.read_bytes()
    try:
        tensors = safetensors.deserialize(content)
    except safetensors.SafetensorError as error:
        raise Refused(str(error).removeprefix("Error while deserializing: ")) from error
    header = content[8 : 8 + int.from_bytes(content[:8], "little")]
    json.loads(header, object_pairs_hook=_check_names_differ)
    return {name: _from_bytes(name, **tensor) for name, tensor in tensors}


def _check_names_differ(entries: list[tuple[str, object]]) -> None:
    """Refuse duplicate names, of which the library keeps one."""
    names = [name for name, _ in entries]
    if len(set(names)) < len(names):
        raise Refused(f"its header has two entries {max(names, key=names.count)!r}")


def _from_bytes(name: str, *, dtype: str, shape: list[int], data: bytes) -> np.ndarray:
    if dtype == "BF16":
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32).reshape(shape)
    if not re.fullmatch("F(16|32|64)|[IU](8|16|32|64)|BOOL", dtype):
        raise Refused(f"tensor {name} has dtype {dtype}, expected real numbers of 16, 32 or 64 bits")
    numpy_type = "?" if dtype == "BOOL" else f"<{dtype[0].lower()}{int(dtype[1:]) // 8}"
    return np.frombuffer(data, numpy_type).reshape(shape)


def is_tensor(value: object) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def state_dicts(content: object) -> dict[tuple[str, ...], dict]:
    """Return the tensors of every dict that holds some, by path, outermost first, without optimizer states.

    Plain values beside the tensors, such as a number of epochs, are dropped.
    """
    found, pending, searched = {}, [((), content)], 0
    while pending:
        path, node = pending.pop(0)
        if not isinstance(node, Mapping):
            continue
        if (searched := searched + 1) > DICT_LIMIT:
            raise Refused(f"it holds more than {DICT_LIMIT:,} dicts within dicts")
        named = {key: v for key, v in node.items() if isinstance(key, str) and not key.startswith(_OTHERS)}
        if any(map(is_tensor, named.values())):
            found[path] = {key: value for key, value in node.items() if is_tensor(value)}
        pending += [((*path, key), value) for key, value in named.items()]
    return found


def select(content: object, key: str | None) -> tuple[str, dict]:
    """Return (key, tensors under it): of the dict that `key` names, or by default of the first of WEIGHTS_KEYS.

    A key may end in a prefix of names: "state_dict.student" selects the tensors whose names begin with "student.".
    """
    states = state_dicts(content)
    if not states:
        raise Refused(f"expected a state dict, or a dict with one under a key such as 'state_dict', {_found(content)}")
    if key is None:
        path = _usual(states)
        return ".".join(path), states[path]
    by_name = {".".join(path): tensors for path, tensors in states.items()}
    if key in by_name:
        return key, by_name[key]
    prefixes = set()
    for name in sorted(by_name, key=len, reverse=True):
        within = f"{name}." if name else ""
        prefix = f"{key.removeprefix(within)}."
        inside = {k.removeprefix(prefix): v for k, v in by_name[name].items() if k.startswith(prefix)}
        if key.startswith(within) and inside:
            return key, inside
        prefixes.update(within + k.split(".")[0] for k in by_name[name] if "." in k)
    (nearest,) = difflib.get_close_matches(key, sorted({*by_name, *prefixes}), n=1, cutoff=0)
    has = _listed(states) or "none: its weights are at the top level, and need no key"
    raise Refused(f"no state dict under the key {key!r}; it has {has}; nearest is {nearest!r}")


def _usual(states: Mapping[tuple[str, ...], dict]) -> tuple[str, ...]:
    """Return the path of the state dict to read by default."""
    chosen = ()
    while True:
        depth = len(chosen)
        inner = dict.fromkeys(path[depth] for path in states if path[:depth] == chosen and len(path) > depth)
        following = next((name for name in WEIGHTS_KEYS if name in inner), None)
        if following is None and chosen not in states and len(inner) == 1:
            (following,) = inner
        if following is None:
            break
        chosen = (*chosen, following)
    if chosen not in states:
        raise Refused(f"it holds several state dicts: choose one with --key: {_listed(states)}")
    return chosen


def _listed(paths: Iterable[tuple[str, ...]]) -> str:
    return ", ".join(repr(".".join(path)) for path in paths if path)


def _found(content: object) -> str:
    if isinstance(content, Mapping) and content:
        return f"found keys {', '.join(repr(key) for key in list(content)[:5])}"
    return "found no tensor" if isinstance(content, Mapping) else f"found {type(content).__name__}"


def check_tensors(state: Mapping, size: int) -> None:
    """Refuse names that cannot be printed, tensors that are not dense real numbers, and more bytes than the file's."""
    if not all(isinstance(key, str) and key and key.isprintable() for key in state):
        raise Refused("a key of its state dict is not printable text")
    for key, tensor in state.items():
        if not isinstance(tensor, np.ndarray) and (
            str(tensor.layout) != "torch.strided"
            or tensor.is_quantized
            or tensor.is_complex()
            or tensor.device.type != "cpu"
        ):
            raise Refused(f"tensor {key} is not a dense one of real numbers")
    total = sum(math.prod(tensor.shape) * tensor.dtype.itemsize for tensor in state.values())
    if total > size:
        raise Refused(f"its tensors declare {total:,} bytes, the file has {size:,}")


def to_array(tensor) -> np.ndarray:
    """Convert to NumPy, which has no bfloat16; float32 holds it exactly."""
    if isinstance(tensor, np.ndarray):
        return tensor
    tensor = tensor.detach()
    return (tensor.float() if "bfloat16" in str(tensor.dtype) else tensor).contiguous().numpy()


def main(path: Path, folder: Path, key: str | None) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    size = check_size(path)
    if is_safetensors(path):
        content = load_safetensors(path, size)
    else:
        unlimited = resource.getrlimit(resource.RLIMIT_AS)
        limit_memory(LIST_LIMIT)
        check_zip(path, size)
        resource.setrlimit(resource.RLIMIT_AS, unlimited)
        content = load_torch(path, size)
    chosen, state = select(content, key)
    check_tensors(state, size)
    others = [".".join(path) for path in state_dicts(content)]
    np.savez(folder / "arrays.npz", **{f"tensor{n}": to_array(tensor) for n, tensor in enumerate(state.values())})
    found = {"key": chosen, "others": [name for name in others if name not in ("", chosen)], "names": list(state)}
    (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # about pickle protocols, and libraries that PyTorch looks for
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None)
    except Exception as error:  # PyTorch's unpickler can raise anything on a damaged or hostile file
        sys.exit(" ".join(str(error).split()) or type(error).__name__)
