"""The comparison of runtimes with a tiny network: files, processes, agreement, ratios, page; and what it refuses."""

import dataclasses
import importlib.metadata
import json
import os
import signal

import numpy as np
import pytest

from benchmarks.machine import provenance
from benchmarks.runtimes import comparison
from benchmarks.runtimes.comparison import check_threads, compare, compare_all
from benchmarks.runtimes.network_files import NetworkFiles, make_networks
from benchmarks.runtimes.runtime import Case
from benchmarks.runtimes.runtime_names import HOST, OTHERS, OURS, PLAIN, RUNTIMES, XNNPACK
from benchmarks.runtimes.runtimes_page import make_page
from benchmarks.runtimes.timing import RefusedError, Worker, time_rounds
from scarlet_tf.cli import usable_cores

# What a package needs besides itself to run a network.
NEEDS = {
    "openvino": ["openvino", "nncf"],
    "ncnn": ["ncnn", "pnnx"],
    "torch": ["torch", "onnx2torch"],
    "litert-torch": ["litert-torch", "onnx2torch"],
}


def tiny_network():
    import keras

    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.DepthwiseConv2D(7, padding="same", activation="silu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(5, activation="softmax")(x))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    os.environ.setdefault("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("costs")))
    folder = tmp_path_factory.mktemp("cache")
    (first,) = make_networks({"SCARLET-A": tiny_network}, ["float32", "int8"], folder, seed=0)
    assert make_networks({"SCARLET-A": None}, ["float32", "int8"], folder, seed=0) == [first]  # not built again
    return first


def case_of(files, form, folder):
    return Case(
        network=files.network,
        format=form,
        threads=1,
        tflite=files.tflite[form],
        onnx=files.onnx,
        images=files.images,
        folder=str(folder),
    )


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image.npy"
    np.save(path, np.random.default_rng(1).standard_normal((1, 16, 16, 3), np.float32))
    return str(path)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["float32", "int8"])
@pytest.mark.parametrize("name", RUNTIMES)
def test_runtimes_agree_with_litert(name, form, files, image, tmp_path):
    package = RUNTIMES[name].package
    try:
        for needed in NEEDS.get(package, [package]):
            importlib.metadata.version(needed)
    except importlib.metadata.PackageNotFoundError as error:
        pytest.skip(f"not installed: {error.name}")
    cores = usable_cores()[:1]
    with Worker(PLAIN, case_of(files, "float32", tmp_path), image=image, cores=cores) as ours:
        try:
            with Worker(name, case_of(files, form, tmp_path), image=image, cores=cores) as worker:
                assert worker.time() > 0
                # float32: sums of 147 products at most, each rounded by 2^-24. int8: ends of 1 / 256, and steps inside.
                limit = 1e-4 if form == "float32" else 0.1
                assert np.abs(worker.output - ours.output).max() < limit * ours.output.max()
        except RefusedError as error:
            assert form == "int8" and "NotOfferedError" in str(error)


def test_a_runtime_that_cannot_load_or_dies_is_refused_with_its_reason(files, image, tmp_path):
    cores = usable_cores()[:1]
    case = case_of(files, "float32", tmp_path)
    missing = dataclasses.replace(case, tflite={"none": "nowhere.tflite"})
    with pytest.raises(RefusedError, match=r"FileNotFoundError: no such file: nowhere\.tflite"):
        Worker(PLAIN, missing, image=image, cores=cores).__enter__()
    with Worker(PLAIN, case, image=image, cores=cores) as worker:
        times = time_rounds({PLAIN: worker}, rounds=3, warmup=1, label="time")
        assert len(times[PLAIN]) == 3 and min(times[PLAIN]) > 0
        os.kill(worker._process.pid, signal.SIGKILL)
        with pytest.raises(RefusedError, match="its process ended with exit code -9"):
            worker.time()


class FakeWorker:
    """Runs of known times: LiteRT's host file takes 9 ms, the others 10 or more, one of them with a wrong output."""

    def __init__(self, runtime, case, *, image, cores):
        self._name, self._case = runtime, case
        assert np.load(image).shape == (1, 4, 4, 3) and len(cores) == case.threads

    def __enter__(self):
        if self._name == "ncnn":
            raise RefusedError("no module named ncnn")
        error = {"MNN": 1e-2, "OpenVINO": 5e-5}.get(self._name, 0.0)
        self.output = np.array([0.25, 0.75 * (1 + error)])
        return self

    def __exit__(self, *_):
        pass

    def time(self):
        return 9.0 if self._name == HOST else 10.0 + list(RUNTIMES).index(self._name)


