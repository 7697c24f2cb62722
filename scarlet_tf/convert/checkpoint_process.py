"""The process that `scarlet_tf.convert.checkpoint_file` starts: reads a PyTorch or safetensors file.

    python checkpoint_process.py FILE FOLDER [KEY]   # -> found.json, and arrays.npz with tensor0, tensor1, ...

An error is the last line on standard error, with exit code 1. This file imports nothing from the package.
"""

import difflib
import itertools
import json
import math
import os
import pickle
import re
import resource
import struct
import sys
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

FILE_LIMIT = 1 << 30  # bytes; the largest network's weights are 112 MB, an optimizer keeps two or three times that
LIST_LIMIT = 1 << 30  # bytes of memory to list a zip file's members
SPARE = 1 << 30  # bytes of memory on top of three times the file's size
HEADER_LIMIT = 10_000_000  # bytes of a safetensors file's header; 688 tensors take 70,000
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
            _check_members(archive.infolist(), size)
            damaged = archive.testzip()
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise Refused(f"a damaged zip file: {error}") from error
    if damaged is not None:
        raise Refused(f"a damaged zip file: the bytes of {damaged!r} are not those of its checksum")


def _check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    if any(member.filename.endswith("/constants.pkl") for member in members):
        raise Refused("a TorchScript program: expected the file of a state dict, torch.save(model.state_dict(), FILE)")
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            raise Refused(f"member {member.filename!r} is compressed, which PyTorch's are not")
    total = sum(member.file_size for member in members)
    if total > size:
        raise Refused(f"its members declare {total:,} bytes, the file has {size:,}")


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
    _check_header(content)
    try:
        tensors = safetensors.deserialize(content)
    except safetensors.SafetensorError as error:
        raise Refused(str(error).removeprefix("Error while deserializing: ")) from error
    return {name: _from_bytes(name, **tensor) for name, tensor in tensors}


def _check_header(content: bytes) -> None:
    """Refuse a header that is longer than the file, and duplicate names, of which the library keeps one."""
    length = struct.unpack("<Q", content[:8])[0] if len(content) >= 8 else 0
    if not 0 < length <= min(len(content) - 8, HEADER_LIMIT):
        raise Refused(f"a damaged safetensors file: a header of {length:,} bytes in a file of {len(content):,}")
    try:
        json.loads(content[8 : 8 + length], object_pairs_hook=_different_names)
    except (ValueError, RecursionError) as error:
        raise Refused(f"a damaged safetensors file: its header is not JSON: {error}") from error


def _different_names(entries: list[tuple[str, object]]) -> dict:
    known = {}
    for name, value in entries:
        if name in known:
            raise Refused(f"a damaged safetensors file: its header names {name!r} twice")
        known[name] = value
    return known


_SAFETENSORS_TYPES = {
    **{f"F{8 * size}": f"<f{size}" for size in (2, 4, 8)},
    **{f"{kind}{8 * size}": f"<{kind.lower()}{size}" for kind in "IU" for size in (1, 2, 4, 8)},
    "BOOL": "?",
}


def _from_bytes(name: str, *, dtype: str, shape: list[int], data: bytes) -> np.ndarray:
    if dtype == "BF16":
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32).reshape(shape)
    if dtype not in _SAFETENSORS_TYPES:
        raise Refused(f"tensor {name} is of {dtype}, expected real numbers of 16, 32 or 64 bits")
    return np.frombuffer(data, _SAFETENSORS_TYPES[dtype]).reshape(shape)


def is_tensor(value: object) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def state_dicts(content: object) -> list[tuple[str, ...]]:
    """Return the paths of dicts that hold tensors by name, outermost first, without optimizer states."""
    paths, pending = [], [((), content)]
    for looked_at in itertools.count():
        if not pending:
            return paths
        if looked_at == DICT_LIMIT:
            raise Refused(f"it holds more than {DICT_LIMIT:,} dicts within dicts")
        path, node = pending.pop(0)
        if not isinstance(node, Mapping):
            continue
        named = [(key, value) for key, value in node.items() if isinstance(key, str) and not key.startswith(_OTHERS)]
        if any(is_tensor(value) for _, value in named):
            paths.append(path)
        pending += [((*path, key), value) for key, value in named if isinstance(value, Mapping)]


