"""PyTorch files, good and hostile, with PyTorch."""

import argparse
import os
import pathlib
import pickle
import struct
import warnings
import zipfile

import numpy as np
import pytest

from scarlet_tf import zoo
from scarlet_tf.convert import CheckpointFileError, from_state_dict, read_checkpoint, to_state_dict, write_checkpoint

torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")

C = zoo.get_spec("scarlet_c")
SMALL = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.num_batches_tracked": torch.tensor(7)}


def save(content, path, *, zipped=True):
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before_1.6"])
@pytest.mark.parametrize("bare", [True, False], ids=["bare", "model_state"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_formats_of_the_golden_weights(zipped, bare, prefix, official, tmp_path):
    state = {prefix + key: torch.from_numpy(np.array(array)) for key, array in official.items()}
    path = save(state if bare else {"epoch": 350, "model_state": state}, tmp_path / "c.pth.tar", zipped=zipped)
    read = read_checkpoint(path)
    arrays = read.state
    assert len(read.sha256) == 64 and read.key == ("" if bare else "model_state") and list(arrays) == list(official)
    assert all(arrays[key].tobytes() == official[key].tobytes() for key in official)
    weights = from_state_dict(C, arrays)
    assert all(np.array_equal(array, official[key]) for key, array in to_state_dict(C, weights).items())


def test_written_files_load_with_weights_only_and_in_order(official, tmp_path):
    write_checkpoint(tmp_path / "new" / "c.pth", official)
    state = torch.load(tmp_path / "new" / "c.pth", weights_only=True)["model_state"]
    assert list(state) == list(official)
    assert state["stem.1.num_batches_tracked"].dtype == torch.int64
    assert all(np.array_equal(tensor.numpy(), official[key]) for key, tensor in state.items())
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["c.pth"]


@pytest.mark.parametrize("zipped", [True, False])
def test_numpy_scalars_and_optimizers_beside_the_weights_are_passed_over(zipped, tmp_path):
    extras = {"best": np.float64(76.9), "optimizer": {"state": {0: torch.ones(3)}, "groups": [{"lr": 0.1}]}}
    path = save(extras | {"model_state": SMALL}, tmp_path / "a.pth", zipped=zipped)
    arrays = read_checkpoint(path).state
    assert set(arrays) == set(SMALL) and arrays["a.weight"][1, 2] == 5.0


EMA = {key: tensor + 1 for key, tensor in SMALL.items()}
FILES = {  # as training code writes them -> (content, key that is read, further keys)
    "bare": (SMALL, "", ()),
    "tutorial": ({"epoch": 3, "model_state_dict": SMALL, "loss": 0.5}, "model_state_dict", ()),
    "timm": (
        {"state_dict": SMALL, "state_dict_ema": EMA, "args": argparse.Namespace(lr=0.1), "metric": np.float64(7)},
        "state_dict",
        ("state_dict_ema",),
    ),
    "torchvision": (
        {"model": SMALL, "model_ema": {"n_averaged": torch.tensor(5), **{f"module.{k}": v for k, v in EMA.items()}}},
        "model",
        ("model_ema",),
    ),
    "lightning": (
        {"state_dict": {f"model.{k}": v for k, v in SMALL.items()}, "hyper_parameters": {"path": pathlib.Path("a")}},
        "state_dict",
        (),
    ),
    "nested": (
        {"checkpoint": {"model": {"state_dict": SMALL, "ema": EMA}}},
        "checkpoint.model.state_dict",
        ("checkpoint.model.ema",),
    ),
    "averages_alone": ({"model_ema": SMALL, "step": torch.tensor(3)}, "model_ema", ("",)),
    "one_name_of_its_own": ({"best_weights": SMALL, "epoch": 3}, "best_weights", ()),
    "compiled": ({"model": {f"_orig_mod.module.{k}": v for k, v in SMALL.items()}}, "model", ()),
    "wrapped_compiled": ({f"module._orig_mod.{k}": v for k, v in SMALL.items()}, "", ()),
    "compiled_in_part": ({"a._orig_mod.weight": SMALL["a.weight"], "a.num_batches_tracked": torch.tensor(7)}, "", ()),
    "averaged": ({"n_averaged": torch.tensor(5), **{f"module.{k}": v for k, v in SMALL.items()}}, "", ()),
    "parameters": ({k: torch.nn.Parameter(v.float()) for k, v in SMALL.items()}, "", ()),
}


@pytest.mark.parametrize("kind", FILES)
def test_files_as_training_code_writes_them(kind, tmp_path):
    content, key, others = FILES[kind]
    read = read_checkpoint(save(content, tmp_path / "a.pth"))
    assert read.key == key and read.others == tuple(filter(None, others))
    assert {name: array.tolist() for name, array in read.state.items()} == {k: v.tolist() for k, v in SMALL.items()}


@pytest.mark.parametrize(
    ("kind", "key"),
    [("timm", "state_dict_ema"), ("torchvision", "model_ema"), ("nested", "checkpoint.model.ema")],
)
def test_a_key_chooses(kind, key, tmp_path):
    read = read_checkpoint(save(FILES[kind][0], tmp_path / "a.pth"), key=key)
    assert read.key == key and read.state["a.weight"].tolist() == EMA["a.weight"].tolist()


def test_a_key_goes_on_into_names(tmp_path):
    """The modules of a Lightning class lie side by side."""
    both = {**{f"teacher.{k}": v for k, v in EMA.items()}, **{f"student.{k}": v for k, v in SMALL.items()}}
    path = save({"state_dict": both, "epoch": 3}, tmp_path / "a.ckpt")
    assert read_checkpoint(path, key="state_dict.teacher").state["a.weight"].tolist() == EMA["a.weight"].tolist()
    assert list(read_checkpoint(path).state) == list(both)


@pytest.mark.parametrize(
    ("kind", "key", "naming"),
    [
        (
            "timm",
            "state_dict_eam",
            "'state_dict_eam'; it has 'state_dict', 'state_dict_ema'; nearest is 'state_dict_ema'$",
        ),
        ("bare", "state_dict", "it has none: its weights lie at the top, and need no key; nearest is"),
        ("nested", "ema", "it has 'checkpoint.model.state_dict', 'checkpoint.model.ema'"),
        ("timm", "", "no state dict under the key ''; it has 'state_dict'"),
    ],
)
def test_a_key_that_is_not_there_lists_those_that_are(kind, key, naming, tmp_path):
    with pytest.raises(CheckpointFileError, match=naming) as refused:
        read_checkpoint(save(FILES[kind][0], tmp_path / "a.pth"), key=key)
    assert "\n" not in str(refused.value)


def test_dicts_without_end(tmp_path):
    content = {f"a{n}": {} for n in range(100)}
    for value in content.values():
        value.update(content)
    assert_refused(save(content, tmp_path / "a.pth"), "it holds more than 10,000 dicts within dicts")


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64"])
def test_other_floats(kind, tmp_path):
    tensor = torch.tensor([1.5, -0.25, 3.0]).to(getattr(torch, kind))
    arrays = read_checkpoint(save({"a": tensor}, tmp_path / "a.pth")).state
    assert arrays["a"].dtype == ("float32" if kind == "bfloat16" else kind)
    assert arrays["a"].tolist() == [1.5, -0.25, 3.0]


class _Runs:
    """Unpickled, it writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def assert_refused(path, naming):
    before = sorted(path.parent.iterdir())
    with pytest.raises(CheckpointFileError, match=naming) as refused:
        read_checkpoint(path)
    assert "\n" not in str(refused.value) and str(path) in str(refused.value)
    assert "weights_only` set to" not in str(refused.value) and "\x1b" not in str(refused.value)
    assert sorted(path.parent.iterdir()) == before


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("where", ["inside", "beside"])
def test_code_in_a_file_is_not_run(zipped, where, tmp_path):
    evil = _Runs(tmp_path / "ran")
    content = {"model_state": {**SMALL, "b": evil}} if where == "inside" else {"model_state": SMALL, "b": evil}
    assert_refused(save(content, tmp_path / "evil.pth", zipped=zipped), r"it names \w+\.system, expected nothing but")
    assert not (tmp_path / "ran").exists()


def test_a_plain_pickle_is_not_run(tmp_path):
    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps(_Runs(tmp_path / "ran"), protocol=2))
    assert_refused(path, "system")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.95])
def test_truncated(zipped, kept, official, tmp_path):
    state = {key: torch.from_numpy(np.array(array)) for key, array in list(official.items())[:60]}
    path = save(state, tmp_path / "cut.pth", zipped=zipped)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    assert_refused(path, "cannot be read as a checkpoint")


def test_zip_bomb(tmp_path):
    path = save({"a": torch.zeros(10_000_000)}, tmp_path / "a.pth")
    bomb = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as target:
        for member in source.namelist():
            target.writestr(member, source.read(member))
    assert bomb.stat().st_size < 200_000
    assert_refused(bomb, "is compressed")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("elements", [30_000, 1 << 29, 1 << 40])
def test_a_storage_that_declares_more_than_the_file_holds(zipped, elements, tmp_path):
    """The element count of a tensor's storage in the pickle, replaced by 120 kB, 2 GiB and 4 TiB."""
    path = save({"a": torch.arange(12_345.0)}, tmp_path / "a.pth", zipped=zipped)
    content, large = path.read_bytes(), tmp_path / "large.pth"
    # pickle: BININT2 12345, within the storage's persistent id -> LONG1 of 8 bytes
    declared = b"M" + struct.pack("<H", 12_345)
    assert content.count(declared) >= 1
    if zipped:
        with zipfile.ZipFile(path) as source, zipfile.ZipFile(large, "w") as target:
            for member in source.namelist():
                target.writestr(
                    member, source.read(member).replace(declared, b"\x8a\x08" + struct.pack("<q", elements))
                )
    else:
        large.write_bytes(content.replace(declared, b"\x8a\x08" + struct.pack("<q", elements)))
    assert_refused(large, "cannot be read as a checkpoint")


def test_tensors_that_repeat_a_few_bytes(tmp_path):
    """A stride of 0 makes a tensor of 4 TB of one number."""
    path = save({"a": torch.zeros(1).expand(1 << 40)}, tmp_path / "a.pth")
    assert path.stat().st_size < 2000
    assert_refused(path, "tensors declare 4,398,046,511,104 bytes")


def other_contents():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [
            ({"epoch": 3, "state_dict": {"a": 1}}, "expected a state dict.*, found keys 'epoch', 'state_dict'"),
            ({"optimizer": {"state": {0: SMALL}}, "epoch": 1}, "found keys 'optimizer', 'epoch'"),
            ({"generator": SMALL, "critic": SMALL}, "several .*: choose with --key one of 'generator', 'critic'"),
            ({}, "expected a state dict, .* found no tensor"),
            ([1, 2], "found list"),
            (torch.zeros(3), "found Tensor"),
            ({3: torch.zeros(3)}, "expected a state dict, .* found keys 3"),
            ({"a\n\x1b[31mb": torch.zeros(3)}, "no text that can be printed"),
            (torch.nn.Linear(2, 2), r"a whole model is pickled in it, of torch\.nn\.modules\.linear\.Linear, which"),
            ({"model": torch.nn.Linear(2, 2)}, "expected the file of a state dict"),
            ({"a": torch.eye(3).to_sparse()}, "tensor a is not a dense one"),
            ({"a": torch.zeros(2, dtype=torch.complex64)}, "tensor a is not a dense one"),
        ]


@pytest.mark.parametrize(("content", "naming"), other_contents())
def test_other_contents(content, naming, tmp_path):
    assert_refused(save(content, tmp_path / "other.pth"), naming)


def test_scripted_modules_and_text(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "scripted.pth")
    assert_refused(tmp_path / "scripted.pth", "a TorchScript program: expected the file of a state dict")
    (tmp_path / "text.pth").write_text("<html>sign in</html>")
    assert_refused(tmp_path / "text.pth", "Unsupported operand")
    (tmp_path / "zeros.pth").write_bytes(bytes(100_000))
    assert_refused(tmp_path / "zeros.pth", r"legacy \.tar format\.$")
