"""The kind of device that kernels are made for: decided once in a process, and only here."""

from __future__ import annotations

import tensorflow as tf

from scarlet_tf.choices import check_known

DEVICE_KINDS = ("cpu", "accelerator")
_decided: list[str] = []


def device_kind() -> str:
    """Return the kind of device that kernels are made for: "accelerator" if there is a GPU or TPU, else "cpu".

    Kernels for a CPU are arranged for its caches and vectors. Those for accelerators are whole operations, which cuDNN
    and XLA arrange. Both give the same results within rounding.
    """
    if not _decided:
        accelerators = [device for kind in ("GPU", "TPU") for device in tf.config.list_logical_devices(kind)]
        _decided.append("accelerator" if accelerators else "cpu")
    return _decided[0]


def set_device_kind(kind: str) -> None:
    """Make kernels for another kind of device than this machine has, for a program that another machine will run.

    Args:
        kind: one of DEVICE_KINDS.

    Raises:
        ValueError: for another kind.
        RuntimeError: if kernels of the other kind have been made already.
    """
    check_known("device kind", kind, DEVICE_KINDS)
    if _decided and _decided[0] != kind:
        raise RuntimeError(f"kernels for {_decided[0]!r} have been made: set the device kind {kind!r} before any step")
    _decided[:] = [kind]
