"""From checkpoint to Keras file and back; the PyTorch file itself is stood in for where PyTorch is not needed."""

import json
import zipfile

import h5py
import keras
import numpy as np
import pytest

from scarlet_tf import zoo
from scarlet_tf.arch import get_space
from scarlet_tf.convert import (
    Checkpoint,
    StateDictError,
    conversion,
    convert_checkpoint,
    export_checkpoint,
    from_state_dict,
    read_counters,
    read_weights_record,
    to_state_dict,
    write_keras_weights,
)
from scarlet_tf.models import build, get_weights

C = zoo.get_spec("scarlet_c")
SMALL = get_space("small").spec((3, 12, 1, 7, 11, 12), name="small")
SOURCE = {"file": "c.pth.tar", "sha256": "ab" * 32, "key": ""}


@pytest.fixture
def stand_in(monkeypatch, official):
    monkeypatch.setattr(conversion, "read_checkpoint", lambda path, key: Checkpoint(state=official, sha256="ab" * 32))


@pytest.fixture(scope="module")
def small_weights():
    keras.utils.set_random_seed(3)
    rng = np.random.default_rng(3)
    return {name: rng.random(array.shape, np.float32) for name, array in get_weights(build(SMALL)).items()}


@pytest.mark.slow
@pytest.mark.parametrize("file", ["c.weights.h5", "c.keras"])
def test_golden_weights_to_keras(file, official, stand_in, tmp_path):
    output = tmp_path / "made" / file
    done = convert_checkpoint(C, "there/c.pth.tar", output)
    weights = get_weights(zoo.create_model("scarlet_c", weights=output))
    expected = from_state_dict(C, official)
    assert set(weights) == set(expected)
    assert all(weights[name].tobytes() == array.tobytes() for name, array in expected.items())
    assert (done.tensors, done.params, done.sha256) == (314, zoo.model_info("scarlet_c").params, SOURCE["sha256"])
    assert read_weights_record(output) == {
        "format": "scarlet_tf.weights",
        "version": 1,
        "source": SOURCE | {"num_batches_tracked": read_counters(official)},
        "spec": json.loads(C.to_json()),
        "preprocessing": {
            "channel_order": "RGB",
            "divisor": 255.0,
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
            "resize": 256,
            "crop": 224,
        },
        "batch_norm_epsilon": 1e-5,
    }
    assert [path.name for path in output.parent.iterdir()] == [file]


def test_another_networks_checkpoint_names_the_network(stand_in, tmp_path):
    with pytest.raises(StateDictError, match=r"c\.pth: tensors do not fit 'scarlet_a'.*it fits 'scarlet_c'"):
        convert_checkpoint(zoo.get_spec("scarlet_a"), "c.pth", tmp_path / "new" / "a.weights.h5")
    assert not list(tmp_path.iterdir())


def test_a_bad_value_of_the_network_itself_names_no_network(monkeypatch, official, tmp_path):
    bad = official | {"classifier.bias": np.full(1000, np.nan, np.float32)}
    monkeypatch.setattr(conversion, "read_checkpoint", lambda path, key: Checkpoint(state=bad, sha256="ab" * 32))
    with pytest.raises(StateDictError, match=r"c\.pth: tensor classifier\.bias has values that are not finite$"):
        convert_checkpoint(C, "c.pth", tmp_path / "new" / "c.weights.h5")


@pytest.mark.parametrize("file", ["c.h5", "c.pth", "folder.keras"])
def test_other_outputs_are_refused_before_the_work(file, tmp_path):
    (tmp_path / "folder.keras").mkdir()
    with pytest.raises(ValueError, match="expected a file name that ends in"):
        convert_checkpoint(C, "absent.pth", tmp_path / file)


@pytest.mark.parametrize("file", ["w.weights.h5", "w.keras"])
def test_a_failed_conversion_leaves_what_was_there(file, small_weights, tmp_path, monkeypatch):
    output = tmp_path / file
    output.write_bytes(b"before")
    monkeypatch.setattr(zoo, "create_model", lambda spec, weights=None: build(spec))  # reads back other weights
    with pytest.raises(zoo.ModelFileError, match="has other values when it is read back"):
        write_keras_weights(output, SMALL, small_weights, source=SOURCE)
    assert output.read_bytes() == b"before" and [path.name for path in tmp_path.iterdir()] == [file]


@pytest.mark.parametrize("file", ["w.weights.h5", "w.keras"])
def test_keras_alone_reads_files_with_a_record(file, small_weights, tmp_path):
    write_keras_weights(tmp_path / file, SMALL, small_weights, source=SOURCE)
    if file.endswith(".keras"):
        model = keras.saving.load_model(tmp_path / file)
        assert model.get_layer("classifier").activation.__name__ == "softmax"
    else:
        model = build(SMALL)
        model.load_weights(tmp_path / file)
    back = get_weights(model)
    assert all(np.array_equal(back[name], array) for name, array in small_weights.items())


def test_files_without_a_record(tmp_path):
    model = build(SMALL)
    model.save_weights(tmp_path / "w.weights.h5")
    model.save(tmp_path / "m.keras")
    assert read_weights_record(tmp_path / "w.weights.h5") is None
    assert read_weights_record(tmp_path / "m.keras") is None
    with pytest.raises(ValueError, match=r"m\.keras does not record its network"):
        export_checkpoint(tmp_path / "m.keras", tmp_path / "o.pth")


def test_records_that_cannot_be_used(tmp_path):
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        file.attrs["scarlet_tf"] = json.dumps({"format": "scarlet_tf.weights", "version": 2})
    with zipfile.ZipFile(tmp_path / "b.keras", "w") as archive:
        archive.writestr("scarlet_tf.json", "{")
    (tmp_path / "c.weights.h5").write_bytes(b"no HDF5")
    for name, problem in [("a.weights.h5", "version 1"), ("b.keras", "not readable"), ("c.weights.h5", "not readable")]:
        with pytest.raises(zoo.ModelFileError, match=problem) as refused:
            read_weights_record(tmp_path / name)
        assert name in str(refused.value) and "\n" not in str(refused.value)
    with pytest.raises(FileNotFoundError):
        read_weights_record(tmp_path / "absent.keras")


@pytest.mark.parametrize("file", ["w.weights.h5", "w.keras"])
def test_export_hands_over_the_official_state_dict(file, small_weights, tmp_path, monkeypatch):
    SMALL.save(tmp_path / "small.json")
    counted = dict.fromkeys(read_counters(to_state_dict(SMALL, small_weights)), 2**40 + 7)
    source = SOURCE | {"num_batches_tracked": counted}
    write_keras_weights(tmp_path / file, SMALL, small_weights, source=source)
    written = {}

    def write(path, state):
        written.update(state)
        path.write_bytes(b"stand-in")

    monkeypatch.setattr(conversion, "write_checkpoint", write)
    model, weights = (tmp_path / file, None) if file.endswith(".keras") else (tmp_path / "small.json", tmp_path / file)
    done = export_checkpoint(model, tmp_path / "o.pth", weights=weights)
    expected = to_state_dict(SMALL, small_weights, counters=counted)
    assert written["stem.1.num_batches_tracked"] == 2**40 + 7
    assert list(written) == list(expected) and done.tensors == len(small_weights)
    assert all(written[key].tobytes() == array.tobytes() for key, array in expected.items())


def test_initial_weights_are_not_exported(tmp_path):
    with pytest.raises(ValueError, match="'scarlet_c' has only initial weights"):
        export_checkpoint("scarlet_c", tmp_path / "o.pth")
