"""Strategies by name, and what is said against one before TensorFlow is loaded."""

import json

import pytest

from scarlet_tf.training.strategy import make_strategy, require_strategy

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
    require_strategy("multi_worker")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "'multi_worker' needs the environment variable TF_CONFIG: expected"),
        ("", "'multi_worker' needs the environment variable TF_CONFIG: expected"),
        ("workers", "TF_CONFIG is 'workers': expected"),
        ("{}", "TF_CONFIG is '{}': expected"),
        (tf_config(2), '"index": 2.*: expected .*see Several machines in the README'),
        (tf_config(0, cluster={"chief": ["first:9000"]}), '"chief": .*: expected'),
    ],
)
def test_a_worker_that_would_be_alone_is_refused(text, message, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match=message):
        make_strategy("multi_worker")
