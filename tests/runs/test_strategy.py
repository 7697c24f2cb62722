"""Strategies by name, and what is said against one before TensorFlow is loaded."""

import json

import pytest
import tensorflow as tf

from scarlet_tf.runs.strategy import check_strategy, make_strategy

CLUSTER = {"worker": ["first:9000", "second:9000"]}


def tf_config(index, *, cluster=CLUSTER):
    return json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})


def test_strategies_by_name():
    assert make_strategy("one_device").num_replicas_in_sync == 1
    with pytest.raises(ValueError, match=r"'mirored'.*nearest is 'mirrored'"):
        make_strategy("mirored")


@pytest.mark.parametrize("index", [0, 1])
def test_a_worker_that_tf_config_names(index, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", tf_config(index))
    check_strategy("multi_worker")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "'multi_worker' needs the environment variable TF_CONFIG: expected"),
        ("", "'multi_worker' needs the environment variable TF_CONFIG: expected"),
        ("workers", "invalid TF_CONFIG 'workers': expected"),
        ("{}", "invalid TF_CONFIG '{}': expected"),
        (tf_config(2), '"index": 2.*: expected .*see docs/several_machines.md'),
        (tf_config(0, cluster={"chief": ["first:9000"]}), '"chief": .*: expected'),
        (tf_config(0, cluster={"worker": ["first:99999"]}), "first:99999.*: expected"),
        (tf_config(0, cluster={"worker": ["first"]}), "first.*: expected"),
        (tf_config(0, cluster={"worker": ["first:9000", "first:9000"]}), "first:9000.*: expected"),
    ],
)
def test_a_worker_that_would_be_alone_is_refused(text, message, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match=message):
        make_strategy("multi_worker")


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
