"""Costs in instructions, by file and by operator, and outputs on an emulated processor."""

import json

import numpy as np
import pytest

from scarlet_tf.latency import (
    EmulatorError,
    compare_outputs,
    count_instructions,
    measure_instructions,
    profile_instructions,
    run_emulated,
    save_instructions,
)
from scarlet_tf.tflite import count_madds, open_interpreter


def test_costs_hold_ratios_within_each_processor(emulator, network, tmp_path):
    _, plain, fast = network
    costs = measure_instructions([plain, fast], cpus=["cortex-a72", "cortex-a76"], seed=3)
    assert [(cost.path, cost.cpu) for cost in costs] == [
        *((str(path), "cortex-a72") for path in (plain, fast)),
        *((str(path), "cortex-a76") for path in (plain, fast)),
    ]
    assert [cost.instructions for cost in costs[2:]] == count_instructions([plain, fast], seed=3)
    for first, second in (costs[:2], costs[2:]):
        assert first.ratio == 1 and second.ratio == second.instructions / first.instructions < 1
    assert all(cost.per_madd == cost.instructions / cost.madds for cost in costs)
    assert costs[0].madds == count_madds(plain)
    save_instructions(costs, tmp_path / "costs.json", seed=3)
    saved = json.loads((tmp_path / "costs.json").read_text())
    assert saved["seed"] == 3 and saved["versions"]["litert"] and saved["costs"][3]["ratio"] == costs[3].ratio


def test_operators_take_the_whole_files_instructions_and_their_calls(emulator, network):
    _, _, fast = network
    profile = profile_instructions(fast.read_bytes(), label="fast")
    (whole,) = count_instructions([fast])
    assert whole < profile.instructions < whole + 9_000 * len(profile.operators)
    assert sum(kind.instructions for kind in profile.kinds) == profile.instructions
    assert sum(kind.madds for kind in profile.kinds) == count_madds(fast)
    assert profile.costliest(1)[0].instructions == max(operator.instructions for operator in profile.operators)
    assert [kind.instructions for kind in profile.kinds] == sorted(
        (kind.instructions for kind in profile.kinds), reverse=True
    )


def test_bad_calls_need_no_emulator(tmp_path):
    with pytest.raises(ValueError, match=r"no \.tflite files to measure"):
        measure_instructions([])
    with pytest.raises(ValueError, match="nearest is 'x86-avx2'"):
        measure_instructions(["a.tflite"], cpus=["avx2"])
    with pytest.raises(ValueError, match="nearest is 'x86-avx2'"):
        profile_instructions(b"", label="a", cpu="avx2")


def test_outputs_of_an_emulated_processor(emulator, network):
    """Probabilities of float32 kernels on the two machines differ by rounding alone."""
    spec, _, fast = network
    (source,) = open_interpreter(fast).get_input_details()
    images = np.random.default_rng(0).standard_normal((6, *source["shape"][1:]), np.float32)
    found = compare_outputs(fast, images, labels=np.arange(6))
    assert (found.images, found.top1_agreement) == (6, 1) and found.max_error < 1e-5
    assert found.accuracy == found.emulated_accuracy
    outputs = run_emulated(fast, images)
    assert outputs.shape == (6, spec.classes) and outputs.dtype == np.float32
    np.testing.assert_allclose(outputs.sum(1), 1, rtol=1e-5)


def test_outputs_that_cannot_be_compared(network, tflite_file):
    _, _, fast = network
    with pytest.raises(ValueError, match=r"takes \[\[1, 8, 8, 4\]\]: expected one image of \[8, 8, 3\]"):
        compare_outputs(tflite_file, np.zeros((1, 8, 8, 3), np.float32))
    with pytest.raises(ValueError, match="expected at least one image, and one label for each, got 0"):
        compare_outputs(fast, np.zeros((0, 8, 8, 3), np.float32))


def test_crash_names_the_file(emulator, tflite_file, tmp_path, monkeypatch):
    script = tmp_path / "crash.py"
    script.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setattr("scarlet_tf.latency.emulator.COUNT_SCRIPT", script)
    with pytest.raises(EmulatorError, match=r"small.tflite: cannot be run on an emulated cortex-a76: it crashed"):
        count_instructions([tflite_file])
