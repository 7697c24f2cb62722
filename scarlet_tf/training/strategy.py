"""tf.distribute strategies by name."""

from __future__ import annotations

from collections.abc import Sequence

from scarlet_tf.choices import require_known

STRATEGIES = ("one_device", "mirrored", "multi_worker", "tpu")


def make_strategy(name: str, *, devices: Sequence[str] | None = None, tpu: str = ""):
    """A `tf.distribute.Strategy`.

    Args:
        name: "one_device": the first GPU, or the CPU. "mirrored": all GPUs of this machine, or `devices`.
            "multi_worker": synchronous over the workers named in the TF_CONFIG environment variable.
            "tpu": the TPU named by `tpu`, or the local one.
        devices: device names for "one_device" (the first counts) and "mirrored", such as ["CPU:0", "CPU:1"].

    Raises:
        ValueError: for another name.
    """
    import tensorflow as tf

    require_known("strategy", name, STRATEGIES)
    if name == "one_device":
        default = "GPU:0" if tf.config.list_logical_devices("GPU") else "CPU:0"
        return tf.distribute.OneDeviceStrategy(devices[0] if devices else default)
    if name == "mirrored":
        return tf.distribute.MirroredStrategy(devices)
    if name == "multi_worker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu)
    tf.config.experimental_connect_to_cluster(resolver)
    tf.tpu.experimental.initialize_tpu_system(resolver)
    return tf.distribute.TPUStrategy(resolver)