@pytest.fixture
def result(tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "Worker", FakeWorker)
    np.save(tmp_path / "images.npy", np.zeros((2, 4, 4, 3), np.float32))
    tflite = {form: dict.fromkeys(("none", "xnnpack", "host"), "a.tflite") for form in ("float32", "int8")}
    files = NetworkFiles(network="SCARLET-A", tflite=tflite, onnx="a.onnx", images=str(tmp_path / "images.npy"))
    settings = {"folder": tmp_path, "rounds": 4, "warmup": 1, "seed": 0, "command": "python -m benchmarks.runtimes"}
    return compare_all([files], ["float32", "int8"], [1], **settings)


def test_result(result):
    assert json.loads(json.dumps(result)) == result
    assert result["machine"] == provenance("")["machine"] and "ai-edge-litert" in result["versions"]
    exact, rounded = result["cases"]
    assert exact["runtimes"][HOST] == {
        **{"median_ms": 9.0, "p10_ms": 9.0, "p90_ms": 9.0},
        **{"error": 0.0, "same_top_1": True},
    }
    assert exact["ratios"]["fastest_other"] == "OpenVINO"
    assert exact["ratios"][HOST] == {"median": 0.6429, "p10": 0.6429, "p90": 0.6429}
    assert set(exact["refused"]) == {"ncnn", "MNN"} and set(rounded["refused"]) == {"ncnn"}
    assert exact["refused"]["MNN"] == "its output differs from LiteRT's by 1.0e-02 of the largest, above 0.0001"
    assert set(RUNTIMES) - {*OURS, *OTHERS} == {"LiteRT litert-torch"}


def test_page(result):
    page = make_page(result)
    assert "    python -m benchmarks.runtimes\n" in page
    assert "## float32, threads 1: milliseconds" in page and "## int8, threads 1: milliseconds" in page
    assert "| OpenVINO | 0.786 [0.786, 0.786] | 0.643 [0.643, 0.643] |" in page  # of XNNPACK, and of HOST
    assert "- ncnn, float32, all networks: no module named ncnn" in page
    assert "- MNN, float32, all networks: its output differs" in page and "- MNN, int8, all networks:" not in page
    for line in page.splitlines():
        assert len(line) <= 120 or line.startswith(("|", "- ", "20"))
    assert XNNPACK in page


def test_an_output_that_is_no_result_is_refused():
    expected = np.array([0.25, 0.75])
    found = comparison._agreement(np.array([0.5, 0.25]), expected, form="int8")
    assert found == {"error": pytest.approx(0.5 / 0.75), "same_top_1": False}
    for output in ([np.nan, 0.5], [1e30, 0.5], [-1.0, 0.5]):
        with pytest.raises(RefusedError, match="its output is not probabilities"):
            comparison._agreement(np.array(output), expected, form="int8")
    with pytest.raises(RefusedError, match="its output has 1 values, expected 2"):
        comparison._agreement(np.ones(1), expected, form="int8")


def test_refuses_more_threads_than_cores():
    check_threads([1])
    with pytest.raises(ValueError, match="threads must be in 1"):
        check_threads([1, len(usable_cores()) + 1])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--networks=SCARLET-D"], "unknown network 'SCARLET-D'"),
        (["--formats=float16"], "unknown format 'float16'"),
        (["--threads=0"], "threads must be in 1"),
        (["--output=/dev/null/runtimes"], "/dev/null is not a folder"),
    ],
)
def test_refuses(flags, message, tmp_path, call_experiment):
    result = call_experiment("runtimes", "--output=runtimes", "--cache=cache", "--threads=1", *flags, cwd=tmp_path)
    lines = result.stderr.splitlines()
    assert result.returncode == 2 and len(lines) == 1 and message in lines[0]
    assert not result.stdout and not list(tmp_path.iterdir())


def test_compare_is_of_one_case(files, tmp_path):
    found = compare(files, "float32", 1, folder=tmp_path, rounds=2, warmup=0, seed=0)
    assert {*OURS} <= set(found["runtimes"]) and set(found["runtimes"]) | set(found["refused"]) == set(RUNTIMES)
