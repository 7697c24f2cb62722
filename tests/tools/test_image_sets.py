"""Tools on the image sets that users bring: damaged files, classes in another order, images that are not square."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from scarlet_tf.arch import ArchSpec, BlockSpec
from scarlet_tf.models import build

HEIGHT, WIDTH = 24, 16
CLASSES = ["blue", "green", "red"]


def write_images(root, classes, *, splits=("train", "test"), count=4):
    """Images of one colour, by class name; `count` in a class."""
    for split in splits:
        for name in classes:
            (root / split / name).mkdir(parents=True, exist_ok=True)
            for n in range(count):
                pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
                pixels[..., CLASSES[::-1].index(name.lower()) if name.lower() in CLASSES else 0] = 200 + n
                (root / split / name / f"{n}.png").write_bytes(tf.io.encode_png(pixels).numpy())
    return root


def tiny_spec(**changes):
    block = BlockSpec(
        kind="inverted_residual", in_channels=8, out_channels=8, kernel_size=3, hidden_channels=16, stride=2
    )
    channels = {"stem_channels": 8, "first_channels": 8, "tail_channels": 16}
    return ArchSpec(**{"name": "tiny", "blocks": (block,), "resolution": 32, "classes": 3, **channels} | changes)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder as train.py writes it, of a network that knows colours: its classes are red, blue and green."""
    root = tmp_path_factory.mktemp("trained")
    images = write_images(root / "images", CLASSES)
    model = build(tiny_spec(resolution=(HEIGHT, WIDTH)), classifier_activation=None)
    (root / "model").mkdir()
    spec = tiny_spec(resolution=(HEIGHT, WIDTH))
    spec.save(root / "model" / "spec.json")
    order = ["red", "blue", "green"]
    colours = tf.eye(3)  # of red, green, blue: pooled features of one colour, separated by least squares
    _teach(model, [colours[0], colours[2], colours[1]])
    model.save(root / "model" / "model.keras")
    settings = {"name": f"folder:{images}", "image_size": [HEIGHT, WIDTH], "search_validation": 0, "augment": "none"}
    data = settings | {"seed": 0, "mean": [0.5] * 3, "std": [0.5] * 3}
    test = {"top1": 1.0, "examples": 12}
    (root / "model" / "training.json").write_text(json.dumps({"data": data, "class_names": order, "test": test}))
    return root / "model"


def _teach(model, colours):
    """Sets the classifier so that images of each colour get the logit of their place."""
    import keras

    images = np.array([np.full((HEIGHT, WIDTH, 3), (np.array(c) * 210 / 255 - 0.5) / 0.5) for c in colours], np.float32)
    for layer in model.layers:
        if layer.name.endswith("_bn"):  # statistics of these images, one layer after another
            before = keras.Model(model.input, layer.input)(images).numpy()
            axes = (0, 1, 2)
            layer.moving_mean.assign(before.mean(axes))
            layer.moving_variance.assign(before.var(axes) + 1e-3)
    features = keras.Model(model.input, model.get_layer("pool").output)(images).numpy().reshape(3, -1)
    kernel = np.linalg.pinv(np.c_[features, np.ones(3)]) @ (10 * np.eye(3))
    classifier = model.get_layer("classifier")
    shape = classifier.kernel.shape
    classifier.kernel.assign(kernel[:-1].reshape(shape))
    classifier.bias.assign(kernel[-1])


def refused(result, tool, *messages):
    assert result.returncode == 2, result.stdout + result.stderr
    last = result.stderr.splitlines()[-1]
    assert last.startswith(f"{tool}.py: ") and "Traceback" not in result.stderr
    for message in messages:
        assert message in last


