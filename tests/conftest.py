import dataclasses
import gc
import os
import runpy
import subprocess
import sys
from pathlib import Path

import flaky
import numpy as np
import pytest
from absl import flags
from spaces import FEW_CHOICES

from scarlet_tf import paths
from scarlet_tf.arch import SearchSpace
from scarlet_tf.cli import load_tensorflow, usable_cores

# Before TensorFlow is loaded, here and in the processes that tests start: errors only and oneDNN, as the tools set it,
# so that all compute alike; and programs compiled in one piece, which takes half the time for small ones.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# The cores are shared out among the processes that test: with all threads in each, two take a fifth longer.
_CORES, _WORKERS = len(usable_cores()), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(max(1, _CORES // _WORKERS)))
if "codegen_split_count" not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_parallel_codegen_split_count=1".lstrip()

# Files of a minute and more, first: with two processes that take whole files, one of them would else run on alone.
LONG = (
    "tools/test_docs.py",
    "tools/test_imagenet.py",
    "tflite/test_robustness.py",
    "tools/test_search.py",
    "supernet/test_lost_workers.py",
    "supernet/test_supernet_trainer.py",
    "supernet/test_scale.py",
    "zoo/test_contract.py",
    "training/test_trainer_resume.py",
    "training/test_trainer_distributed.py",
    "compression/test_killed.py",
    "export/test_tools.py",
)


def pytest_collection_modifyitems(items):
    def place(item):
        path = item.path.relative_to(Path(__file__).parent).as_posix()
        return LONG.index(path) if path in LONG else len(LONG)

    items.sort(key=place)  # which keeps the order of all else


@pytest.fixture(autouse=True, scope="module")
def _small_heap():
    """Lets what earlier tests left alive out of garbage collection, which every conversion to .tflite begins with."""
    yield
    gc.collect()
    gc.freeze()


def pytest_collection_finish():
    gc.freeze()


TOOLS = Path(__file__).parents[1] / "tools"


@pytest.fixture(scope="session")
def two_layer_space() -> SearchSpace:
    """Small enough for whole experiments in seconds."""
    return SearchSpace(
        name="tiny",
        out_channels=(8, 8),
        strides=(2, 1),
        choices=FEW_CHOICES,
        resolution=8,
        stem_channels=8,
        first_channels=4,
        tail_channels=8,
        classes=2,
        dropout=0.0,
    )


@pytest.fixture(scope="session")
def one_layer_space(two_layer_space) -> SearchSpace:
    """A space of one layer, for tests that compile or trace the step for every case."""
    return dataclasses.replace(two_layer_space, out_channels=(8,), strides=(2,))


@pytest.fixture
def few_ranges(monkeypatch):
    """Training for int8 chooses from three ranges in place of five; each takes a conversion."""
    monkeypatch.setattr("scarlet_tf.compression.int8._NARROWED", (0.0, 0.5))


@pytest.fixture(scope="session")
def bright_images(tmp_path_factory):
    """Makes folders of noisy images whose classes differ in brightness."""

    def make(*, side: int, classes: int, train: int, test: int) -> Path:
        import tensorflow as tf

        root = tmp_path_factory.mktemp("images")
        rng = np.random.default_rng(0)
        for split, count in (("train", train), ("test", test)):
            for label in range(classes):
                folder = root / split / f"class{label}"
                folder.mkdir(parents=True)
                for index in range(count):
                    image = (rng.integers(0, 60, (side, side, 3)) + 80 * label).astype(np.uint8)
                    (folder / f"{index}.png").write_bytes(tf.io.encode_png(image).numpy())
        return root

    return make


@pytest.fixture
def flaky_store(tmp_path, monkeypatch):
    """The faults of flaky://, whose files are in tmp_path / "store"; between two tries no time passes."""
    root = tmp_path / "store"
    root.mkdir()
    monkeypatch.setenv("FLAKY_ROOT", str(root))
    monkeypatch.setattr("scarlet_tf.remote.PAUSES", (0.0,) * 4)
    monkeypatch.setattr(flaky, "FAULTS", flaky.Faults())
    paths._fetched.cache_clear()
    return flaky.FAULTS


@pytest.fixture
def call_tool(monkeypatch, capfd):
    """Calls a tool as a command line would, in this process, which has TensorFlow loaded already."""

    load_tensorflow()

    def call(name, *arguments, cwd):
        command = [str(TOOLS / f"{name}.py"), *map(str, arguments)]
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", command)
        known = set(flags.FLAGS)
        capfd.readouterr()
        try:
            runpy.run_path(command[0], run_name="__main__")
        except SystemExit as end:
            out, err = capfd.readouterr()
            return subprocess.CompletedProcess(command, end.code or 0, out, err)
        finally:
            for flag in set(flags.FLAGS) - known:
                delattr(flags.FLAGS, flag)
        raise AssertionError(f"{name} did not exit")

    return call
