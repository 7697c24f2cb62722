"""tools/train.py and tools/evaluate.py as a user calls them, from another directory."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from scarlet_tf.arch import ArchSpec, BlockSpec
from scarlet_tf.data import DataConfig
from scarlet_tf.models import get_weights
from scarlet_tf.runs.strategy import make_strategy
from scarlet_tf.supernet import SupernetConfig, train_supernet
from scarlet_tf.zoo import load_keras_file


@pytest.fixture
def here(tmp_path):
    """A spec and a folder of black and white images."""
    block = BlockSpec(kind="inverted_residual", in_channels=8, out_channels=8, kernel_size=3, hidden_channels=24)
    channels = {"stem_channels": 8, "first_channels": 8, "tail_channels": 16}
    ArchSpec(name="tiny", blocks=(block,), resolution=16, classes=1000, **channels).save(tmp_path / "spec.json")
    for split, count in (("train", 8), ("test", 3)):
        for value, name in ((0, "black"), (255, "white")):
            folder = tmp_path / "images" / split / name
            folder.mkdir(parents=True)
            for n in range(count):
                image = tf.constant(np.full((16, 16, 3), abs(value - n), np.uint8))
                (folder / f"{n}.png").write_bytes(tf.io.encode_png(image).numpy())
    return tmp_path


@pytest.mark.slow
def test_training_then_evaluating(here, call_tool):
    run = here / "mein Lauf ü"
    data = f"--dataset=folder:{here / 'images'}"
    flags = ["--model=spec.json", f"--output={run.name}", "--epochs=8", "--batch_size=8", "--learning_rate=0.5", data]
    trained = call_tool("train", *flags, cwd=here)
    assert trained.returncode == 0, trained.stderr
    result = json.loads((run / "training.json").read_text())
    assert trained.stdout.startswith(f"test top-1 {result['test']['top1']:.4f}, balanced")
    assert "top-5" not in trained.stdout and result["test"]["top5"] is None
    assert ArchSpec.load(run / "spec.json").classes == 2  # the data's, not the file's
    (warning,) = [line for line in trained.stderr.splitlines() if line.startswith("warning")]
    assert warning.startswith("warning: 16 steps are too few for moving batch normalisation statistics")
    assert result["started_from"] is None
    again = call_tool("train", *flags, cwd=here).stdout.splitlines()
    assert again == [
        f"{run.name}: this run was already complete, and nothing was trained; its result:",
        trained.stdout.strip(),
    ]
    for model, *more in ([run.name], [f"{run.name}/model.keras", data]):
        evaluated = call_tool("evaluate", f"--model={model}", *more, cwd=here)
        assert evaluated.returncode == 0, evaluated.stderr
        line = json.loads(evaluated.stdout)
        assert line["top1"] == result["test"]["top1"] and line["examples"] == 6


@pytest.mark.slow
def test_how_images_are_read_and_steps_are_called_changes_nothing(here, call_tool):
    flags = ["--model=spec.json", "--epochs=4", "--batch_size=4", f"--dataset=folder:{here / 'images'}"]
    flags += ["--augment=inception", "--log_every=7"]
    how = ["--steps_per_call=5", "--input_workers=1", "--cache=cache"]
    for output, more in (("usual", []), ("other", how), ("other", [])):
        trained = call_tool("train", *flags, f"--output={output}", *more, cwd=here)
        assert trained.returncode == 0, trained.stderr
    assert trained.stdout.startswith("other: this run was already complete")
    assert len([path for path in (here / "cache").rglob("*") if path.is_file()]) == 16 + 6
    usual, other = (get_weights(load_keras_file(here / run / "model.keras")) for run in ("usual", "other"))
    for name, array in usual.items():
        np.testing.assert_array_equal(other[name], array, err_msg=name)
    whole, together = ((here / run / "log.jsonl").read_text().splitlines() for run in ("usual", "other"))
    assert [json.loads(line)["step"] for line in together] == [7, 14, 16]
    for line, expected in zip(map(json.loads, together), map(json.loads, whole), strict=True):
        assert line | {"time": 0} == expected | {"time": 0}


@pytest.mark.parametrize("flag", ["--jit_compile", "--steps_per_call=2", "--image_size=64"])
def test_flags_that_compression_does_not_take(call_tool, flag, tmp_path):
    refused = call_tool("train", "--model=scarlet_a", "--qat", flag, "--output=run", cwd=tmp_path)
    name = flag.partition("=")[0]
    assert (refused.returncode, refused.stderr) == (2, f"train.py: {name} is not for --qat, --prune and --cluster\n")


@pytest.mark.slow
def test_training_goes_on_from_a_path_of_a_supernet(here, call_tool, one_layer_space):
    """At a learning rate of next to nothing, the trained network is the supernet's path, LET included."""
    small = {"stem_channels": 8, "first_channels": 8, "tail_channels": 16, "resolution": 16, "classes": 2}
    space = dataclasses.replace(one_layer_space, out_channels=(12,), **small)
    images = DataConfig(name=f"folder:{here / 'images'}", image_size=16)
    config = SupernetConfig(space=space, data=images, steps=2, batch_size=8)
    path = train_supernet(config, here / "net", strategy=make_strategy("one_device")).path_weights((3,))
    flags = ["--inherit_from=net", "--genome=3", "--learning_rate=1e-12", "--epochs=1", "--batch_size=16"]
    trained = call_tool("train", *flags, f"--dataset={images.name}", "--output=run", cwd=here)
    assert trained.returncode == 0, trained.stderr
    assert ArchSpec.load(here / "run" / "spec.json") == space.spec((3,), let=True)
    warning = "warning: 16 training images in batches of 16 give 1 step per epoch, --batch_size=8 gives 2"
    assert warning in trained.stderr.splitlines()
    record = json.loads((here / "run" / "training.json").read_text())
    assert record["inherited_weights"] and record["started_from"] == "path 3 of a supernet"
    weights = get_weights(load_keras_file(here / "run" / "model.keras"))
    assert weights.keys() == path.keys() and "block00_let/kernel" in weights
    for name, array in weights.items():
        if "moving" not in name:
            np.testing.assert_allclose(array, path[name], atol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    ("tool", "flags", "message"),
    [
        ("train", ["--model=spec.json"], "--output is required"),
        ("train", ["--output=run"], "expected either --model, or --inherit_from with --genome"),
        ("train", ["--output=run", "--inherit_from=net"], "--inherit_from and --genome must be set together"),
        ("train", ["--output=run", "--model=m", "--recipe=papr"], "unknown recipe 'papr'"),
        ("train", ["--output=run", "--model=m", "--epochs=-1"], "epochs must be a number > 0, got -1.0"),
        ("train", ["--output=run", "--model=m", "--strategy=mirored"], "nearest is 'mirrored'"),
        ("evaluate", [], "--model is required"),
        ("evaluate", ["--model=nowhere.keras"], "no such file: nowhere.keras"),
    ],
)
def test_bad_flags_are_one_line_and_exit_2(tool, flags, message, tmp_path, call_tool):
    done = call_tool(tool, *flags, cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"{tool}.py: ") and message in last and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
