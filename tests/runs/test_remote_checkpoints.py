"""Checkpoints on a remote file system that loses writes, reads and deletions, and runs that are killed there."""

import os
import random
import subprocess
import sys

import flaky
import numpy as np
import pytest

from scarlet_tf.committed import copy_run
from scarlet_tf.files import FolderInUseError, locked_folder
from scarlet_tf.paths import RemoteError, as_path
from scarlet_tf.runs.checkpoints import CheckpointError, CheckpointStore, check_markers

FOLDER = "flaky://bucket/run"


pytestmark = pytest.mark.usefixtures("flaky_store")


def store(keep=2):
    return CheckpointStore(FOLDER, kind="test", fingerprint="f", keep=keep)


def arrays_of(step, attempt):
    """Arrays that name the attempt that wrote them, so that one mixed of two is noticed."""
    numbers = np.random.default_rng([step, attempt]).integers(0, 255, 40 + step % 60, dtype=np.uint8)
    return {"attempt": np.int64(attempt), "numbers": numbers, "more": numbers[::-1].copy()}


def check_whole(checkpoint):
    expected = arrays_of(checkpoint.step, int(checkpoint.arrays["attempt"]))
    assert checkpoint.arrays.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(checkpoint.arrays[name], value)


def write_kill_read(seed):
    """Save checkpoints until the run is killed, and return (last whose save returned, last tried, what is read)."""
    faults = flaky.FAULTS
    faults.random = random.Random(seed)
    faults.read, faults.write, faults.lost, faults.late = 0.05, 0.05, 0.2, 0.2
    restored = store().restore()
    step = returned = restored.step if restored else 0
    # A checkpoint has about 1,500 bytes, and its marker 90. Every fourth run dies within the first marker.
    faults.bytes_to_live = faults.random.randrange(8000)
    with pytest.raises(flaky.Killed):
        while True:
            step += 1
            store().save(step, arrays_of(step, attempt=seed))
            returned = step
    faults.revive()
    return returned, step, store().restore()


@pytest.mark.filterwarnings("ignore:.*its marker is cut short")
@pytest.mark.parametrize("runs", [50, pytest.param(500, marks=pytest.mark.slow)])
def test_a_killed_run_finds_its_last_whole_checkpoint(runs, flaky_store):
    unfinished = 0
    for seed in range(runs):
        returned, tried, found = write_kill_read(seed)
        step = found.step if found else 0
        assert returned <= step <= tried, f"run {seed} was given step {step}, saved {returned}, tried {tried}"
        if found:
            check_whole(found)
        unfinished += step < tried
    assert unfinished > 0.3 * runs  # most kills hit a checkpoint in the middle
    assert set(flaky_store.happened) == {"read", "write", "lost", "late"}
    store().save(tried + 1, arrays_of(tried + 1, attempt=0))
    assert len(store().paths()) <= 10  # what deletions lost was deleted later


PROCESS = """
import sys, threading
import flaky
from test_remote_checkpoints import arrays_of, store
restored = store().restore()
step = restored.step if restored else 0
print(step, flush=True)
flaky.FAULTS.bytes_to_live, flaky.FAULTS.die = int(sys.argv[1]), flaky.kill_this_process
while True:
    step += 1
    store().save(step, arrays_of(step, attempt=int(sys.argv[1])))
    print(step, flush=True)
"""


