"""A fair step as a program for other machines, and the script that runs it there."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from forked import ForkedProcess

from benchmarks.accelerator.lowering import make_step

FOLDER = Path(__file__).parents[2] / "benchmarks" / "accelerator"


def lower(*flags):
    process = ForkedProcess([FOLDER / "__main__.py", *flags])
    output, errors = process.communicate(timeout=500)
    assert process.returncode == 0, errors[-2000:]
    return json.loads(output)


@pytest.fixture(scope="module")
def space_file(one_layer_space, tmp_path_factory):
    path = tmp_path_factory.mktemp("space") / "space.json"
    path.write_text(json.dumps(one_layer_space.to_dict()))
    return path


@pytest.mark.slow
def test_the_step_at_224_pixels_is_lowered_in_little_memory(tmp_path):
    result = lower("--batch=64", "--kernels=cpu", f"--output={tmp_path}/step.hlo.gz")
    assert result["peak_rss_gb"] < 6  # 3.2; with constants as large as feature maps, 8.3 at batch 2
    assert 0.1 < (tmp_path / "step.hlo.gz").stat().st_size / 2**20 < 20


@pytest.mark.slow
def test_the_program_is_the_step(space_file, one_layer_space, tmp_path):
    pytest.importorskip("jax", exc_type=ImportError)
    run_step = runpy.run_path(str(FOLDER / "run_step.py"))
    lower(f"--space={space_file}", "--batch=8", "--precision=float32", f"--output={tmp_path}/step.hlo.gz")
    device = run_step["jax"].devices()[0]
    program = run_step["Program"](str(tmp_path / "step.hlo.gz"), device)
    arguments = run_step["random_arguments"](program.shapes)
    results = [np.asarray(result) for result in program([run_step["jax"].device_put(a, device) for a in arguments])]
    expected = own_step(one_layer_space, arguments)
    np.testing.assert_allclose(results[:2], expected, rtol=1e-4)


def own_step(space, arguments):
    """Return accuracy and loss of the fair step that TensorFlow takes with a program's arguments."""
    step, own = make_step(space, batch=8, precision="float32", recompute=False)
    captured = step.get_concrete_function(*own).captured_inputs
    for handle, value in zip(captured, arguments[-len(captured) :], strict=True):
        tf.raw_ops.AssignVariableOp(resource=handle, value=value)
    images, labels, *fair_routes, rate = map(tf.constant, arguments[: -len(captured)])
    results = step(images, labels, tuple(fair_routes), rate)
    return [float(results["accuracy"]), float(results["loss"])]
