"""A supernet training run as a process of its own, for tests that kill it or give it other devices.

python training_process.py OUTPUT IMAGE_FOLDER STEPS STRATEGY BATCH_SIZE STEPS_PER_CALL
"""

import flaky  # noqa: F401 - registers flaky:// for remote runs
import tensorflow as tf
from spaces import FEW_CHOICES

from scarlet_tf.arch import SearchSpace
from scarlet_tf.cli import run
from scarlet_tf.data import DataConfig
from scarlet_tf.runs.strategy import make_strategy
from scarlet_tf.supernet import SupernetConfig, train_supernet


def tiny_config(folder: str, *, steps: int, batch_size: int) -> SupernetConfig:
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
    return SupernetConfig(space=space, data=data, steps=steps, batch_size=batch_size, learning_rate=0.1, warmup_steps=2)


def main(output: str, folder: str, steps: str, strategy: str, batch_size: str, steps_per_call: str) -> None:
    if strategy == "mirrored":
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    devices = ["CPU:0", "CPU:1"] if strategy == "mirrored" else None
    train_supernet(
        tiny_config(folder, steps=int(steps), batch_size=int(batch_size)),
        output,
        strategy=make_strategy(strategy, devices=devices),
        checkpoint_every=3,
        log_every=int(steps_per_call),
        steps_per_call=int(steps_per_call),
    )


if __name__ == "__main__":
    run(main, arguments=("OUTPUT", "IMAGE_FOLDER", "STEPS", "STRATEGY", "BATCH_SIZE", "STEPS_PER_CALL"))
