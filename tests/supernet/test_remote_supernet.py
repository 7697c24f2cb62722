"""Supernet training into a remote run directory that loses writes, and is killed in the middle of them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from forked import ForkedProcess

from scarlet_tf.committed import copy_run
from scarlet_tf.runs.background import snapshot
from scarlet_tf.runs.checkpoints import CheckpointError, CheckpointStore
from scarlet_tf.runs.strategy import make_strategy
from scarlet_tf.supernet import SupernetConfig, load_supernet, report_paths, train_supernet
from scarlet_tf.supernet.supernet_config import read_supernet_space

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*trying the previous checkpoint")]
OUTPUT, STEPS = "flaky://bucket/supernet", 12


def start(output, data, *, env=None):
    process = Path(__file__).with_name("training_process.py")
    return ForkedProcess([process, output, data.name.removeprefix("folder:"), STEPS, "one_device", 8, 1], env=env)


def finish(process):
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-3000:]


def final_arrays(output):
    checkpoint = CheckpointStore(output, kind="supernet", fingerprint=None).restore()
    assert checkpoint.step == STEPS
    return checkpoint.arrays


@pytest.fixture(scope="module")
def uninterrupted(tiny_data, tmp_path_factory):
    output = tmp_path_factory.mktemp("whole")
    finish(start(output, tiny_data))
    return output


def check_same_run(uninterrupted, tmp_path):
    expected, found = final_arrays(uninterrupted), final_arrays(OUTPUT)
    assert found.keys() == expected.keys()
    for name, value in found.items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
    text = (tmp_path / "store" / "bucket" / "supernet" / "log.jsonl").read_text()
    assert [json.loads(line)["step"] for line in text.splitlines()] == list(range(1, STEPS + 1))


def test_a_run_that_kill_9_ends_in_its_writes_ends_bit_identical(uninterrupted, tiny_data, tmp_path, flaky_store):
    """At the first config, in a checkpoint, and at a marker or log, by the bytes that are written until then."""
    (size,) = {path.stat().st_size for path in uninterrupted.glob("checkpoint-*12.npz")}
    for lives in (300, 5000 + size // 2, 3 * size):
        process = start(OUTPUT, tiny_data, env={"FLAKY_BYTES_TO_LIVE": str(lives)})
        _, errors = process.communicate(timeout=300)
        assert process.returncode == -9, errors[-3000:]
    finish(start(OUTPUT, tiny_data))
    check_same_run(uninterrupted, tmp_path)
    names = sorted(path.name for path in (tmp_path / "store" / "bucket" / "supernet").glob("checkpoint-*"))
    steps = [6, 9, 12]
    assert names == [f"checkpoint-{step:010d}.npz{end}" for step in steps for end in ("", ".complete")]


def test_a_local_run_goes_on_in_a_store_if_it_is_copied_with_markers(uninterrupted, tiny_data, tmp_path, flaky_store):
    """A plain copy is refused instead of begun anew."""
    local, remote = tmp_path / "local", tmp_path / "store" / "bucket" / "supernet"
    shutil.copytree(uninterrupted, local)
    (local / f"checkpoint-{STEPS:010d}.npz").unlink()
    shutil.copytree(local, remote)
    copied = {path: path.read_bytes() for path in remote.rglob("*") if path.is_file()}
    refused = start(OUTPUT, tiny_data)
    _, errors = refused.communicate(timeout=300)
    assert refused.returncode == 2 and "has checkpoint-0000000009.npz, but no file in it has a marker" in errors
    with pytest.raises(CheckpointError, match="no file in it has a marker"):
        load_supernet(OUTPUT)
    assert {path: path.read_bytes() for path in remote.rglob("*") if path.is_file()} == copied
    copy_run(local, OUTPUT)
    finish(start(OUTPUT, tiny_data))
    check_same_run(uninterrupted, tmp_path)


def test_a_run_on_a_store_that_fails_now_and_then(uninterrupted, tiny_data, tmp_path, flaky_store, capfd):
    flaky_store.read, flaky_store.write, flaky_store.lost = 0.2, 0.2, 0.5
    config = SupernetConfig.from_dict(json.loads((uninterrupted / "config.json").read_text()))
    how = {"strategy": make_strategy("one_device"), "checkpoint_every": 3, "log_every": 1, "keep_checkpoints": 1}
    copies = {}

    def after_step(step, supernet):
        """Snapshots of the steps before are what they were: no step changes them."""
        for earlier, (taken, copied) in copies.items():
            for name, value in taken.items():
                assert (value == copied[name]).all(), f"{name} of step {earlier} changed until step {step}"
        taken = {variable.name: snapshot(variable) for variable in supernet.variables}
        copies[step] = taken, {name: value.copy() for name, value in taken.items()}

    train_supernet(config, OUTPUT, **how, after_step=after_step)
    assert "flaky://bucket/supernet cannot be locked (remote file systems have no locks)" in capfd.readouterr().err
    check_same_run(uninterrupted, tmp_path)
    assert set(flaky_store.happened) == {"read", "write", "lost"} and len(copies) == STEPS
    assert load_supernet(OUTPUT).step == STEPS
    assert read_supernet_space(OUTPUT) == config.space
    report_paths(OUTPUT, count=2, images=12)
    record = json.loads((tmp_path / "store" / "bucket" / "supernet" / "paths.json").read_text())
    assert (record["step"], len(record["genomes"])) == (STEPS, 2)
