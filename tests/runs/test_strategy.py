"""Strategies by name, and what is said against one before TensorFlow is loaded."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf
from clusters import worker_environments

from scarlet_tf.runs.strategy import check_strategy, make_strategy

TOOLS = Path(__file__).parents[2] / "tools"
CLUSTER = {"worker": ["first:9000", "second:9000"]}


def tf_config(index, *, cluster=CLUSTER, kind="worker"):
    return json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})


def test_strategies_by_name():
    assert make_strategy("one_device").num_replicas_in_sync == 1
    with pytest.raises(ValueError, match=r"'mirored'.*nearest is 'mirrored'"):
        make_strategy("mirored")


@pytest.mark.parametrize("index", [0, 1, "1"])
def test_a_worker_that_tf_config_names(index, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", tf_config(index))
    check_strategy("multi_worker")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "'multi_worker' needs the environment variable TF_CONFIG: expected"),
        ("", "'multi_worker' needs the environment variable TF_CONFIG: expected"),
        (
            "workers",
            r"^TF_CONFIG is not JSON \(Expecting value: .*\): got 'workers', expected .*see docs/several_machines.md$",
        ),
        ("[]", r"^TF_CONFIG is not a JSON object: got '\[\]', expected "),
        ("{}", r"^TF_CONFIG: 'cluster' is missing: expected "),
        (json.dumps({"task": {"type": "worker", "index": 0}}), "^TF_CONFIG: 'cluster' is missing: expected "),
        (json.dumps({"cluster": CLUSTER}), "^TF_CONFIG: 'task' is missing: expected "),
        (json.dumps({"cluster": CLUSTER, "task": 1}), "^TF_CONFIG: 'task' is 1: expected "),
        (
            json.dumps({"cluster": CLUSTER, "task": {"index": 1}}),
            "^TF_CONFIG: 'type' is missing in 'task', which is {'",
        ),
        (json.dumps({"cluster": CLUSTER, "task": {"type": "worker"}}), "^TF_CONFIG: 'index' is missing in 'task', "),
        (tf_config(0, kind="wroker"), "^unknown task type in 'task' of TF_CONFIG: 'wroker': .* nearest is 'worker'$"),
        (tf_config(0, kind="chief"), r"^TF_CONFIG: 'task' is a 'chief', but .*none: expected one of \('worker',\)$"),
        (tf_config(0, cluster={"chief": ["first:9000"]}), r"^TF_CONFIG: 'task' is a 'worker', but .* of \('chief',\)$"),
        (
            tf_config(2),
            r"^TF_CONFIG: 'index' in 'task' is 2: expected an integer in 0..1, as 'cluster' lists 2 of type 'w",
        ),
        (tf_config(-1), "^TF_CONFIG: 'index' in 'task' is -1: expected an integer in 0..1"),
        (tf_config("second"), "^TF_CONFIG: 'index' in 'task' is 'second': expected an integer in 0..1"),
        (tf_config(True), "^TF_CONFIG: 'index' in 'task' is True: expected an integer in 0..1"),
        (tf_config(1, cluster={"worker": ["first:9000"]}), "^TF_CONFIG: 'index' in 'task' is 1: expected 0, as"),
        (tf_config(0, cluster={"wroker": ["first:9000"]}), "^unknown task type in 'cluster' of TF_CONFIG: 'wroker': "),
        (
            tf_config(0, cluster={"worker": "first:9000"}),
            "^TF_CONFIG: 'worker' in 'cluster' is 'first:9000': expected ",
        ),
        (
            tf_config(0, cluster={"worker": ["first:99999"]}),
            "^TF_CONFIG: 'first:99999' of 'worker' in .*port in 1..65535$",
        ),
        (tf_config(0, cluster={"worker": ["first"]}), "^TF_CONFIG: 'first' of 'worker' in .*: expected 'HOST:PORT'"),
        (tf_config(0, cluster={"worker": [9000]}), "^TF_CONFIG: 9000 of 'worker' in .*: expected 'HOST:PORT'"),
        (
            tf_config(0, cluster={"worker": ["http://first:9000"]}),
            "^TF_CONFIG: 'http://first:9000' of 'worker' in .*not an address",
        ),
        (tf_config(0, cluster={"worker": ["first:9000", "first:9000"]}), "^TF_CONFIG: 'first:9000' is twice in "),
        (
            tf_config(0, cluster={"chief": ["a:1", "b:1"], **CLUSTER}),
            r"^TF_CONFIG: 'chief' in .*\['a:1', 'b:1'\]: .* one",
        ),
    ],
)
def test_a_worker_that_would_be_alone_is_refused(text, message, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match=message):
        make_strategy("multi_worker")


def test_a_batch_that_the_workers_cannot_share(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", tf_config(0, cluster={"chief": ["zeroth:9000"], **CLUSTER}))
    check_strategy("multi_worker", batch_size=9)
    for batch_size, nearest in ((10, 9), (11, 12), (1, 3)):
        message = (
            f"^batch_size must be a multiple of the 3 workers in TF_CONFIG, got {batch_size}: nearest is {nearest}$"
        )
        with pytest.raises(ValueError, match=message):
            check_strategy("multi_worker", batch_size=batch_size)
    check_strategy("one_device", batch_size=10)
    monkeypatch.delenv("TF_CONFIG")
    for name, value in (("NODELIST", "n[1-3]"), ("TASKS_PER_NODE", "2(x3)")):
        monkeypatch.setenv(f"SLURM_STEP_{name}", value)
    monkeypatch.setenv("SLURM_PROCID", "0")
    check_strategy("multi_worker", batch_size=12)
    with pytest.raises(ValueError, match=r"multiple of the 6 workers of Slurm's job step, got 9: nearest is 12$"):
        check_strategy("multi_worker", batch_size=9)


@pytest.mark.parametrize(("tool", "flags"), [("train_supernet", []), ("train", ["--model=scarlet_a"])])
def test_a_batch_that_the_workers_cannot_share_is_refused_before_they_are_waited_for(tool, flags, tmp_path):
    (environment, _) = worker_environments(2)
    command = [sys.executable, TOOLS / f"{tool}.py", *flags, "--strategy=multi_worker", "--batch_size=9", "--output=o"]
    how = {"cwd": tmp_path, "env": os.environ | environment, "capture_output": True, "text": True, "timeout": 60}
    done = subprocess.run(command, **how)  # the other worker never starts
    message = "batch_size must be a multiple of the 2 workers in TF_CONFIG, got 9: nearest is 8"
    assert (done.returncode, done.stderr) == (2, f"{tool}.py: {message}\n")


@pytest.mark.parametrize(
    ("tpu", "name"), [("", "named in the environment"), ("grpc://10.0.0.2:8470", "grpc://10.0.0.2:8470")]
)
def test_the_named_tpu_is_asked_for(tpu, name, monkeypatch):
    asked = []

    def resolver(name):
        asked.append(name)
        raise tf.errors.NotFoundError(None, None, "not there")

    monkeypatch.setattr(tf.distribute.cluster_resolver, "TPUClusterResolver", resolver)
    with pytest.raises(ValueError, match=f"^cannot connect to the TPU {name}: not there$"):
        make_strategy("tpu", tpu=tpu)
    assert asked == [tpu]


def test_a_tpu_belongs_to_its_strategy():
    with pytest.raises(ValueError, match="tpu 'x' needs strategy 'tpu', got 'mirrored'"):
        make_strategy("mirrored", tpu="x")
