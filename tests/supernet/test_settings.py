import dataclasses
import json
from types import SimpleNamespace

import pytest

from scarlet_tf.data import DataConfig
from scarlet_tf.supernet import evaluator
from scarlet_tf.supernet.supernet_config import AT_A_TIME, SupernetConfig, read_supernet_space, share_out_threads


@pytest.mark.parametrize(("threads", "shared"), [(1, (1, 1)), (2, (2, 1)), (3, (2, 1)), (8, (2, 4))])
def test_blocks_at_a_time_have_a_thread_each_first(threads, shared):
    assert tuple(share_out_threads(threads).values()) == shared
    assert max(shared) <= threads and shared[0] <= AT_A_TIME


def test_the_space_of_a_run_directory(tmp_path, two_layer_space):
    space = dataclasses.replace(two_layer_space, resolution=(12, 8), classes=7)
    settings = {"steps": 5, "batch_size": 8, "learning_rate": 0.1, "warmup_steps": 0}
    config = SupernetConfig(space=space, data=DataConfig(name="fashion_mnist", image_size=(12, 8)), **settings)
    with pytest.raises(FileNotFoundError, match="no supernet in"):
        read_supernet_space(tmp_path)
    text = json.dumps(config.to_dict())
    (tmp_path / "config.json").write_text(text)
    assert read_supernet_space(tmp_path) == space
    for damaged in (text[: len(text) // 2], "[]", json.dumps({"steps": 3})):
        (tmp_path / "config.json").write_text(damaged)
        with pytest.raises(ValueError, match=r"config\.json is damaged: "):
            read_supernet_space(tmp_path)


@pytest.mark.parametrize(("augment", "share"), [("none", 1), ("flip_crop", 1), ("inception", 224 / 256)])
def test_paths_are_evaluated_on_the_crop_of_training(augment, share, monkeypatch):
    class Opened(Exception):
        pass

    def opened(config, *, splits):
        raise Opened(config.augment, config.crop_share)

    monkeypatch.setattr(evaluator, "open_dataset", opened)
    data = DataConfig(name="fashion_mnist", image_size=32, augment=augment)
    with pytest.raises(Opened) as found:
        evaluator.SupernetEvaluator(SimpleNamespace(config=SimpleNamespace(data=data)))
    assert found.value.args == ("none", share)
