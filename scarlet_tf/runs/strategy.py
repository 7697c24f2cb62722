"""tf.distribute strategies by name."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

from scarlet_tf.choices import check_known
from scarlet_tf.runs.slurm import is_slurm_step, tf_config_of_slurm

STRATEGIES = ("one_device", "mirrored", "multi_worker", "tpu")
_TF_CONFIG = (
    'expected {"cluster": {"worker": ["HOST:PORT", ...]}, "task": {"type": "worker", "index": NUMBER OF THIS WORKER}}, '
    "see docs/several_machines.md"
)


def check_strategy(name: str, *, tpu: str = "") -> None:
    """Check the arguments of `make_strategy`, and TF_CONFIG, without importing TensorFlow.

    Raises:
        ValueError: for an unknown name; for `tpu` with a strategy other than "tpu"; and for "multi_worker" if neither
            TF_CONFIG nor Slurm names workers and the task of this one: TensorFlow would then assume that there are no
            others.
    """
    check_known("strategy", name, STRATEGIES)
    if tpu and name != "tpu":
        raise ValueError(f"tpu {tpu!r} needs strategy 'tpu', got {name!r}")
    if name == "multi_worker":
        text = os.environ.get("TF_CONFIG")
        if not text and not is_slurm_step(os.environ):
            raise ValueError(f"strategy 'multi_worker' needs the environment variable TF_CONFIG: {_TF_CONFIG}")
        if text and not _names_workers(text):
            raise ValueError(f"invalid TF_CONFIG {text!r}: {_TF_CONFIG}")


def _names_workers(tf_config: str) -> bool:
    try:
        settings = json.loads(tf_config)
        task = settings["task"]
        return int(task["index"]) in range(len(settings["cluster"][task["type"]]))
    except (ValueError, KeyError, TypeError):
        return False


def make_strategy(name: str, *, devices: Sequence[str] | None = None, tpu: str = ""):
    """Return a `tf.distribute.Strategy`.

    Args:
        name: "one_device": the first GPU, or the CPU. "mirrored": all GPUs of this machine, or `devices`.
            "multi_worker": synchronous training on the workers that the environment variable TF_CONFIG names, or else
            on the tasks of the job step that Slurm started this process in.
            "tpu": the TPU that `tpu` names.
        devices: device names for "one_device" (uses the first) and "mirrored", such as ["CPU:0", "CPU:1"].
        tpu: name of a TPU; "local": this machine's; "": the one that the environment names.

    Raises:
        ValueError: as `check_strategy`, and if the TPU cannot be used.
    """
    check_strategy(name, tpu=tpu)
    import tensorflow as tf

    if name == "one_device":
        default = "GPU:0" if tf.config.list_logical_devices("GPU") else "CPU:0"
        return tf.distribute.OneDeviceStrategy(devices[0] if devices else default)
    if name == "mirrored":
        return tf.distribute.MirroredStrategy(devices)
    if name == "multi_worker":
        if not os.environ.get("TF_CONFIG"):
            os.environ["TF_CONFIG"] = tf_config_of_slurm(os.environ)
        workers = json.loads(os.environ["TF_CONFIG"])["cluster"]
        if sum(map(len, workers.values())) > 1:  # TensorFlow waits silently and ignores signals
            print(
                "waiting for all workers in TF_CONFIG; until they have started, only kill -9 stops this",
                file=sys.stderr,
            )
        return tf.distribute.MultiWorkerMirroredStrategy()
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, OSError, tf.errors.OpError) as error:
        raise ValueError(f"cannot connect to the TPU {tpu or 'named in the environment'}: {error}") from error
    return tf.distribute.TPUStrategy(resolver)
