"""Every tool gives a network the pixels that it was trained on: neither ImageNet's statistics nor the dataset's."""

import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from scarlet_tf.arch import ArchSpec, BlockSpec
from scarlet_tf.models import build, get_weights
from scarlet_tf.tflite import open_interpreter, read_record
from scarlet_tf.zoo.files import add_weights_record, read_weights_record

MEAN, STD, CROP = [0.9, 0.1, 0.5], [0.05, 0.3, 1.2], 224 / 256
SIDE, PICTURE = 16, 18  # of these the centre 16 is what evaluation by the crop of 224 of 256 sees, without resizing
BLOCK = BlockSpec(
    kind="inverted_residual", in_channels=8, out_channels=8, kernel_size=3, hidden_channels=16, shortcut=True
)
SPEC = ArchSpec(
    name="tiny", blocks=(BLOCK,), resolution=SIDE, classes=3, stem_channels=8, first_channels=8, tail_channels=16
)
# A step each; the augmentation of the training is not the one that the network was trained with.
TRAIN = ["--recipe=small", "--epochs=0.5", "--batch_size=12", "--augment=none"]


def pictures(root, split):
    """(n, 18, 18, 3) uint8 and labels, in the order of classes and names."""
    files = sorted((root / split).glob("*/*.png"))
    images = np.stack([tf.io.decode_png(file.read_bytes()).numpy() for file in files])
    return images, np.array([int(file.parent.name[-1]) for file in files])


def seen(images):
    """What evaluation sees of pictures: pixels, float32 (n, 16, 16, 3)."""
    return images[:, 1:17, 1:17].astype(np.float32)


def normalised(pixels):
    return ((pixels / 255.0 - np.array(MEAN)) / np.array(STD)).astype(np.float32)


class Given:
    """A folder of pictures, a trained model's folder, and what the model gives for the test pictures."""

    def __init__(self, root, photos):
        self.model, self.data = root / "tiny", f"folder:{photos}"
        images, self.labels = pictures(photos, "test")
        self.pixels = seen(images)
        self.train_images = normalised(seen(pictures(photos, "train")[0]))
        keras.utils.set_random_seed(0)
        network = build(SPEC, classifier_activation=None)
        rng = np.random.default_rng(0)
        network.set_weights([array + 0.05 * rng.standard_normal(array.shape) ** 2 for array in network.get_weights()])
        self.model.mkdir()
        SPEC.save(self.model / "spec.json")
        network.save(self.model / "model.keras")
        data = {"name": self.data, "image_size": SIDE, "search_validation": 0, "augment": "inception", "seed": 0}
        training = {"fingerprint": "0", "data": data | {"mean": MEAN, "std": STD}}
        training["class_names"] = ["class0", "class1", "class2"]
        training["test"] = {"top1": 0.5, "examples": 12}
        (self.model / "training.json").write_text(json.dumps(training))
        self.weights = get_weights(network)
        self.logits = np.asarray(network(normalised(self.pixels)), np.float64)
        scores = np.exp(self.logits) / np.exp(self.logits).sum(1, keepdims=True)
        self.loss = float(-np.log(scores[np.arange(len(self.labels)), self.labels]).mean())
        self.accuracy = float((self.logits.argmax(1) == self.labels).mean())


@pytest.fixture(scope="module")
def given(tmp_path_factory, bright_images):
    return Given(tmp_path_factory.mktemp("given"), bright_images(side=PICTURE, classes=3, train=8, test=4))


@pytest.fixture
def tool(call_tool, tmp_path):
    """Calls a tool that has to succeed; gives its standard output and standard error."""

    def call(name, *arguments):
        done = call_tool(name, *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout, done.stderr

    return call


def close(found, expected):
    """Equal to what a chain of some dozen float32 operations may change."""
    return pytest.approx(expected, rel=1e-4, abs=1e-4) == found


def run_file(path, images):
    """Logits of a .tflite file of one image, float32 at both ends."""
    interpreter = open_interpreter(path)
    (image,), (logits,) = interpreter.get_input_details(), interpreter.get_output_details()
    rows = []
    for one in images:
        interpreter.set_tensor(image["index"], one[np.newaxis])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(logits["index"])[0])
    return np.array(rows)


def input_range(path):
    """Ends of what the input of an int8 file holds: from the quantization that the images gave it."""
    scale, zero = open_interpreter(path).get_input_details()[0]["quantization"]
    return -zero * scale, (255 - zero) * scale


