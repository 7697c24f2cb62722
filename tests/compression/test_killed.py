"""A run of the tool that kill -9 ended goes on and ends with the bits of an uninterrupted one."""

import json
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from forked import ForkedProcess

from scarlet_tf.compression import compress, compression_config, open_source
from scarlet_tf.models import get_weights
from scarlet_tf.zoo import open_model

TOOL = Path(__file__).parents[2] / "tools" / "train.py"
SETTINGS = {"prune": 0.5, "epochs": 5.0, "batch_size": 12}


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_bits(untrained, data, tmp_path):
    flags = [f"--{name}={value}" for name, value in SETTINGS.items()]
    flags += [f"--model={untrained}", f"--dataset={data.config.name}", "--output=killed", "--checkpoint_every=7"]
    process = ForkedProcess([TOOL, *flags, "--log_every=1"], cwd=tmp_path)
    log = tmp_path / "killed" / "log.jsonl"
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        if log.exists() and log.read_text().count("\n") >= 9:
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.002)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == -signal.SIGKILL, errors
    assert not (tmp_path / "killed" / "training.json").exists()
    config = compression_config("small", **SETTINGS)
    results = [
        compress(open_source(untrained), data, config, output=tmp_path / name, log_every=1)
        for name in ("killed", "whole")
    ]
    assert results[0] | {"seconds": 0} == results[1] | {"seconds": 0}
    killed, whole = (get_weights(open_model(tmp_path / name).model) for name in ("killed", "whole"))
    for name, array in whole.items():
        np.testing.assert_array_equal(killed[name], array, err_msg=name)
    steps = [json.loads(line)["step"] for line in log.read_text().splitlines()]
    assert steps == list(range(1, 21))
