import json
import shutil
import signal
import time

import numpy as np
import pytest
from forked import ForkedProcess

pytestmark = pytest.mark.slow


def stop_after(process, log, steps, how):
    """Sends a signal once `steps` steps are logged; returns (exit code, standard error)."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        if log.exists() and log.read_text().count("\n") >= steps:
            process.send_signal(how)
            break
        time.sleep(0.002)
    _, errors = process.communicate(timeout=300)
    return process.returncode, errors


def check_equal(runs, first, second):
    ours, theirs = runs.saved_weights(first), runs.saved_weights(second)
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)


def test_killed_runs_end_with_the_same_bits(runs, pictures, tmp_path, start):
    """kill -9 twice, at steps that no checkpoint was made at, against one uninterrupted run; dropout is on.

    The first kill is among the 8 steps in which only the classifier learns.
    """
    settings = {"epochs": 5, "frozen_epochs": 2, "checkpoint_every": 4, "validation": "test", "keep": "best"}
    whole = runs.tiny_run(pictures, tmp_path / "whole", **settings)
    for steps in (5, 13):
        code, errors = stop_after(start("killed", **settings), tmp_path / "killed/log.jsonl", steps, signal.SIGKILL)
        assert code == -signal.SIGKILL, errors
        assert not (tmp_path / "killed" / "training.json").exists()
    process = start("killed", **settings)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    resumed = json.loads(output.splitlines()[-1])
    check_equal(runs, tmp_path / "whole", tmp_path / "killed")
    assert resumed | {"seconds": 0} == whole | {"seconds": 0}
    steps = [json.loads(line)["step"] for line in (tmp_path / "killed" / "log.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 21))


STOPPED = {"epochs": 10, "checkpoint_every": 1000}


@pytest.fixture(scope="module")
def stopped(runs, pictures, tmp_path_factory):
    """The folder of a run that ended by SIGTERM after 9 steps and more."""
    output = tmp_path_factory.mktemp("stopped") / "run"
    arguments = {"root": str(pictures), "output": str(output)} | STOPPED
    code, errors = stop_after(
        ForkedProcess([runs.__file__, json.dumps(arguments)]), output / "log.jsonl", 9, signal.SIGTERM
    )
    assert code == 143, errors
    return output


def test_a_checkpoint_of_other_settings_is_refused(runs, pictures, stopped):
    with pytest.raises(ValueError, match=r"was saved with other settings \(config.learning_rate was 0.1, is 0.2\)"):
        runs.tiny_run(pictures, stopped, **STOPPED, learning_rate=0.2)


def test_sigterm_saves_and_exits(runs, pictures, tmp_path, stopped):
    stopped = shutil.copytree(stopped, tmp_path / "stopped")
    (checkpoint,) = (stopped / "checkpoints").iterdir()
    assert 9 <= int(checkpoint.stem.split("-")[1]) < 40
    runs.tiny_run(pictures, stopped, **STOPPED)
    runs.tiny_run(pictures, tmp_path / "whole", **STOPPED)
    check_equal(runs, tmp_path / "whole", stopped)
