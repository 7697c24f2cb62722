"""A training run of seconds, for tests; `python runs.py SPEC_OVERRIDES_AS_JSON` makes it in a process of its own."""

import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}


def write_pictures(root: Path, *, train=16, test=4, side=16) -> None:
    """Noisy pictures, one colour a class."""
    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("test", test)):
        for name, colour in COLOURS.items():
            (root / split / name).mkdir(parents=True)
            for n in range(count):
                pixels = np.clip(np.array(colour) * 0.4 + rng.integers(0, 150, (side, side, 3)), 0, 255)
                encoded = tf.io.encode_png(tf.constant(pixels.astype(np.uint8)))
                (root / split / name / f"{n}.png").write_bytes(encoded.numpy())


def tiny_spec():
    from scarlet_tf.arch import ArchSpec, BlockSpec

    wide = BlockSpec(
        kind="inverted_residual",
        in_channels=8,
        out_channels=8,
        kernel_size=3,
        hidden_channels=24,
        se_channels=6,
        shortcut=True,
    )
    let = BlockSpec(kind="let", in_channels=8, out_channels=16, stride=2)
    channels = {"stem_channels": 8, "first_channels": 8, "tail_channels": 16}
    return ArchSpec(name="tiny", blocks=(wide, let), resolution=16, classes=3, dropout=0.3, **channels)


def tiny_run(
    root,
    output,
    *,
    strategy="one_device",
    devices=None,
    checkpoint_every=5,
    log_every=1,
    steps_per_call=1,
    weights=None,
    validation=None,
    **overrides,
):
    """Trains `tiny_spec` on the pictures in `root`; returns the result."""
    from scarlet_tf.data import DataConfig, open_dataset
    from scarlet_tf.runs.strategy import make_strategy
    from scarlet_tf.training.config import train_config
    from scarlet_tf.training.trainer import train

    made = make_strategy(strategy, devices=devices)
    basis = {"batch_size": 12, "epochs": 5, "dropout": None, "augment": "flip_crop"}
    config = train_config("small", **(basis | overrides))
    data = open_dataset(DataConfig(name=f"folder:{root}", image_size=16, augment=config.augment, validation=validation))
    return train(
        *(tiny_spec(), data, config),
        output=output,
        weights=weights,
        strategy=made,
        checkpoint_every=checkpoint_every,
        log_every=log_every,
        steps_per_call=steps_per_call,
    )


def saved_weights(output) -> dict:
    from scarlet_tf.models import get_weights
    from scarlet_tf.zoo import load_keras_file

    return get_weights(load_keras_file(Path(output) / "model.keras"))


if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    if cpus := arguments.pop("logical_cpus", None):
        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * cpus)
    print(json.dumps(tiny_run(**arguments)))
