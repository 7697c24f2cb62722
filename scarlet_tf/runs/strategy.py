"""tf.distribute strategies by name."""

from __future__ import annotations

import os
from collections.abc import Sequence

from scarlet_tf.choices import check_known
from scarlet_tf.runs.cluster import join_cluster
from scarlet_tf.runs.slurm import count_tasks, is_slurm_step, tf_config_of_slurm
from scarlet_tf.runs.tf_config import EXPECTED, count_workers

STRATEGIES = ("one_device", "mirrored", "multi_worker", "tpu")


def check_strategy(name: str, *, tpu: str = "", batch_size: int | None = None) -> None:
    """Check the arguments of `make_strategy`, and TF_CONFIG, without importing TensorFlow.

    Args:
        name, tpu: see `make_strategy`.
        batch_size: global batch size of a training, which the workers must be able to share; None: there is none.

    Raises:
        ValueError: for an unknown name; for `tpu` with a strategy other than "tpu"; and for "multi_worker" if neither
            TF_CONFIG nor Slurm names workers and the task of this one, as TensorFlow would then assume that there are
            no others, or if `batch_size` is not a multiple of their number. That each worker may have several devices
            is known only after TensorFlow was imported.
    """
    check_known("strategy", name, STRATEGIES)
    if tpu and name != "tpu":
        raise ValueError(f"tpu {tpu!r} needs strategy 'tpu', got {name!r}")
    if name == "multi_worker":
        count, named = _named_workers()
        if batch_size is not None and batch_size % count:
            nearest = max(1, round(batch_size / count)) * count
            raise ValueError(
                f"batch_size must be a multiple of the {count} workers {named}, got {batch_size}: nearest is {nearest}"
            )


def _named_workers() -> tuple[int, str]:
    """Return how many workers TF_CONFIG or else Slurm names, and who does; raise ValueError if neither does."""
    if text := os.environ.get("TF_CONFIG"):
        return count_workers(text), "in TF_CONFIG"
    if is_slurm_step(os.environ):
        return count_tasks(os.environ), "of Slurm's job step"
    raise ValueError(f"strategy 'multi_worker' needs the environment variable TF_CONFIG: {EXPECTED}")


def join_workers(name: str) -> None:
    """With strategy "multi_worker", contact the other workers that TF_CONFIG names, without importing TensorFlow.

    `make_strategy` does so too, but after TensorFlow's import: until then, the others cannot tell a worker that was
    killed from one that has not started. Where Slurm names the workers, `make_strategy` contacts
    them, and until then Slurm itself ends the others.

    Raises:
        OSError, WorkerLostError: see `scarlet_tf.runs.cluster.Cluster`.
    """
    if name == "multi_worker" and os.environ.get("TF_CONFIG"):
        join_cluster()


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
        WorkerLostError: if another worker is lost before all have started. After that, a lost worker ends this process
            with one line on standard error and exit code 75, see `scarlet_tf.runs.cluster.Cluster`.
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
        return _multi_worker()
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, OSError, tf.errors.OpError) as error:
        raise ValueError(f"cannot connect to the TPU {tpu or 'named in the environment'}: {error}") from error
    return tf.distribute.TPUStrategy(resolver)


def _multi_worker():
    """Return a MultiWorkerMirroredStrategy once all workers are there."""
    import tensorflow as tf
    from tensorflow.python.distribute.collective_all_reduce_strategy import CollectiveAllReduceExtended
    from tensorflow.python.eager import context

    cluster = join_cluster()
    if not cluster:
        return tf.distribute.MultiWorkerMirroredStrategy()
    cluster.gather()
    # `Cluster` does what TensorFlow's coordination service and health check do. The service would hold Python's lock
    # while it starts, up to an hour if a worker was killed just now; the check would report workers that are done.
    context.context().configure_coordination_service("")
    CollectiveAllReduceExtended._enable_check_health = False
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    cluster.meet()
    chiefs = len(strategy.cluster_resolver.cluster_spec().as_dict().get("chief", []))

    def answers(index: int) -> bool:
        task = f"chief/replica:0/task:{index}" if index < chiefs else f"worker/replica:0/task:{index - chiefs}"
        for _ in range(3):
            try:
                context.context().check_collective_ops_peer_health(f"/job:{task}", timeout_in_ms=10_000)
                return True
            except tf.errors.OpError:
                continue
        return False

    cluster.watch(answers)
    return strategy