def test_evaluate(given, tool, tmp_path):
    for flags in ([f"--model={given.model}"], [f"--model={given.model}/model.keras", f"--dataset={given.data}"]):
        out, err = tool("evaluate", *flags)
        assert close(json.loads(out)["loss"], given.loss) and not err
    shutil.copy(given.model / "model.keras", tmp_path / "copy.keras")
    out, err = tool("evaluate", "--model=copy.keras", f"--dataset={given.data}")
    assert not close(json.loads(out)["loss"], given.loss)
    assert err.count("\n") == 1 and "copy.keras does not record how its images are normalised" in err
    preprocessing = {"mean": MEAN, "std": STD, "resize": 256, "crop": 224}
    add_weights_record(tmp_path / "copy.keras", {"preprocessing": preprocessing})
    for flags in (["--model=copy.keras"], [f"--model={given.model}/spec.json", "--weights=copy.keras"]):
        out, err = tool("evaluate", *flags, f"--dataset={given.data}")
        assert not err and json.loads(out)["top1"] == given.accuracy


@pytest.mark.slow
def test_tflite_files(given, tool, tmp_path):
    """Normalised images or pixels, float32 and int8: each file gives the model's logits, and verify finds that."""
    tool("export_tflite", f"--model={given.model}", "--output=n.tflite")
    tool("export_tflite", f"--model={given.model}", "--output=p.tflite", "--include_preprocessing")
    assert close(run_file(tmp_path / "n.tflite", normalised(given.pixels)), given.logits)
    assert close(run_file(tmp_path / "p.tflite", given.pixels), given.logits)
    int8 = ["--quantize=int8", "--input_type=uint8", f"--representative_dataset={given.data}"]
    tool("export_tflite", f"--model={given.model}", "--output=ni.tflite", *int8)
    tool("export_tflite", f"--model={given.model}", "--output=pi.tflite", *int8, "--include_preprocessing")
    images = given.train_images
    step = (images.max() - images.min()) / 255
    assert np.abs(np.subtract(input_range(tmp_path / "ni.tflite"), (images.min(), images.max()))).max() <= step
    assert input_range(tmp_path / "pi.tflite")[1] <= 255 + 1e-3
    tool("optimize_tflite", "p.tflite", "o.tflite")
    assert read_record(tmp_path / "o.tflite")["input"] == {"mean": [0.0] * 3, "std": [1 / 255] * 3} | {
        "resize": 256,
        "crop": 224,
    }
    files = ["n.tflite", "p.tflite", "ni.tflite", "pi.tflite", "o.tflite"]
    out, _ = tool("verify", f"--model={given.model}", f"--tflite={','.join(files)}", "--output=report.json")
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["keras_accuracy"] == given.accuracy
    errors = {row["path"]: row["relative_error"] for row in report["formats"]}
    assert list(errors) == files
    for name, error in errors.items():
        assert error <= (0.2 if "i" in name.split(".")[0] else 1e-4), name
    assert out.count("was checked with pixels, as in its record") == 3


@pytest.mark.slow
def test_saved_models(given, tool, tmp_path):
    tool("export_saved_model", f"--model={given.model}", "--output=n")
    tool("export_saved_model", f"--model={given.model}", "--output=p", "--include_preprocessing")
    for name, images in (("n", normalised(given.pixels)), ("p", given.pixels)):
        served = tf.saved_model.load(str(tmp_path / name)).signatures["serving_default"]
        assert close(served(image=tf.constant(images))["logits"].numpy(), given.logits)
        out, _ = tool("verify", f"--model={given.model}", f"--saved_model={name}", "--output=report.json")
        (row,) = json.loads((tmp_path / "report.json").read_text())["formats"]
        assert row["relative_error"] <= 1e-4 and ("checked with pixels" in out) == (name == "p")
        # And a SavedModel where a model is expected: calibrated and verified on the images that it was made for.
        int8 = ["--quantize=int8", "--input_type=uint8", f"--representative_dataset={given.data}"]
        tool("export_tflite", f"--model={name}", f"--output={name}.tflite", *int8)
        out, _ = tool(
            "verify", f"--model={name}", f"--tflite={name}.tflite", f"--dataset={given.data}", "--output=r.json"
        )
        report = json.loads((tmp_path / "r.json").read_text())
        assert report["keras_accuracy"] == given.accuracy and report["formats"][0]["relative_error"] <= 0.2
    (tmp_path / "n" / "assets.extra" / "scarlet_tf.json").unlink()  # as other programs write them
    out, _ = tool("verify", f"--model={given.model}", "--saved_model=n", "--output=report.json")
    assert "n does not record how its images are normalised: the model's preprocessing was used" in out
    assert json.loads((tmp_path / "report.json").read_text())["formats"][0]["relative_error"] <= 1e-4


def check_compressed(tool, folder, *, source_loss, augment):
    """Its images are the source's, before and after; returns its loss on test images."""
    training = json.loads((folder / "training.json").read_text())
    data = training["data"]
    assert (data["mean"], data["std"], data["crop_share"], data["augment"]) == (MEAN, STD, CROP, augment)
    assert close(training["compression"]["source_test"]["loss"], source_loss)
    out, _ = tool("evaluate", f"--model={folder}")
    assert close(json.loads(out)["loss"], training["test"]["loss"])
    return training["test"]["loss"]


