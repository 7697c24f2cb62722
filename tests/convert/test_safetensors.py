""".safetensors files, good and hostile, without PyTorch; and the names that wrappers give to weights."""

import json
import struct
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from scarlet_tf import zoo
from scarlet_tf.arch import get_space
from scarlet_tf.convert import CheckpointFileError, checkpoint_file, read_checkpoint, to_state_dict
from scarlet_tf.models import build, get_weights

STATE = {"stem.0.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "stem.1.bias": np.float32([1, -2])}


def made(path, header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def entry(dtype, shape, end, start=0):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@pytest.mark.parametrize("name", ["a.safetensors", "model.bin"])
def test_tensors_and_metadata(name, tmp_path):
    safetensors.numpy.save_file(STATE, tmp_path / name, metadata={"format": "pt", "epoch": "3"})
    read = read_checkpoint(tmp_path / name)
    assert set(read.state) == set(STATE) and (read.key, read.others) == ("", ())
    assert all(read.state[key].dtype == np.float32 and np.array_equal(read.state[key], STATE[key]) for key in STATE)


@pytest.mark.parametrize(("kind", "dtype"), [("F16", np.float16), ("BF16", ml_dtypes.bfloat16), ("F64", np.float64)])
def test_other_floats(kind, dtype, tmp_path):
    values = np.array([1.5, -0.25, 3.0, 2.0**-100 if kind != "F16" else 0.0])
    data = values.astype(dtype).tobytes()
    read = read_checkpoint(made(tmp_path / "a.safetensors", {"a": entry(kind, [2, 2], len(data))}, data)).state["a"]
    assert read.dtype == (np.float32 if kind == "BF16" else dtype) and read.ravel().tolist() == values.tolist()


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model."])
def test_prefixes_of_wrappers(prefix):
    assert list(checkpoint_file.unwrapped({prefix + key: array for key, array in STATE.items()})) == list(STATE)


def test_a_key_is_a_prefix_of_names(tmp_path):
    both = {f"ema.{key}": array + 1 for key, array in STATE.items()} | {f"net.{k}": a for k, a in STATE.items()}
    safetensors.numpy.save_file(both, tmp_path / "a.safetensors")
    read = read_checkpoint(tmp_path / "a.safetensors", key="ema")
    assert np.array_equal(read.state["stem.1.bias"], STATE["stem.1.bias"] + 1)
    with pytest.raises(CheckpointFileError, match=r"no state dict under the key 'emma'.*nearest is 'ema'"):
        read_checkpoint(tmp_path / "a.safetensors", key="emma")


@pytest.mark.parametrize(
    ("names", "naming"),
    [
        (["module.a", "b"], "1 of its 2 names begin with 'module.', the others do not, such as 'b': expected all or"),
        (["_orig_mod.a", "_orig_mod.b", "c"], "2 of its 3 names begin with '_orig_mod.'"),
        (["module._orig_mod.a", "module.b"], "1 of its 2 names begin with '_orig_mod.'"),
        (["model.a", "loss.a"], "--key=state_dict.model selects only those that do"),
        (["a._orig_mod.b", "a.b"], "without the prefixes of wrappers, two of its names are 'a.b'"),
    ],
)
def test_a_mixture_of_names_is_refused(names, naming):
    with pytest.raises(CheckpointFileError, match=naming):
        checkpoint_file.unwrapped(dict.fromkeys(names, np.zeros(1)), key="state_dict")


HOSTILE = {
    "empty": (b"", "header too small"),
    "cut_short": (struct.pack("<Q", 1000) + b'{"a":', "invalid header length"),
    "huge_header": (struct.pack("<Q", 1 << 60) + b"{}", "header too large"),
    "no_json": (struct.pack("<Q", 4) + b'{"a"', "invalid JSON in header"),
    "deep": (struct.pack("<Q", 90_000) + b'{"a":' * 18_000, "recursion limit"),
    "no_object": (struct.pack("<Q", 2) + b"[]", "cannot be read as a checkpoint"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_damaged_headers(kind, tmp_path):
    content, naming = HOSTILE[kind]
    (tmp_path / "a.safetensors").write_bytes(content)
    assert_refused(tmp_path / "a.safetensors", naming)


ENTRY = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
TENSORS = {
    "twice": (ENTRY[:-1] + b"," + ENTRY[1:].replace(b"[1]", b"[1,1]"), "two entries 'a'"),
    "more_than_there": ({"a": entry("F32", [1000], 4000)}, "not fully covered"),
    "too_large": ({"a": entry("F32", [1 << 62, 4], 4)}, "overflow"),
    "other_size": ({"a": entry("F32", [2], 4)}, "cannot be read as a checkpoint"),
    "overlapping": ({"a": entry("F32", [1], 4), "b": entry("F32", [1], 4)}, "cannot be read as a checkpoint"),
    "float8": ({"a": entry("F8_E4M3", [4], 4)}, "tensor a has dtype F8_E4M3, expected real numbers"),
    "complex": ({"a": entry("C64", [], 8)}, "cannot be read as a checkpoint"),
    "no_tensors": ({"__metadata__": {"format": "pt"}}, "expected a state dict"),
    "unprintable": ({"a\n\x1b[31m": entry("F32", [1], 4)}, "not printable text"),
}  # fmt: skip


@pytest.mark.parametrize("kind", TENSORS)
def test_damaged_tensors(kind, tmp_path):
    header, naming = TENSORS[kind]
    data = b"" if kind == "no_tensors" else bytes(4)
    assert_refused(made(tmp_path / "a.safetensors", header, data), naming)


def assert_refused(path, naming):
    with pytest.raises(CheckpointFileError, match=naming) as refused:
        read_checkpoint(path)
    assert "\n" not in str(refused.value) and str(path) in str(refused.value)


def test_without_the_package_one_line_says_what_to_install(tmp_path, monkeypatch):
    made(tmp_path / "a.safetensors", {"a": entry("F32", [1], 4)}, bytes(4))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CheckpointFileError, match=r"a\.safetensors: the package safetensors is needed"):
        read_checkpoint(tmp_path / "a.safetensors")


def test_tool(tmp_path, call_tool):
    """A small network's weights, wrapped and in half precision, to Keras; then another network's."""
    spec = get_space("small").spec((3, 12, 1, 7, 11, 12), name="small")
    spec.save(tmp_path / "small.json")
    weights = get_weights(build(spec))
    state = {f"_orig_mod.{k}": np.float16(a) for k, a in to_state_dict(spec, weights).items() if "num_ba" not in k}
    safetensors.numpy.save_file(state, tmp_path / "s.safetensors")
    flags = ["--checkpoint=s.safetensors", "--output=s.weights.h5"]
    done = call_tool("convert_torch", "--model=small.json", *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    read = get_weights(zoo.create_model(spec, weights=tmp_path / "s.weights.h5"))
    assert all(np.array_equal(read[name], np.float32(np.float16(array))) for name, array in weights.items())
    refused = call_tool("convert_torch", "--model=scarlet_c", *flags, cwd=tmp_path)
    assert refused.returncode == 2 and len(refused.stderr.splitlines()) == 1
    assert (
        "s.safetensors: tensors do not fit 'scarlet_c' (found " in refused.stderr and ", expected (" in refused.stderr
    )


def test_torch_is_not_loaded(tmp_path):
    safetensors.numpy.save_file(STATE, tmp_path / "a.safetensors")
    code = (
        "import sys; sys.modules['torch'] = None; from scarlet_tf.convert import read_checkpoint as r; r(sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.safetensors")], check=True)
