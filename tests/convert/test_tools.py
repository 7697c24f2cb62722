"""The two tools on PyTorch files, with PyTorch."""

from pathlib import Path

import numpy as np
import pytest
from rounding import float64

from scarlet_tf import zoo
from scarlet_tf.arch import get_space

torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")

pytestmark = pytest.mark.slow

TRAINED = Path(__file__).parents[2] / "zoo" / "weights" / "scarlet_fashion"


@pytest.fixture
def checkpoint(official, tmp_path):
    state = {f"module.{key}": torch.from_numpy(np.array(array)) for key, array in official.items()}
    torch.save({"model_state": state}, tmp_path / "c.pth.tar", _use_new_zipfile_serialization=False)
    return tmp_path / "c.pth.tar"


@pytest.mark.parametrize("file", ["c.weights.h5", "c.keras"])
def test_golden_logits_there_and_the_same_tensors_back(file, checkpoint, official, rule, golden_logits, call_tool):
    folder = checkpoint.parent
    flags = ["--model=scarlet_c", "--checkpoint=c.pth.tar", f"--output={file}"]
    result = call_tool("convert_torch", *flags, cwd=folder)
    assert result.returncode == 0, result.stderr
    assert "314 tensors, 6,073,684 params" in result.stdout and len(result.stdout.splitlines()) == 1
    with float64():  # where rounding is out of the way
        model = zoo.create_model("scarlet_c", weights=folder / file, classifier_activation=None)
        logits = np.asarray(model(rule.images().astype(np.float64), training=False))
    assert np.abs(logits - golden_logits).max() / np.abs(golden_logits).max() <= 1e-9

    source = [f"--model={file}"] if file.endswith(".keras") else ["--model=scarlet_c", f"--weights={file}"]
    result = call_tool("export_torch", *source, "--output=back.pth", cwd=folder)
    assert result.returncode == 0, result.stderr
    back = torch.load(folder / "back.pth", weights_only=True)["model_state"]
    assert list(back) == list(official)
    assert all(np.array_equal(tensor.numpy(), official[key]) for key, tensor in back.items())


def test_a_trained_folder_to_pytorch(call_tool, tmp_path):
    result = call_tool("export_torch", f"--model={TRAINED}", "--output=f.pth", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    state = torch.load(tmp_path / "f.pth", weights_only=True)["model_state"]
    assert state["classifier.bias"].shape == (10,)


def test_refusals_are_one_line_and_leave_nothing(checkpoint, call_tool):
    folder = checkpoint.parent
    (folder / "cut.pth").write_bytes(checkpoint.read_bytes()[:1_000_000])
    get_space("small").spec((3, 12, 1, 7, 11, 12), let=True).save(folder / "let.json")
    for model, file, naming in [
        ("scarlet_c", "cut.pth", "cut.pth"),
        ("scarlet_a", "c.pth.tar", "it fits 'scarlet_c'"),
        ("let.json", "c.pth.tar", "linearly equivalent"),
    ]:
        flags = [f"--model={model}", f"--checkpoint={file}", "--output=new/o.weights.h5"]
        result = call_tool("convert_torch", *flags, cwd=folder)
        assert result.returncode == 2 and len(result.stderr.splitlines()) == 1
        assert naming in result.stderr and not result.stdout and not (folder / "new").exists()
