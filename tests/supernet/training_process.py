"""A supernet training run as a process of its own, for tests that kill it or give it other devices.

python training_process.py OUTPUT IMAGE_FOLDER STEPS STRATEGY [STEPS_PER_CALL]
"""

import sys

import tensorflow as tf
from spaces import FEW_CHOICES

from scarlet_tf.arch import SearchSpace
from scarlet_tf.data import DataConfig
from scarlet_tf.runs.strategy import make_strategy
from scarlet_tf.supernet import SupernetConfig, train_supernet


def tiny_config(folder: str, steps: int) -> SupernetConfig:
    # Of one layer: every process traces it anew, and on several devices for each.
    space = SearchSpace(
        name="tiny",
        out_channels=(8,),
        strides=(1,),
        choices=FEW_CHOICES,
        resolution=16,
        stem_channels=8,
        first_channels=8,
        tail_channels=16,
        classes=3,
    )
    data = DataConfig(name=f"folder:{folder}", image_size=16, search_validation=12, augment="flip_crop")
    return SupernetConfig(space=space, data=data, steps=steps, batch_size=8, learning_rate=0.1, warmup_steps=2)


def main() -> None:
    output, folder, steps, strategy, *more = sys.argv[1:]
    steps_per_call = int(*more or [1])
    if strategy == "mirrored":
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    devices = ["CPU:0", "CPU:1"] if strategy == "mirrored" else None
    train_supernet(
        tiny_config(folder, int(steps)),
        output,
        strategy=make_strategy(strategy, devices=devices),
        checkpoint_every=3,
        log_every=steps_per_call,
        steps_per_call=steps_per_call,
    )


if __name__ == "__main__":
    main()