@pytest.mark.filterwarnings("ignore:.*its marker is cut short")
@pytest.mark.parametrize("runs", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_a_process_that_kill_9_ends_in_a_write(runs, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([os.path.dirname(__file__), *sys.path]))
    drawn = random.Random(1)
    for _ in range(runs):
        lives = str(drawn.randrange(6000))
        ended = subprocess.run([sys.executable, "-c", PROCESS, lives], capture_output=True, text=True)
        assert ended.returncode == -9, ended.stderr
        returned = int(ended.stdout.split()[-1])
        found = store().restore()
        assert returned <= (found.step if found else 0) <= returned + 1
        if found:
            check_whole(found)


def put(tmp_path, name, content):
    (tmp_path / "store" / "bucket" / "run" / name).write_bytes(content)


def test_a_checkpoint_without_a_marker_that_agrees_is_passed_over(tmp_path):
    store().save(1, arrays_of(1, 0))
    path = store().save(2, arrays_of(2, 0))
    data, name = path.read_bytes(), "checkpoint-0000000002.npz"
    put(tmp_path, name, data[:-1])
    with pytest.warns(UserWarning, match=rf"it has {len(data) - 1} bytes, and its marker says {len(data)}; trying"):
        assert store().restore().step == 1
    put(tmp_path, name, bytes([data[0] ^ 1]) + data[1:])
    with pytest.warns(UserWarning, match=r"its SHA-256 is not that in its marker"):
        assert store().restore().step == 1
    put(tmp_path, name, data)
    assert store().restore().step == 2
    put(tmp_path, f"{name}.complete", b'{"bytes": 12')
    with pytest.warns(UserWarning, match=r"its marker is cut short"):
        assert store().restore().step == 1
    (tmp_path / "store" / "bucket" / "run" / f"{name}.complete").unlink()
    assert store().restore().step == 1 and [path.name for path in store().paths()] == ["checkpoint-0000000001.npz"]


def test_a_store_that_does_not_answer_is_no_damaged_checkpoint(flaky_store):
    """An older checkpoint, or none, would repeat or discard training."""
    store().save(1, arrays_of(1, 0))
    store().save(2, arrays_of(2, 0))
    flaky_store.read = 1.0
    with pytest.raises(RemoteError) as error:
        store().restore()
    assert error.value.strerror == "TimeoutError: the store does not answer (tried 5 times)"
    assert error.value.filename == FOLDER and flaky_store.happened["read"] == 5
    flaky_store.read, flaky_store.write = 0.0, 1.0
    with pytest.raises(RemoteError, match=r"connection lost while writing .*tried 5 times.*checkpoint-0000000003.npz'"):
        store().save(3, arrays_of(3, 0))
    flaky_store.write = 0.0
    assert store().restore().step == 2


def test_old_checkpoints_and_rests_of_killed_writes_are_deleted(tmp_path):
    for step in (1, 2, 3):
        store().save(step, arrays_of(step, 0))
    put(tmp_path, "checkpoint-0000000004.npz", b"half")
    put(tmp_path, "config.json", b"{}")
    store().save(5, arrays_of(5, 0))
    names = sorted(path.name for path in (tmp_path / "store" / "bucket" / "run").iterdir())
    kept = [f"checkpoint-{step:010d}.npz{end}" for step in (3, 5) for end in ("", ".complete")]
    assert names == [*kept, "config.json"]


def test_no_checkpoint_is_none_and_other_settings_are_refused():
    assert store().restore() is None
    store().save(1, arrays_of(1, 0))
    with pytest.raises(CheckpointError, match=r"flaky://bucket/run/checkpoint-0000000001.npz was saved with other"):
        CheckpointStore(FOLDER, kind="test", fingerprint="g").restore()


@pytest.mark.parametrize(
    "name", ["checkpoint-0000000003.npz", "checkpoints/checkpoint-0000000003.npz", "training.json"]
)
def test_a_run_that_was_copied_without_markers_is_refused(tmp_path, name):
    run = tmp_path / "store" / "bucket" / "run"
    (run / name).parent.mkdir(parents=True)
    (run / name).write_bytes(b"content")
    (run / "config.json").write_bytes(b"{}")
    message = rf"^flaky://bucket/run has {name.split('/')[-1]}, but no file in it has a marker, .*committed.copy_run"
    with pytest.raises(CheckpointError, match=message):
        check_markers(as_path(FOLDER))
    (run / ".log.jsonl.complete").write_bytes(b"{}")  # of a run that was killed in its first checkpoint
    check_markers(as_path(FOLDER))
    check_markers(tmp_path)


def test_a_run_without_checkpoints_or_none_is_not_refused(tmp_path):
    check_markers(as_path(FOLDER))
    run = tmp_path / "store" / "bucket" / "run"
    run.mkdir(parents=True)
    (run / "config.json").write_bytes(b"{")  # of a run that was killed while it wrote this
    check_markers(as_path(FOLDER))


def test_a_run_that_is_copied_with_markers_resumes(tmp_path):
    local = tmp_path / "local"
    own = CheckpointStore(local, kind="test", fingerprint="f", keep=2)
    for step in (1, 2):
        own.save(step, arrays_of(step, 0))
    (local / "tensorboard").mkdir()
    for name in ("config.json", "tensorboard/events", ".checkpoint-0000000003.npz.ab.tmp"):
        (local / name).write_bytes(b"{}")
    with locked_folder(local), pytest.raises(FolderInUseError):
        copy_run(local, FOLDER)
    copy_run(local, FOLDER)
    check_markers(as_path(FOLDER))
    check_whole(store().restore())
    assert store().restore().step == 2
    run = tmp_path / "store" / "bucket" / "run"
    names = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    marked = {"checkpoint-0000000001.npz", "checkpoint-0000000002.npz", "config.json"}
    assert names == marked | {f"{name}.complete" for name in marked} | {"tensorboard/events"}
    with pytest.raises(NotADirectoryError, match="expected a local run directory"):
        copy_run(tmp_path / "none", FOLDER)
    with pytest.raises(ValueError, match="is local: expected a remote path"):
        copy_run(tmp_path, tmp_path / "copy")
