"""Tools with remote paths, as a user calls them: what works, and what is refused by one line."""

import json

import numpy as np
import pytest
import tensorflow as tf

from scarlet_tf.arch import ArchSpec, BlockSpec
from scarlet_tf.runs.cluster import TRY_AGAIN_EXIT_CODE
from scarlet_tf.zoo import load_keras_file

STORE = "flaky://bucket"


@pytest.fixture
def bucket(tmp_path, flaky_store):
    """The folder of flaky://bucket, with a spec and a folder of black and white images."""
    bucket = tmp_path / "store" / "bucket"
    block = BlockSpec(kind="inverted_residual", in_channels=8, out_channels=8, kernel_size=3, hidden_channels=24)
    channels = {"stem_channels": 8, "first_channels": 8, "tail_channels": 16}
    ArchSpec(name="tiny", blocks=(block,), resolution=16, classes=2, **channels).save(bucket / "spec.json")
    for split, count in (("train", 8), ("test", 3)):
        for value, name in ((0, "black"), (255, "white")):
            folder = bucket / "images" / split / name
            folder.mkdir(parents=True)
            for n in range(count):
                image = tf.constant(np.full((16, 16, 3), abs(value - n), np.uint8))
                (folder / f"{n}.png").write_bytes(tf.io.encode_png(image).numpy())
    return bucket


@pytest.fixture
def here(tmp_path):
    """An empty folder to call tools in; nothing may appear there."""
    here = tmp_path / "here"
    here.mkdir()
    yield here
    assert not list(here.iterdir())


@pytest.mark.slow
def test_training_and_what_follows_in_a_bucket(bucket, here, call_tool, flaky_store):
    flaky_store.read = flaky_store.write = 0.05
    flags = ["--epochs=6", "--batch_size=4", "--learning_rate=0.5", "--validation=0.25", "--checkpoint_every=2"]
    flags += ["--keep_checkpoints=1", f"--model={STORE}/spec.json", f"--dataset=folder:{STORE}/images"]
    trained = call_tool("train", *flags, f"--output={STORE}/run", cwd=here)
    assert trained.returncode == 0, trained.stderr
    run = bucket / "run"
    names = {"spec.json", "model.keras", "curves.png", "confusion.png", "training.json", "training.json.complete"}
    assert {path.name for path in run.iterdir()} == names | {
        "log.jsonl",
        ".log.jsonl",
        ".log.jsonl.complete",
        "tensorboard",
    }
    result = json.loads((run / "training.json").read_text())
    assert result["test"]["top1"] == 1.0 and load_keras_file(run / "model.keras").output_shape == (None, 2)
    again = call_tool("train", *flags, f"--output={STORE}/run", cwd=here)
    assert f"{STORE}/run: this run was already complete, and nothing was trained" in again.stdout
    evaluated = call_tool("evaluate", f"--model={STORE}/run", f"--confusion={STORE}/matrix.json", cwd=here)
    assert evaluated.returncode == 0 and json.loads(evaluated.stdout)["top1"] == 1.0, evaluated.stderr
    assert (bucket / "matrix.json").exists()
    drawn = call_tool("draw", f"--model={STORE}/run", f"--output={STORE}/a.svg", cwd=here)
    assert drawn.returncode == 0 and (bucket / "a.svg").stat().st_size > 1000, drawn.stderr
    checked = call_tool("verify", f"--model={STORE}/run", "--formats=float32", f"--output={STORE}/v.json", cwd=here)
    assert checked.returncode == 0 and json.loads((bucket / "v.json").read_text()), checked.stderr
    finetuned = call_tool(
        *("train", f"--model={STORE}/run", f"--dataset=folder:{STORE}/images", "--recipe=finetune", "--epochs=2"),
        *("--frozen_epochs=1", "--batch_size=4", f"--output={STORE}/tuned"),
        cwd=here,
    )
    assert finetuned.returncode == 0, finetuned.stderr
    assert json.loads((bucket / "tuned" / "training.json").read_text())["started_from"].startswith("run, trained on")


@pytest.mark.parametrize(
    ("tool", "flags", "message"),
    [
        (
            "export_saved_model",
            ["--model=scarlet_a", "--output={}/a"],
            "{}/a: expected a local path, because",
        ),
        ("export_tflite", ["--model=scarlet_a", "--output={}/a.tflite"], "{}/a.tflite: expected a local path, because"),
        ("export_onnx", ["--model=scarlet_a", "--output={}/a.onnx"], "{}/a.onnx: expected a local path, because"),
        ("optimize_tflite", ["a.tflite", "{}/a.tflite"], "{}/a.tflite: expected a local path, because the file"),
        ("rank", ["--supernet={}/s", "--output={}/a"], "{}/a: expected a local path, because"),
        ("reproduce", ["--figure=6", "--supernet={}/s", "--output={}/a"], "{}/a: expected a local path, because"),
        ("verify", ["--model=scarlet_a", "--folder={}/a"], "{}/a: expected a local path, because the files in it"),
        ("prepare_imagenet", ["--tars=.", "--data_dir={}/a"], "no "),
        ("prepare_fashion_mnist", ["--data_dir={}/a"], "{}/a: expected a local path, because a dataset is prepared"),
        ("train", ["--model={}/none.json", "--output={}/a"], "{}/none.json: No such file or directory"),
        ("train", ["--model={}/none", "--output={}/a"], "{}/none: No such file or directory"),
        ("train", ["--model=scarlet_a", "--weights={}/w.weights.h5", "--output={}/a"], "{}/w.weights.h5: No such file"),
        ("train", ["--model=scarlet_a", "--output=gz://a"], "gz://a: unknown scheme 'gz': expected gs, s3 or"),
        ("train", ["--model=scarlet_a", "--output=tos://a/b"], "tos://a/b: "),
        ("train", ["--model=scarlet_a", "--dataset={}/images", "--output={}/a"], "unknown dataset '{}/images': for an"),
        (
            "train",
            ["--model=scarlet_a", "--dataset=folder:{}/no", "--output={}/a"],
            "no image folder at {}/no: ",
        ),
        ("train_supernet", ["--space={}/s.json", "--output={}/a"], "no such file: {}/s.json"),
        ("search", ["--supernet={}/s", "--output={}/a"], "no supernet in {}/s: it has no config.json"),
        ("search", ["--supernet={}/s", "--output=a", "--quantity=t:{}/t.json"], "{}/t.json: No such file or directory"),
        ("report", ["--archive={}/a.sqlite", "--output={}/a.html"], "{}/a.sqlite: No such file or directory"),
        ("evaluate", ["--model={}/run"], "{}/run: No such file or directory"),
    ],
)
def test_what_cannot_be_used_is_one_line(bucket, here, call_tool, tool, flags, message):
    done = call_tool(tool, *(flag.format(STORE) for flag in flags), cwd=here)
    assert done.returncode == 2 and done.stdout == ""
    *_, last = done.stderr.splitlines()
    assert last.startswith(f"{tool}.py: {message.format(STORE)}"), done.stderr


def test_a_store_that_fails_ends_a_tool_with_one_line(bucket, here, call_tool, flaky_store):
    flaky_store.read = 1.0
    done = call_tool("train", "--model=scarlet_a", f"--output={STORE}/a", cwd=here)
    message = f"train.py: {STORE}/a: TimeoutError: the store does not answer (tried 5 times)\n"
    assert (done.returncode, done.stderr) == (TRY_AGAIN_EXIT_CODE, message)
