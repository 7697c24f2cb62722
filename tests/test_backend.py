"""Keras on other backends: the zoo computes the same, and what needs TensorFlow says so in one line."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scarlet_tf.backend import BackendError, check_tensorflow, chosen_backend, installed_backend

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "zoo" / "weights" / "scarlet_fashion"
OTHERS = [
    pytest.param(name, marks=pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"no {name}"))
    for name in ("jax", "torch")
]


def settings(folder, backend):
    (folder / "keras.json").write_text(json.dumps({"backend": backend}))
    return folder


def test_keras_agrees_on_what_is_chosen(tmp_path, monkeypatch):
    """Keras itself, in a process of its own, refuses the name that stands in its settings."""
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(settings(tmp_path, "nonsense")))
    assert chosen_backend() == ("nonsense", str(tmp_path / "keras.json"))
    done = subprocess.run([sys.executable, "-c", "import keras"], capture_output=True, text=True)
    assert done.returncode and "nonsense" in done.stderr.splitlines()[-1]
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert chosen_backend() == ("torch", "KERAS_BACKEND")


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"floatx": "float32"}'])
def test_settings_that_say_nothing(content, tmp_path, monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    if content is not None:
        (tmp_path / "keras.json").write_text(content)
    assert chosen_backend()[0] == "tensorflow"


@pytest.mark.parametrize(
    ("backend", "naming"),
    [
        ("jax", "this needs Keras's TensorFlow backend, but KERAS_BACKEND sets 'jax': set KERAS_BACKEND=tensorflow"),
        ("tensorfow", r"unknown Keras backend \(set by KERAS_BACKEND\) 'tensorfow': .*nearest is 'tensorflow'"),
    ],
)
def test_other_backends_are_refused(backend, naming, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", backend)
    with pytest.raises(BackendError, match=naming) as refused:
        check_tensorflow("this")
    assert isinstance(refused.value, ImportError) and isinstance(refused.value, ValueError)


@pytest.mark.parametrize(("backend", "naming"), [("tensorflow", "TensorFlow is not"), ("jax", "'jax', set by KERAS_")])
def test_a_backend_that_is_not_installed(backend, naming, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", backend)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BackendError, match=rf"{naming}.* installed: pip install {backend}"):
        installed_backend()


CALLS = {
    "evaluate": [f"--model={SHIPPED}"],
    "export_onnx": ["--model=scarlet_a", "--output=o.onnx"],
    "export_saved_model": ["--model=scarlet_a", "--output=o"],
    "export_tflite": ["--model=scarlet_a", "--output=o.tflite"],
    "train": ["--model=scarlet_a", "--output=o"],
    "train_supernet": ["--output=o"],
    "verify": [f"--model={SHIPPED}"],
    "reproduce": ["--figure=1", "--output=o"],
    "prepare_fashion_mnist": [],
}
# One process for all of them: none may get as far as to ask for a framework.
_CALL_ALL = """
import contextlib, io, json, runpy, sys
from absl import flags

class Bar:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"tensorflow", "keras", "jax"}:
            raise RuntimeError(f"{name} was asked for")

sys.meta_path.insert(0, Bar())
results = {}
for tool, arguments in json.load(sys.stdin).items():
    sys.argv, err, code = [tool, *arguments], io.StringIO(), None
    with contextlib.redirect_stderr(err):
        try:
            runpy.run_path(tool, run_name="__main__")
        except SystemExit as end:
            code = end.code
    for flag in list(flags.FLAGS.flags_by_module_dict()[tool]):
        delattr(flags.FLAGS, flag.name)
    results[tool] = [code, err.getvalue()]
print(json.dumps(results))
"""


@pytest.mark.parametrize("chosen_by", ["environment", "settings"])
def test_tools_refuse_in_one_line(chosen_by, tmp_path):
    environment = {key: value for key, value in os.environ.items() if key not in ("KERAS_BACKEND", "TF_CONFIG")}
    if chosen_by == "environment":
        environment["KERAS_BACKEND"] = "jax"
    else:
        (tmp_path / "home").mkdir()
        environment["KERAS_HOME"] = str(settings(tmp_path / "home", "jax"))
    (tmp_path / "here").mkdir()
    calls = {str(ROOT / "tools" / f"{tool}.py"): arguments for tool, arguments in CALLS.items()}
    command, here = [sys.executable, "-c", _CALL_ALL], tmp_path / "here"
    done = subprocess.run(
        command, input=json.dumps(calls), capture_output=True, text=True, cwd=here, env=environment, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for tool, (code, errors) in json.loads(done.stdout.splitlines()[-1]).items():
        assert code == 2 and len(errors.splitlines()) == 1, (tool, errors)
        assert "this tool needs Keras's TensorFlow backend, but " in errors and "'jax'" in errors, (tool, errors)
    assert not list(here.iterdir())


_PREDICT = """
import sys, warnings
import numpy as np
warnings.simplefilter("ignore")
from scarlet_tf import zoo
images = np.load("images.npy")
model = zoo.load_keras_file(sys.argv[1])
features = zoo.feature_extractor(model)
found = {"logits": model.predict(images, verbose=0)}
found |= {level: np.asarray(values) for level, values in features.predict(images, verbose=0).items()}
model.save("again.keras")
found["again"] = zoo.load_keras_file("again.keras").predict(images, verbose=0)
import keras
made = zoo.scarlet_c(input_shape=(32, 32, 3), include_preprocessing=True)
scores = made(keras.ops.convert_to_tensor(255 * np.ones((1, 32, 32, 3), np.float32)))
assert len(zoo.decode_predictions(scores)[0]) == 5 and zoo.model_info("scarlet_c").params == 6_073_684
pixels = keras.ops.convert_to_tensor(np.arange(192, dtype=np.uint8).reshape(1, 8, 8, 3))
found["pixels"] = keras.ops.convert_to_numpy(zoo.preprocess_input(pixels))
np.savez(sys.argv[2], **found)
"""


@pytest.mark.parametrize("backend", OTHERS)
def test_the_zoo_computes_the_same(backend, tmp_path):
    """A trained network. Each backend adds the products of a map in an order of its own.

    In the worst case a sum of n terms has n roundings of float32; the sums on the longest way through this network have
    together fewer than 10,000 terms. That bounds the differences from above, relative to the largest value.
    """
    np.save(tmp_path / "images.npy", np.random.default_rng(0).standard_normal((4, 32, 32, 3)).astype(np.float32))
    found = {}
    for name in ("tensorflow", backend):
        command = [sys.executable, "-c", _PREDICT, str(SHIPPED / "model.keras"), f"{name}.npz"]
        environment = os.environ | {"KERAS_BACKEND": name}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        found[name] = dict(np.load(tmp_path / f"{name}.npz"))
    limit = 10_000 * np.finfo(np.float32).eps
    for key, expected in found["tensorflow"].items():
        got = found[backend][key]
        assert got.shape == expected.shape and np.abs(got - expected).max() <= limit * np.abs(expected).max(), key
    assert np.array_equal(found[backend]["again"], found[backend]["logits"])


@pytest.mark.parametrize("backend", OTHERS)
@pytest.mark.parametrize("module", ["export", "training.trainer", "supernet.supernet", "training.evaluation"])
def test_modules_that_need_tensorflow_say_so(backend, module):
    command = [sys.executable, "-c", f"import scarlet_tf.{module}"]
    done = subprocess.run(command, env=os.environ | {"KERAS_BACKEND": backend}, capture_output=True, text=True)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and "BackendError: scarlet_tf." in last and "needs Keras's TensorFlow backend" in last