@pytest.mark.slow
def test_clustering(given, tool, tmp_path):
    tool("train", f"--model={given.model}", f"--dataset={given.data}", "--cluster=4", "--output=run", *TRAIN)
    check_compressed(tool, tmp_path / "run", source_loss=given.loss, augment="none")


@pytest.mark.slow
def test_compressed_folders_are_compressed_and_exported_again(given, tool, tmp_path, few_ranges):
    """With fewer images than calibration would take, and another augmentation each time."""
    flags, loss, out = [f"--dataset={given.data}", *TRAIN], given.loss, ""
    for source, method, name, augment in (
        (given.model, "--prune=0.5", "pruned", "none"),
        ("pruned", "--qat", "q", "flip_crop"),
        ("q", "--qat", "qq", "inception"),
    ):
        out, _ = tool("train", f"--model={source}", method, f"--output={name}", *flags, f"--augment={augment}")
        loss = check_compressed(tool, tmp_path / name, source_loss=loss, augment=augment)
    record = json.loads((tmp_path / "qq" / "training.json").read_text())
    assert record["compression"]["int8"]["images"] == 12
    assert "int8 files, top-1 on 12 test images: quantisation-aware training" in out
    int8 = ["--quantize=int8", f"--representative_dataset={given.data}"]
    for name, more in (("pruned", int8), ("q", ["--quantize=int8"]), ("qq", ["--quantize=int8"]), ("qq", int8)):
        tool("export_tflite", f"--model={name}", f"--output={name}.tflite", *more)
        tool("verify", f"--model={name}", f"--tflite={name}.tflite", "--output=report.json")
        (row,) = json.loads((tmp_path / "report.json").read_text())["formats"]
        assert row["relative_error"] <= 0.2, name


@pytest.mark.slow
def test_training_goes_on_with_the_statistics(given, tool, tmp_path):
    start = [f"--model={given.model}/spec.json", f"--weights={given.model}/model.keras"]
    for name, flags in (("a", [f"--model={given.model}"]), ("b", start)):
        tool("train", *flags, f"--dataset={given.data}", f"--output={name}", *TRAIN)
        data = json.loads((tmp_path / name / "training.json").read_text())["data"]
        # What evaluation sees follows the new training's augmentation.
        assert (data["mean"], data["std"], data["crop_share"]) == (MEAN, STD, 1.0)
    record = read_weights_record(tmp_path / "a" / "model.keras")["preprocessing"]
    assert record == {"mean": MEAN, "std": STD, "resize": 224, "crop": 224}
    out, _ = tool("evaluate", "--model=a")
    shutil.copy(tmp_path / "a" / "model.keras", tmp_path / "elsewhere.keras")
    again, err = tool("evaluate", "--model=elsewhere.keras", f"--dataset={given.data}")
    assert json.loads(again)["loss"] == json.loads(out)["loss"] and not err


@pytest.mark.slow
def test_a_path_of_a_supernet(given, tool, tmp_path, one_layer_space):
    from scarlet_tf.data import DataConfig
    from scarlet_tf.runs.strategy import make_strategy
    from scarlet_tf.supernet import SupernetConfig, load_supernet, train_supernet

    space = dataclasses.replace(one_layer_space, classes=3)
    data = DataConfig(name=given.data, image_size=8, mean=tuple(MEAN), std=tuple(STD))
    config = SupernetConfig(space=space, data=data, steps=1, batch_size=4, learning_rate=0.1, warmup_steps=0)
    train_supernet(config, tmp_path / "net", strategy=make_strategy("one_device"))
    assert load_supernet(tmp_path / "net").preprocessing.settings == {
        "mean": tuple(MEAN),
        "std": tuple(STD),
        "crop_share": 1.0,
    }
    tool("train", "--inherit_from=net", "--genome=0", f"--dataset={given.data}", "--output=run", *TRAIN)
    data = json.loads((tmp_path / "run" / "training.json").read_text())["data"]
    assert (data["mean"], data["std"]) == (MEAN, STD)


def test_cards(given, tool, tmp_path):
    tool("make_cards", f"--models={given.model}", "--output=cards")
    card = (tmp_path / "cards" / "tiny.md").read_text()
    assert "mean 0.9, 0.1, 0.5; standard deviation 0.05, 0.3, 1.2" in card


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("evaluate", []),
        ("export_tflite", ["--output=a.tflite"]),
        ("export_saved_model", ["--output=a"]),
        ("verify", []),
        ("make_cards", ["--output=a"]),
        ("train", ["--qat", "--output=a"]),
        ("train", ["--output=a"]),
    ],
)
def test_a_folder_without_statistics_is_one_line(name, flags, given, call_tool, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(given.model, broken)
    training = json.loads((broken / "training.json").read_text())
    del training["data"]["std"]
    (broken / "training.json").write_text(json.dumps(training))
    model = "--models=broken" if name == "make_cards" else "--model=broken"
    data = [f"--dataset={given.data}"] if name == "train" else []
    done = call_tool(name, model, *flags, *data, cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "training.json does not record how images are normalised" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["broken"]