def test_evaluate_matches_classes_by_name(trained, call_tool, tmp_path):
    """The set's labels are blue, green, red; the model's outputs red, blue, green."""
    done = call_tool("evaluate", f"--model={trained}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    line = json.loads(done.stdout)
    assert line["top1"] == 1.0 and line["examples"] == 12
    assert line["recall"] == {"red": 1.0, "blue": 1.0, "green": 1.0}
    assert line["confusion"] == np.diag([4, 4, 4]).tolist()


def test_evaluate_takes_a_set_of_some_of_the_classes(trained, call_tool, tmp_path):
    images = write_images(tmp_path / "images", ["blue", "red"], splits=["test"])
    done = call_tool("evaluate", f"--model={trained}", f"--dataset=folder:{images}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    line = json.loads(done.stdout)
    assert line["top1"] == line["balanced_accuracy"] == 1.0 and line["examples"] == 8
    assert line["recall"] == {"red": 1.0, "blue": 1.0, "green": None}


def test_evaluate_refuses_other_classes_by_name(trained, call_tool, tmp_path):
    images = write_images(tmp_path / "images", ["Blue", "purple", "red"], splits=["test"])
    done = call_tool("evaluate", f"--model={trained}", f"--dataset=folder:{images}", cwd=tmp_path)
    refused(done, "evaluate", "classes that the model lacks", "'Blue' ('blue' differs only in case), 'purple'")


def test_verify_matches_classes_and_calibrates_without_a_square(trained, call_tool, tmp_path):
    flags = ["--formats=float32,int8", "--representative_examples=6", "--output=report.json", "--card=card.md"]
    done = call_tool("verify", f"--model={trained}", *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["keras_accuracy"] == 1.0 and [row["accuracy"] for row in report["formats"]] == [1.0, 1.0]
    assert f"{HEIGHT} x {WIDTH} x 3" in (tmp_path / "card.md").read_text()


def test_export_of_a_model_that_is_not_square(trained, call_tool, tmp_path):
    """Calibrated on a folder that has training images alone."""
    images = write_images(tmp_path / "images", ["blue"], splits=["train"])
    flags = ["--quantize=int8", f"--representative_dataset=folder:{images}", "--representative_examples=3"]
    for model in (trained, trained / "model.keras"):
        done = call_tool("export_tflite", f"--model={model}", "--output=a.tflite", *flags, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    from scarlet_tf.tflite import open_interpreter

    (taken,) = open_interpreter(tmp_path / "a.tflite").get_input_details()
    assert taken["shape"].tolist() == [1, HEIGHT, WIDTH, 3]


TOOLS = {
    "evaluate": ["--dataset={images}", "--split=test"],
    "verify": ["--dataset={images}", "--formats=float32"],
    "export_tflite": ["--representative_dataset={images}", "--quantize=int8", "--output=a.tflite"],
}


@pytest.mark.parametrize("tool", TOOLS)
def test_a_damaged_image_is_one_line_or_left_out(tool, trained, call_tool, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    images = write_images(tmp_path / "images", CLASSES)
    for split in ("train", "test"):
        (images / split / "red" / "0.png").write_bytes(b"\x89PNG\r\n\x1a\nnot much")
    flags = [f"--model={trained}", *(flag.format(images=f"folder:{images}") for flag in TOOLS[tool])]
    done = call_tool(tool, *flags, cwd=tmp_path)
    refused(done, tool, "red/0.png", "cannot be decoded", "--skip_damaged")
    assert not (tmp_path / "a.tflite").exists()
    done = call_tool(tool, *flags, "--skip_damaged", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    warning = f"{tool}.py: warning: left out of 'folder:{images}': 2 damaged images: "
    assert [line for line in done.stderr.splitlines() if line.startswith(warning)]


@pytest.mark.slow
def test_training_on_images_that_are_not_square(call_tool, tmp_path):
    """Damaged images, hidden folders and strays beside them; then evaluated as trained."""
    images = write_images(tmp_path / "images", CLASSES)
    (images / "train" / "red" / "0.png").write_bytes(b"")
    shutil.copytree(images / "train" / "red", images / "train" / ".ipynb_checkpoints")
    tiny_spec().save(tmp_path / "spec.json")
    flags = ["--model=spec.json", f"--dataset=folder:{images}", "--output=run", "--epochs=1", "--batch_size=8"]
    flags.append(f"--image_size={HEIGHT}x{WIDTH}")
    refused(call_tool("train", *flags, cwd=tmp_path), "train", "red/0.png", "Input is empty")
    done = call_tool("train", *flags, "--skip_damaged", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "run" / "training.json").read_text())
    assert record["class_names"] == CLASSES and record["data"]["image_size"] == [HEIGHT, WIDTH]
    assert record["data"]["skip_damaged"] is True
    assert ArchSpec.load(tmp_path / "run" / "spec.json").resolution == (HEIGHT, WIDTH)
    done = call_tool("evaluate", "--model=run", cwd=tmp_path)
    assert done.returncode == 0 and json.loads(done.stdout)["top1"] == record["test"]["top1"]
    int8 = ["--quantize=int8", f"--representative_dataset=folder:{images}", "--output=a.tflite"]
    done = call_tool("export_tflite", "--model=run", *int8, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: (root / "test" / "red").rename(root / "test" / "Red"), "'Red' ('red' differs only in case)"),
        (lambda root: [shutil.rmtree(root / "train" / name) for name in ("blue", "green")], "without training images"),
        (
            lambda root: [shutil.rmtree(root / s / n) for s in ("train", "test") for n in ("blue", "green")],
            "only one class",
        ),
        (lambda root: shutil.rmtree(root / "test"), "no test images in"),
        (lambda root: (shutil.rmtree(root / "test"), (root / "test").write_text("")), "/test is not a folder"),
        (lambda root: shutil.rmtree(root / "train"), "no train images in"),
        (
            lambda root: (root / "train" / "pink").symlink_to("nowhere"),
            "train/pink is a broken symbolic link to nowhere",
        ),
    ],
)
def test_sets_that_cannot_be_trained_on_are_refused_by_name(change, message, call_tool, tmp_path):
    change(write_images(tmp_path / "images", CLASSES, count=1))
    tiny_spec().save(tmp_path / "spec.json")
    flags = ["--model=spec.json", f"--dataset=folder:{tmp_path / 'images'}", "--output=run"]
    refused(call_tool("train", *flags, cwd=tmp_path), "train", message)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("tool", ["train", "evaluate", "train_supernet"])
@pytest.mark.parametrize("size", ["0", "24x", "24*16", "x16", "24x16x3", "-24"])
def test_bad_sizes_are_refused(tool, size, call_tool, tmp_path):
    tiny_spec().save(tmp_path / "spec.json")
    model = ["--output=run"] if tool == "train_supernet" else ["--model=spec.json"]
    model += ["--output=run"] if tool == "train" else ["--dataset=fashion_mnist"] if tool == "evaluate" else []
    refused(call_tool(tool, *model, f"--image_size={size}", cwd=tmp_path), tool, "image_size must be")