def select(content: object, key: str | None) -> tuple[str, dict]:
    """Return (key, tensors under it): of the dict that `key` names, or by default of the first of WEIGHTS_KEYS.

    A key may end in a prefix of names: "state_dict.student" selects the tensors whose names begin with "student.".
    """
    paths = state_dicts(content)
    if not paths:
        raise Refused(f"expected a state dict, or a dict with one under a key such as 'state_dict', {_found(content)}")
    if key is not None:
        return key, _named(content, key, paths)
    path = _usual(content, paths)
    return ".".join(path), _tensors(_at(content, path))


def _usual(content: Mapping, paths: list[tuple[str, ...]]) -> tuple[str, ...]:
    chosen = ()
    while True:
        inner = [path[len(chosen)] for path in paths if path[: len(chosen)] == chosen and len(path) > len(chosen)]
        following = next((name for name in WEIGHTS_KEYS if name in inner), None)
        if following is None and chosen not in paths:
            following = inner[0] if len(set(inner)) == 1 else None
        if following is None:
            break
        chosen = (*chosen, following)
    if chosen not in paths:
        raise Refused(f"it holds several state dicts: choose with --key one of {_listed(paths)}")
    return chosen


def _named(content: Mapping, key: str, paths: list[tuple[str, ...]]) -> dict:
    by_name = {".".join(path): path for path in paths}
    if key in by_name:
        return _tensors(_at(content, by_name[key]))
    for name in sorted(by_name, key=len, reverse=True):
        rest = key.removeprefix(f"{name}.") if name else key
        if rest != key or not name:
            inside = {k: v for k, v in _tensors(_at(content, by_name[name])).items() if k.startswith(f"{rest}.")}
            if inside:
                return {k.removeprefix(f"{rest}."): v for k, v in inside.items()}
    prefixes = {(*path, name.split(".")[0]) for path in paths for name in _tensors(_at(content, path)) if "." in name}
    nearest = difflib.get_close_matches(key, sorted(".".join(path) for path in {*paths, *prefixes}), n=1, cutoff=0)
    has = _listed(paths) or "none: its weights lie at the top, and need no key"
    raise Refused(f"no state dict under the key {key!r}; it has {has}; nearest is {nearest[0]!r}")


def _listed(paths: Iterable[tuple[str, ...]]) -> str:
    return ", ".join(repr(".".join(path)) for path in paths if path)


def _at(content: Mapping, path: tuple[str, ...]) -> Mapping:
    for key in path:
        content = content[key]
    return content


def _tensors(state: Mapping) -> dict:
    """Drop plain values beside the tensors, such as a number of epochs."""
    return {key: value for key, value in state.items() if is_tensor(value)}


def _found(content: object) -> str:
    if isinstance(content, Mapping) and content:
        return f"found keys {', '.join(repr(key) for key in list(content)[:5])}"
    return "found no tensor" if isinstance(content, Mapping) else f"found {type(content).__name__}"


def check_tensors(state: Mapping, size: int) -> None:
    if not all(isinstance(key, str) and key and key.isprintable() for key in state):
        raise Refused("a key of its state dict is no text that can be printed")
    for key, tensor in state.items():
        if not isinstance(tensor, np.ndarray):
            _check_dense(key, tensor)
    total = sum(math.prod(tensor.shape) * tensor.dtype.itemsize for tensor in state.values())
    if total > size:
        raise Refused(f"its tensors declare {total:,} bytes, the file has {size:,}")


def _check_dense(key: str, tensor) -> None:
    import torch

    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex() or tensor.device.type != "cpu":
        raise Refused(f"tensor {key} is not a dense one of real numbers")


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
