import importlib.util
import json
from pathlib import Path

import pytest

from scarlet_tf.arch import ArchSpec, BlockSpec
from scarlet_tf.data import DataConfig, open_dataset
from scarlet_tf.models import build, measure_batch_norms
from scarlet_tf.training.config import train_config
from scarlet_tf.training.trainer import train

RUNS = Path(__file__).parents[1] / "training" / "runs.py"


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Pictures of three colours, 16x16."""
    spec = importlib.util.spec_from_file_location("scarlet_tf_compression_runs", RUNS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    root = tmp_path_factory.mktemp("pictures")
    module.write_pictures(root)
    return open_dataset(DataConfig(name=f"folder:{root}", image_size=16))


KINDS = {"kind": "inverted_residual", "kernel_size": 7}
WIDE = BlockSpec(**KINDS, in_channels=8, out_channels=8, hidden_channels=24, se_channels=6, shortcut=True)
DOWN = BlockSpec(**KINDS, in_channels=8, out_channels=16, hidden_channels=24, stride=2)


def spec_of(*blocks: BlockSpec) -> ArchSpec:
    channels = {"stem_channels": 8, "first_channels": 8, "tail_channels": 16}
    return ArchSpec(name="tiny", blocks=blocks, resolution=16, classes=3, **channels)


@pytest.fixture(scope="session")
def untrained(data, tmp_path_factory):
    """Folder like `trained`, at once and with one block: initial weights and the BN statistics of the pictures."""
    folder = tmp_path_factory.mktemp("untrained")
    model = build(spec_of(WIDE), classifier_activation=None)
    measure_batch_norms(model, [data.arrays("test")[0]])
    spec_of(WIDE).save(folder / "spec.json")
    model.save(folder / "model.keras")
    said = {"fingerprint": "0", "data": {"mean": data.mean, "std": data.std}}
    (folder / "training.json").write_text(json.dumps(said))
    return folder


@pytest.fixture(scope="session")
def trained(data, tmp_path_factory):
    """Folder of a trained network with 7x7, SE, a shortcut and stride 2."""
    folder = tmp_path_factory.mktemp("trained")
    config = train_config("small", batch_size=12, epochs=15, ema=0.0)
    result = train(spec_of(WIDE, DOWN), data, config, output=folder)
    assert result["test"]["top1"] >= 0.9
    return folder
